"""Judges that learn: how well they tell rows apart, or predict the outcome. 0.5 is chance."""

from collections.abc import Callable

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import StratifiedKFold

from ehrsynth.evaluation.learners import fit_classes
from ehrsynth.evaluation.matrix import Floats, Matrix
from ehrsynth.evaluation.protocol import protocol
from ehrsynth.randomness import numpy_generator, small_seed
from ehrsynth.statistics import auroc

# The issue's own scale: scikit-learn's boosted trees with their defaults, three folds.
ISSUE = "issue_trees"
JUDGES = (ISSUE, "boosted_trees", "logistic_regression", "neural_network")
FOLDS = {ISSUE: 3, "neural_network": 3}
MOST_BINS = 255
CLASS_MINIMUM, TWO = 10, 2


def telling(judge: str, synthetic: Matrix, real: Matrix, seed: int) -> float:
    """How well a judge tells synthetic from real rows: the mean AUROC of the folds."""
    size = min(len(synthetic), len(real), protocol().rows)
    sides = [
        t.shuffled(numpy_generator(seed, "telling", str(k)), size) for k, t in enumerate((synthetic, real))
    ]
    both = Matrix(real.columns, np.vstack([side.values for side in sides]))
    label = np.repeat([1, 0], size)
    folds = StratifiedKFold(FOLDS.get(judge, protocol().folds), shuffle=True, random_state=seed)
    found = []
    for learn, test in folds.split(both.values, label):
        predict = learnt(judge, both.rows(learn), label[learn], seed)
        found.append(auroc(label[test], predict(both.rows(test))))
    return float(np.mean(found))


def learnt(judge: str, rows: Matrix, label: Floats, seed: int) -> Callable[[Matrix], Floats]:
    """A judge that has learnt to tell label 1 from 0: rows to the probability of 1."""
    if judge != ISSUE:
        fitted = fit_classes(judge, rows, label, 2, seed=small_seed(seed, judge))
        return lambda others: fitted.predict(others)[:, 1]
    model = issue_trees(rows, label, small_seed(seed, judge))
    return lambda others: np.asarray(model.predict_proba(others.values)[:, 1])


def issue_trees(rows: Matrix, label: Floats, seed: int) -> HistGradientBoostingClassifier:
    """The issue's judge, taught."""
    few = np.array(
        [nominal and c.size <= MOST_BINS for nominal, c in zip(rows.nominal, rows.columns, strict=True)]
    )
    model = HistGradientBoostingClassifier(categorical_features=few, random_state=seed)
    return model.fit(rows.values, label)


def predicting(learner: str, table: Matrix, holdout: Matrix, target: str, seed: int) -> float | None:
    """The AUROC of the outcome on held-out rows, mean over its classes one against the rest.

    The issue's trees learn from all rows, the others from as many as the protocol allows.
    """
    place = table.place(target)
    known = [t.rows(~np.isnan(t.values[:, place])) for t in (table, holdout)]
    classes, codes = np.unique(np.concatenate([t.values[:, place] for t in known]), return_inverse=True)
    size = len(known[0]) if learner == ISSUE else min(len(known[0]), protocol().rows)
    chosen = numpy_generator(seed, "predicting").permutation(len(known[0]))[:size]
    truth = codes[len(known[0]) :]
    rows = known[0].rows(chosen).without([target])
    label, asked = codes[: len(known[0])][chosen], known[1].without([target])
    if learner == ISSUE:
        model = issue_trees(rows, label, small_seed(seed, learner))
        found = np.zeros((len(asked), len(classes)))
        found[:, model.classes_] = model.predict_proba(asked.values)
    else:
        fitted = fit_classes(learner, rows, label, len(classes), seed=small_seed(seed, learner))
        found = fitted.predict(asked)
    counts = np.bincount(truth, minlength=len(classes))
    scored = [c for c in range(len(classes)) if CLASS_MINIMUM <= counts[c] < len(truth)]
    values = [auroc(truth == c, found[:, c]) for c in scored]
    return float(np.mean(values)) if values else None


def from_gaps_alone(table: Matrix, target: str, seed: int) -> float | None:
    """How well the pattern of missing values alone predicts a binary outcome: cross-validated AUROC."""
    known = table.rows(~np.isnan(table.values[:, table.place(target)]))
    label = known.values[:, known.place(target)]
    gaps = np.isnan(known.without([target]).values)
    gaps = gaps[:, gaps.any(axis=0)].astype(np.float64)
    if (
        len(np.unique(label)) != TWO
        or not gaps.shape[1]
        or min(np.bincount(label == label.max())) < CLASS_MINIMUM
    ):
        return None
    found = np.zeros(len(label))
    for learn, test in StratifiedKFold(5, shuffle=True, random_state=seed).split(gaps, label):
        model = HistGradientBoostingClassifier(max_iter=50, random_state=seed).fit(gaps[learn], label[learn])
        found[test] = model.predict_proba(gaps[test])[:, 1]
    return auroc(label == label.max(), found)
