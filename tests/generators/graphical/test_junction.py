"""Junction trees against brute force: every sum is that of the whole joint table."""

from itertools import combinations
from math import prod

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ehrsynth.generators.graphical.drawing import deal, draw
from ehrsynth.generators.graphical.estimation import Measurement, estimate, total_of
from ehrsynth.generators.graphical.junction import Junction, junction_tree, spread, summed

EVERY = tuple(range(6))
SIZES = (2, 3, 4, 3, 2, 3)
LOOP = [(0, 1), (1, 2), (2, 3), (0, 3), (4, 5)]


def joint(junction: Junction, potentials: list[np.ndarray]) -> np.ndarray:
    full = np.zeros(junction.sizes)
    for table, clique in zip(potentials, junction.cliques, strict=True):
        full = full + spread(table, clique, tuple(range(len(junction.sizes))))
    return np.exp(full)


@st.composite
def graphs(draw_):
    many = draw_(st.integers(1, 6))
    sizes = [draw_(st.integers(1, 4)) for _ in range(many)]
    groups = draw_(st.lists(st.sets(st.integers(0, many - 1), min_size=1, max_size=3), max_size=6))
    return tuple(sizes), groups, draw_(st.integers(0, 1_000))


@settings(max_examples=40)
@given(graphs())
def test_all_marginals_and_the_total_are_exact(graph) -> None:
    sizes, groups, seed = graph
    junction, rng = junction_tree(sizes, groups), np.random.default_rng(seed)
    potentials = [rng.normal(size=junction.shape(clique)) for clique in junction.cliques]
    potentials[0].flat[0] = -np.inf if potentials[0].size > 1 else 0.0
    full = joint(junction, potentials)
    found = junction.calibrated(potentials)
    assert np.exp(found.log_total) == pytest.approx(full.sum())
    full /= full.sum()
    every = tuple(range(len(sizes)))
    for many in (1, 2, 3):
        for variables in combinations(every, min(many, len(every))):
            assert np.allclose(found.marginal(variables), summed(full, every, variables))
    for group in groups:
        assert junction.holder(group) >= 0
    # The separators carry all that cliques have in common.
    for place in range(1, len(junction.cliques)):
        before = {v for clique in junction.cliques[:place] for v in clique}
        assert set(junction.cliques[place]) & before <= set(junction.separator[place])


def test_what_is_impossible_everywhere_has_no_total() -> None:
    junction = junction_tree((2, 2), [(0, 1)])
    found = junction.calibrated([np.full((2, 2), -np.inf)])
    assert found.log_total == -np.inf


def truth() -> np.ndarray:
    junction = junction_tree(SIZES, LOOP)
    rng = np.random.default_rng(3)
    full = joint(junction, [rng.normal(size=junction.shape(clique)) for clique in junction.cliques])
    return full / full.sum()


def measured(variables, counts, deviation=1.0, groups=None) -> Measurement:
    groups = groups or tuple(np.arange(size) for size in counts.shape)
    return Measurement(variables, groups, counts, deviation)


def test_exact_counts_are_fitted_exactly() -> None:
    full = truth()
    counts = [measured(v, 10_000 * summed(full, EVERY, v)) for v in LOOP]
    found = estimate(SIZES, counts, steps=3_000)
    assert found.total == pytest.approx(10_000)
    for one in counts:
        assert np.abs(found.calibrated.marginal(one.variables) * found.total - one.counts).max() < 12


def test_the_fit_has_the_largest_entropy() -> None:
    """Nothing says that columns 0 and 5 hang together, so they are independent."""
    full = truth()
    found = estimate(SIZES, [measured(v, 10_000 * summed(full, EVERY, v)) for v in LOOP], steps=2_000)
    pair = found.calibrated.marginal((0, 5))
    assert np.allclose(pair, np.outer(pair.sum(axis=1), pair.sum(axis=0)), atol=1e-9)


def test_noise_is_averaged_out_where_counts_overlap() -> None:
    full, rng = truth(), np.random.default_rng(0)
    pairs = [(0, 1), (1, 2), (1, 3), (1, 4)]
    errors = {"raw": 0.0, "fitted": 0.0}
    for _ in range(5):
        noisy = []
        for pair in pairs:
            exact = 1_000 * summed(full, EVERY, pair)
            noisy.append(measured(pair, exact + rng.normal(0, 20, exact.shape), 20.0))
        found = estimate(SIZES, noisy, steps=500)
        exact = summed(full, EVERY, (1,))
        errors["fitted"] += np.abs(found.calibrated.marginal((1,)) - exact).sum()
        errors["raw"] += np.abs(noisy[1].counts.sum(axis=1) / 1_000 - exact).sum()
    assert errors["fitted"] < 0.7 * errors["raw"]


def test_coarse_counts_leave_the_fine_ones_alone() -> None:
    group = (np.array([0, 0, 1, 1]), np.array([0, 1, 1]))
    coarse = Measurement((2, 3), group, np.array([[400.0, 100.0], [100.0, 400.0]]), 1.0)
    fine = measured((2,), np.array([100.0, 400.0, 250.0, 250.0]))
    found = estimate(SIZES, [coarse, fine], steps=2_000).calibrated.marginal((2, 3)) * 1_000
    assert found.sum(axis=1) == pytest.approx([100, 400, 250, 250], abs=3)
    assert coarse.gathered(found) == pytest.approx(coarse.counts, abs=3)
    assert found[0, 1:].sum() / found[0].sum() == pytest.approx(0.2, abs=0.02)


def test_what_is_ruled_out_stays_ruled_out() -> None:
    zero = np.zeros((2, 3))
    zero[1, 2] = -np.inf
    noisy = measured((0, 1), np.array([[10.0, 20.0, 30.0], [20.0, 10.0, 30.0]]), 2.0)
    found = estimate(SIZES, [noisy], [((0, 1), zero)], steps=300)
    assert found.calibrated.marginal((0, 1))[1, 2] == 0
    rows = draw(found.calibrated, 2_000, np.random.default_rng(0))
    assert not ((rows[:, 0] == 1) & (rows[:, 1] == 2)).any()


def test_an_earlier_fit_is_a_good_beginning() -> None:
    full = truth()
    pairs = [measured(v, 10_000 * summed(full, EVERY, v)) for v in LOOP]
    first = estimate(SIZES, pairs[:4], steps=2_000)
    second = estimate(SIZES, pairs, steps=5, start=first)
    for one in pairs[:4]:
        assert np.abs(second.calibrated.marginal(one.variables) * 10_000 - one.counts).max() < 40


def test_the_total_weighs_sums_by_their_noise() -> None:
    sharp, blunt = measured((0,), np.array([50.0, 52.0]), 1.0), measured((1,), np.full(3, 100.0), 100.0)
    assert total_of([sharp, blunt]) == pytest.approx(102, abs=0.1)
    assert total_of([measured((0,), np.array([-3.0, 1.0]))]) == 1.0


@settings(max_examples=20)
@given(graphs(), st.integers(1, 400))
def test_drawn_rows_are_as_even_as_can_be(graph, n) -> None:
    sizes, groups, seed = graph
    junction, rng = junction_tree(sizes, groups), np.random.default_rng(seed)
    found = junction.calibrated([rng.normal(size=junction.shape(c)) for c in junction.cliques])
    rows = draw(found, n, rng)
    assert rows.shape == (n, len(sizes))
    first = junction.cliques[0]
    at = np.ravel_multi_index(tuple(rows[:, v] for v in first), junction.shape(first))
    held = np.bincount(at, minlength=prod(junction.shape(first)))
    assert np.abs(held - n * found.marginals[0].ravel()).max() < 1 + 1e-6


def test_dealing_gives_each_row_its_chances() -> None:
    chances, rng = np.array([[1.0, 3.0], [2.0, 2.0]]), np.random.default_rng(0)
    group = np.array([0] * 4 + [1] * 3)
    drawn = np.array([deal(chances, group, rng) for _ in range(4_000)])
    assert (drawn[:, :4].sum(axis=1) == 3).all()
    assert drawn.mean(axis=0) == pytest.approx([0.75] * 4 + [0.5] * 3, abs=0.03)
