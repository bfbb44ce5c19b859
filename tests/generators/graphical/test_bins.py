"""Public states, denoised counts, nested bins, and what rules make impossible."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ehrsynth.encoding import encoding
from ehrsynth.generators.chain.states import States
from ehrsynth.generators.graphical.bins import LEVELS, Binned, binned, denoised, least_share
from ehrsynth.generators.graphical.zeros import zeros
from ehrsynth.generators.public_states import MOST_OWN, public_states
from ehrsynth.schema import Schema
from strategies import columns as any_column


@given(any_column())
def test_public_states_cover_the_grid_once(column) -> None:
    states = public_states(column)
    present = ~states.is_missing
    assert states.low[present][0] == 0
    assert states.high[present][-1] == column.size - 1
    assert (states.low[present][1:] == states.high[present][:-1] + 1).all()
    assert states.is_missing.any() == column.missing
    if column.size <= MOST_OWN or not encoding(column).numeric:
        assert (states.width[present] == 1).all()
    else:
        assert present.sum() <= 2 * MOST_OWN


def number(**fields: object) -> dict[str, object]:
    return {"name": "x", "kind": "number", "decimals": 0, **fields}


@pytest.mark.parametrize(("low", "high"), [(0, 10**6), (-500_000, 10**6), (-(10**6), 0)])
def test_zero_is_a_state_of_its_own_and_neighbours_are_fine(low: int, high: int) -> None:
    (column,) = Schema(name="t", citation="c", columns=(number(minimum=low, maximum=high),)).learnt
    states, of = public_states(column), encoding(column)
    codes = of.to_codes(np.array([0.0, max(low, -1), min(high, 1), max(low, -(10**5)), min(high, 10**5)]))
    at = states.assign(codes)
    assert states.width[at[0]] == 1
    assert states.width[at[1]] <= 2
    assert states.width[at[2]] <= 2
    assert 10 < states.width[at[3:]].max() < 10**5


def flat(n: int, missing: bool = False) -> States:
    low = np.append(np.arange(n), -1) if missing else np.arange(n)
    return States(low, low, np.full(len(low), 1 / len(low)))


def test_noise_is_levelled_and_heaps_stand() -> None:
    rng, n = np.random.default_rng(0), 20_000
    truth = np.full(200, n * 0.7 / 200)
    truth[[0, 50]] += n * 0.15
    noisy = truth + rng.normal(0, 30, 200)
    shares = denoised(flat(200), noisy, 30.0, ordered=True, total=n)
    assert shares.sum() == pytest.approx(1)
    assert (shares >= 0).all()
    assert shares[[0, 50]] == pytest.approx(truth[[0, 50]] / n, abs=0.01)
    assert np.abs(shares - truth / n).sum() < 0.5 * np.abs(noisy - truth).sum() / n


def test_categories_are_not_levelled() -> None:
    counts = np.array([500.0, 480.0, 20.0, -15.0])
    shares = denoised(flat(4), counts, 20.0, ordered=False, total=1_000)
    assert shares[3] == 0
    assert shares[0] - shares[1] == pytest.approx(0.02, abs=1e-6)


@given(
    st.lists(st.floats(0, 1), min_size=1, max_size=80).filter(lambda x: sum(x) > 0.01),
    st.booleans(),
    st.booleans(),
    st.floats(0, 0.3),
)
def test_bins_are_nested_bounded_and_missing_is_apart(mass, ordered, missing, least) -> None:
    states = flat(len(mass), missing)
    shares = np.append(mass, 0.1) if missing else np.array(mass)
    found = binned(states, shares / shares.sum(), least, ordered=ordered)
    for level, most in enumerate(LEVELS):
        bins = found.bins[level]
        assert np.array_equal(np.unique(bins), np.arange(bins.max() + 1))
        assert bins.max() + 1 <= max(most, 2) if ordered else most
        if missing:
            assert (bins == bins[-1]).sum() == 1
        if level:
            for fine in np.unique(found.bins[level - 1]):
                assert len(np.unique(bins[found.bins[level - 1] == fine])) == 1
        if ordered:
            assert (np.diff(bins[: len(mass)]) >= 0).all()
    groups = found.groups(1)
    assert np.array_equal(groups[found.bins[0]], found.bins[1])
    assert found.chances.sum(axis=1) == pytest.approx(1)


def test_bins_stand_out_from_noise() -> None:
    shares = np.full(100, 0.01)
    assert binned(flat(100), shares, least_share(50.0, 1_000), ordered=True).size <= 5
    assert binned(flat(100), shares, least_share(1.0, 100_000), ordered=True).size > 20


RULED = Schema(
    name="ruled",
    citation="made for this test",
    columns=(
        {"name": "dead", "kind": "boolean"},
        {"name": "day", "kind": "integer", "minimum": 0, "maximum": 9, "missing": True},
        {"name": "low", "kind": "integer", "minimum": 0, "maximum": 9},
        {"name": "high", "kind": "integer", "minimum": 5, "maximum": 14, "missing": True},
        {"name": "also", "kind": "category", "values": ("a", "b"), "missing": True},
    ),
    constraints=(
        {"kind": "implication", "if": "not dead", "then": "missing(day)"},
        {"kind": "implication", "if": "day > 6", "then": "low < 2"},
        {"kind": "inequality", "low": "low", "high": "high"},
        {"kind": "present_together", "columns": ("day", "also")},
        {
            "kind": "fixed_combination",
            "columns": ("dead", "also"),
            "values": (("true", "a"), ("false", None)),
        },
    ),
)


def test_rules_rule_out_what_no_value_in_the_bins_can_keep() -> None:
    """Bins of several values each, against trying every value of every bin."""
    from itertools import product

    from ehrsynth.encoding import codes_to_values
    from ehrsynth.tables.constraints import satisfied

    columns = []
    for column in RULED.learnt:
        states = public_states(column)
        step = np.arange(len(states)) if column.size <= 2 else np.arange(len(states)) // 3
        if states.is_missing.any() and column.size > 2:
            step[-1] = step[:-1].max() + 1
        columns.append(Binned(states, (step,)))
    names = {column.name: place for place, column in enumerate(RULED.learnt)}
    found = zeros(RULED, columns, names)
    assert len(found) == 5
    for rule, (clique, table) in zip(RULED.constraints, found, strict=True):
        schema = RULED.subset(tuple(RULED.learnt[v].name for v in clique)).changed(constraints=(rule,))
        for bins in product(*(range(columns[v].size) for v in clique)):
            inside = [
                columns[v].states.low[columns[v].bins[0] == b] for v, b in zip(clique, bins, strict=True)
            ]
            codes = np.array(list(product(*inside)))
            possible = satisfied(codes_to_values(codes, schema), schema).any()
            assert np.isfinite(table[bins]) == possible, (rule.kind, bins)
