"""Learning a whole chain: every link from the real rows, each from a random stream of its own.

A link needs the columns before it and not the links before it, so that links are learnt side by side, here or
on the workers of a cluster; the result does not depend on how many at a time.
"""

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from ehrsynth.encoding import encode, encoding
from ehrsynth.encoding.code import families
from ehrsynth.engine import Checkpoints, Held, InProcess, current, kept, work
from ehrsynth.errors import OutputError
from ehrsynth.generators.chain.association import association
from ehrsynth.generators.chain.echo import Echo, find_source, learn_echo, repeats
from ehrsynth.generators.chain.elapsed import Elapsed, counted_codes, find_elapsed
from ehrsynth.generators.chain.features import (
    Feature,
    Features,
    feature_matrix,
    learn_feature,
    with_gaps_seen,
)
from ehrsynth.generators.chain.link import Learner, Link, Target, learn_link
from ehrsynth.generators.chain.order import computed_columns, learnt_order
from ehrsynth.generators.chain.packing import pack_step, unpack_step
from ehrsynth.generators.chain.particles import Chain
from ehrsynth.generators.marginals import CROWD
from ehrsynth.progress import Progress
from ehrsynth.randomness import numpy_generator
from ehrsynth.schema import Schema

Codes = NDArray[np.int64]

WORKERS = 2

_Learnt = tuple[Link, Echo | None]


@dataclass(frozen=True, eq=False)
class Ground:
    """What every link is learnt from: the patients' codes, the order of the chain, the learner, the seed."""

    codes: Codes
    schema: Schema
    order: tuple[int, ...]
    learner: Learner
    seed: int

    @cached_property
    def elapsed(self) -> dict[int, Elapsed]:
        """The steps whose column is counted from an earlier one."""
        return find_elapsed(self.schema, self.codes, self.order)

    @cached_property
    def counted(self) -> Codes:
        """All columns as the links count them, n x columns in the chain's order."""
        return counted_codes(self.codes, self.order, self.elapsed)

    @cached_property
    def features(self) -> tuple[Feature, ...]:
        """How later links see each column, in the chain's order."""
        listed = _listed(self.schema)
        return tuple(
            learn_feature(self.counted[:, step], listed=listed[place])
            for step, place in enumerate(self.order)
        )

    @cached_property
    def matrix(self) -> Features:
        """All columns as later links see them, n x columns in the chain's order."""
        return feature_matrix(self.counted, self.features)

    def target(self, step: int, rows: Codes) -> Target:
        """What the link of a step learns from some of the rows."""
        column, elapsed, codes = self.schema.learnt[self.order[step]], self.elapsed.get(step), self.counted
        if elapsed is None:
            listed = _listed(self.schema)[self.order[step]]
            return Target(codes[rows, step], column.size, listed, families(column))
        return Target(codes[rows, step], elapsed.size, listed=False, border=elapsed.border)

    def size(self, step: int) -> int:
        """How many codes the link of a step tells apart."""
        column, elapsed = self.schema.learnt[self.order[step]], self.elapsed.get(step)
        return column.size if elapsed is None else elapsed.size

    def seen(self, step: int) -> int:
        """How many columns the link of a step sees."""
        computed = computed_columns(self.schema)
        return 0 if self.schema.learnt[self.order[step]].name in computed else step

    @cached_property
    def digest(self) -> str:
        """What the bytes of every link depend on, as 16 hexadecimal digits."""
        said = [version("ehrsynth"), self.schema.hash(), repr(self.learner), str(self.seed), str(self.order)]
        found = hashlib.sha256("\0".join(said).encode())
        found.update(np.ascontiguousarray(self.codes).data)
        return found.hexdigest()[:16]


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
        How many links are learnt at a time where no other engine is set.
    """
    codes = encode(table, schema)
    order = learnt_order(schema, association(codes, _listed(schema)))
    ground = Ground(codes, schema, tuple(order), learner, seed)
    steps = len(order)

    def report(done: int, of: int) -> None:
        progress(done / of, f"{done} of {of} columns")

    if isinstance(current(), InProcess):
        learnt = _side_by_side(_remembered(ground), steps, workers, report)
    else:
        learnt = _elsewhere(ground, report)
    echoes = {step: echo for step, (_, echo) in enumerate(learnt) if echo is not None}
    links = tuple(link for link, _ in learnt)
    return Chain(schema, ground.order, ground.features, links, echoes, ground.elapsed)


def learn_step(ground: Ground, step: int) -> _Learnt:
    """Learn one link, and whether its numbers repeat an earlier one."""
    schema, order, learner = ground.schema, ground.order, ground.learner
    column, own = schema.learnt[order[step]], ground.codes[:, order[step]]
    rng = numpy_generator(ground.seed, "chain", column.name)
    seen = ground.seen(step)
    earlier, inputs = ground.features[:seen], ground.matrix[:, :seen]
    source = find_source(schema, ground.codes, order[step], order[:seen]) if learner.echoes else None
    echo, rows = None, np.arange(len(ground.codes))
    if source is not None:
        repeated = repeats(schema, source, order[step], ground.codes)
        echo = learn_echo(source, repeated, own, (inputs, earlier), boosting=learner.boosting, rng=rng)
        others = np.flatnonzero((repeated < 0) | (repeated != own))
        rows = others if len(others) >= CROWD else rows
    target = ground.target(step, rows)
    return learn_link(inputs[rows], target, earlier, learner=learner, rng=rng), echo


def packed_step(ground: Ground, step: int) -> bytes:
    """As `learn_step`, as bytes that travel and are kept."""
    with threadpool_limits(1):
        return pack_step(ground.schema, *learn_step(ground, step))


def _unpacked_step(ground: Ground, step: int, packed: bytes) -> _Learnt:
    inputs = len(with_gaps_seen(ground.features[: ground.seen(step)]))
    return unpack_step(packed, ground.size(step), inputs)


def _remembered(ground: Ground) -> Callable[[int], _Learnt]:
    """Learns a link here, or has it from a run that was killed."""
    keep = kept()
    if keep is None:
        return lambda step: learn_step(ground, step)

    def learn(step: int) -> _Learnt:
        name = _name(ground, step)
        if (packed := keep.get(name)) is not None:
            return _unpacked_step(ground, step, packed)
        learnt = learn_step(ground, step)
        keep.put(name, pack_step(ground.schema, *learnt))
        return learnt

    return learn


def _elsewhere(ground: Ground, report: Callable[[int, int], None]) -> tuple[_Learnt, ...]:
    """All links, learnt on the current engine."""
    # The last links see most columns and take longest: they begin first.
    steps = list(reversed(range(len(ground.order))))
    keep: Checkpoints | Held = kept() or Held()
    names = [_name(ground, step) for step in steps]
    work(packed_step, ground, steps, names=names, keep=keep, done=report)
    found = {step: keep.get(name) for step, name in zip(steps, names, strict=True)}
    if None in found.values():
        raise OutputError("a link that was learnt went from the disk while it was needed: fit again")
    return tuple(_unpacked_step(ground, step, found[step] or b"") for step in sorted(found))


def _name(ground: Ground, step: int) -> str:
    return f"link-{ground.digest}-{step:04d}"


def _side_by_side(
    learn: Callable[[int], _Learnt], steps: int, workers: int, report: Callable[[int, int], None]
) -> tuple[_Learnt, ...]:
    report(0, steps)
    # The number of threads in linear algebra decides how sums round.
    with threadpool_limits(1), ThreadPoolExecutor(workers) as pool:
        # The last links see most columns and take longest: they begin first.
        waiting = {pool.submit(learn, step): step for step in reversed(range(steps))}
        try:
            for done, future in enumerate(as_completed(waiting), 1):
                future.result()
                report(done, steps)
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    found = {step: future.result() for future, step in waiting.items()}
    return tuple(found[step] for step in range(steps))


def _listed(schema: Schema) -> list[bool]:
    return [not encoding(column).numeric for column in schema.learnt]
