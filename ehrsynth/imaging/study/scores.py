"""Scores of one classifier on one test side, each with its range and direction."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ehrsynth.statistics import auroc

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]
_BINS = 10


def score_all(labels: Whole, probabilities: Floats, minority: Sequence[int]) -> dict[str, float]:
    """All scores of predictions.

    Parameters
    ----------
    labels
        n true classes.
    probabilities
        n x classes.
    minority
        The classes that the study is about.

    Returns
    -------
    dict
        0 to 1, higher is better: minority recall, balanced accuracy, accuracy, precision and F1 (means over
        classes), AUROC over classes and of the minority; `auroc of class k` for each. Lower is better: Brier
        (0 to 2) and calibration error (0 to 1).
    """
    called = probabilities.argmax(axis=1)
    classes = probabilities.shape[1]
    recalls, precisions = _recalls(labels, called, classes), _recalls(called, labels, classes)
    harmonic = np.where(
        recalls + precisions > 0, 2 * recalls * precisions / np.maximum(recalls + precisions, 1e-12), 0
    )
    areas = class_aurocs(labels, probabilities)
    return {
        "minority recall": float(recalls[list(minority)].mean()),
        "balanced accuracy": float(recalls.mean()),
        "accuracy": float((called == labels).mean()),
        "precision": float(precisions.mean()),
        "F1": float(harmonic.mean()),
        "AUROC": float(areas.mean()),
        "minority AUROC": float(areas[list(minority)].mean()),
        "Brier": brier(labels, probabilities),
        "calibration error": calibration_error(labels, probabilities),
        **{f"AUROC of class {k}": float(area) for k, area in enumerate(areas)},
    }


def _recalls(of: Whole, found: Whole, classes: int) -> Floats:
    """For each class the share of `of` that `found` agrees with; 0 where there is none."""
    return np.array([(found[of == k] == k).mean() if (of == k).any() else 0.0 for k in range(classes)])


def confusion(labels: Whole, probabilities: Floats) -> Whole:
    """Classes x classes: how many images of the row's class were called the column's."""
    classes = probabilities.shape[1]
    found = np.zeros((classes, classes), np.int64)
    np.add.at(found, (labels, probabilities.argmax(axis=1)), 1)
    return found


def class_aurocs(labels: Whole, probabilities: Floats) -> Floats:
    """AUROC of each class against all others, 0 to 1, 0.5 is a coin."""
    return np.array([auroc(labels == k, probabilities[:, k]) for k in range(probabilities.shape[1])])


def brier(labels: Whole, probabilities: Floats) -> float:
    """The mean squared distance of the probabilities from the truth (Brier 1950), 0 to 2, lower is better.

    >>> brier(np.array([0, 1]), np.array([[1.0, 0.0], [1.0, 0.0]]))
    1.0
    """
    truth = np.eye(probabilities.shape[1])[labels]
    return float(((probabilities - truth) ** 2).sum(axis=1).mean())


def calibration_error(labels: Whole, probabilities: Floats) -> float:
    """The mean gap between how sure and how right, in ten equally filled bins; 0 to 1, lower is better.

    (Nguyen and O'Connor 2015, arXiv 1508.05154: bins of equal size, not of equal width.)
    """
    sure, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    parts = np.array_split(np.argsort(sure, kind="stable"), min(_BINS, len(sure)))
    gaps = [len(part) * abs(float(sure[part].mean() - right[part].mean())) for part in parts]
    return float(sum(gaps) / len(sure))


def specificity(labels: Whole, probabilities: Floats, label: int) -> float:
    """The share of other classes' images that are not called `label`."""
    others = labels != label
    return float((probabilities[others].argmax(axis=1) != label).mean())


def recall_at(labels: Whole, scores: Floats, label: int, wanted: float) -> float:
    """Recall of a class where the threshold lets pass exactly the specificity that is wanted.

    The ROC curve is read between its points in a straight line, ties drawn as one step; 0 to 1.

    >>> round(recall_at(np.array([0, 0, 1, 1]), np.array([0.1, 0.6, 0.4, 0.9]), 1, 0.75), 3)
    0.5
    """
    own = labels == label
    thresholds = np.unique(scores)[::-1]
    order = np.searchsorted(-thresholds, -scores)
    positives = np.cumsum(np.bincount(order[own], minlength=len(thresholds))) / max(1, own.sum())
    negatives = np.cumsum(np.bincount(order[~own], minlength=len(thresholds))) / max(1, (~own).sum())
    false, true = np.concatenate([[0.0], negatives]), np.concatenate([[0.0], positives])
    allowed = 1 - wanted
    # Where the curve goes straight up, the upper end counts: the same false alarms allow it.
    after = int(np.searchsorted(false, allowed + 1e-12, side="right"))
    if after >= len(false):
        return float(true[-1])
    before = after - 1
    step = false[after] - false[before]
    part = (allowed - false[before]) / step if step > 0 else 0.0
    return float(true[before] + part * (true[after] - true[before]))


def matched_recall(
    labels: Whole, treated: Floats, control: Floats, minority: Sequence[int]
) -> tuple[float, float]:
    """Minority recall of two classifiers at the specificity that the control has where it decides.

    Both are read off their ROC curves there, so that moving a threshold wins nothing. Means over the minority
    classes, 0 to 1, higher is better: that of `treated`, that of `control`.
    """
    both = []
    for label in minority:
        wanted = specificity(labels, control, label)
        both.append([recall_at(labels, p[:, label], label, wanted) for p in (treated, control)])
    mean = np.mean(both, axis=0)
    return float(mean[0]), float(mean[1])
