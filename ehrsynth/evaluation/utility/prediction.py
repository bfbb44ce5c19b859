"""One outcome of the schema, learnt from synthetic and from real patients, predicted for held-out ones."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ehrsynth.evaluation.learners import LEARNERS, LearnerName, fit_classes, fit_number
from ehrsynth.evaluation.matrix import Floats, Matrix, is_discrete
from ehrsynth.evaluation.protocol import protocol
from ehrsynth.evaluation.strata import level_name
from ehrsynth.evaluation.utility.regression import fit
from ehrsynth.progress import Progress
from ehrsynth.randomness import numpy_generator, small_seed
from ehrsynth.schema import IntegerColumn, LearntColumn, Schema
from ehrsynth.statistics import Estimate, auroc_influence, interval_of_influence
from ehrsynth.tables.grids import grid

_LEAST = 10  # rows with an outcome that a learner needs
_TWO = 2
_SURE = 1e-6  # a risk of 0 or 1 has no logit
_FLAT = 1e-12


class Tables(NamedTuple):
    """The three tables, whole."""

    synthetic: Matrix
    train: Matrix
    holdout: Matrix


class Task(NamedTuple):
    """An outcome, and the rows that know it.

    `synthetic` and `train` are equally long. `places` are the positions in the whole holdout of the rows
    tested, `among` is its length, and `unknown` counts the rows of each table without the outcome.
    """

    outcome: LearntColumn
    synthetic: Matrix
    train: Matrix
    holdout: Matrix
    places: NDArray[np.int64]
    among: int
    unknown: dict[str, int]

    @property
    def bounds(self) -> tuple[float, float]:
        """Between which numbers the score lies: AUROC or R2."""
        return (0.0, 1.0) if is_class(self.outcome) else (-np.inf, 1.0)


class Prediction(NamedTuple):
    """A model's score, each held-out patient's influence on it (0 where not tested), and those of classes.

    `risks` is how good the predicted risks of a class are, on average over classes: see `risk_measures`.
    `predicted` is what it says of each patient tested: risks by class, or a number.
    """

    value: float
    influence: Floats
    classes: dict[str, float]
    risks: dict[str, float | None] | None = None
    predicted: Floats | None = None


class Pair(NamedTuple):
    """The scores of what one learner learnt from synthetic and from real patients."""

    synthetic: Prediction
    real: Prediction

    def estimate(self, bounds: tuple[float, float]) -> Estimate:
        """The score of what was learnt from synthetic patients."""
        return interval_of_influence(self.synthetic.value, self.synthetic.influence, bounds=bounds)

    def difference(self) -> Estimate:
        """By how much it is above that of what was learnt from real ones, on the same held-out patients."""
        one, other = self.synthetic, self.real
        return interval_of_influence(
            one.value - other.value, one.influence - other.influence, bounds=(-np.inf, np.inf)
        )


Pairs = dict[LearnerName, Pair]


def outcomes(schema: Schema) -> tuple[LearntColumn, ...]:
    """The outcomes to predict: those that are classes, else those that are numbers; at most `outcomes`."""
    every = [c for c in schema.learnt if "outcome" in c.roles]
    chosen = [c for c in every if is_class(c)] or [c for c in every if not is_discrete(c)]
    return tuple(chosen[: protocol().outcomes])


def is_class(column: LearntColumn) -> bool:
    """Whether an outcome is scored by class: listed values or integers, and at most `few_values` of them."""
    return (is_discrete(column) or isinstance(column, IntegerColumn)) and column.size <= protocol().few_values


def task(outcome: LearntColumn, tables: Tables, seed: int) -> Task:
    """The rows that know the outcome, drawn by the seed where there are more than the protocol allows."""
    known = [np.flatnonzero(~np.isnan(target(table, outcome))) for table in tables]
    drawn = [
        places[numpy_generator(seed, "utility", name).permutation(len(places))[: protocol().rows]]
        for name, places in zip(Tables._fields, known, strict=True)
    ]
    size = min(len(drawn[0]), len(drawn[1]))
    lengths = zip(Tables._fields, tables, known, strict=True)
    return Task(
        outcome,
        tables.synthetic.rows(drawn[0][:size]),
        tables.train.rows(drawn[1][:size]),
        tables.holdout.rows(drawn[2]),
        drawn[2],
        len(tables.holdout),
        {name: len(table) - len(places) for name, table, places in lengths},
    )


def why_not(task: Task) -> str:
    """Why the outcome cannot be measured; empty when it can."""
    if min(len(task.synthetic), len(task.holdout)) < _LEAST:
        return f"{_LEAST} rows of each table need a known outcome"
    if is_class(task.outcome):
        few = len(_scored_classes(task)) < _TWO
        return "fewer than two classes occur often enough among held-out patients" if few else ""
    flat = not np.ptp(target(task.holdout, task.outcome))
    return "the outcome is the same for all held-out patients" if flat else ""


def predict(task: Task, seed: int, report: Progress) -> Pairs:
    """Both learners, each taught by synthetic and by real patients, tested on the same held-out ones."""
    pairs: Pairs = {}
    for place, learner in enumerate(LEARNERS):
        words = f"{task.outcome.name}: {learner.replace('_', ' ')}"
        report(place / len(LEARNERS), f"train on synthetic and on real, test on real: {words}")
        pairs[learner] = compare(task, learner, seed)
    return pairs


def compare(task: Task, learner: LearnerName, seed: int) -> Pair:
    """One learner, taught by synthetic and by real patients, tested on the same held-out ones."""
    synthetic, real = (_learn_and_test(task, table, learner, seed) for table in (task.synthetic, task.train))
    return Pair(synthetic, real)


def mean_of(found: Sequence[Pairs]) -> Pairs:
    """The mean over outcomes: of the scores, and of each patient's influences."""
    return {
        learner: Pair(
            _mean([pairs[learner].synthetic for pairs in found]),
            _mean([pairs[learner].real for pairs in found]),
        )
        for learner in found[0]
    }


def _mean(predictions: Sequence[Prediction]) -> Prediction:
    value = float(np.mean([p.value for p in predictions]))
    return Prediction(value, np.mean([p.influence for p in predictions], axis=0), {})


def target(table: Matrix, outcome: LearntColumn) -> Floats:
    """The outcome as a number, NaN for missing."""
    return np.asarray(table.values[:, table.place(outcome.name)])


def codes(table: Matrix, outcome: LearntColumn) -> NDArray[np.int64]:
    """The outcome as a class, -1 for missing."""
    return grid(outcome).codes(target(table, outcome))


def _scored_classes(task: Task) -> list[int]:
    """The classes with enough held-out patients in them and outside them."""
    counts = np.bincount(codes(task.holdout, task.outcome), minlength=task.outcome.size)
    least = min(protocol().class_minimum, len(task.holdout) // 4)
    return [int(c) for c in np.flatnonzero((counts >= max(1, least)) & (counts < len(task.holdout)))]


def _learn_and_test(task: Task, learnt_from: Matrix, learner: LearnerName, seed: int) -> Prediction:
    small, outcome = small_seed(seed, "utility", learner), task.outcome
    known, rows = learnt_from.without([outcome.name]), task.holdout.without([outcome.name])
    if is_class(outcome):
        predicted = fit_classes(
            learner, known, codes(learnt_from, outcome), outcome.size, seed=small
        ).predict(rows)
        found = _macro_auroc(task, predicted)
    else:
        number = fit_number(learner, known, target(learnt_from, outcome), seed=small)
        predicted = number.predict(rows)
        found = _r_squared(target(task.holdout, outcome), predicted[:, 0])
    return found._replace(influence=embedded(found.influence, task.places, task.among), predicted=predicted)


def within(task: Task, prediction: Prediction, mask: NDArray[np.bool_]) -> float | None:
    """The same score among some of the patients tested; None where it cannot be measured among them.

    Parameters
    ----------
    mask
        Of the whole holdout.
    """
    inside, predicted = mask[task.places], prediction.predicted
    some = task._replace(holdout=task.holdout.rows(inside), places=task.places[inside])
    if predicted is None or why_not(some):
        return None
    if is_class(task.outcome):
        return _macro_auroc(some, predicted[inside]).value
    return _r_squared(target(some.holdout, task.outcome), predicted[inside, 0]).value


def embedded(influence: Floats, places: NDArray[np.int64], among: int) -> Floats:
    """Influences of some of `among` patients as influences of all of them, with the same variance.

    It is 0 for the others, so that influences on several statistics over different patients add up.
    """
    whole = np.zeros(among)
    whole[places] = influence * (among / len(places))
    return whole


def _macro_auroc(task: Task, probabilities: Floats) -> Prediction:
    truth, classes = codes(task.holdout, task.outcome), _scored_classes(task)
    found = {c: auroc_influence(truth == c, probabilities[:, c]) for c in classes}
    values = [value for value, _ in found.values()]
    influence = np.mean([psi for _, psi in found.values()], axis=0)
    named = {level_name(task.outcome, c): value for c, (value, _) in found.items()}
    return Prediction(float(np.mean(values)), influence, named, _risks(truth, probabilities, classes))


def _risks(truth: NDArray[np.int64], probabilities: Floats, classes: list[int]) -> dict[str, float | None]:
    """The measures of the second of two classes, else the mean over classes, one against the rest."""
    chosen = [1] if probabilities.shape[1] == _TWO else classes
    each = [risk_measures(truth == c, probabilities[:, c]) for c in chosen]
    found: dict[str, float | None] = {}
    for name in each[0]:
        values = [one[name] for one in each]
        found[name] = None if None in values else float(np.mean([v for v in values if v is not None]))
    return found


def risk_measures(truth: NDArray[np.bool_], risk: Floats) -> dict[str, float | None]:
    """How good predicted risks are.

    Returns
    -------
    dict
        "auprc": area under precision and recall as average precision, 0 to 1, higher is better, the
        outcome's share is chance. "brier": mean squared error, 0 to 1, lower is better. "calibration_slope":
        of the logistic regression of the outcome on the logit of the risk (Cox 1958), 1 is best, below 1 are
        risks too extreme; None where it does not exist.
    """
    order = np.argsort(-risk, kind="stable")
    last = np.flatnonzero(np.append(np.diff(risk[order]) != 0, 1))  # equal risks are one step
    caught = np.cumsum(truth[order])[last]
    gained = np.diff(caught, prepend=0)
    auprc = float((gained * caught / (last + 1)).sum() / max(1, caught[-1]))
    logit = np.log(np.clip(risk, _SURE, 1 - _SURE)) - np.log1p(-np.clip(risk, _SURE, 1 - _SURE))
    spread = float(logit.std())
    slope = np.nan
    if spread > _FLAT:
        slope = float(fit("logistic", logit[:, None] / spread, truth * 1.0).coefficients[0]) / spread
    brier = float(((risk - truth) ** 2).mean())
    return {"auprc": auprc, "brier": brier, "calibration_slope": None if np.isnan(slope) else slope}


def _r_squared(truth: Floats, predicted: Floats) -> Prediction:
    missed, spread = (truth - predicted) ** 2, (truth - truth.mean()) ** 2
    ratio = float(missed.mean() / spread.mean())
    return Prediction(1 - ratio, -(missed - ratio * spread) / spread.mean(), {})
