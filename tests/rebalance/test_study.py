"""The study: nothing of a test patient reaches a method; what fails is told; numbers are the split's."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest

from ehrsynth.errors import NotEnoughData, RequestError
from ehrsynth.rebalance import methods
from ehrsynth.rebalance.base import AbstractMethod, Treatment
from ehrsynth.rebalance.plan import Plan, rows_of
from ehrsynth.rebalance.splits import Split, Splits, repeated_splits
from ehrsynth.rebalance.study import COLUMNS, study
from ehrsynth.registry import METHODS, known
from ehrsynth.schema import Schema
from ehrsynth.statistics import auroc, corrected_paired_interval
from minority import NUMBERS, numbers, plan_of_numbers

TABLE = numbers(240, 60, seed=1)
PLAN = plan_of_numbers(TABLE)
SPLITS = repeated_splits(rows_of(TABLE, PLAN, NUMBERS), count=3, test_share=1 / 3, seed=5)
SEEN: list[pd.DataFrame] = []


class Oracle:
    """Knows the outcome by heart: of every patient."""

    def risks(self, table: pd.DataFrame) -> np.ndarray:
        return table["event"].to_numpy(float) * 0.8 + 0.1


class Spy(AbstractMethod):
    """Keeps what it is given."""

    name = "spy"

    def __call__(self, train: pd.DataFrame, plan: Plan, schema: Schema, *, seed: int) -> Treatment:  # noqa: ARG002
        SEEN.append(train)
        return Treatment("spy", predictor=Oracle())


class Broken(AbstractMethod):
    """Fails on the second split."""

    name = "broken"

    def __call__(self, train: pd.DataFrame, plan: Plan, schema: Schema, *, seed: int) -> Treatment:  # noqa: ARG002
        SEEN.append(train)
        if len(SEEN) > 1:
            raise NotEnoughData("12 patients are too few")
        return Treatment("broken")


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    SEEN.clear()
    kinds = {"spy": Spy, "broken": Broken}
    for name in kinds:
        monkeypatch.setitem(METHODS, name, f"nowhere:{name}")
    resolve = methods.resolve
    monkeypatch.setattr(methods, "resolve", lambda what, name: kinds.get(name) or resolve(what, name))
    known.cache_clear()
    yield
    known.cache_clear()


@pytest.mark.usefixtures("registered")
def test_a_method_sees_training_patients_alone() -> None:
    found = study(TABLE, PLAN, NUMBERS, ["spy"], splits=SPLITS, seed=1)
    for given, split in zip(SEEN, SPLITS.each, strict=True):
        pd.testing.assert_frame_equal(given, TABLE.iloc[split.train].reset_index(drop=True))
    assert found.of("spy", "group: b", "auroc").tolist() == [1.0] * 3
    assert found.of("spy", "group: b", "sensitivity").tolist() == [1.0] * 3


@pytest.mark.usefixtures("registered")
def test_a_method_that_fails_once_is_left_out_with_the_reason() -> None:
    found = study(TABLE, PLAN, NUMBERS, ["broken", "group_only"], splits=SPLITS, seed=1)
    assert found.methods == ("none", "group_only")
    assert found.failed == {"broken": "12 patients are too few"}
    assert found.values.shape == (2, 3, 3, len(COLUMNS))


def test_numbers_are_of_the_splits_test_patients() -> None:
    from ehrsynth.rebalance.treating import predictor_of

    found = study(TABLE, PLAN, NUMBERS, [], splits=SPLITS, seed=1)
    for number, split in enumerate(SPLITS.each):
        train, test = (TABLE.iloc[p].reset_index(drop=True) for p in (split.train, split.test))
        risks = predictor_of("none", train, PLAN, NUMBERS, seed=0).risks(
            test
        )  # logistic regression draws nothing
        for group, mine in {
            "group: a": (test["group"] == "a").to_numpy(),
            "group: b": (test["group"] == "b").to_numpy(),
            "all patients": np.ones(len(test), bool),
        }.items():
            expected = auroc(test["event"].to_numpy(bool)[mine], risks[mine])
            assert found.of("none", group, "auroc")[number] == pytest.approx(expected)
            assert found.of("none", group, "patients")[number] == mine.sum()


def test_differences_have_the_corrected_interval() -> None:
    found = study(TABLE, PLAN, NUMBERS, ["group_only"], splits=SPLITS, seed=1)
    numbers_ = found.of("group_only", "group: b", "auroc") - found.of("none", "group: b", "auroc")
    expected = corrected_paired_interval(numbers_, n_train=200, n_test=100)
    ours = found.difference("group_only", "group: b", "auroc")
    assert ours == pytest.approx(expected, rel=1e-4)


def test_a_study_is_reproducible_and_progress_is_told() -> None:
    said: list[str] = []
    first, again = (
        study(TABLE, PLAN, NUMBERS, ["smote"], splits=SPLITS, seed=1, progress=lambda _, m: said.append(m))
        for _ in range(2)
    )
    assert np.array_equal(first.values, again.values, equal_nan=True)
    assert "split 2 of 3: smote" in said


def test_a_split_without_test_patients_of_a_group_has_no_number_there() -> None:
    mine = np.flatnonzero((TABLE["group"] == "b").to_numpy())
    others = np.flatnonzero((TABLE["group"] == "a").to_numpy())
    split = Split(np.r_[others[:150], mine], others[150:])
    found = study(TABLE, PLAN, NUMBERS, [], splits=Splits((split, split), 0.5), seed=1)
    assert np.isnan(found.of("none", "group: b", "auroc")).all()
    assert found.difference("none", "group: b", "auroc") is None


def test_an_unknown_method_is_told_before_any_work() -> None:
    with pytest.raises(RequestError, match="Did you mean 'smote'"):
        study(TABLE, PLAN, NUMBERS, ["smoot"], splits=SPLITS, seed=1)
