"""Cells: equally full bins that neither units nor signs change, listed values as they are, gaps apart."""

import numpy as np

from cohort import COHORT, cohort
from ehrsynth.evaluation.matrix import Matrix, matrix
from ehrsynth.evaluation.privacy.cells import MISSING, cells


def test_bins_are_equally_full_and_gaps_are_their_own() -> None:
    made = matrix(cohort(2_000, 1), COHORT)
    found = cells(made, made, 10)
    marker = found[:, made.place("marker")]
    assert set(marker) == set(range(10))
    assert np.ptp(np.bincount(marker)) < 60
    gaps = np.isnan(made.values)
    assert ((found == MISSING) == gaps).all()


def test_a_value_has_the_same_cell_in_every_table() -> None:
    made, other = matrix(cohort(300, 1), COHORT), matrix(cohort(80, 2), COHORT)
    together = Matrix(made.columns, np.vstack([other.values, made.values[:5]]))
    np.testing.assert_array_equal(cells(together, made, 20)[:80], cells(other, made, 20))
    np.testing.assert_array_equal(cells(together, made, 20)[80:], cells(made, made, 20)[:5])


def test_units_do_not_matter() -> None:
    made = matrix(cohort(300, 1), COHORT)
    place = made.place("marker")
    scaled = made.values.copy()
    scaled[:, place] = 2 * scaled[:, place] + 1
    np.testing.assert_array_equal(cells(Matrix(made.columns, scaled), Matrix(made.columns, scaled), 10),
                                  cells(made, made, 10))  # fmt: skip
