"""Outcome models fitted crosswise: what is said of a patient comes from models that did not see the patient.

The patients are cut into folds; on all but one fold everything is learnt (`effects`), and said of that fold.
Candidates are then combined by their errors on patients not seen (`stacking`): propensities and outcome
models by squared error, effects by the R-loss of Nie and Wager (2021, doi 10.1093/biomet/asaa076),

    sum_i w_i (y_i - m(x_i) - sum_a (1{a_i = a} - e_a(x_i)) tau_a(x_i))^2,

in which a mistake of m or e counts only in second order. What is said of new patients is the mean over the
folds' models; how much these differ says how sure it is.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from ehrsynth.errors import EhrSynthError, Refused
from ehrsynth.evaluation.matrix import Matrix
from ehrsynth.progress import Progress, part
from ehrsynth.randomness import derived_seed
from ehrsynth.twins.completion import completing
from ehrsynth.twins.effects import (
    CONSTANT,
    Candidates,
    Part,
    PartModel,
    Setting,
    learn_part,
    stratified_folds,
)
from ehrsynth.twins.learners import SMALL_ARM, Predictor
from ehrsynth.twins.outcomes import Outcome
from ehrsynth.twins.patients import Patients, Target
from ehrsynth.twins.propensity import lowest_chance
from ehrsynth.twins.question import Question
from ehrsynth.twins.stacking import convex

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]

FOLDS = 5
FEWEST_KNOWN = 10
_ORDINAL = "ordinal"
_SURE = 1e-4  # a share is kept this far from 0 and 1: no patient is certain


@dataclass(frozen=True, slots=True)
class Shares:
    """The weights of candidates, which sum to 1: of propensities, outcome models by arm, and effects."""

    chances: Floats
    means: Floats
    effects: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Said:
    """What is said of patients: chances, means (n x arms), effects (n x arms - 1), shapes (n x arms x k).

    `means` agree with `effects`; `plain` are the outcome models' own, before effects were combined. `shapes`
    is None where the outcome is not ordinal.
    """

    chances: Floats
    plain: Floats
    means: Floats
    effects: Floats
    shapes: Floats | None


@dataclass(frozen=True, slots=True, eq=False)
class Unseen:
    """What every candidate says of every patient, from models that did not see the patient."""

    fold: Whole
    chances: Floats  # n x propensities x arms
    means: Floats  # n x outcome models x arms
    effects: Floats  # n x candidates x (arms - 1)
    shapes: Floats  # n x shapes x arms x levels


@dataclass(frozen=True, slots=True, eq=False)
class Crosswise:
    """An outcome's models: one a fold, how candidates were combined, and what they say of the patients.

    `left_out` says which candidates could not be fitted, and why.
    """

    target: Target
    models: tuple[PartModel, ...]
    names: tuple[str, ...]
    shares: Shares
    unseen: Unseen
    said: Said
    left_out: Mapping[str, str]

    @property
    def outcome(self) -> Outcome:
        """The outcome."""
        return self.target.outcome

    def by_fold(self, rows: Matrix) -> tuple[Said, ...]:
        """What each fold's models say of any patients."""
        with threadpool_limits(1):
            return tuple(
                said_by(_answers(model, rows, self.shares), self.shares, self.outcome)
                for model in self.models
            )


def fit_crosswise(  # noqa: PLR0913 - patients, a question and how it is answered
    patients: Patients,
    question: Question,
    outcome: str,
    *,
    candidates: Candidates,
    seed: int,
    folds: int = FOLDS,
    progress: Progress | None = None,
) -> Crosswise:
    """Fit one outcome's models.

    Parameters
    ----------
    candidates
        Gaussian processes are left out where an arm has more than 2,000 patients; a generator that cannot
        learn the table is left out, and the answer says why.

    Raises
    ------
    Refused
        If the outcome is known of fewer than 10 patients of an arm.
    """
    target = patients.targets[outcome]
    _check_known(patients, question, target)
    whole = Part(patients.covariates, patients.arm, target.values, target.weights)
    setting, left_out = _setting(patients, question, target, candidates)
    fold = stratified_folds(_strata(whole, target.outcome), folds, derived_seed(seed, "folds"))
    while True:
        try:
            models = _models(whole, setting, target.outcome, fold, seed=seed, progress=progress)
            unseen = _unseen(models, whole.rows, fold)
            break
        except EhrSynthError as error:
            if not setting.candidates.generators:
                raise
            why = f"could not learn this table: {type(error).__name__}"
            left_out |= dict.fromkeys(setting.candidates.generators, why)
            setting = replace(setting, candidates=replace(setting.candidates, generators=None))
    shares = combine(unseen, whole, np.ones(len(fold), np.bool_))
    said = said_by(unseen, shares, target.outcome)
    return Crosswise(target, models, tuple(models[0].effects), shares, unseen, said, left_out)


def _check_known(patients: Patients, question: Question, target: Target) -> None:
    for number, arm in enumerate(question.arms):
        known = int(((patients.arm == number) & (target.weights > 0)).sum())
        if known < FEWEST_KNOWN:
            raise Refused(
                f"refused: outcome {target.outcome.name!r} is known of {known} patients of arm {arm.name!r},"
                f" and fewer than {FEWEST_KNOWN} cannot be fitted at all: leave the outcome out"
            )


def _setting(
    patients: Patients, question: Question, target: Target, candidates: Candidates
) -> tuple[Setting, dict[str, str]]:
    left_out: dict[str, str] = {}
    arms = len(question.arms)
    if np.bincount(patients.arm, minlength=arms).max() > SMALL_ARM and "gaussian_process" in candidates.bases:
        candidates = candidates.without_processes()
        left_out["gaussian_process"] = f"an arm has more than {SMALL_ARM:,} patients"
    known = target.values[target.weights > 0]
    listed = target.outcome.discrete and bool(np.isin(known, np.arange(len(target.outcome.levels))).all())
    if candidates.generators and target.outcome.discrete and not listed:
        left_out |= dict.fromkeys(candidates.generators, "pseudo-observations are no values of the outcome")
        candidates = replace(candidates, generators=None)
    form = (
        completing(question.covariate_schema, arms, target.outcome, question.schema)
        if candidates.generators
        else None
    )
    lowest = lowest_chance(len(patients))
    return (
        Setting(arms, question.probabilities, question.randomised, lowest, candidates, form),
        left_out,
    )


def _strata(whole: Part, outcome: Outcome) -> Whole:
    """Folds are spread evenly over arms, and over who has the event, where it is one."""
    known = whole.weights > 0
    level = known.astype(np.int64)
    if outcome.discrete:
        seen = np.rint(np.where(known, whole.values, -1.0)).astype(np.int64)
        level = np.clip(seen, -1, max(1, len(outcome.levels)))
    return np.asarray(np.unique(np.stack([whole.arm, level]), axis=1, return_inverse=True)[1].ravel())


def _models(
    whole: Part, setting: Setting, outcome: Outcome, fold: Whole, *, seed: int, progress: Progress | None
) -> tuple[PartModel, ...]:
    count = int(fold.max()) + 1
    levels = len(outcome.levels) if outcome.kind == _ORDINAL else 0
    models = []
    with threadpool_limits(1):  # the number of threads decides how sums round
        for number in range(count):
            report = part(progress, number / count, (number + 1) / count)
            report(0.0, f"{outcome.name}: part {number + 1} of {count}")
            own = derived_seed(seed, "part", str(number))
            models.append(learn_part(whole.of(fold != number), setting, levels=levels, seed=own))
    return tuple(models)


def _unseen(models: Sequence[PartModel], rows: Matrix, fold: Whole) -> Unseen:
    parts = []
    with threadpool_limits(1):
        for number, model in enumerate(models):
            parts.append(_answers(model, rows.rows(fold == number)))
    order = np.argsort(np.concatenate([np.flatnonzero(fold == k) for k in range(len(models))]))

    def joined(pick: Callable[[Unseen], Floats]) -> Floats:
        return np.asarray(np.concatenate([pick(one) for one in parts])[order])

    return Unseen(
        fold,
        joined(lambda one: one.chances),
        joined(lambda one: one.means),
        joined(lambda one: one.effects),
        joined(lambda one: one.shapes),
    )


def _answers(model: PartModel, rows: Matrix, shares: Shares | None = None) -> Unseen:
    """What one part's candidates say of any rows; those of no weight are not asked and say 0."""
    names = tuple(model.effects)
    heard = dict.fromkeys((*names, *model.means), True)
    if shares is not None:
        heard = dict(zip(names, shares.effects > 0, strict=True))
        for name, weights in zip(model.means, shares.means.T, strict=True):
            heard[name] = bool((weights > 0).any()) or bool(heard[f"T {name}"])
    chances = _stacked(model.chances, rows)
    silent = np.zeros((len(rows), chances.shape[2]))
    means = {name: predict(rows) if heard[name] else silent for name, predict in model.means.items()}
    effects = {}
    for name, predict in model.effects.items():
        if name.startswith("T "):  # what its outcome models say: they need not be asked twice
            effects[name] = means[name[2:]][:, 1:] - means[name[2:]][:, :1]
        else:
            effects[name] = predict(rows) if heard[name] else silent[:, 1:]
    return Unseen(
        np.zeros(len(rows), np.int64),
        chances,
        np.stack(list(means.values()), axis=1),
        np.stack(list(effects.values()), axis=1),
        _stacked(tuple(model.shapes.values()), rows),
    )


def _stacked(predictors: tuple[Predictor, ...], rows: Matrix) -> Floats:
    if not predictors:
        return np.zeros((len(rows), 0, 0))
    return np.stack([predict(rows) for predict in predictors], axis=1)


def combine(unseen: Unseen, whole: Part, rows: NDArray[np.bool_]) -> Shares:
    """How much of each candidate, from some of the patients."""
    arms = unseen.means.shape[2]
    flags = (whole.arm[:, None] == np.arange(arms)).astype(np.float64)
    chances = convex(
        unseen.chances[rows].transpose(0, 2, 1).reshape(-1, unseen.chances.shape[1]),
        flags[rows].ravel(),
        np.ones(int(rows.sum()) * arms),
    )
    means = []
    for one in range(arms):
        own = rows & (whole.arm == one) & (whole.weights > 0)
        means.append(convex(unseen.means[own, :, one], whole.values[own], whole.weights[own]))
    shares = Shares(chances, np.stack(means), np.eye(unseen.effects.shape[1])[-1])
    left, slopes = r_residuals(unseen, whole, shares)
    known = rows & (whole.weights > 0)
    effects = convex(slopes[known], left[known], whole.weights[known])
    return replace(shares, effects=effects)


def r_residuals(unseen: Unseen, whole: Part, shares: Shares) -> tuple[Floats, Floats]:
    """The two sides of the R-loss: ``y - m(x)``, and for each candidate ``sum_a (1{a} - e_a) tau_a(x)``."""
    e = np.einsum("npa,p->na", unseen.chances, shares.chances)
    plain = np.einsum("nba,ab->na", unseen.means, shares.means)
    flags = (whole.arm[:, None] == np.arange(e.shape[1])).astype(np.float64)
    left = np.where(whole.weights > 0, whole.values - (e * plain).sum(axis=1), 0.0)
    return left, np.einsum("nca,na->nc", unseen.effects, (flags - e)[:, 1:])


def said_by(answers: Unseen, shares: Shares, outcome: Outcome) -> Said:
    """The candidates' answers combined; the means of the arms are made to agree with the effects."""
    e = np.einsum("npa,p->na", answers.chances, shares.chances)
    plain = np.einsum("nba,ab->na", answers.means, shares.means)
    effects = np.einsum("nca,c->na", answers.effects, shares.effects)
    whole = np.hstack([np.zeros((len(e), 1)), effects])
    centre = (e * plain).sum(axis=1, keepdims=True) - (e * whole).sum(axis=1, keepdims=True)
    means = bounded(centre + whole, outcome)
    shapes = answers.shapes.mean(axis=1) if answers.shapes.size else None
    return Said(e, plain, means, effects, shapes)


def bounded(means: Floats, outcome: Outcome) -> Floats:
    """Means kept within what the outcome can be: shares inside 0 to 1, positions inside the values'."""
    if not outcome.discrete:
        return means
    top = max(1, len(outcome.levels) - 1)
    return np.clip(means, _SURE * top, (1 - _SURE) * top)


def constant_of(names: Sequence[str]) -> int:
    """The position of the constant effect among the candidates."""
    return list(names).index(CONSTANT)
