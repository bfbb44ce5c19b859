"""The grid that a schema spans."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ehrsynth.schema import NumberColumn
from ehrsynth.tables.grids import Grid, grid
from strategies import columns

TENTHS = Grid(origin=-5, scale=10, size=11)


@given(columns())
def test_a_grid_runs_from_the_minimum_to_the_maximum(column):
    domain = grid(column)
    ends = np.array([domain.low, domain.high])
    assert domain.size == column.size
    assert domain.contains(ends).all()
    assert domain.codes(ends).tolist() == [0, domain.size - 1]
    assert not domain.contains(np.array([np.nextafter(domain.low - 0.5 / domain.scale, -np.inf)])).any()


@given(columns(), st.data())
def test_neighbours_are_told_apart(column, data):
    domain = grid(column)
    code = data.draw(st.integers(0, domain.size - 1))
    codes = np.unique(np.clip(np.arange(code - 2, code + 3), 0, domain.size - 1))
    values = domain.values(codes)
    assert domain.contains(values).all()
    assert (domain.codes(values) == codes).all()
    assert len(np.unique(values)) == len(codes)


@given(st.integers(0, 9), st.integers(-(10**14), 10**14))
def test_values_are_the_floats_that_the_digits_are_read_as(decimals, ticks):
    column = NumberColumn(name="x", minimum=0, maximum=0, decimals=decimals)
    domain = Grid(origin=ticks, scale=grid(column).scale, size=1)
    text = f"{ticks}e-{decimals}"
    assert domain.values(np.array([0]))[0] == float(text)


@pytest.mark.parametrize(
    ("value", "inside"),
    [
        *((value, True) for value in (-0.5, 0.0, 0.5, 0.1 + 0.2)),
        *((value, False) for value in (0.25, -0.6, 0.6, np.nan, np.inf, -np.inf)),
    ],
)
def test_membership(value, inside):
    assert TENTHS.contains(np.array([value])).tolist() == [inside]


def test_whole_numbers_have_no_halves():
    assert Grid(origin=0, scale=1, size=3).contains(np.array([0, 0.5, 2, 3])).tolist() == [
        True,
        False,
        True,
        False,
    ]


def test_the_nearest_point_is_taken_within_the_bounds():
    values = np.array([-9.0, -0.44, 0.0, 0.46, np.inf, np.nan])
    assert TENTHS.codes(values).tolist() == [0, 1, 5, 10, 10, -1]
    assert TENTHS.snap(values).tolist()[:4] == [-9.0, -0.4, 0.0, 0.5]
