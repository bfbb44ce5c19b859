"""Queries, counted by hand, and the correction for tables of different length."""

import numpy as np
import pytest

from cohort import COHORT, cohort
from ehrsynth.evaluation.privacy.lone_matches import chance_of_one
from ehrsynth.evaluation.privacy.singling_out import Predicate, fits, singling_out


def test_predicates_by_hand() -> None:
    columns = np.array([[1.0, 2.0, np.nan, 4.0], [0.0, 1.0, 1.0, 1.0]])
    assert fits((Predicate(0, ">=", 2.0),), columns).tolist() == [False, True, False, True]
    assert fits((Predicate(0, "missing", 0.0),), columns).tolist() == [False, False, True, False]
    assert fits((Predicate(0, "<=", 2.0), Predicate(1, "==", 1.0)), columns).tolist() == [
        False,
        True,
        False,
        False,
    ]


def test_thinning_is_exact() -> None:
    counts = np.array([0, 1, 2, 5])
    assert chance_of_one(counts, 10, 10) == 1
    assert chance_of_one(np.array([1]), 10, 4) == pytest.approx(0.4)
    rng = np.random.default_rng(0)
    drawn = [(rng.choice(10, 4, replace=False)[:, None] < counts).sum(axis=0) == 1 for _ in range(4000)]
    assert chance_of_one(counts, 10, 4) == pytest.approx(np.mean(np.sum(drawn, axis=1)), abs=0.05)


def test_copies_are_found_also_against_a_small_control() -> None:
    members, others = cohort(400, 1), cohort(120, 2)
    risk = singling_out(members, others[:60], others[60:], members, COHORT, seed=0)
    assert risk.low > 0.7
    assert risk.details["variants"][0]["compared_at_rows"] == 120


def test_a_fresh_sample_is_no_risk_also_against_a_small_control() -> None:
    covered = []
    for seed in range(6):
        members, others = cohort(400, 10 + seed), cohort(150, 30 + seed)
        risk = singling_out(members, others[:75], others[75:], cohort(400, 50 + seed), COHORT, seed=seed)
        covered.append(risk.value is None or risk.low == 0)
    assert sum(covered) >= 5
