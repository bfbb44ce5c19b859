"""The numbers that resampling sees: complete, learnt in the fold, and back to patients."""

import numpy as np

from ehrsynth.rebalance.plan import rows_of
from ehrsynth.rebalance.space import learn_space
from minority import ready

ROWS = rows_of(ready().table, ready().plan, ready().schema)
NAMES = tuple(n for n in ROWS.matrix.names if n != "died")


def test_gaps_are_filled_with_the_middle_or_the_most_frequent_of_training() -> None:
    space = learn_space(ROWS.matrix, NAMES)
    filled = space.filled(ROWS.matrix)
    assert not np.isnan(filled).any()
    names = [c.name for c in space.columns]
    for name, value in zip(names, space.filling, strict=True):
        seen = ROWS.values[name][~np.isnan(ROWS.values[name])]
        if name == "ward":
            assert value == np.bincount(seen.astype(int)).argmax()
        elif name == "sbp":
            assert abs((seen < value).sum() - (seen > value).sum()) <= (seen == value).sum()
    assert space.gaps == {n: int(np.isnan(ROWS.values[n]).sum()) for n in ("dbp", "pulse", "sbp", "ward")}
    assert space.notes["imputed_cells"] == space.gaps


def test_other_patients_do_not_move_what_is_filled_in() -> None:
    half = ROWS.matrix.rows(np.arange(200))
    space = learn_space(half, NAMES)
    again = space.filled(ROWS.matrix)
    assert np.array_equal(space.filled(half), again[:200])


def test_flags_and_back_is_the_same() -> None:
    space = learn_space(ROWS.matrix, NAMES)
    filled = space.filled(ROWS.matrix)
    flagged = space.flagged(filled)
    assert flagged.shape[1] == filled.shape[1] + (2 - 1) + (3 - 1)  # sex and ward have no order
    assert np.array_equal(space.unflagged(flagged), filled)


def test_between_two_patients_the_nearer_category_counts() -> None:
    space = learn_space(ROWS.matrix, NAMES)
    filled = space.filled(ROWS.matrix)[:2].copy()
    place = [c.name for c in space.columns].index("ward")
    filled[:, place] = (0.0, 1.0)
    a, b = space.flagged(filled)
    assert space.unflagged((0.7 * a + 0.3 * b)[None])[0, place] == 0.0
    assert space.unflagged((0.3 * a + 0.7 * b)[None])[0, place] == 1.0


def test_bands_are_few_and_their_values_were_seen() -> None:
    space = learn_space(ROWS.matrix, NAMES)
    filled = space.filled(ROWS.matrix)
    banded = space.banded(filled, 10)
    for place, listed in enumerate(space.listed):
        assert len(np.unique(banded[:, place])) <= (10 if not listed else 3)
        assert set(banded[:, place]) <= set(filled[:, place])


def test_a_column_that_is_all_missing_takes_no_part() -> None:
    empty = ROWS.matrix.rows(np.arange(50))
    empty.values[:, empty.place("sbp")] = np.nan
    assert "sbp" not in [c.name for c in learn_space(empty, NAMES).columns]
