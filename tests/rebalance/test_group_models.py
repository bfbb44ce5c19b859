"""Group-specific models: they find a difference that is there, and leave one alone that is not."""

import numpy as np
import pytest

from ehrsynth.rebalance.group_models import least_free
from ehrsynth.rebalance.treating import predictor_of, treat
from ehrsynth.statistics import auroc
from minority import NUMBERS, numbers, plan_of_numbers


def in_minority(text: str, *, flips: int, learner: str = "logistic_regression", seed: int = 1) -> float:
    """The AUROC in group b of a model that learnt from 800 and 100."""
    train, test = numbers(800, 100, flips=flips, seed=seed), numbers(1, 2_000, flips=flips, seed=seed + 100)
    plan = plan_of_numbers(train, learner=learner)
    risks = predictor_of(text, train, plan, NUMBERS, seed=seed).risks(test)
    mine = (test["group"] == "b").to_numpy()
    return auroc(test["event"].to_numpy(bool)[mine], risks[mine])


@pytest.mark.parametrize("text", ["group_only", "interaction"])
def test_where_coefficients_are_turned_round_it_finds_them(text: str) -> None:
    assert in_minority("none", flips=2) < 0.5
    assert in_minority(text, flips=2) > 0.75


def test_trees_find_them_too() -> None:
    assert in_minority("interaction", flips=2, learner="boosted_trees") > in_minority("none", flips=2) + 0.1


@pytest.mark.parametrize("seed", range(4))
def test_without_a_difference_the_group_does_not_deviate(seed: int) -> None:
    train = numbers(800, 60, seed=seed)
    found = treat("interaction", train, plan_of_numbers(train), NUMBERS, seed=seed)
    assert set(found.notes["freedom"].values()) == {0.0}
    assert in_minority("interaction", flips=0, seed=seed) >= in_minority("none", flips=0, seed=seed) - 1e-9


def test_no_freedom_is_the_plain_model() -> None:
    train = numbers(300, 60, seed=5)
    plan = plan_of_numbers(train)
    held, plain = (
        predictor_of(text, train, plan, NUMBERS, seed=1) for text in ("interaction strengths=[0]", "none")
    )
    assert held.risks(train) == pytest.approx(plain.risks(train), abs=1e-9)


def test_much_freedom_is_nearly_the_groups_own_model() -> None:
    train = numbers(400, 200, flips=2, seed=6)
    plan = plan_of_numbers(train)
    free, own = (
        predictor_of(t, train, plan, NUMBERS, seed=1) for t in ("interaction strengths=[50]", "group_only")
    )
    mine = (train["group"] == "b").to_numpy()
    assert np.corrcoef(free.risks(train)[mine], own.risks(train)[mine])[0, 1] > 0.99


def test_the_least_free_choice_within_one_standard_error_is_taken() -> None:
    rng = np.random.default_rng(0)
    group = np.repeat([0, 1, -1], [500, 50, 20])
    base = rng.normal(1.0, 0.3, len(group))
    luck = base + np.where(group == 1, rng.normal(-0.01, 0.5, len(group)), 0.0)
    better = base - np.where(group == 1, 0.3, 0.0) + rng.normal(0, 0.05, len(group))
    assert least_free(np.stack([base, luck]), group) == 0
    assert least_free(np.stack([base, better]), group) == 1
    assert least_free(np.stack([base, np.where(group < 0, base - 9, base)]), group) == 0
