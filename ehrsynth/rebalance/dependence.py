"""How much of a variable is still in features: distance correlation, and a fresh probe."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ehrsynth.randomness import numpy_generator, small_seed
from ehrsynth.statistics import Estimate, auroc_interval

Floats = NDArray[np.float64]
MOST_ROWS = 2_000
_FOLDS = 5
_FEWEST = 10


def squared_distance_correlation(one: NDArray[Any], other: NDArray[Any]) -> float:
    """Dependence of any form between two sets of columns: dcor squared, 0 to 1, lower is less.

    0 in the limit only if they are independent (Szekely, Rizzo and Bakirov 2007, doi
    10.1214/009053607000000505). Written with the unbiased estimate of the distance covariance (Szekely and
    Rizzo 2014, doi 10.1214/14-AOS1255), which is around 0 for independent columns of few rows, too; what
    falls below 0 is 0.

    >>> x = np.arange(6.0)
    >>> round(squared_distance_correlation(x, 2 * x + 1), 3)
    1.0
    """
    a, b = _centred(np.asarray(one, np.float64)), _centred(np.asarray(other, np.float64))
    together = float((a * b).sum())
    scale = float(np.sqrt((a**2).sum() * (b**2).sum()))
    return max(0.0, together / scale) if scale > 0 else 0.0


def _centred(values: Floats) -> Floats:
    """The U-centred distances of rows."""
    columns = values.reshape(len(values), -1)
    n = len(columns)
    if n < 4:  # noqa: PLR2004 - the estimate divides by n - 3
        message = f"{n} rows were given; a distance correlation needs at least 4"
        raise ValueError(message)
    d = cdist(columns, columns)
    rows = d.sum(axis=1) / (n - 2)
    centred = d - rows[:, None] - rows[None, :] + d.sum() / ((n - 1) * (n - 2))
    np.fill_diagonal(centred, 0.0)
    return np.asarray(centred)


def within_classes(features: Floats, bias: Floats, labels: NDArray[Any], *, seed: int) -> dict[str, float]:
    """Squared distance correlation of features and bias in each class, and the mean over classes ("mean").

    At most 2,000 rows of a class, drawn by the seed, are looked at; a class of fewer than 10 is left out.
    """
    found: dict[str, float] = {}
    for label in np.unique(labels):
        places = np.flatnonzero(labels == label)
        places = numpy_generator(seed, "dependence", str(label)).permutation(places)[:MOST_ROWS]
        if len(places) >= _FEWEST:
            found[str(label)] = squared_distance_correlation(features[places], bias[places])
    return {**found, "mean": float(np.mean(list(found.values())))} if found else {}


def probe(features: Floats, bias: NDArray[Any], *, seed: int) -> Estimate | None:
    """The AUROC at which a fresh model reads a variable off features, 0.5 (not at all) to 1; lower is less.

    The better of logistic regression and boosted trees, in five folds; a variable of more than two values is
    asked as "above its middle or not". The interval is DeLong's for the better one. None where a side has
    fewer than ten rows.
    """
    high = _halved(np.asarray(bias, np.float64))
    if min(high.sum(), (~high).sum()) < _FEWEST:
        return None
    folds = StratifiedKFold(_FOLDS, shuffle=True, random_state=small_seed(seed, "probe"))
    models = (
        make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)),
        HistGradientBoostingClassifier(max_iter=100, random_state=small_seed(seed, "probe", "trees")),
    )
    each = [
        auroc_interval(high, cross_val_predict(m, features, high, cv=folds, method="predict_proba")[:, 1])
        for m in models
    ]
    return max(each, key=lambda one: one.value)


def _halved(values: Floats) -> NDArray[np.bool_]:
    levels = np.unique(values)
    if len(levels) <= 2:  # noqa: PLR2004
        return np.asarray(values == levels[-1])
    return np.asarray(values > np.median(values))
