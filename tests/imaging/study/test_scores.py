"""Scores have their known answers, and moving a threshold wins nothing."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score, f1_score, precision_score, recall_score, roc_auc_score

from ehrsynth.imaging.study.scores import (
    brier,
    calibration_error,
    confusion,
    matched_recall,
    recall_at,
    score_all,
    specificity,
)


def predictions(n=60, classes=3, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(classes), rng.integers(0, classes, n - classes)])
    raw = rng.random((n, classes)) + 0.6 * np.eye(classes)[labels]
    return labels, raw / raw.sum(axis=1, keepdims=True)


@given(classes=st.integers(2, 5), seed=st.integers(0, 99))
def test_scores_are_those_of_scikit_learn(classes, seed):
    labels, told = predictions(80, classes, seed)
    found, called = score_all(labels, told, (0,)), told.argmax(axis=1)
    every = {"average": "macro", "zero_division": 0, "labels": range(classes)}
    assert found["balanced accuracy"] == pytest.approx(balanced_accuracy_score(labels, called))
    assert found["precision"] == pytest.approx(precision_score(labels, called, **every))
    assert found["F1"] == pytest.approx(f1_score(labels, called, **every))
    assert found["minority recall"] == pytest.approx(recall_score(labels == 0, called == 0))
    areas = [roc_auc_score(labels == k, told[:, k]) for k in range(classes)]
    assert found["AUROC"] == pytest.approx(np.mean(areas))
    assert found["AUROC of class 1"] == pytest.approx(areas[1])
    assert confusion(labels, told).sum() == 80


def test_brier_and_calibration_have_their_known_answers():
    labels = np.array([0, 1, 0, 1])
    sure = np.array([[1.0, 0], [0, 1], [1, 0], [0, 1]])
    assert brier(labels, sure) == 0
    assert calibration_error(labels, sure) == 0
    coin = np.full((4, 2), 0.5)
    assert brier(labels, coin) == 0.5
    assert calibration_error(np.zeros(4, int), np.tile([0.6, 0.4], (4, 1))) == pytest.approx(0.4)


@given(seed=st.integers(0, 200), wanted=st.floats(0, 1))
def test_recall_at_a_specificity_goes_down_with_it_and_ignores_the_scale(seed, wanted):
    labels, told = predictions(seed=seed)
    scores = told[:, 0].round(2)
    found = recall_at(labels, scores, 0, wanted)
    assert 0 <= found <= 1
    assert found >= recall_at(labels, scores, 0, min(1.0, wanted + 0.1)) - 1e-12
    assert found == pytest.approx(recall_at(labels, 5 + 3 * scores, 0, wanted))


def test_recall_at_known_points():
    labels, scores = np.array([1, 1, 0, 0]), np.array([0.9, 0.4, 0.6, 0.1])
    assert recall_at(labels, scores, 1, 1.0) == 0.5
    assert recall_at(labels, scores, 1, 0.5) == 1.0
    assert recall_at(labels, np.zeros(4), 1, 0.7) == pytest.approx(0.3)  # all tied: the diagonal


@given(seed=st.integers(0, 100), shift=st.floats(-3, 3))
def test_moving_a_threshold_wins_nothing(seed, shift):
    labels, told = predictions(seed=seed, classes=2)
    logit = np.log(told[:, 0] / told[:, 1]) + shift
    moved = np.stack([1 / (1 + np.exp(-logit)), 1 / (1 + np.exp(logit))], axis=1)
    treated, control = matched_recall(labels, moved, told, (0,))
    assert treated == pytest.approx(control, abs=1e-9)


def test_the_control_has_its_own_recall_at_its_own_specificity():
    labels, told = predictions(200, 2, 4)
    _, control = matched_recall(labels, told, told, (0,))
    wanted = specificity(labels, told, 0)
    assert 0 < wanted < 1
    assert control == pytest.approx(score_all(labels, told, (0,))["minority recall"], abs=0.03)
