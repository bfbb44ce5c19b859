"""Everything over one set of tables."""

import pytest

from cohort import COHORT, cohort
from ehrsynth.errors import RequestError
from ehrsynth.evaluation.protocol import protocol
from ehrsynth.evaluation.suite import evaluate
from ehrsynth.registry import known

QUICK = ["column_shapes", "copied_rows"]


def test_every_registered_metric_and_attack_runs() -> None:
    said: list[float] = []
    found = evaluate(
        cohort(150, 1), cohort(150, 2), cohort(150, 3), COHORT, seed=0, progress=lambda f, _: said.append(f)
    )
    assert list(found.scores) == list(known("metric"))
    assert list(found.risks) == list(known("attack"))
    assert all(s.name == name for name, s in {**found.scores, **found.risks}.items())
    assert all(s.value is not None or s.reason for s in [*found.scores.values(), *found.risks.values()])
    assert found.protocol_hash == protocol().hash
    assert said == sorted(said)
    assert 0 <= said[0] <= said[-1] <= 1


def test_a_subsample_is_declared_and_does_not_depend_on_the_order() -> None:
    train, holdout, made = cohort(150, 1), cohort(100, 2), cohort(120, 3)
    chosen = {"metrics": QUICK, "attacks": [], "rows": 110, "seed": 4}
    found = evaluate(train, holdout, made, COHORT, **chosen)
    assert found.rows == {"train": 110, "holdout": 100, "synthetic": 110}
    assert found.rows_given == {"train": 150, "holdout": 100, "synthetic": 120}
    turned = evaluate(train[::-1].reset_index(drop=True), holdout, made, COHORT, **chosen)
    assert turned.scores == found.scores


def test_a_holdout_too_small_for_a_control_is_said() -> None:
    found = evaluate(cohort(50, 1), cohort(15, 2), cohort(50, 3), COHORT, seed=0, metrics=QUICK)
    assert {r.value for r in found.risks.values()} == {None}
    assert all("needs 20" in r.reason for r in found.risks.values())


def test_what_is_not_known_is_refused_before_work_begins() -> None:
    tables = cohort(30, 1), cohort(30, 2), cohort(30, 3)
    with pytest.raises(RequestError, match="Did you mean 'column_shapes'"):
        evaluate(*tables, COHORT, seed=0, metrics=["column_shape"])
    with pytest.raises(RequestError, match="at least 1"):
        evaluate(*tables, COHORT, seed=0, rows=0)
