"""How many descriptions fit exactly one patient, and how far chance moves that number.

The same patient makes many descriptions fail or succeed at once, so descriptions are not independent attacks:
the variance is taken from patients, by leaving out one group of them after another.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import hypergeom

from ehrsynth.evaluation.matrix import Floats
from ehrsynth.statistics import jackknife_variance

Whole = NDArray[np.int64]


class Matches(NamedTuple):
    """Descriptions x groups: patients of each group whom a description fits; and each group's patients."""

    counts: Whole
    patients: Whole


def alone(matches: Matches, size: int) -> Floats:
    """The share of descriptions with exactly one match: of all patients, then with each group left out.

    Shares are expected ones, as if `size` of all patients had been drawn (and as many fewer without a group).
    """
    counts, rows = matches.counts.sum(axis=1), int(matches.patients.sum())
    shares = [_share(counts, rows, size)]
    for group, patients in enumerate(matches.patients):
        left = rows - int(patients)
        shares.append(_share(counts - matches.counts[:, group], left, round(size * left / rows)))
    return np.array(shares)


def _share(counts: Whole, rows: int, size: int) -> float:
    return chance_of_one(counts, rows, size) / max(1, len(counts))


def chance_of_one(counts: Whole, rows: int, size: int) -> float:
    """The expected number of descriptions with exactly one match left when `rows` are thinned to `size`.

    Parameters
    ----------
    counts
        Each description's matches among all rows.
    """
    return float(hypergeom.pmf(1, rows, counts, size).sum()) if len(counts) else 0.0


def overdispersion(attack: Floats, control: Floats, descriptions: int) -> float:
    """By how much the variance of the excess exceeds that of independent attacks; at least 1.

    Parameters
    ----------
    attack, control
        As `alone` gives them for members and for unseen patients.
    """
    if not descriptions or (control >= 1).any():
        return 1.0
    excess = (attack - control) / (1 - control)
    a, c = attack[0], control[0]
    of_attack, of_control = a * (1 - a), c * (1 - c) * ((1 - a) / (1 - c)) ** 2
    independent = float((of_attack + of_control) / (1 - c) ** 2 / descriptions)
    return max(1.0, jackknife_variance(excess[1:]) / independent) if independent > 0 else 1.0
