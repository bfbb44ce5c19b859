"""Score cards and classifiers: known odds, small groups, and what is learnt without data."""

from typing import Any

import numpy as np
import pytest
from scipy.special import ndtri

from ehrsynth.errors import ModelError
from ehrsynth.generators.chain import classifier
from ehrsynth.generators.chain.classifier import Boosting, Classifier, checked_shares, learn_classifier
from ehrsynth.generators.chain.features import Feature
from ehrsynth.generators.chain.linear import (
    learn_score_card,
    pack_score_card,
    unpack_score_card,
)

LISTED = Feature(np.empty(0, np.int64), listed=True)
NUMBER = Feature(np.arange(1, 20), listed=False)
SEEN = (LISTED, NUMBER)


def _curve(number: np.ndarray) -> np.ndarray:
    return ndtri((number - 0.5) / 20) ** 2 - 1


def rows(n: int = 4_000) -> tuple[np.ndarray, np.ndarray]:
    """A class of three whose odds depend on a category and, curved, on a number's normal score."""
    rng = np.random.default_rng(5)
    category, number = rng.integers(1, 4, n), rng.integers(1, 21, n)
    scores = np.column_stack([np.zeros(n), (category == 2) * 2.0 - 1, _curve(number)])
    odds = np.exp(scores)
    steps = (odds / odds.sum(axis=1, keepdims=True)).cumsum(axis=1)
    label = (rng.random(n)[:, None] > steps).sum(axis=1)
    return np.column_stack([category, number]).astype(np.float32), label


def softmax(scores: np.ndarray) -> np.ndarray:
    return np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)


def test_a_score_card_finds_the_odds() -> None:
    features, label = rows()
    card = learn_score_card(features, label, np.eye(3), SEEN, ridge=1.0)
    found = softmax(card.scores(np.array([[1, 10], [2, 10], [1, 1], [1, 20]], np.float32)))
    middle, end = _curve(np.array([10, 1]))
    scores = np.array([[0, -1, middle], [0, 1, middle], [0, -1, end], [0, -1, end]])
    assert found == pytest.approx(softmax(scores), abs=0.06)


def test_a_stronger_ridge_pulls_towards_the_shares() -> None:
    features, label = rows(600)
    shares = np.bincount(label) / len(label)
    gaps = []
    for ridge in (0.1, 10.0, 1e6):
        card = learn_score_card(features, label, np.eye(3), SEEN, ridge=ridge)
        gaps.append(np.abs(softmax(card.scores(features)) - shares).mean())
    assert gaps[0] > gaps[1] > gaps[2]
    assert gaps[2] < 0.01


def test_unseen_and_rare_values_have_no_points_of_their_own() -> None:
    features, label = rows(600)
    features[0, 0] = 9
    card = learn_score_card(features, label, np.eye(3), SEEN, ridge=1.0)
    assert 9 not in card.level
    assert np.array_equal(
        card.scores(np.array([[9, 3]], np.float32)), card.scores(np.array([[40, 3]], np.float32))
    )


def test_a_card_survives_packing_and_damage_is_found() -> None:
    features, label = rows(300)
    card = learn_score_card(features, label, np.eye(3), SEEN, ridge=1.0)
    packed = {name: array.ravel() for name, array in pack_score_card(card).items()}
    assert np.array_equal(unpack_score_card(packed, 2, 3).scores(features), card.scores(features))
    for field, value in {"ends": [1, 2], "cells": [0, -4], "level": [2**40], "weights": [np.nan]}.items():
        spoilt = packed[field].copy()
        spoilt[: len(value)] = value
        with pytest.raises(ModelError):
            unpack_score_card(packed | {field: spoilt}, 2, 3)


def learnt(features: np.ndarray, label: np.ndarray, classes: int) -> Classifier:
    rng = np.random.default_rng(1)
    return learn_classifier(features, label, np.eye(classes), SEEN, boosting=Boosting(), rng=rng)


def test_probabilities_are_a_distribution_and_near_the_truth() -> None:
    features, label = rows()
    classifier = learnt(features, label, 3)
    found = classifier.probabilities(features)
    assert found.sum(axis=1) == pytest.approx(np.ones(len(features)))
    for category in (1, 2, 3):
        inside = features[:, 0] == category
        shares = np.bincount(label[inside], minlength=3) / inside.sum()
        assert found[inside].mean(axis=0) == pytest.approx(shares, abs=0.03)


def test_trees_learn_what_a_score_card_cannot() -> None:
    rng = np.random.default_rng(2)
    features = np.column_stack([rng.integers(1, 3, 3_000), rng.integers(1, 21, 3_000)]).astype(np.float32)
    label = ((features[:, 0] == 1) ^ (features[:, 1] > 10)).astype(np.int64)
    classifier = learnt(features, label, 2)
    assert classifier.trees is not None
    assert classifier.probabilities(np.array([[1, 5], [1, 15]], np.float32))[:, 1] == pytest.approx(
        [1, 0], abs=0.1
    )


def test_of_many_everybody_teaches_what_two_columns_do_together(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(6)
    features = np.column_stack([rng.integers(1, 4, 6_000), rng.integers(1, 21, 6_000)]).astype(np.float32)
    both = (features[:, 0] == 2) & (features[:, 1] <= 6)  # one in ten
    label = (rng.random(6_000) < np.where(both, 0.8, 0.2)).astype(np.int64)

    def missed() -> float:
        found = learn_classifier(
            features, label, np.eye(2), SEEN, boosting=Boosting(), rng=np.random.default_rng(1)
        )
        return abs(float(found.probabilities(features[both])[:, 1].mean() - label[both].mean()))

    assert missed() < 0.02
    taught: list[int] = []
    made = classifier._dataset

    def noting(part: Any, seen: Any, **more: Any) -> Any:
        taught.append(len(part[0]))
        return made(part, seen, **more)

    monkeypatch.setattr(classifier, "_dataset", noting)
    missed()
    assert taught == [5_000, 1_000, 6_000]
    taught.clear()
    features, label, both = features[:2_400], label[:2_400], both[:2_400]
    missed()
    assert taught == [2_000, 400]  # of few, those who say when to stop teach nothing


def test_where_there_is_nothing_to_learn_shares_count() -> None:
    features, label = rows(30)
    classifier = learnt(features, label, 3)
    assert classifier.card is None
    assert classifier.probabilities(features[:2]) == pytest.approx(np.tile(np.bincount(label) / 30, (2, 1)))


@pytest.mark.parametrize("shares", [[0.5, 0.6], [1.5, -0.5], [np.nan, 1.0], []])
def test_shares_that_are_none(shares: list[float]) -> None:
    with pytest.raises(ModelError):
        checked_shares(np.array(shares))


@pytest.mark.parametrize(("follows", "strength"), [(True, 1.0), (False, 20.0)])
def test_patients_held_out_choose_the_ridge(follows: bool, strength: float) -> None:
    rng = np.random.default_rng(5)
    features = np.column_stack([rng.integers(1, 40, 900), rng.integers(1, 21, 900)]).astype(np.float32)
    label = (features[:, 0] % 2).astype(np.int64) if follows else rng.integers(0, 2, 900)
    classifier = learnt(features, label, 2)
    assert classifier.card is not None
    kept = np.random.default_rng(1).permutation(900)[150:]
    same = learn_score_card(features[kept], label[kept], np.eye(2), SEEN, ridge=strength)
    assert np.array_equal(classifier.card.scores(features), same.scores(features))
