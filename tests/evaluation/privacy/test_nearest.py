"""Distances by hand: ranks, gaps and flags, and ties that are kept."""

import numpy as np
import pandas as pd
import pytest

from ehrsynth.evaluation.matrix import matrix
from ehrsynth.evaluation.privacy import nearest as module
from ehrsynth.evaluation.privacy.nearest import blocks, distances, listed_columns, nearest, place
from ehrsynth.schema import Schema
from ehrsynth.tables import table_from_frame

SCHEMA = Schema(
    name="n",
    columns=[
        {"name": "age", "kind": "integer", "minimum": 0, "maximum": 120, "missing": True},
        {"name": "grade", "kind": "category", "values": ["1", "2", "3"], "ordered": True},
        {"name": "sex", "kind": "category", "values": ["F", "M"], "missing": True},
        {"name": "ward", "kind": "category", "values": ["a", "b", "c"]},
    ],
)
AGE, GRADE, SEX, WARD = range(4)
MADE = [("10", "1", "F", "a"), ("20", "2", "M", "b"), ("30", "3", "", "c"), ("40", "3", "F", "a")]


def put(rows, among):
    made, targets = (
        matrix(table_from_frame(pd.DataFrame(r, columns=list(SCHEMA.names)), SCHEMA), SCHEMA)
        for r in (among, rows)
    )
    return place(targets, made), place(made, made), listed_columns(made), made


def far(row, columns, among=MADE):
    """The distances of one row to the synthetic rows, which are given back in the table's own order."""
    target, space, listed, made = put([row], among)
    found = distances(target, space, columns, listed)[0]
    order = np.argsort(made.values[:, AGE], kind="stable")  # NaN last
    return found[order].tolist()


def test_what_has_no_order_differs_or_not() -> None:
    assert put([MADE[0]], MADE)[2].tolist() == [False, False, True, True]
    assert far(("10", "1", "F", "a"), [SEX, WARD]) == [0, 2, 2, 0]
    assert far(("10", "1", "", "a"), [SEX]) == [1, 1, 0, 1]


def test_numbers_are_placed_by_rank_among_the_synthetic_rows() -> None:
    # Mid-ranks of 10, 20, 30, 40 are 1/8, 3/8, 5/8, 7/8; 25 lies half-way and 1000 beyond all.
    assert far(("20", "1", "F", "a"), [AGE]) == [0.25, 0, 0.25, 0.5]
    assert far(("25", "1", "F", "a"), [AGE]) == [0.375, 0.125, 0.125, 0.375]
    assert far(("120", "1", "F", "a"), [AGE]) == [0.875, 0.625, 0.375, 0.125]
    # Grades: 1 at 1/8, 2 at 3/8, the tie of two 3s at 3/4.
    assert far(("10", "3", "F", "a"), [GRADE]) == [0.625, 0.375, 0, 0]


def test_a_missing_number_is_half_the_range_away_and_like_another_missing_one() -> None:
    among = [*MADE[:3], ("", "3", "F", "a")]
    # Ranks 1/6, 1/2, 5/6 of the three that are there; missing stands at 1/2 and a gap of 1/2.
    assert far(("", "1", "F", "a"), [AGE], among) == pytest.approx([1 / 3 + 0.5, 0.5, 1 / 3 + 0.5, 0])
    assert far(("20", "1", "F", "a"), [AGE], among) == pytest.approx([1 / 3, 0, 1 / 3, 0.5])


def test_the_quick_way_and_the_plain_way_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    quick = [far(row, [SEX, WARD]) for row in MADE]
    monkeypatch.setattr(module, "_FLAGS", 0)
    assert [far(row, [SEX, WARD]) for row in MADE] == quick


def test_all_that_are_equally_near_are_nearest() -> None:
    found = np.array([[0.3, 0.1 + 0.2, 0.5], [1.0, 2.0, 3.0]])
    assert nearest(found).tolist() == [[True, True, False], [True, False, False]]


def test_blocks_cover_every_target_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CELLS", 30)
    places = np.arange(17)
    assert np.concatenate([places[rows] for rows in blocks(17, 10)]).tolist() == places.tolist()
    assert [len(places[rows]) for rows in blocks(17, 10)] == [3, 3, 3, 3, 3, 2]
