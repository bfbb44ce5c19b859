"""Rows inside a condition: truncated draws along the chain, exact weights, resampling.

The columns before the first conditioned one are free: their rows come from a pool drawn once a model, so
that a condition on late columns costs one look at each pooled row and not a new chain. Pooled rows that
happen to meet the condition on early columns serve a condition on early and late ones. The weight of a row
is the product of the masses that its links give the condition (sequential importance sampling with
resampling: Doucet and Johansen 2009, "A Tutorial on Particle Filtering and Smoothing", section 3).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ehrsynth.conditions import Condition
from ehrsynth.errors import SamplingExhausted
from ehrsynth.generators.base import Draw
from ehrsynth.generators.chain.particles import Box, Chain, Particles, systematic
from ehrsynth.generators.rejection import repaired
from ehrsynth.progress import Progress

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]

LEAST_PROBABILITY = 1e-6
_PARTICLES_PER_ROW = 2
_FEWEST_PARTICLES = 2_000
_MOST_PARTICLES = 100_000  # of a turn
_FEWEST_A_BOX = 200
_MOST_ROUNDS = 6
_IN_VAIN = 3  # turns without one valid row
_WORTH = 600
_BLOCK, _FEWEST_POOLED, _MOST_POOLED_CELLS = 20_000, 4_000, 1_200_000
_ENOUGH = 2_000  # pooled rows that meet the early part of a condition


class Pool:
    """Free valid rows of a chain in blocks, each drawn when it is first needed."""

    def __init__(self, draw: Callable[[int, int], Codes], columns: int) -> None:
        self._draw, self._blocks = draw, list[Codes]()
        self.rows = int(np.clip(_MOST_POOLED_CELLS // max(columns, 1), _FEWEST_POOLED, _BLOCK))

    def block(self, number: int) -> Codes:
        """A block of `rows` rows; the same number gives the same rows."""
        while len(self._blocks) <= number:
            self._blocks.append(self._draw(self.rows, len(self._blocks)))
        return self._blocks[number]


@dataclass(slots=True)
class Search:
    """What the turns have found: rows, log weights (-inf where invalid) and the rows that they descend from.

    The mean weight over `particles` estimates the probability of the condition. `link_draws` counts one for
    each row and link that was asked for a draw; the pool, which later conditions use again, is not in it.
    """

    codes: list[Codes] = field(default_factory=list)
    log_weights: list[Floats] = field(default_factory=list)
    founders: list[Codes] = field(default_factory=list)
    particles: int = 0
    link_draws: int = 0

    @property
    def log_weight(self) -> Floats:
        """The log weight of each row found."""
        return np.concatenate(self.log_weights)

    @property
    def worth(self) -> float:
        """The effective sample size when all descendants of one founder count as one row."""
        log_weight = self.log_weight
        if not np.isfinite(log_weight).any():
            return 0.0
        weight = np.exp(log_weight - log_weight.max())
        family = np.bincount(np.unique(np.concatenate(self.founders), return_inverse=True)[1], weight)
        return float(family.sum() ** 2 / (family**2).sum())

    @property
    def probability(self) -> float:
        """The estimated probability of the condition, 0 to 1."""
        return min(float(np.exp(self.log_weight).sum()) / self.particles, 1.0)


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
        If the estimated probability of the condition is below `LEAST_PROBABILITY`, or nothing was found.
    """
    search = search_within(chain, pool, n, condition, rng=rng, progress=progress)
    if search.probability < LEAST_PROBABILITY:
        summary = (
            f"the condition {condition.text} has an estimated probability of {search.probability:.1e} under"
            f" the model, below the floor of {LEAST_PROBABILITY:.0e}: nothing is returned"
        )
        raise SamplingExhausted(summary, ["ask for a wider condition, or fit on more patients like these"])
    progress(1.0, f"{n} of {n} rows")
    rows, log_weight = systematic(search.log_weight, n, rng), search.log_weight
    codes = np.concatenate(search.codes)[rng.permutation(rows)]
    met = float(np.isfinite(log_weight).mean())
    return Draw(codes, min(search.worth, float(n)), met, search.probability)


def search_within(
    chain: Chain,
    pool: Pool,
    n: int,
    condition: Condition,
    *,
    rng: np.random.Generator,
    progress: Progress,
) -> Search:
    """Turns of particles, more in each, until they are worth n rows (or 600) or the turns are used up."""
    search, wanted = Search(), min(n, _WORTH)
    particles = max(_PARTICLES_PER_ROW * n, _FEWEST_PARTICLES)
    for turn in range(_MOST_ROUNDS):
        share = max(particles // len(condition.boxes), _FEWEST_A_BOX)
        for number, box in enumerate(condition.boxes):
            run = _run(chain, pool, (share, turn), box, rng)
            codes, valid = repaired(run.codes, chain.schema)
            search.codes.append(codes)
            log_weight = np.where(valid & condition.mask(codes), run.log_weight, -np.inf)
            search.log_weights.append(log_weight)
            search.founders.append(run.founder + (turn * len(condition.boxes) + number) * 10**9)
            search.link_draws += run.link_draws
        search.particles += share
        worth = search.worth
        progress(min(worth / max(wanted, 1), 0.99), f"worth {worth:.0f} independent rows")
        if worth >= wanted or (worth == 0 and turn + 1 >= _IN_VAIN):
            break
        particles = min(2 * particles, max(_MOST_PARTICLES, _PARTICLES_PER_ROW * n))
    return search


def _run(chain: Chain, pool: Pool, turn: tuple[int, int], box: Box, rng: np.random.Generator) -> Particles:
    (particles, number), steps = turn, len(chain.order)
    asked = [step for step, name in enumerate(chain.names()) if name in box]
    if not asked:
        return Particles(chain, particles).run(range(steps), box, rng)
    if asked == list(range(len(asked))):
        # Only the first columns are asked for: nothing in the pool is of use.
        return Particles(chain, particles).run(range(steps), box, rng)
    rows, first = _pooled(chain, pool.block(number), asked, box)
    if first == 0:
        return Particles(chain, particles).run(range(steps), box, rng)
    run = Particles.begun(chain, rows)
    run.log_weight += np.log(len(rows) / pool.rows)
    run.step(first, box, rng)
    run.resample(particles, rng)
    return run.run(range(first + 1, steps), box, rng)


def _pooled(chain: Chain, block: Codes, asked: list[int], box: Box) -> tuple[Codes, int]:
    """The latest conditioned step before which enough pooled rows meet the condition, and those rows."""
    rows, first, names = block, asked[0], chain.names()
    for step, following in pairwise(asked):
        kept = rows[box[names[step]].contains(rows[:, chain.order[step]])]
        if len(kept) < min(_ENOUGH, len(block) // 4):
            break
        rows, first = kept, following
    return rows, first
