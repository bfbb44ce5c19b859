"""Filling the unknown cells of partial rows, each row under its own evidence.

Every row becomes a family of particles that walk along the chain together: a known cell is kept, and its
probability weighs the particle; an unknown cell is drawn. Families whose weights have become unequal are
resampled on the way (sequential importance sampling with resampling, as in `conditioned`). Links of the
any-order network see all known cells at once, so that there a draw needs no weight.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ehrsynth.conditions import CodeSet
from ehrsynth.expressions import Missing, parse, walk
from ehrsynth.generators.chain.particles import Chain, Particles, log_density
from ehrsynth.generators.chain.reach import draw_in_reach, reaches
from ehrsynth.generators.chain.states import UNKNOWN
from ehrsynth.generators.rejection import repaired
from ehrsynth.progress import Progress
from ehrsynth.schema import Implication, Schema
from ehrsynth.schema.binding import columns_of

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]

PARTICLES = 100
_MOST_PARTICLES = 1_600
# So many independent completions of a row are looked for with more particles, or as many as were asked for.
_ENOUGH = 50
_TOGETHER = 20_000  # particles of all families that walk at one time
# Where the model gives a value so little chance to be present, there is hardly one to fill in.
_ABSENT = 0.01


@dataclass(frozen=True, slots=True)
class Completed:
    """For each of n rows `draws` completions, a row's own following each other, and what they are worth.

    `effective_sample_size` holds n numbers, at most `draws`: particles that were copied on the way from one
    count as one. 0 marks a row for which nothing valid was found.
    `log_probability` holds the estimated log probability of what is known of each row, -inf for such a one.
    """

    codes: Codes
    effective_sample_size: Floats
    log_probability: Floats


def complete_codes(
    chain: Chain, known: Codes, draws: int, *, rng: np.random.Generator, progress: Progress
) -> Completed:
    """Draw completions; -1 marks what is unknown.

    Rows whose particles are worth fewer than `draws` independent ones, and fewer than 50, are tried again
    with more of them, up to a bound.
    """
    codes, best = np.repeat(known, draws, axis=0), np.zeros(len(known))
    worth, chance = np.zeros(len(known)), np.full(len(known), -np.inf)
    size, enough = max(PARTICLES, 2 * draws), min(draws, _ENOUGH) - 1e-6  # one is worth one, rounding aside
    while True:
        todo = np.flatnonzero(best < enough)
        together = max(1, _TOGETHER // size)
        for some in np.split(todo, range(together, len(todo), together)):
            found, population = _families(chain, known[some], draws, size, rng)
            better = population > 0  # else an earlier try may have found something
            rows = some[better]
            best[rows] = population[better]
            places = (rows[:, None] * draws + np.arange(draws)).ravel()
            codes[places] = found.codes.reshape(len(some), draws, -1)[better].reshape(-1, codes.shape[1])
            worth[rows], chance[rows] = found.effective_sample_size[better], found.log_probability[better]
            done = int((best >= enough).sum())
            progress(done / len(best), f"{done} of {len(best)} patients")
        if (best >= enough).all() or size >= max(_MOST_PARTICLES, 2 * draws):
            progress(1.0, f"{int((best > 0).sum())} of {len(best)} patients")
            return Completed(codes, worth, chance)
        size *= 4


def _families(
    chain: Chain, known: Codes, draws: int, size: int, rng: np.random.Generator
) -> tuple[Completed, Floats]:
    """Completions by `size` particles of each row, and what all of these are worth."""
    evidence, open_ = np.repeat(known, size, axis=0), np.repeat(_open(chain.schema, known), size, axis=0)
    run, begun = Particles(chain, len(evidence)), np.zeros(len(evidence), bool)
    low, high = reaches(chain, known)
    chance = np.zeros(len(known))
    if chain.any_order:
        chance += _log_known(chain, known)
        _show(run, evidence)
    for step, place in enumerate(chain.order):
        given = evidence[:, place] >= 0
        codes = _filled(run, step, evidence[:, place], open_[:, place], rng=rng)
        if chain.elapsed and not run.computed[step]:
            drawn, reach = (codes, open_[:, place]), (low[:, place], high[:, place])
            codes = draw_in_reach(run, step, drawn, reach, rng=rng)
        run.put(step, codes)
        if chain.any_order:
            continue  # what was drawn saw all evidence already
        # Until something was drawn, a family's particles are equal: the weight of one is that of all.
        first = np.flatnonzero((given & ~begun)[::size] & (not run.computed[step]))
        chance[first] += _log_evidence(run, step, first * size, evidence[first * size, place], 1)
        weighed = np.flatnonzero(given & begun & (not run.computed[step]))
        begun |= ~given
        if len(weighed):
            run.log_weight[weighed] += _log_evidence(run, step, weighed, evidence[weighed, place], size)
            chance += _resample(run, size, rng)
    codes, valid = repaired(run.codes, chain.schema)
    valid &= ((evidence < 0) | (codes == evidence)).all(axis=1)
    run.log_weight[~valid] = -np.inf
    weight = _weights(run.log_weight, size)
    chance += _log_mean(run.log_weight, size)
    chosen = _chosen(weight, draws, rng)
    population = _worth_of_founders(run.founder, weight)
    times = np.bincount(chosen, minlength=len(codes)).astype(np.float64).reshape(weight.shape)
    worth = np.minimum(population, _worth_of_founders(run.founder, times))
    return Completed(codes[chosen], worth, chance), population


def _log_known(chain: Chain, known: Codes) -> Floats:
    """The log probability of the known cells of each row, for links that need not know the others."""
    run, chance = Particles(chain, len(known)), np.zeros(len(known))
    run.codes = known.copy()
    for step, place in enumerate(chain.order):
        given = np.flatnonzero(known[:, place] >= 0)
        if len(given) and not run.computed[step]:
            chance[given] += _log_evidence(run, step, given, known[given, place], 1)
        run.put(step, known[:, place])
        run.matrix[known[:, place] < 0, step] = UNKNOWN
    return chance


def _show(run: Particles, evidence: Codes) -> None:
    """Let links that draw given any columns see all that is known from the first step on."""
    for step, place in enumerate(run.chain.order):
        given = evidence[:, place] >= 0
        run.put(step, evidence[:, place])
        run.matrix[~given, step] = UNKNOWN


def _log_evidence(run: Particles, step: int, rows: Codes, codes: Codes, size: int) -> Floats:
    """The log density of known cells, of families of `size` particles.

    Where no particle of a family gives the value a chance, an extreme one counts as the nearest that has one,
    and a new category as any.
    """
    chain, bounds, seen = run.chain, run.bounds[step], run.matrix[rows, :step]
    found = log_density(chain, step, seen, run.codes[rows], own=codes, bounds=bounds)
    for bound in bounds:
        found[bound.broken(codes, run.codes[rows])] = -np.inf
    hopeful = np.zeros(len(run), np.bool_)
    hopeful[rows[np.isfinite(found)] // size] = True
    lost = np.flatnonzero(~hopeful[rows // size])
    if len(lost) and not chain.features[step].listed:
        some = run.codes[rows[lost]]
        nearest = chain.link(step, some).nearest(codes[lost])
        found[lost] = log_density(chain, step, seen[lost], some, own=nearest, bounds=bounds)
    found[lost] = np.where(np.isfinite(found[lost]), found[lost], 0.0)
    return found


def _open(schema: Schema, known: Codes) -> NDArray[np.bool_]:
    """Cells that may be missing, n x learnt columns: a rule decides by columns of which one is unknown too.

    Who has a date of death is dead. Were every unknown date given a value, so would be whoever's death is
    unknown.
    """
    place = {column.name: p for p, column in enumerate(schema.learnt)}
    found = np.zeros(known.shape, bool)
    for rule in schema.constraints:
        if not isinstance(rule, Implication):
            continue
        nodes = [node for side in (rule.if_, rule.then) for node in walk(parse(side).root)]
        for name in {node.name.name for node in nodes if isinstance(node, Missing)}:
            others = [place[other] for other in columns_of(rule) if other != name]
            found[:, place[name]] |= (known[:, others] < 0).any(axis=1)
    return found


def _filled(
    run: Particles, step: int, given: Codes, open_: NDArray[np.bool_], *, rng: np.random.Generator
) -> Codes:
    """The column of a step: what is given, a value where it is unknown, missing where none can be.

    The value is a present one, but for `open_` rows, where missing is drawn as often as the model has it.
    """
    if run.computed[step]:
        return np.where(given < 0, run.chain.compute(step, run.codes), given)
    codes, chance = given.copy(), np.ones(len(given))
    size = run.chain.schema.learnt[run.chain.order[step]].size
    seen = run.matrix if run.chain.any_order else run.matrix[:, :step]
    present = CodeSet(((0, size - 1),), missing=False)
    for unknown, allowed in (((given < 0) & ~open_, present), ((given < 0) & open_, None)):
        rows = np.flatnonzero(unknown)
        if len(rows):
            found, mass = run.drawn(step, rows, seen, allowed=allowed, rng=rng)
            codes[rows], chance[rows] = found, mass
    hardly = np.flatnonzero((given < 0) & ~open_ & (chance < _ABSENT))
    codes[hardly[_absent(run, hardly, chance[hardly], rng)]] = -1
    return codes


def _absent(run: Particles, rows: Codes, present: Floats, rng: np.random.Generator) -> NDArray[np.bool_]:
    """In which rows a cell that is hardly ever present stays missing.

    In every other one, weighed by how likely that is: a rule may know better than the model.
    """
    gone = (rng.random(len(rows)) < 1 / 2) | (present <= 0)
    weight = np.where(gone, 2 * (1 - present), 2 * present)
    run.log_weight[rows] += np.where(present <= 0, 0.0, np.log(np.maximum(weight, 1e-300)))
    return gone


def _resample(run: Particles, size: int, rng: np.random.Generator) -> Floats:
    """Resample each family whose particles are worth less than half of them; gives their log mean weights."""
    weight = _weights(run.log_weight, size)
    worth = _worth(weight)
    uneven = (worth < size / 2) & (worth > 0)
    mean = np.where(uneven, _log_mean(run.log_weight, size), 0.0)
    if uneven.any():
        rows = np.arange(len(run)).reshape(-1, size)
        rows[uneven] = _chosen(weight, size, rng).reshape(-1, size)[uneven]
        run.log_weight[np.repeat(uneven, size)] = 0.0
        run.founder = run.founder[rows.ravel()]
        run.codes, run.matrix = run.codes[rows.ravel()], np.asfortranarray(run.matrix[rows.ravel()])
    return mean


def _log_mean(log_weight: Floats, size: int) -> Floats:
    """The log of each family's mean weight; -inf where all weights are 0."""
    by_family = log_weight.reshape(-1, size)
    return np.asarray(np.logaddexp.reduce(by_family, axis=1) - np.log(size))


def _weights(log_weight: Floats, size: int) -> Floats:
    """Weights by family (families x size), the largest of each 1; all 0 where none is possible."""
    by_family = log_weight.reshape(-1, size)
    top = by_family.max(axis=1, keepdims=True)
    return np.asarray(np.exp(by_family - np.where(np.isfinite(top), top, 0.0)))


def _worth(weight: Floats) -> Floats:
    return np.asarray(weight.sum(axis=1) ** 2 / np.maximum((weight**2).sum(axis=1), 1e-300))


def _worth_of_founders(founder: Codes, weight: Floats) -> Floats:
    """What each family is worth when all descendants of one founder count as one.

    Parameters
    ----------
    founder
        The number of the particle that each began as, all families one after the other.
    weight
        Families x size.
    """
    together = np.bincount(founder, weight.ravel(), minlength=weight.size).astype(np.float64)
    return _worth(together.reshape(weight.shape))


def _chosen(weight: Floats, draws: int, rng: np.random.Generator) -> Codes:
    """For each family the numbers of `draws` particles in proportion to their weights, in random order."""
    families, size = weight.shape
    steps = np.cumsum(weight, axis=1)
    points = (np.arange(draws) + rng.random((families, 1))) / draws * steps[:, -1:]
    at = np.stack([np.searchsorted(s, p, side="right") for s, p in zip(steps, points, strict=True)])
    at = rng.permuted(np.minimum(at, size - 1), axis=1)
    return np.asarray((at + np.arange(families)[:, None] * size).ravel(), np.int64)
