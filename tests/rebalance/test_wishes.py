"""From wishes to a plan, or a refusal that says what stands in the way."""

import numpy as np
import pandas as pd
import pytest

from ehrsynth.errors import DataError, EhrSynthError, Refused, RequestError
from ehrsynth.rebalance.plan import Counts, Equal, Population
from ehrsynth.rebalance.wishes import Wishes, prepare
from ehrsynth.tables import mark_synthetic
from minority import DEATH, HOSPITAL, hospital

TABLE = hospital(400)


def test_the_plan_has_the_columns_that_the_schema_says() -> None:
    found = prepare(TABLE, HOSPITAL, DEATH)
    assert found.plan.predictors == ("sex", "age", "stage", "ward", "sbp", "dbp", "pulse", "lab")
    assert found.plan.names == ("sex: F", "sex: M")
    assert isinstance(found.plan.goal, Equal)
    assert found.schema.names == ("id", *found.plan.predictors, "died")
    assert found.site_names == ("north", "south", "east")
    assert len(found.site) == 400
    assert found.notes == ()


def test_the_role_protected_is_taken_where_nothing_is_named() -> None:
    assert prepare(TABLE, HOSPITAL, Wishes(outcome="died")).plan == prepare(TABLE, HOSPITAL, DEATH).plan


def test_the_only_outcome_need_not_be_named() -> None:
    assert prepare(TABLE, HOSPITAL, Wishes(protected=("sex",))).plan.outcomes == ("died",)
    without = HOSPITAL.changed(columns=tuple(c.model_copy(update={"roles": ()}) for c in HOSPITAL.columns))
    with pytest.raises(RequestError, match="no column has the role outcome"):
        prepare(TABLE, without, Wishes(protected=("sex",)))


def test_patients_of_unknown_outcome_are_left_out_and_counted() -> None:
    gappy = TABLE.copy()
    gappy.loc[:29, "died"] = pd.NA
    found = prepare(gappy, HOSPITAL, DEATH)
    assert len(found.table) == 370
    assert found.notes == ("30 patients of unknown outcome were left out",)


def test_an_event_can_be_any_expression_and_its_columns_predict_nothing() -> None:
    found = prepare(
        TABLE, HOSPITAL, Wishes(outcome="stage", event='stage in ("II", "III")', protected=("sex",))
    )
    assert "stage" not in found.plan.predictors
    assert found.rows.event.sum() == TABLE["stage"].isin(["II", "III"]).sum()


@pytest.mark.parametrize(
    "how",
    [
        {"groups": {"long": "days > 30", "short": "days <= 30"}},
        {"protected": ("sex",), "population": {"days": {"mean": 30.0}}},
    ],
)
def test_what_came_after_the_outcome_makes_groups_and_margins_and_predicts_nothing(how) -> None:
    found = prepare(TABLE, HOSPITAL, Wishes("died", **how))
    assert found.plan.predictors == ("sex", "age", "stage", "ward", "sbp", "dbp", "pulse", "lab")
    assert "days" in found.schema.names


def test_goals() -> None:
    assert isinstance(
        prepare(TABLE, HOSPITAL, Wishes("died", protected=("sex",), counts={"sex: F": 90})).plan.goal, Counts
    )
    margins = {"sex": {"F": 1.0, "M": 1.0}, "age": {"mean": 70.0}}
    assert isinstance(
        prepare(TABLE, HOSPITAL, Wishes("died", protected=("sex",), population=margins)).plan.goal, Population
    )
    everyone = prepare(TABLE, HOSPITAL, Wishes("died", everyone=True, classes="equal"))
    assert everyone.plan.names == ("all patients",)


def test_small_groups_are_refused_with_their_counts_or_left_out_when_asked() -> None:
    wishes = Wishes("died", protected=("sex", "ward"))
    with pytest.raises(Refused, match="too small") as caught:
        prepare(TABLE, HOSPITAL, wishes)
    assert caught.value.exit_code == 3
    assert any("sex: F and ward: c" in problem for problem in caught.value.problems)
    found = prepare(TABLE, HOSPITAL, Wishes("died", protected=("sex", "ward"), leave_out_small=True))
    assert "sex: F and ward: c" not in found.plan.names
    assert any("too small" in note for note in found.notes)
    assert len(found.table) == 400


def test_a_group_of_one_outcome_is_refused() -> None:
    alive = TABLE.copy()
    alive.loc[alive["sex"] == "F", "died"] = False
    with pytest.raises(Refused, match="sex: F: 60 patients, 0 with the event"):
        prepare(alive, HOSPITAL, DEATH)


@pytest.mark.parametrize(
    ("wishes", "words"),
    [
        (Wishes("dead"), "Did you mean 'died'"),
        (Wishes("id"), "identifier"),
        (Wishes("died", protected=("sexx",)), "Did you mean 'sex'"),
        (Wishes("died", protected=("died",)), "is an outcome"),
        (Wishes("died", protected=("sex", "sex")), "named twice"),
        (Wishes("died", groups={"dead": "died"}), "made by the outcome"),
        (Wishes("stage"), "say with --event"),
        (Wishes("lab"), "say with --event"),
        (Wishes("died", event="died and"), "ends too early"),
        (Wishes("died", event="true", predictors=("age",)), "too small"),
        (Wishes("died", everyone=True, protected=("sex",)), "one of the two"),
        (Wishes("died", counts={"women": 3}), "unknown group 'women'"),
        (Wishes("died", counts={"sex: F": 0}), "1 or more"),
        (Wishes("died", counts={"sex: F": 9}, population={"sex": {"F": 1.0}}), "two goals"),
        (Wishes("died", population={"sex": {"F": 1.0}}), "in no cell"),
        (
            Wishes("died", population={"ward": {"a": 1.0, "missing": 1.0, "b": 1.0, "d": 1.0}}),
            "does not fit the schema",
        ),
        (Wishes("died", population={"age": {"mean": 100.5}}), "impossible"),
        (Wishes("died", predictors=("died",)), "cannot predict it"),
        (Wishes("died", predictors=("agee",)), "Did you mean 'age'"),
    ],
)
def test_what_cannot_be_is_told(wishes: Wishes, words: str) -> None:
    with pytest.raises(EhrSynthError, match=words) as caught:
        prepare(TABLE, HOSPITAL, wishes)
    assert caught.value.exit_code == (3 if words == "too small" else 2)


def test_a_cell_of_the_target_without_patients_is_impossible() -> None:
    men = TABLE[TABLE["sex"] == "M"].reset_index(drop=True)
    with pytest.raises(RequestError, match=r"sex: F shall be 50.0%, and no patient of the table is in it"):
        prepare(men, HOSPITAL, Wishes("died", everyone=True, population={"sex": {"F": 1.0, "M": 1.0}}))


def test_margins_that_contradict_each_other_are_refused() -> None:
    both = {"sex": {"F": 9.0, "M": 1.0}, "again": {'sex == "F"': 1.0, 'sex == "M"': 9.0}}
    with pytest.raises(Refused, match="contradict"):
        prepare(TABLE, HOSPITAL, Wishes("died", protected=("sex",), population=both))


def test_a_column_without_a_value_is_an_error_with_its_count() -> None:
    empty = TABLE.copy()
    for name in ("sbp", "dbp", "pulse"):
        empty[name] = pd.array([pd.NA] * len(empty), dtype="Int64")
    with pytest.raises(DataError, match="column 'sbp': missing for all 400 patients"):
        prepare(empty, HOSPITAL, DEATH)
    found = prepare(empty, HOSPITAL, Wishes("died", protected=("sex",), predictors=("age", "lab")))
    assert found.plan.predictors == ("age", "lab")


def test_an_outcome_that_nobody_has_is_an_error() -> None:
    empty = TABLE.assign(died=pd.array([pd.NA] * len(TABLE), dtype="boolean"))
    with pytest.raises(DataError, match="known for no patient"):
        prepare(empty, HOSPITAL, DEATH)


def test_synthetic_patients_are_no_real_ones() -> None:
    with pytest.raises(RequestError, match="synthetic"):
        prepare(mark_synthetic(TABLE), HOSPITAL, DEATH)


def test_no_message_holds_a_value_of_a_patient() -> None:
    """Every number in the messages above is a count, a share or one that the user wrote."""
    marked = TABLE.copy()
    marked.loc[0, "lab"] = 13.37
    for wishes in (
        Wishes("died", protected=("sex", "ward")),
        Wishes("died", population={"age": {"mean": 100.5}}),
    ):
        with pytest.raises(EhrSynthError) as caught:
            prepare(marked, HOSPITAL, wishes)
        assert "13.37" not in str(caught.value)
        assert not np.isin(str(int(TABLE["age"].max())), str(caught.value).split())
