"""The linear head on frozen features: multinomial logistic regression with one penalty."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from ehrsynth.imaging.features import directions
from ehrsynth.imaging.networks.lite0 import FEATURES

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]
UNTUNED = 1.0  # scikit-learn's own default of C, the inverse strength of the penalty
TUNED = (1e-3, 1e-2, 1e-1, 1.0)  # among which an inner split chooses
_ITERATIONS = 300
_SCALE = float(np.sqrt(FEATURES))


def scaled(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Features of one length, so large that a feature is about 1 in the root mean square."""
    return np.asarray(_SCALE * directions(features), dtype=np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Taught:
    """What a head is taught with: features (n x 1280, scaled), labels and weights (n)."""

    features: NDArray[np.float32]
    labels: Whole
    weights: Floats


@dataclass(frozen=True, slots=True, eq=False)
class LinearHead:
    """A fitted head: a weight for each feature and class, and an offset for each class."""

    weights: Floats
    offsets: Floats

    def probabilities(self, features: NDArray[np.float32]) -> Floats:
        """N x classes, each row sums to 1; `features` as `scaled` gives them."""
        scores = features @ self.weights + self.offsets
        scores = np.exp(scores - scores.max(axis=1, keepdims=True))
        return np.asarray(scores / scores.sum(axis=1, keepdims=True))


def fit_head(taught: Taught, *, classes: int, penalty: float) -> LinearHead:
    """Fit a head; `penalty` is the inverse strength C, larger fits closer."""
    # Weights are brought to a mean of 1, so that one penalty means the same in every arm.
    weights = taught.weights * (len(taught.weights) / taught.weights.sum())
    model = LogisticRegression(C=penalty * _EQUAL / len(weights), max_iter=_ITERATIONS, tol=1e-3)
    fitted = model.fit(taught.features, taught.labels, sample_weight=weights)
    coefficients = np.zeros((FEATURES, classes))
    offsets = np.full(classes, -np.inf)
    if len(fitted.classes_) == 2:  # noqa: PLR2004 - scikit-learn keeps one row for two classes
        coefficients[:, fitted.classes_] = np.stack([-fitted.coef_[0] / 2, fitted.coef_[0] / 2], axis=1)
        offsets[fitted.classes_] = [-fitted.intercept_[0] / 2, fitted.intercept_[0] / 2]
    else:
        coefficients[:, fitted.classes_] = fitted.coef_.T
        offsets[fitted.classes_] = fitted.intercept_
    return LinearHead(coefficients, offsets)


_EQUAL = 500  # images: the penalty is that of a set of so many, whatever the number of images
