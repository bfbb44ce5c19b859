"""Candidates for the conditional effect of each arm against the reference, learnt on a part of the patients.

- **T**: the difference of two outcome models, one an arm: ridge or logistic regression, boosted trees, a
  Gaussian process, or a generator that completes the outcome.
- **X**: imputed differences regressed on covariates in both arms, combined by the chance of the arm (Kunzel
  et al. 2019, doi 10.1073/pnas.1804597116).
- **DR**: doubly robust differences, from outcome models that did not see the patient, regressed on covariates
  (Kennedy 2023, doi 10.1214/23-EJS2157).
- **constant**: the mean of the doubly robust differences: no covariate changes the effect.

None is safe by itself: which is best differs from one table to the next.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ehrsynth.evaluation.matrix import Matrix
from ehrsynth.generators.base import AbstractGenerator
from ehrsynth.randomness import derived_seed, numpy_generator
from ehrsynth.twins.completion import Completing, fit_completion
from ehrsynth.twins.learners import Name, Predictor, Task, learn, learn_classes
from ehrsynth.twins.propensity import fit_propensity

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]
Mask = NDArray[np.bool_]

CONSTANT = "constant effect"
_INNER = 3
_NUISANCE: tuple[Name, ...] = ("linear", "boosted")


class Part(NamedTuple):
    """The patients of one part, with an outcome: value NaN and weight 0 where it is not known."""

    rows: Matrix
    arm: Whole
    values: Floats
    weights: Floats

    def of(self, kept: Mask | Whole) -> "Part":
        """Some patients."""
        return Part(self.rows.rows(kept), self.arm[kept], self.values[kept], self.weights[kept])


@dataclass(frozen=True, slots=True)
class Candidates:
    """Who is tried: base learners of T and X, final learners of DR, and generators that complete."""

    bases: tuple[Name, ...] = ("linear", "boosted", "gaussian_process")
    crossed: tuple[Name, ...] = ("linear", "boosted", "gaussian_process")
    robust: tuple[Name, ...] = ("linear", "boosted")
    generators: Mapping[str, AbstractGenerator] | None = None

    def without_processes(self) -> "Candidates":
        """The same without Gaussian processes."""
        bases, crossed = (
            tuple(n for n in names if n != "gaussian_process") for names in (self.bases, self.crossed)
        )
        return Candidates(bases, crossed, self.robust, self.generators)


@dataclass(frozen=True, slots=True)
class Setting:
    """What all parts of one fit share."""

    arms: int
    known: tuple[float, ...] | None
    randomised: bool
    lowest: float
    candidates: Candidates
    form: Completing | None


@dataclass(frozen=True, slots=True, eq=False)
class PartModel:
    """What was learnt on one part: chances of the arms, outcome models and effects, each by name.

    `means` give n x arms, `effects` n x (arms - 1), `shapes` n x arms x levels.
    """

    chances: tuple[Predictor, ...]
    means: Mapping[str, Predictor]
    effects: Mapping[str, Predictor]
    shapes: Mapping[str, Predictor]


def learn_part(part: Part, setting: Setting, *, levels: int, seed: int) -> PartModel:
    """Learn everything on one part.

    Parameters
    ----------
    levels
        Values of an ordinal outcome, whose shares are learnt too; 0 for other kinds.
    """
    chances = _chances(part, setting, seed)
    known = part.of(part.weights > 0)
    means: dict[str, Predictor] = {
        name: _by_arm(name, known, setting.arms, seed) for name in setting.candidates.bases
    }
    shapes: dict[str, Predictor] = {}
    if levels:
        shapes = {name: _shape(name, known, setting.arms, levels, seed) for name in _NUISANCE}
    for name, recipe in (setting.candidates.generators or {}).items():
        if setting.form is not None:
            _complete(name, recipe, known, setting, means, shapes, levels=levels, seed=seed)
    effects: dict[str, Predictor] = {f"T {name}": _difference(found) for name, found in means.items()}
    for name in setting.candidates.crossed:
        if name in means:
            effects[f"X {name}"] = _crossed(name, known, means[name], chances, setting.arms, seed=seed)
    pseudo = robust_differences(part, setting, seed)
    for final in setting.candidates.robust:
        effects[f"DR {final}"] = _regressed(final, part, pseudo, seed)
    average = pseudo.mean(axis=0)
    effects[CONSTANT] = lambda rows: np.tile(average, (len(rows), 1))
    return PartModel(chances, means, effects, shapes)


def _chances(part: Part, setting: Setting, seed: int) -> tuple[Predictor, ...]:
    return fit_propensity(
        part.rows,
        part.arm,
        setting.arms,
        known=setting.known,
        randomised=setting.randomised,
        seed=derived_seed(seed, "arms"),
    )


def _by_arm(name: Name, part: Part, arms: int, seed: int) -> Predictor:
    """One outcome model an arm."""
    models = []
    for one in range(arms):
        own = part.of(part.arm == one)
        models.append(
            learn(name, Task(own.rows, own.values, own.weights, derived_seed(seed, name, str(one))))
        )
    return lambda rows: np.stack([model(rows) for model in models], axis=1)


def _difference(means: Predictor) -> Predictor:
    def effect(rows: Matrix) -> Floats:
        found = means(rows)
        return np.asarray(found[:, 1:] - found[:, :1])

    return effect


def _shape(name: Name, part: Part, arms: int, levels: int, seed: int) -> Predictor:
    """The share of each value of an ordinal outcome in each arm: n x arms x levels."""
    models = []
    for one in range(arms):
        own = part.of(part.arm == one)
        models.append(learn_classes(name, own.rows, own.values.astype(np.int64), levels, seed=seed))
    return lambda rows: np.stack([model(rows) for model in models], axis=1)


def _complete(  # noqa: PLR0913 - it adds to what the part learns
    name: str,
    recipe: AbstractGenerator,
    part: Part,
    setting: Setting,
    means: dict[str, Predictor],
    shapes: dict[str, Predictor],
    *,
    levels: int,
    seed: int,
) -> None:
    assert setting.form is not None  # noqa: S101 - asked by the caller
    one = fit_completion(
        recipe,
        setting.form,
        part.rows,
        arm=part.arm,
        values=part.values,
        weights=part.weights,
        seed=derived_seed(seed, "generator", name),
    )

    def whole(rows: Matrix) -> Floats:
        return np.stack([one(rows, arm) for arm in range(setting.arms)], axis=1)

    def mean(rows: Matrix) -> Floats:
        found = whole(rows)
        steps = np.arange(found.shape[2], dtype=np.float64) if found.shape[2] > 1 else np.ones(1)
        return np.asarray(found @ steps)

    means[name] = mean
    if levels:
        shapes[name] = whole


def _crossed(
    name: Name,
    part: Part,
    means: Predictor,
    chances: tuple[Predictor, ...],
    arms: int,
    *,
    seed: int,
) -> Predictor:
    found, pairs = means(part.rows), []
    for one in range(1, arms):
        treated, reference = part.arm == one, part.arm == 0
        gains = (
            (treated, part.values - found[:, 0]),
            (reference, found[:, one] - part.values),
        )
        pairs.append(
            [
                learn(
                    name,
                    Task(
                        part.rows.rows(mask),
                        gain[mask],
                        part.weights[mask],
                        derived_seed(seed, "X", name, f"{one} {place}"),
                    ),
                )
                for place, (mask, gain) in enumerate(gains)
            ]
        )

    def effect(rows: Matrix) -> Floats:
        e = mean_of(chances, rows)
        columns = []
        for one, (of_treated, of_reference) in enumerate(pairs, 1):
            share = e[:, one] / np.maximum(e[:, one] + e[:, 0], 1e-12)
            columns.append(share * of_reference(rows) + (1 - share) * of_treated(rows))
        return np.stack(columns, axis=1)

    return effect


def mean_of(predictors: tuple[Predictor, ...], rows: Matrix) -> Floats:
    """The plain mean of several answers."""
    return np.asarray(np.mean([predict(rows) for predict in predictors], axis=0))


def robust_differences(part: Part, setting: Setting, seed: int) -> Floats:
    """Doubly robust differences of each arm to the reference, n x (arms - 1), by models in three folds."""
    folds = stratified_folds(part.arm, _INNER, derived_seed(seed, "inner folds"))
    means, chances = np.zeros((len(part.arm), setting.arms)), np.zeros((len(part.arm), setting.arms))
    for fold in range(_INNER):
        rest, own = part.of(folds != fold), folds == fold
        inner = derived_seed(seed, "inner", str(fold))
        known = rest.of(rest.weights > 0)
        models = [_by_arm(name, known, setting.arms, inner) for name in _NUISANCE]
        means[own] = mean_of(tuple(models), part.rows.rows(own))
        chances[own] = mean_of(_chances(rest, setting, inner), part.rows.rows(own))
    return differences(part, means, np.maximum(chances, setting.lowest))


def differences(part: Part, means: Floats, chances: Floats) -> Floats:
    """The doubly robust difference of each arm to the reference, for each patient (Robins et al. 1994)."""
    residual = np.where(part.weights > 0, part.values - means[np.arange(len(part.arm)), part.arm], 0.0)
    lifted = np.array(means)
    for one in range(means.shape[1]):
        lifted[:, one] += (part.arm == one) * part.weights / chances[:, one] * residual
    return np.asarray(lifted[:, 1:] - lifted[:, :1])


def _regressed(final: Name, part: Part, pseudo: Floats, seed: int) -> Predictor:
    models = [
        learn(final, Task(part.rows, column, np.ones(len(column)), derived_seed(seed, "DR", final, str(k))))
        for k, column in enumerate(pseudo.T)
    ]
    return lambda rows: np.stack([model(rows) for model in models], axis=1)


def stratified_folds(strata: Whole, folds: int, seed: int) -> Whole:
    """A fold for each patient, 0 to folds - 1, each stratum spread evenly."""
    rng, found = numpy_generator(seed, "folds"), np.empty(len(strata), np.int64)
    start = 0
    for one in np.unique(strata):
        rows = rng.permutation(np.flatnonzero(strata == one))
        found[rows] = (start + np.arange(len(rows))) % folds
        start += len(rows)
    return found
