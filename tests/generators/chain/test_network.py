"""The network is one joint distribution seen from every side: whatever is known, it says the same."""

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_limits

from ehrsynth.conditions import CodeSet
from ehrsynth.errors import ModelError, RequestError
from ehrsynth.generators.chain.any_order import NetworkLink, StateFeature
from ehrsynth.generators.chain.network import AnyOrder, Coded, new_network
from ehrsynth.generators.chain.states import UNKNOWN, States
from ehrsynth.generators.chain.teaching import Teaching, hidden, losses, teach
from ehrsynth.progress import silent
from ehrsynth.randomness import torch_generator

N = 1_500


def column(codes: np.ndarray, cells: int | None, *, ordered: bool) -> Coded:
    states = States.learn(codes, int(codes.max()) + 1, listed=not ordered)
    cell = np.arange(len(states)) if cells is None else np.arange(len(states)) * cells // len(states)
    return Coded(states, cell, ordered)


def codes(n: int = N) -> np.ndarray:
    rng = np.random.default_rng(0)
    a = rng.integers(0, 3, n)
    b = np.where(rng.random(n) < 0.9, a % 2, 1 - a % 2)
    c = np.clip(rng.normal(20 + 10 * a, 3, n).round(), 0, 59).astype(np.int64)
    c[rng.random(n) < 0.2 * b] = -1
    return np.column_stack([a, b, c]).astype(np.int64)


@pytest.fixture(scope="module")
def columns() -> tuple[Coded, ...]:
    table = codes()
    return (
        column(table[:, 0], None, ordered=False),
        column(table[:, 1], None, ordered=False),
        column(table[:, 2], 5, ordered=True),
    )


def states_of(table: np.ndarray, columns: tuple[Coded, ...]) -> torch.Tensor:
    return torch.from_numpy(np.column_stack([c.states.assign(table[:, p]) for p, c in enumerate(columns)]))


@pytest.fixture(scope="module")
def model(columns: tuple[Coded, ...]) -> AnyOrder:
    found = AnyOrder(columns, new_network(columns, width=48, depth=1, seed=1))
    with threadpool_limits(1):
        teach(
            found,
            states_of(codes(), columns),
            (0, 1, 2),
            teaching=Teaching(epochs=60, batch=128, rate=5e-3),
            generator=torch_generator(1, "test"),
            progress=silent,
        )
    return found


def test_an_untrained_network_knows_each_column_by_itself(columns: tuple[Coded, ...]) -> None:
    fresh = AnyOrder(columns, new_network(columns, width=16, depth=2, seed=3))
    for place, own in enumerate(columns):
        for known in (np.full((4, 3), UNKNOWN), np.zeros((4, 3), np.int64)):
            found = fresh.probabilities(known, place)
            assert found.sum(axis=1) == pytest.approx(1)
            assert np.allclose(found, own.states.share, atol=1e-6)


def test_conditionals_are_those_of_the_table(model: AnyOrder) -> None:
    table, states = codes(40_000), states_of(codes(40_000), model.columns).numpy()
    for a in range(3):
        given = np.array([[a, UNKNOWN, UNKNOWN]])
        rows = states[:, 0] == a
        assert model.probabilities(given, 1)[0, 1] == pytest.approx(table[rows, 1].mean(), abs=0.06)
        seen = np.bincount(states[rows, 2], minlength=len(model.columns[2].states)) / rows.sum()
        assert np.abs(model.probabilities(given, 2)[0] - seen).sum() / 2 < 0.2
    # Backwards: what a number says of the category that it came from, and nothing known at all.
    late = int(model.columns[2].states.assign(np.array([40]))[0])
    assert model.probabilities(np.array([[UNKNOWN, UNKNOWN, late]]), 0)[0].argmax() == 2
    assert np.allclose(
        model.probabilities(np.full((1, 3), UNKNOWN), 0)[0], model.columns[0].states.share, atol=0.04
    )


def test_a_column_does_not_see_itself(model: AnyOrder) -> None:
    given = np.array([[0, 1, 2], [2, 1, 2]])
    one, other = model.probabilities(given, 0)
    assert np.array_equal(one, other)


def test_bayes_holds_between_the_orders(model: AnyOrder) -> None:
    """p(a) p(b | a) and p(b) p(a | b) are learnt apart and must agree."""
    nothing = np.full((1, 3), UNKNOWN)
    a, b = model.probabilities(nothing, 0)[0], model.probabilities(nothing, 1)[0]
    forward = np.array([a[i] * model.probabilities(np.array([[i, -1, -1]]), 1)[0] for i in range(3)])
    backward = np.array([b[j] * model.probabilities(np.array([[-1, j, -1]]), 0)[0] for j in range(2)]).T
    assert np.abs(forward - backward).sum() / 2 < 0.1


SETS = {
    "range": CodeSet(((18, 33),), missing=False),
    "pieces": CodeSet(((3, 17), (25, 25), (40, 59)), missing=True),
    "missing": CodeSet((), missing=True),
}


@pytest.mark.parametrize("allowed", SETS.values(), ids=SETS.keys())
def test_draws_masses_and_densities_agree(model: AnyOrder, allowed: CodeSet) -> None:
    link = NetworkLink(model, 2, (1, 0, 2))
    features = np.tile(np.array([[1.0, 2.0]], np.float32), (20_000, 1))
    rng = np.random.default_rng(0)
    drawn, mass = link.draw(features, allowed, rng)
    assert allowed.contains(drawn).all()
    every = np.arange(-1, 60)
    density = np.exp(link.log_density(features[: len(every)], every))
    assert density.sum() == pytest.approx(1, abs=1e-6)
    assert mass[0] == pytest.approx(density[allowed.contains(every)].sum(), abs=1e-6)
    between = link.mass(features[:2], np.array([18, 9]), np.array([33, 8]))
    assert between == pytest.approx([density[19:35].sum(), 0.0], abs=1e-6)
    share = np.array([(drawn == code).mean() for code in every])
    expected = np.where(allowed.contains(every), density, 0) / mass[0]
    assert np.abs(share - expected).max() < 0.02


def test_a_value_that_nobody_has_is_not_known(columns: tuple[Coded, ...]) -> None:
    listed, number = (
        StateFeature(columns[0].states, listed=True),
        StateFeature(columns[2].states, listed=False),
    )
    assert listed.of(np.array([0, 2, 7])).tolist() == [0, 2, UNKNOWN]
    assert number.of(np.array([500])).tolist() == [float(columns[2].states.assign(np.array([59]))[0])]


def test_as_many_columns_are_hidden_as_chance_says() -> None:
    known = hidden(6_000, (2, 0, 1, 3), torch_generator(1)).numpy()
    assert not known.all(axis=1).any()
    assert np.bincount(known.sum(axis=1), minlength=4) / 6_000 == pytest.approx(0.25, abs=0.03)
    by_order = known[:3_000]
    assert (by_order[:, 2] | ~by_order.any(axis=1)).all()  # the first column of the order is known first
    assert (known[3_000:].mean(axis=0) == pytest.approx(0.375, abs=0.03)) is True


def test_a_loss_belongs_to_one_patient(model: AnyOrder) -> None:
    states = states_of(codes(6), model.columns)
    known = hidden(6, (0, 1, 2), torch_generator(2))
    together = losses(model, states, known)
    alone = torch.cat([losses(model, states[k : k + 1], known[k : k + 1]) for k in range(6)])
    assert torch.allclose(together, alone, atol=1e-5)
    assert (together > 0).all()


def test_weights_that_give_no_probabilities_are_an_error(columns: tuple[Coded, ...]) -> None:
    spoilt = AnyOrder(columns, new_network(columns, width=8, depth=0, seed=3))
    with torch.no_grad():
        spoilt.network.coarse.bias.fill_(float("nan"))
    with pytest.raises(ModelError, match="damaged"):
        spoilt.probabilities(np.zeros((1, 3), np.int64), 0)


def test_training_that_diverges_is_an_error(columns: tuple[Coded, ...]) -> None:
    found = AnyOrder(columns, new_network(columns, width=8, depth=0, seed=3))
    with torch.no_grad():
        found.network.first.weight.fill_(float("inf"))
    teaching = Teaching(epochs=1, batch=64, rate=1e-3)
    with pytest.raises(RequestError, match="diverged"):
        teach(
            found,
            states_of(codes(200), columns),
            (0, 1, 2),
            teaching=teaching,
            generator=torch_generator(1),
            progress=silent,
        )


def test_hidden_columns_of_one_value_have_a_gradient_of_zero(columns: tuple[Coded, ...]) -> None:
    """Under noise a column of few patients may be left with one value: private training must not stumble."""
    single = column(np.zeros(N, np.int64), None, ordered=False)
    mixed = (single, *columns[1:])
    small = AnyOrder(mixed, new_network(mixed, width=8, depth=0, seed=3))
    known = torch.tensor([[False, True, True]] * 4)
    lost = losses(small, torch.zeros((4, 3), dtype=torch.int64), known)
    lost.sum().backward()
    assert lost.tolist() == [0.0] * 4
    assert all(p.grad is None or not p.grad.any() for p in small.network.parameters())
