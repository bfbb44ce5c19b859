"""What the effect missed by leaves: jumps, which no smooth change of the effect tells of.

An effect that jumps at an age, or that two covariates make together, is smoothed by every candidate; around
the jump all are wrong in the same way, and how much they differ does not show it. Held-out patients do. Half
of them grow a small tree of the residuals of the R-loss, of covariates and of the effect that was said; the
other half say in each leaf how much the effect missed there, d, and how surely, s (halves as in Athey and
Imbens 2016, doi 10.1073/pnas.1510489113). d^2 - s^2 estimates the square of what was missed, without bias
where patients weigh alike; its mean over many halvings and both ways, if above 0, is added to the variance of
the patients who fall into the leaf. Where nothing was missed, or a few patients weigh most, that is too wide.
"""

import numpy as np
from numpy.typing import NDArray
from sklearn.tree import DecisionTreeRegressor

from ehrsynth.evaluation.learners import Flags
from ehrsynth.evaluation.matrix import Matrix
from ehrsynth.randomness import numpy_generator
from ehrsynth.twins.fitting import Crosswise
from ehrsynth.twins.patients import Patients
from ehrsynth.twins.residuals import RLoss, r_loss

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

_HALVINGS = 10
_LEAVES = 8
_SHARE, _FEWEST = 20, 10  # a leaf holds a twentieth of a half, and ten patients
_STEEP = 1e-3  # a slope is kept this far from 0: such patients weigh nothing


class Leaves:
    """What the effect of one arm missed in leaves: a variance for any patient."""

    def __init__(self, fitted: Crosswise, patients: Patients, arm: int, *, seed: int) -> None:
        found = r_loss(fitted, patients, arm)
        self._flags, self._arm = Flags(patients.covariates), arm
        seen = self._features(patients.covariates.rows(found.rows), fitted.said.effects[found.rows])
        rng = numpy_generator(seed, "held-out leaves", str(arm))
        self._trees: list[tuple[DecisionTreeRegressor, Floats]] = []
        for _ in range(_HALVINGS):
            half = rng.permutation(len(seen)) < len(seen) // 2
            self._trees += [_grown(seen, found, grow, rng) for grow in (half, ~half)]

    def variance(self, rows: Matrix, effects: Floats) -> Floats:
        """The mean square of what was missed in the leaves of each patient, at least 0.

        Parameters
        ----------
        effects
            n x (arms - 1): what was said of the patients.
        """
        seen = self._features(rows, effects)
        squares = [square[tree.apply(seen)] for tree, square in self._trees]
        return np.asarray(np.maximum(np.mean(squares, axis=0), 0.0), np.float64)

    def _features(self, rows: Matrix, effects: Floats) -> Floats:
        return np.column_stack([self._flags(rows), effects[:, self._arm - 1]])


def _grown(
    seen: Floats, found: RLoss, grow: Mask, rng: np.random.Generator
) -> tuple[DecisionTreeRegressor, Floats]:
    """A tree of one half, and for each of its nodes the square of what the other half missed there."""
    gap = found.residual / np.where(np.abs(found.slope) < _STEEP, _STEEP, found.slope)
    weight = found.weights * found.slope**2
    fewest = max(_FEWEST, int(grow.sum()) // _SHARE)
    tree = DecisionTreeRegressor(
        max_leaf_nodes=_LEAVES, min_samples_leaf=fewest, random_state=int(rng.integers(2**31))
    )
    tree.fit(seen[grow], gap[grow], sample_weight=weight[grow])
    square, leaf = np.zeros(tree.tree_.node_count), tree.apply(seen[~grow])
    for one in np.unique(leaf):
        mine = leaf == one
        w, g = weight[~grow][mine], gap[~grow][mine]
        if len(w) > 1 and w.sum() > 0:
            missed = float(w @ g) / w.sum()
            error = ((w * (g - missed)) ** 2).sum() / w.sum() ** 2 * len(w) / (len(w) - 1)
            square[one] = missed**2 - error
    return tree, square
