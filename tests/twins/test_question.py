"""A request is checked against the schema: names, roles, and what was measured when."""

import pytest

from ehrsynth.errors import RequestError
from ehrsynth.schema import Formula, PresentTogether, Schema
from ehrsynth.twins.question import Request, ask
from trials import TRIAL, TWO


def roles(schema: Schema, **changes: tuple[str, ...]) -> Schema:
    columns = tuple(
        c.model_copy(update={"roles": changes[c.name]}) if c.name in changes else c for c in schema.columns
    )
    return schema.changed(columns=columns)


def test_the_schemas_roles_are_the_question() -> None:
    question = ask(Request(), TRIAL)
    assert question.treatment == "drug"
    assert [arm.name for arm in question.arms] == ["none", "low", "high"]
    assert question.contrasts == ("low against none", "high against none")
    assert question.covariates == ("age", "sex", "sbp", "ward")
    assert [o.name for o in question.outcomes] == ["score", "poor", "stage"]
    assert question.by == ("age", "sex")
    assert question.site == "site"
    assert not question.randomised


def test_arms_can_be_pooled_and_the_first_is_the_reference() -> None:
    arms = {"any": ("low", "high"), "none": ("none",)}
    question = ask(Request(arms=arms), TRIAL)
    assert question.arms[0].codes == (1, 2)
    assert question.contrasts == ("none against any",)


@pytest.mark.parametrize("name", ["score", "day", "event", "drug"])
def test_a_covariate_measured_after_treatment_is_an_error(name: str) -> None:
    with pytest.raises(RequestError, match=rf"{name}.*measured after treatment"):
        ask(Request(covariates=("age", name)), TRIAL)


def test_a_column_with_both_roles_is_no_covariate() -> None:
    both = roles(TRIAL, stage=("outcome", "covariate"))
    with pytest.raises(RequestError, match=r"stage.*measured after treatment"):
        ask(Request(), both)


def test_a_column_without_the_role_covariate_is_no_covariate() -> None:
    with pytest.raises(RequestError, match=r"stay.*has not the role covariate"):
        ask(Request(covariates=("age", "stay")), TRIAL)


def test_rules_give_away_what_was_measured_later() -> None:
    computed = roles(TRIAL, stay=("covariate",)).changed(
        constraints=(Formula(column="stay", equals="day + 1"),)
    )
    with pytest.raises(RequestError, match=r"stay.*ties it to 'day'"):
        ask(Request(), computed)
    together = roles(TRIAL, stay=("covariate",)).changed(
        constraints=(PresentTogether(columns=("stay", "day")),)
    )
    with pytest.raises(RequestError, match=r"stay.*ties it to 'day'"):
        ask(Request(), together)


def test_every_problem_is_said_at_once() -> None:
    wrong = Request(treatment="drugg", outcomes=("scor",), covariates=("agee",), where="poor", by=("sexx",))
    with pytest.raises(RequestError) as caught:
        ask(wrong, TRIAL)
    for word in ("drugg", "scor", "agee", "sexx", "population"):
        assert word in str(caught.value)


def test_several_treatments_must_be_told_apart() -> None:
    two = roles(TRIAL, ward=("treatment",))
    with pytest.raises(RequestError, match="2 treatments"):
        ask(Request(), two)
    assert ask(Request(treatment="ward"), two).treatment == "ward"


def test_no_treatment_no_outcome_no_covariate() -> None:
    with pytest.raises(RequestError, match="role treatment"):
        ask(Request(), roles(TRIAL, drug=()))
    with pytest.raises(RequestError, match="role outcome"):
        ask(Request(), roles(TRIAL, score=(), poor=(), stage=()))
    with pytest.raises(RequestError, match="role covariate"):
        ask(Request(), roles(TRIAL, age=(), sex=(), sbp=(), ward=()))


def test_a_schema_without_covariates_is_told_where_to_write_them() -> None:
    """As `schema infer` leaves it: one complaint with the remedy, whichever columns were named."""
    bare = roles(TRIAL, age=(), sex=(), sbp=(), ward=())
    with pytest.raises(RequestError, match=r"roles: \[covariate\] in the schema") as caught:
        ask(Request(covariates=("age", "sex")), bare)
    said = str(caught.value)
    assert said.count("covariate]") == 1
    assert said.count("\n") == 0
    assert "'age', 'sex', 'sbp', 'ward', 'stay'" in said
    assert not any(later in said for later in ("score", "poor", "'day'", "event", "drug", "'site'"))


@pytest.mark.parametrize(
    ("arms", "problem"),
    [
        ({"a": ("none",)}, "two at least"),
        ({"a": ("none",), "b": ("none",)}, "another arm"),
        ({"a": ("none",), "b": ("nil",)}, "nil"),
        ({"a": ("none",), "b": ()}, "'b' has no value"),
    ],
)
def test_arms_that_do_not_fit(arms: dict[str, tuple[str, ...]], problem: str) -> None:
    with pytest.raises(RequestError, match=problem):
        ask(Request(arms=arms), TRIAL)


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"none": 0.5, "low": 0.5}, "not given for 'high'"),
        ({"none": 0.5, "low": 0.2, "high": 0.2}, "sum to 0.9"),
        ({"none": 0.5, "low": 0.5, "high": 0.0}, "above 0"),
        ({"none": 0.5, "low": 0.3, "hihg": 0.2}, "hihg"),
    ],
)
def test_probabilities_that_do_not_fit(given: dict[str, float], problem: str) -> None:
    with pytest.raises(RequestError, match=problem):
        ask(Request(design="randomised", probabilities=given), TRIAL)


def test_probabilities_need_randomisation() -> None:
    given = {"none": 0.5, "low": 0.3, "high": 0.2}
    with pytest.raises(RequestError, match="randomised"):
        ask(Request(probabilities=given), TRIAL)
    assert ask(Request(design="randomised", probabilities=given), TRIAL).probabilities == (0.5, 0.3, 0.2)


def test_a_population_is_told_by_covariates() -> None:
    assert ask(Request(where='age >= 70 and sex == "F"'), TRIAL).where
    with pytest.raises(RequestError, match="no covariate"):
        ask(Request(where="score > 3"), TRIAL)


def test_a_negative_control_is_left_out_of_the_adjustment() -> None:
    question = ask(Request(negative_control=("sbp",)), TRIAL)
    assert "sbp" not in question.covariates
    assert question.negative_control == ("sbp",)
    assert "sbp" in question.columns


def test_the_treated_of_several_contrasts_are_several_populations() -> None:
    with pytest.raises(RequestError, match="two arms at a time"):
        ask(Request(estimand="treated"), TRIAL)
    assert ask(Request(estimand="untreated"), TRIAL).estimand == "untreated"
    assert ask(Request(estimand="treated", arms=TWO), TRIAL).estimand == "treated"
