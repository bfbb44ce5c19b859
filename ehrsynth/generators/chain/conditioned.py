"""Rows inside a condition: truncated draws along the chain, exact weights, resampling.

A search has two parts. Particles walk to the last column that the condition names; there the weight of each,
the product of the masses that its links gave the condition, is known (sequential importance sampling with
resampling: Doucet and Johansen 2009, "A Tutorial on Particle Filtering and Smoothing", section 3). More walk
until they are worth enough independent rows. Then as many as were asked for are chosen by their weights, and
only these go on to the end.

A box is the condition itself, unless this relates two columns to each other (or falls into too many boxes).
Then particles walk on until all of its columns stand, and those that do not meet it weigh nothing.

The columns before the first conditioned one are free. Their rows come from a pool, for few rows one that is
drawn once a model: a condition on late columns then costs one look at each pooled row and not a new chain.
Pooled rows that meet the condition on early columns serve a condition on early and late ones.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ehrsynth.conditions import Condition
from ehrsynth.errors import SamplingExhausted
from ehrsynth.generators.base import Draw
from ehrsynth.generators.chain.particles import (
    PIECE,
    Box,
    Chain,
    Particles,
    effective,
    side_by_side,
    systematic,
)
from ehrsynth.generators.rejection import repaired
from ehrsynth.progress import Progress

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]

LEAST_PROBABILITY = 1e-6
BLOCK, _FEWEST_POOLED, _MOST_POOLED_CELLS = 5_000, 1_000, 400_000
_MOST_KEPT_CELLS = 16 * _MOST_POOLED_CELLS
MOST_BLOCKS = 24
# Blocks without one row that can meet the condition: boxes that nothing enters show it soon.
_IN_VAIN = 6
# As many independent rows as were asked for are looked for in so many blocks, or in as many as hold one for
# two rows; beyond them less is enough: 640, or one for so many rows asked for.
_EASY_BLOCKS, _EASY_SHARE = 6, 2
_WORTH, _ROWS_OF_ONE = 640, 10
_MORE = 1.15  # more than was found to be needed
_FEWEST_A_BOX = 200
_SERVE = 4  # pooled rows serve an early condition when one in so many meets it
_GROWTH = 4  # most blocks at a time, times those before
# Rows that walk to the end: altogether while none is valid, for each row asked for, and at a time.
_MOST_FINISHED, _MOST_PER_ROW, _AT_ONCE, _FEWEST_FINISHED = 100_000, 40, 20_000, 100


class Pool:
    """Free rows of a chain as its links gave them, in blocks, each drawn when it is first needed."""

    def __init__(self, chain: Chain, draw: Callable[[int, int], Codes]) -> None:
        columns = max(len(chain.order), 1)
        self._chain, self._draw, self._blocks = chain, draw, list[Codes]()
        self.rows = int(np.clip(_MOST_POOLED_CELLS // columns, _FEWEST_POOLED, BLOCK))
        self._kept = max(1, _MOST_KEPT_CELLS // columns // self.rows)
        self._valid_share: float | None = None

    def block(self, number: int) -> Codes:
        """A block of `rows` rows; the same number gives the same rows."""
        while len(self._blocks) <= number < self._kept:
            self._blocks.append(self._draw(self.rows, len(self._blocks)))
        return self._blocks[number] if number < self._kept else self._draw(self.rows, number)

    @property
    def valid_share(self) -> float:
        """The share of free rows that keep the schema's rules, 0 to 1."""
        if self._valid_share is None:
            self._valid_share = float(repaired(self.block(0), self._chain.schema)[1].mean())
        return self._valid_share


@dataclass(frozen=True, slots=True)
class Found:
    """What a search has found: valid rows inside the condition and the pooled rows that they descend from.

    `acceptance` is the share of the finished rows that were valid and met the condition. `link_draws` counts
    one for each row and link that was asked for a draw; the pool, which later conditions use again, is not
    in it. `finished` is how many rows, inside the condition so far, walked to the end.
    """

    codes: Codes
    founders: Codes
    probability: float
    acceptance: float
    link_draws: int
    finished: int = 0

    @property
    def worth(self) -> float:
        """The effective sample size when all descendants of one founder count as one row."""
        families = np.unique(self.founders, return_counts=True)[1].astype(np.float64)
        return float(families.sum() ** 2 / (families**2).sum()) if len(families) else 0.0


def draw_within(
    chain: Chain,
    pool: Pool,
    n: int,
    condition: Condition,
    *,
    rng: np.random.Generator,
    progress: Progress,
) -> Draw:
    """Draw n valid rows that meet a condition.

    Raises
    ------
    SamplingExhausted
        If the estimated probability of the condition is below `LEAST_PROBABILITY`, or too little was found.
    """
    found = search_within(chain, pool, n, condition, rng=rng, progress=progress)
    if found.probability < LEAST_PROBABILITY:
        summary = (
            f"the condition {condition.text} has an estimated probability of {found.probability:.1e} under"
            f" the model, below the floor of {LEAST_PROBABILITY:.0e}: nothing is returned"
        )
        remedy = "ask for a wider condition, or fit on more patients like these"
        if found.finished and not len(found.codes):
            remedy = (
                f"none of {found.finished:,} rows that were drawn for it met it and the schema's rules as "
                "well: see whether a rule forbids such patients"
            )
        raise SamplingExhausted(summary, [remedy])
    if len(found.codes) < n:
        summary = (
            f"{len(found.codes)} of the {n} rows asked for were found within the condition {condition.text}"
            f" (estimated probability {found.probability:.1e}): nothing is returned"
        )
        raise SamplingExhausted(summary, ["ask for fewer rows or a wider condition"])
    progress(1.0, f"{n} of {n} rows")
    return Draw(found.codes, min(found.worth, float(n)), found.acceptance, found.probability)


def search_within(
    chain: Chain,
    pool: Pool,
    n: int,
    condition: Condition,
    *,
    rng: np.random.Generator,
    progress: Progress,
) -> Found:
    """Look until enough is found or the bounds are reached, then finish n rows; fewer if no more are valid.

    The probability is that of the condition among valid rows: the mean weight, times the share of finished
    rows that are valid and meet the condition, over the share of free rows that are valid.
    """
    crowd = _gathered(chain, pool, n, condition, rng, progress)
    if not crowd.possible:
        nothing = np.empty((0, len(chain.order)), np.int64)
        looked = 0 if condition.exact else crowd.looked
        return Found(nothing, np.empty(0, np.int64), 0.0, 0.0, crowd.draws, looked)
    return _finished(chain, pool, crowd, (n, condition), rng)


@dataclass(slots=True)
class _Crowd:
    """Particles past the last conditioned column; each box has had `looked` of them begin."""

    runs: list[Particles] = field(default_factory=list)
    boxes: list[int] = field(default_factory=list)
    looked: int = 0

    @property
    def log_weight(self) -> Floats:
        return np.concatenate([run.log_weight for run in self.runs])

    @property
    def founder(self) -> Codes:
        return np.concatenate([run.founder for run in self.runs])

    @property
    def draws(self) -> int:
        return sum(run.link_draws for run in self.runs)

    @property
    def possible(self) -> bool:
        return bool(np.isfinite(self.log_weight).any())

    @property
    def worth(self) -> float:
        """The effective sample size when all descendants of one founder count as one."""
        log_weight = self.log_weight
        if not self.possible:
            return 0.0
        weight = np.exp(log_weight - log_weight.max())
        families = np.bincount(np.unique(self.founder, return_inverse=True)[1], weight)
        with np.errstate(divide="ignore"):
            return effective(np.log(families))

    @property
    def mass(self) -> float:
        """The mean weight of a particle, summed over the boxes."""
        return float(np.exp(self.log_weight).sum()) / self.looked


def _gathered(
    chain: Chain, pool: Pool, n: int, condition: Condition, rng: np.random.Generator, progress: Progress
) -> _Crowd:
    """Particles from one block of the pool, then from as many more as seem to be needed."""
    crowd, least = _Crowd(), min(n, max(_WORTH, n // _ROWS_OF_ONE))
    easy = min(max(_EASY_BLOCKS, n // _EASY_SHARE // pool.rows), MOST_BLOCKS)
    done, blocks, in_vain = 0, range(1), _IN_VAIN if condition.exact else MOST_BLOCKS
    while True:
        _look(chain, pool, blocks, condition, crowd, rng)
        done, worth = blocks.stop, crowd.worth
        wanted, most = (n, easy) if done < easy else (least, MOST_BLOCKS)
        progress(min(0.5 * worth / wanted, 0.5), f"worth {worth:.0f} independent rows")
        if worth >= wanted or done >= MOST_BLOCKS or (worth == 0 and done >= in_vain):
            return crowd
        lacking = done * (_MORE * wanted / worth - 1) if worth else done
        more = int(np.clip(np.ceil(lacking), 1, min(_GROWTH * done, most - done)))
        blocks = range(done, done + more)


def _look(
    chain: Chain, pool: Pool, blocks: range, condition: Condition, crowd: _Crowd, rng: np.random.Generator
) -> None:
    """Let particles from blocks of the pool walk to the last conditioned column, for each box."""
    boxes = condition.boxes
    share = int(np.clip(pool.rows // len(boxes), min(_FEWEST_A_BOX, pool.rows), pool.rows))
    rows = {block: pool.block(block) for block in blocks}
    pieces = [
        (block, number, start)
        for block in blocks
        for number in range(len(boxes))
        for start in range(0, share, PIECE)
    ]

    def look(task: tuple[int, int, int], own: np.random.Generator) -> Particles:
        block, number, start = task
        places = (number * share + np.arange(start, min(start + PIECE, share))) % pool.rows
        run = _walk(chain, rows[block][places], condition, boxes[number], own)
        run.founder = places[run.founder] + block * pool.rows
        return run

    crowd.runs += side_by_side(look, pieces, rng)
    crowd.boxes += [number for _, number, _ in pieces]
    crowd.looked += share * len(blocks)


def _walk(chain: Chain, rows: Codes, condition: Condition, box: Box, rng: np.random.Generator) -> Particles:
    """Particles that begin as pooled rows and walk to the last conditioned column."""
    asked, run = _asked(chain, box), Particles.begun(chain, rows)
    if asked:
        kept, first = _serving(chain, rows, asked, box)
        run.keep(kept)
        run.run(range(first, _last(chain, condition, box) + 1), box, rng)
    if not condition.exact:
        run.log_weight[~condition.mask(run.codes)] = -np.inf
    return run


def _asked(chain: Chain, names: Collection[str]) -> list[int]:
    return [step for step, name in enumerate(chain.names) if name in names]


def _last(chain: Chain, condition: Condition, box: Box) -> int:
    """The last step that is conditioned, -1 for none: of the box, or of a condition that is not its boxes."""
    return max(_asked(chain, box if condition.exact else condition.columns), default=-1)


def _serving(chain: Chain, rows: Codes, asked: list[int], box: Box) -> tuple[Codes, int]:
    """The numbers of pooled rows that serve, and the conditioned step from which they must walk."""
    kept, first, names = np.arange(len(rows)), asked[0], chain.names
    for step, following in pairwise(asked):
        inside = kept[box[names[step]].contains(rows[kept, chain.order[step]])]
        if len(inside) < len(rows) / _SERVE:
            break
        kept, first = inside, following
    return kept, first


def _finished(
    chain: Chain, pool: Pool, crowd: _Crowd, asked_for: tuple[int, Condition], rng: np.random.Generator
) -> Found:
    """Choose particles by their weights and let them walk to the end, until n of them are valid."""
    (n, condition), most = asked_for, max(_MOST_FINISHED, _MOST_PER_ROW * asked_for[0])
    codes, founders = list[Codes](), list[Codes]()
    tried = good = draws = 0
    while good < n and tried < most and (good or tried < _MOST_FINISHED):
        guess = (n - good) * (tried / good if good else 1) * _MORE
        size = int(np.clip(guess, _FEWEST_FINISHED, min(_AT_ONCE, most - tried + _FEWEST_FINISHED)))
        rows, founder, drawn = _ended(chain, crowd, condition, size, rng)
        rows, valid = repaired(rows, chain.schema)
        valid &= condition.mask(rows)
        codes.append(rows[valid])
        founders.append(founder[valid])
        tried, good, draws = tried + size, good + int(valid.sum()), draws + drawn
    share = good / tried
    probability = min(crowd.mass * share / max(pool.valid_share, 1 / pool.rows), 1.0)
    chosen = rng.permutation(good)[:n]
    rows, founder = np.concatenate(codes)[chosen], np.concatenate(founders)[chosen]
    return Found(rows, founder, probability, share, crowd.draws + draws, tried)


def _ended(
    chain: Chain, crowd: _Crowd, condition: Condition, size: int, rng: np.random.Generator
) -> tuple[Codes, Codes, int]:
    """Whole rows, rules between columns aside, with their founders and the number of link draws."""
    chosen = np.sort(systematic(crowd.log_weight, size, rng))
    ends = np.cumsum([len(run) for run in crowd.runs])
    at = np.searchsorted(ends, chosen, side="right")
    starts, box = ends - [len(run) for run in crowd.runs], np.array(crowd.boxes)[at]
    tasks = []
    for number in np.unique(box):
        mine = np.flatnonzero(box == number)
        tasks += [(int(number), mine[start : start + PIECE]) for start in range(0, len(mine), PIECE)]
    before = np.empty((size, len(chain.order)), np.int64)
    for number in np.unique(at):
        mine = np.flatnonzero(at == number)
        before[mine] = crowd.runs[number].codes[chosen[mine] - starts[number]]

    def end(task: tuple[int, Codes], own: np.random.Generator) -> tuple[Codes, int]:
        number, mine = task
        last = _last(chain, condition, condition.boxes[number])
        run = Particles.begun(chain, before[mine]).run(range(last + 1, len(chain.order)), {}, own)
        return run.codes, run.link_draws

    found, draws = side_by_side(end, tasks, rng), 0
    for (_, mine), (rows, drawn) in zip(tasks, found, strict=True):
        before[mine], draws = rows, draws + drawn
    founder = crowd.founder[chosen]
    if condition.exact and not any(condition.boxes):
        founder = rng.integers(2**62, size=size)  # nothing of the pooled row is left
    return before, founder, draws
