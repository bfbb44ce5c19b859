"""A link is one distribution: its densities, masses and draws agree."""

import numpy as np
import pytest

from ehrsynth.conditions import CodeSet
from ehrsynth.errors import ModelError
from ehrsynth.generators.chain.classifier import Boosting
from ehrsynth.generators.chain.features import Feature
from ehrsynth.generators.chain.growing import Bagging
from ehrsynth.generators.chain.link import Learner, Link, Target, checked_cells, learn_link

SEEN = (Feature(np.empty(0, np.int64), listed=True), Feature(np.arange(1, 20), listed=False))
SIZE = 400
BOOSTED = Learner("boosted", Bagging(3, 10), Boosting(rounds=40))
BAGGED = Learner("bagged", Bagging(1, 5), Boosting())
SETS = {
    "point": CodeSet(((0, 0),), missing=False),
    "range": CodeSet(((35, 160),), missing=False),
    "pieces": CodeSet(((3, 7), (41, 41), (90, 300)), missing=True),
    "missing": CodeSet((), missing=True),
    "present": CodeSet(((0, SIZE - 1),), missing=False),
}


def earlier(n: int, rng: np.random.Generator) -> np.ndarray:
    return np.column_stack([rng.integers(0, 4, n), rng.integers(0, 21, n)]).astype(np.float32)


def learnt(kind: str, learner: Learner) -> Link:
    rng = np.random.default_rng(4)
    features = earlier(1_500, rng)
    if kind == "number":
        spread = rng.gamma(2, 5 + 2 * features[:, 1]).astype(np.int64).clip(0, SIZE - 1)
        codes = np.where(features[:, 0] == 1, 0, np.where(rng.random(1_500) < 0.1, -1, spread))
        target = Target(codes, SIZE, listed=False)
    else:
        codes = (features[:, 0] * 2 + (rng.random(1_500) < 0.4)).astype(np.int64)
        target = Target(np.where(features[:, 1] == 0, -1, codes), 9, listed=True)
    return learn_link(features, target, SEEN, learner=learner, rng=rng)


@pytest.fixture(
    scope="module",
    params=[("number", BOOSTED), ("number", BAGGED), ("listed", BOOSTED), ("listed", BAGGED)],
    ids=lambda p: f"{p[0]} {p[1].kind}",
)
def link(request: pytest.FixtureRequest) -> Link:
    return learnt(*request.param)


def grid_of(link: Link) -> np.ndarray:
    return np.arange(-1, int(link.states.high.max()) + 30)


def densities(link: Link, row: np.ndarray) -> np.ndarray:
    grid = grid_of(link)
    return np.exp(link.log_density(np.repeat(row[None], len(grid), axis=0), grid))


ROWS = np.array([[0, 3], [1, 20], [3, 0], [2, 11]], np.float32)


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_densities_add_up_to_1_and_agree_with_draws(link: Link, row: np.ndarray) -> None:
    density = densities(link, row)
    assert density.sum() == pytest.approx(1)
    codes, mass = link.draw(np.repeat(row[None], 20_000, axis=0), None, np.random.default_rng(0))
    assert mass == pytest.approx(np.ones(20_000))
    share = np.bincount(codes + 1, minlength=len(density)) / 20_000
    error = np.sqrt(density * (1 - density) / 20_000)
    assert (np.abs(share - density) <= 5 * error + 1e-4).all()


@pytest.mark.parametrize("allowed", SETS.values(), ids=SETS.keys())
def test_the_mass_of_a_set_is_the_sum_of_its_densities(link: Link, allowed: CodeSet) -> None:
    codes, mass = link.draw(ROWS, allowed, np.random.default_rng(0))
    inside = allowed.contains(grid_of(link))
    assert mass == pytest.approx([densities(link, row)[inside].sum() for row in ROWS])
    assert allowed.contains(codes[mass > 0]).all()


def test_draws_within_a_set_have_the_conditional_distribution(link: Link) -> None:
    allowed, row = SETS["pieces"], ROWS[3]
    density = densities(link, row) * allowed.contains(grid_of(link))
    density /= density.sum()
    codes, _ = link.draw(np.repeat(row[None], 20_000, axis=0), allowed, np.random.default_rng(0))
    share = np.bincount(codes + 1, minlength=len(density)) / 20_000
    assert (np.abs(share - density) <= 5 * np.sqrt(density * (1 - density) / 20_000) + 1e-4).all()


def test_what_cannot_be_drawn_has_no_density(link: Link) -> None:
    assert link.log_density(ROWS[:1], np.array([10**6])) == -np.inf
    assert link.draw(ROWS, CodeSet(((10**6, 10**6),), missing=False), np.random.default_rng(0))[1].max() == 0


def test_a_first_column_is_its_marginal() -> None:
    codes = np.repeat([0, 1, 2], [60, 30, 10])
    nothing = np.empty((100, 0), np.float32)
    link = learn_link(
        nothing, Target(codes, 3, listed=True), (), learner=BOOSTED, rng=np.random.default_rng(0)
    )
    density = np.exp(link.log_density(nothing[:3], np.arange(3)))
    assert density == pytest.approx([0.6, 0.3, 0.1])


def test_dependence_is_learnt() -> None:
    link = learnt("number", BOOSTED)
    density = densities(link, np.array([1.0, 10.0], np.float32))
    assert density[1] > 0.95  # code 0 follows from the category
    assert densities(link, np.array([2.0, 10.0], np.float32))[1] < 0.1


def test_cells_that_do_not_fit() -> None:
    assert checked_cells(np.array([0, 1, 1]), 3, 2).tolist() == [0, 1, 1]
    for states, classes in [(4, 2), (3, 3), (3, 1)]:
        with pytest.raises(ModelError):
            checked_cells(np.array([0, 1, 1]), states, classes)
