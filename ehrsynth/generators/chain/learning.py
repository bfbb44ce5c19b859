"""Learning a whole chain: every link from the real rows, each from a random stream of its own.

A link needs the columns before it and not the links before it, so that links are learnt side by side; the
result does not depend on how many at a time.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from ehrsynth.encoding import encode, encoding
from ehrsynth.encoding.code import families
from ehrsynth.generators.chain.features import feature_matrix, learn_feature
from ehrsynth.generators.chain.link import Learner, Link, Target, learn_link
from ehrsynth.generators.chain.order import chain_order, computed_columns
from ehrsynth.generators.chain.particles import Chain
from ehrsynth.progress import Progress
from ehrsynth.randomness import numpy_generator
from ehrsynth.schema import Schema

WORKERS = 2


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
    held = [len(np.unique(codes[:, place])) for place in range(len(listed))]
    order = chain_order(schema, held)
    computed = computed_columns(schema)
    features = tuple(learn_feature(codes[:, place], listed=listed[place]) for place in order)
    matrix = feature_matrix(codes[:, order], features)

    def learn(step: int) -> Link:
        column = schema.learnt[order[step]]
        target = Target(codes[:, order[step]], column.size, listed[order[step]], families(column))
        rng = numpy_generator(seed, "chain", column.name)
        seen = 0 if column.name in computed else step
        return learn_link(matrix[:, :seen], target, features[:seen], learner=learner, rng=rng)

    return Chain(schema, tuple(order), features, _side_by_side(learn, len(order), workers, progress))


def _side_by_side(
    learn: Callable[[int], Link], steps: int, workers: int, progress: Progress
) -> tuple[Link, ...]:
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
