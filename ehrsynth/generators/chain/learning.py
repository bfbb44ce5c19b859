"""Learning a whole chain: every link from the real rows, each from a random stream of its own.

A link needs the columns before it and not the links before it, so that links are learnt side by side; the
result does not depend on how many at a time.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TypeVar

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from ehrsynth.encoding import encode, encoding
from ehrsynth.encoding.code import families
from ehrsynth.generators.chain.association import association
from ehrsynth.generators.chain.echo import Echo, find_source, learn_echo, repeats
from ehrsynth.generators.chain.features import feature_matrix, learn_feature
from ehrsynth.generators.chain.link import Learner, Link, Target, learn_link
from ehrsynth.generators.chain.order import computed_columns, learnt_order
from ehrsynth.generators.chain.particles import Chain
from ehrsynth.generators.marginals import CROWD
from ehrsynth.progress import Progress
from ehrsynth.randomness import numpy_generator
from ehrsynth.schema import Schema

WORKERS = 2

_Learnt = TypeVar("_Learnt")


def learn_chain(
    table: pd.DataFrame,
    schema: Schema,
    learner: Learner,
    *,
    seed: int,
    progress: Progress,
    workers: int = WORKERS,
) -> Chain:
    """Learn every link.

    Parameters
    ----------
    table
        As `ehrsynth.tables.read_table` gives it for `schema`; at least one row.
    workers
        How many links are learnt at a time.
    """
    codes, listed = encode(table, schema), _listed(schema)
    order = learnt_order(schema, association(codes, listed))
    computed = computed_columns(schema)
    features = tuple(learn_feature(codes[:, place], listed=listed[place]) for place in order)
    matrix = feature_matrix(codes[:, order], features)

    def learn(step: int) -> tuple[Link, Echo | None]:
        column, own = schema.learnt[order[step]], codes[:, order[step]]
        rng = numpy_generator(seed, "chain", column.name)
        seen = 0 if column.name in computed else step
        earlier, inputs = features[:seen], matrix[:, :seen]
        source = find_source(schema, codes, order[step], order[:seen]) if learner.echoes else None
        echo, rows = None, np.arange(len(codes))
        if source is not None:
            repeated = repeats(schema, source, order[step], codes)
            echo = learn_echo(source, repeated, own, (inputs, earlier), boosting=learner.boosting, rng=rng)
            others = np.flatnonzero((repeated < 0) | (repeated != own))
            rows = others if len(others) >= CROWD else rows
        target = Target(own[rows], column.size, listed[order[step]], families(column))
        return learn_link(inputs[rows], target, earlier, learner=learner, rng=rng), echo

    learnt = _side_by_side(learn, len(order), workers, progress)
    echoes = {step: echo for step, (_, echo) in enumerate(learnt) if echo is not None}
    return Chain(schema, tuple(order), features, tuple(link for link, _ in learnt), echoes)


def _side_by_side(
    learn: Callable[[int], _Learnt], steps: int, workers: int, progress: Progress
) -> tuple[_Learnt, ...]:
    progress(0.0, f"0 of {steps} columns")
    # The number of threads in linear algebra decides how sums round.
    with threadpool_limits(1), ThreadPoolExecutor(workers) as pool:
        # The last links see most columns and take longest: they begin first.
        waiting = {pool.submit(learn, step): step for step in reversed(range(steps))}
        try:
            for done, future in enumerate(as_completed(waiting), 1):
                future.result()
                progress(done / steps, f"{done} of {steps} columns")
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    found = {step: future.result() for future, step in waiting.items()}
    return tuple(found[step] for step in range(steps))


def _listed(schema: Schema) -> list[bool]:
    return [not encoding(column).numeric for column in schema.learnt]
