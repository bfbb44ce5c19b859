"""Drawing from a mixture of fitted models: freely, inside a condition, and around what is known of a patient.

Inside a condition a part counts by its weight times its own probability of the condition (Bayes' rule), which
each part estimates; so the mixture's conditional is exact as far as these estimates are.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ehrsynth.conditions import Condition
from ehrsynth.errors import SamplingExhausted
from ehrsynth.generators.base import AbstractFitted, Draw
from ehrsynth.generators.density import Completions
from ehrsynth.progress import Progress, part
from ehrsynth.randomness import derived_seed, numpy_generator
from ehrsynth.tables.origin import mark_completed

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

# Rows by which a part's probability of a condition is estimated; fewer where a part finds no more.
_TRIED = (500, 20)


def draw_mixed(
    parts: Sequence[AbstractFitted],
    weights: Floats,
    n: int,
    condition: Condition | None,
    *,
    seed: int,
    progress: Progress,
) -> Draw:
    """Draw n rows from a mixture, in random order.

    Parameters
    ----------
    weights
        Of the parts; at least 0, with sum 1.

    Raises
    ------
    SamplingExhausted
        If no part finds a row inside the condition.
    """
    rng = numpy_generator(seed, "mixture")
    if condition is None:
        counts = rng.multinomial(n, weights)
        return _joined(_drawn(parts, counts, None, seed, progress), counts, 1.0, rng)
    found = [
        _tried(
            one, condition, derived_seed(seed, "try", str(k)), part(progress, *_span(k, len(parts), 0, 0.5))
        )
        for k, one in enumerate(parts)
    ]
    chances = weights * [0.0 if one is None else one.probability for one in found]
    total = float(chances.sum())
    if not total > 0:
        raise SamplingExhausted(
            f"none of the {len(parts)} shards found a row inside the condition {condition.text}: nothing is "
            "returned",
            ["ask for a wider condition, or fit on more patients like these"],
        )
    counts = rng.multinomial(n, chances / total)
    draws = _drawn(parts, counts, condition, seed, part(progress, 0.5, 1.0), found)
    return _joined(draws, counts, min(total, 1.0), rng)


def _span(k: int, count: int, start: float, stop: float) -> tuple[float, float]:
    return start + (stop - start) * k / count, start + (stop - start) * (k + 1) / count


def _tried(one: AbstractFitted, condition: Condition, seed: int, progress: Progress) -> Draw | None:
    """Rows of one part inside the condition, with its probability; None where it finds none."""
    for rows in _TRIED:
        try:
            return one._draw(rows, condition, seed, progress)  # noqa: SLF001 - the mixture stands in for it
        except SamplingExhausted:
            continue
    return None


def _drawn(
    parts: Sequence[AbstractFitted],
    counts: Counts,
    condition: Condition | None,
    seed: int,
    progress: Progress,
    before: Sequence[Draw | None] | None = None,
) -> list[Draw]:
    """As many rows of each part as its count; what was found before is used where it is enough."""
    found = []
    for k, (one, count) in enumerate(zip(parts, counts, strict=True)):
        report = part(progress, *_span(k, len(parts), 0, 1))
        if not count:
            report(1.0, f"shard {k + 1} of {len(parts)}")
            continue
        old = before[k] if before is not None else None
        if old is not None and len(old.codes) >= count:
            worth = worth_of_first(int(count), len(old.codes), old.effective_sample_size)
            found.append(Draw(old.codes[:count], worth, old.acceptance, old.probability))
            report(1.0, f"shard {k + 1} of {len(parts)}")
        else:
            found.append(one._draw(int(count), condition, derived_seed(seed, "draw", str(k)), report))  # noqa: SLF001
    return found


def _joined(draws: Sequence[Draw], counts: Counts, probability: float, rng: np.random.Generator) -> Draw:
    held = counts[counts > 0].astype(np.float64)
    n = int(held.sum())
    codes = np.concatenate([one.codes for one in draws])[rng.permutation(n)]
    worth = worth_together(held, np.array([one.effective_sample_size for one in draws]))
    acceptance = n / float((held / [one.acceptance for one in draws]).sum())
    return Draw(codes, worth, acceptance, probability)


def worth_of_first(count: int, held: int, worth: float) -> float:
    """What `count` of `held` rows are worth, where these are in random order and worth `worth` together.

    Rows share founders. With f of the rows of each, worth is held^2 / sum f^2 (Kish), so that sum f (f - 1) =
    held^2 / worth - held ordered pairs are of one founder; a pair stays among the first with probability
    count (count - 1) / (held (held - 1)). From 1 to `count`.
    """
    if count < 2:  # noqa: PLR2004 - no pair
        return float(count)
    pairs = max(0.0, held**2 / worth - held) * count * (count - 1) / (held * (held - 1))
    return count**2 / (count + pairs)


def worth_together(rows: Floats, worth: Floats) -> float:
    """The effective sample size of strata of `rows` rows that are worth so many: n^2 / sum rows^2 / worth."""
    return float(rows.sum() ** 2 / (rows**2 / np.minimum(worth, rows)).sum())


def log_mixture(weights: Floats, log_prob: Sequence[Floats]) -> Floats:
    """The log of a weighted mean of probabilities, row by row."""
    return np.asarray(np.logaddexp.reduce(np.log(weights)[:, None] + np.stack(log_prob), axis=0))


def choose_completions(
    found: Sequence[Completions], weights: Floats, draws: int, rng: np.random.Generator
) -> Completions:
    """Completions of a mixture from those of its parts, `draws` of each patient.

    A part counts for a patient by its weight times its probability of what is known of the patient.
    """
    with np.errstate(divide="ignore"):
        chance = np.log(weights)[:, None] + np.stack([one.log_probability for one in found])
    chance[np.stack([one.effective_sample_size for one in found]) == 0] = -np.inf
    total = np.logaddexp.reduce(chance, axis=0)
    possible = np.isfinite(total)
    share = np.where(possible, np.exp(chance - np.where(possible, total, 0.0)), 1 / len(found))
    steps = share.cumsum(axis=0)[:, :, None]
    which = (rng.random((1, len(total), draws)) * steps[-1:] >= steps).sum(axis=0)
    rows = np.arange(len(total))[:, None] * draws + np.arange(draws)
    everything = pd.concat([one.table for one in found], ignore_index=True)
    table = everything.iloc[(which * len(found[0].table) + rows).ravel()].reset_index(drop=True)
    worth = np.zeros(len(total))
    for patient in np.flatnonzero(possible):
        parts, held = np.unique(which[patient], return_counts=True)
        own = np.array([found[k].effective_sample_size[patient] for k in parts])
        worth[patient] = worth_together(held.astype(np.float64), own)
    return Completions(mark_completed(table), found[0].patient, worth, total)
