"""Rows inside a condition: truncated draws along the chain, exact weights, resampling.

The columns before the first conditioned one are free: their rows come from a pool drawn once a model, so
that a condition on late columns costs one look at each pooled row and not a new chain. The weight of a row
is the product of the masses that its links give the condition (sequential importance sampling with
resampling: Doucet and Johansen 2009, "A Tutorial on Particle Filtering and Smoothing", section 3).
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ehrsynth.conditions import Condition
from ehrsynth.errors import SamplingExhausted
from ehrsynth.generators.base import Draw
from ehrsynth.generators.chain.particles import Box, Chain, Particles, effective, log_mean, systematic
from ehrsynth.generators.rejection import repaired
from ehrsynth.progress import Progress

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]

POOL = 20_000
LEAST_PROBABILITY = 1e-6
_PARTICLES_PER_ROW = 2
_FEWEST_PARTICLES = 2_000
_MOST_ROUNDS = 8
_WORTH = 500


def draw_within(
    chain: Chain,
    pool: Callable[[], Codes],
    n: int,
    condition: Condition,
    *,
    rng: np.random.Generator,
    progress: Progress,
) -> Draw:
    """n valid rows that meet a condition.

    Parameters
    ----------
    pool
        Gives free valid rows of the chain; called only when a condition spares the first columns.

    Raises
    ------
    SamplingExhausted
        If the estimated probability of the condition is below `LEAST_PROBABILITY`, or no valid row was found.
    """
    found: list[tuple[Codes, Floats, Codes]] = []
    drawn, worth = 0, 0.0
    wanted = min(n, _WORTH)
    for turn in range(_MOST_ROUNDS):
        rows = _PARTICLES_PER_ROW * n if turn == 0 else drawn
        found += _round(chain, pool, max(rows, _FEWEST_PARTICLES), condition, turn, rng)
        drawn = sum(len(codes) for codes, _, _ in found)
        log_weight = np.concatenate([w for _, w, _ in found])
        founder = np.concatenate([f for _, _, f in found])
        worth = _family_worth(log_weight, founder)
        progress(min(worth / max(wanted, 1), 0.99), f"worth {worth:.0f} independent rows")
        if worth >= wanted:
            break
    return _result(chain, n, condition, found, (turn + 1, worth), rng)


def _round(
    chain: Chain,
    pool: Callable[[], Codes],
    particles: int,
    condition: Condition,
    turn: int,
    rng: np.random.Generator,
) -> list[tuple[Codes, Floats, Codes]]:
    """One run of particles through every box, as codes, log weights (0 where invalid) and founders."""
    found = []
    share = max(particles // len(condition.boxes), 200)
    for number, box in enumerate(condition.boxes):
        run = _run(chain, pool, share, box, rng)
        codes, valid = repaired(run.codes, chain.schema)
        log_weight = np.where(valid & condition.mask(codes), run.log_weight, -np.inf)
        # Within a box weights average to the box's probability; a box with more particles counts no more.
        founder = run.founder + (turn * len(condition.boxes) + number) * 10**9
        found.append((codes, log_weight - np.log(len(codes)), founder))
    return found


def _run(
    chain: Chain, pool: Callable[[], Codes], particles: int, box: Box, rng: np.random.Generator
) -> Particles:
    names = [chain.schema.learnt[place].name for place in chain.order]
    steps = len(names)
    first = next((step for step, name in enumerate(names) if name in box), steps)
    if first == 0 or first == steps:
        return Particles(chain, particles).run(range(steps), box, rng)
    run = Particles.begun(chain, pool())
    run.step(first, box, rng)
    run.resample(particles, rng)
    return run.run(range(first + 1, steps), box, rng)


def _family_worth(log_weight: Floats, founder: Codes) -> float:
    """The effective sample size when all descendants of one founder count as one row."""
    if not np.isfinite(log_weight).any():
        return 0.0
    weight = np.exp(log_weight - log_weight.max())
    family = np.bincount(np.unique(founder, return_inverse=True)[1], weight)
    return float(family.sum() ** 2 / (family**2).sum())


def _result(
    chain: Chain,
    n: int,
    condition: Condition,
    found: list[tuple[Codes, Floats, Codes]],
    seen: tuple[int, float],
    rng: np.random.Generator,
) -> Draw:
    rounds, worth = seen
    codes = np.concatenate([c for c, _, _ in found])
    log_weight = np.concatenate([w for _, w, _ in found])
    probability = float(np.exp(log_weight).sum()) / rounds if np.isfinite(log_weight).any() else 0.0
    if probability < LEAST_PROBABILITY:
        summary = (
            f"the condition {condition.text} has an estimated probability of {probability:.1e} under the model, "
            f"below the floor of {LEAST_PROBABILITY:.0e}: nothing is returned"
        )
        raise SamplingExhausted(summary, ["ask for a wider condition, or fit on more patients like these"])
    rows = systematic(log_weight, n, rng)
    met = float(np.isfinite(log_weight).mean())
    return Draw(codes[rng.permutation(rows)], min(worth, float(n)), met, min(probability, 1.0))


__all__ = ["LEAST_PROBABILITY", "draw_within", "effective", "log_mean"]
