"""The gate says yes only when every number was computed and holds; each no names its reason."""

import re
from dataclasses import replace

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ehrsynth.evaluation.base import Risk, Score
from ehrsynth.evaluation.privacy.bounds import ALL, Bound, LeftOut, Simultaneous
from ehrsynth.evaluation.suite import Evaluation
from ehrsynth.generators.base import PrivacySpent
from ehrsynth.release.gate import Facts, decide, facts_of
from ehrsynth.release.policy import load_policy
from ehrsynth.report.words import LEAK
from ehrsynth.schema import Schema
from ehrsynth.tables import table_from_frame

POLICY = load_policy()
FACTS = Facts(patients=5_000, holdout=2_500, rarest_category=40, guessed=0, suspicions=())
PRIVATE = PrivacySpent(1.0, 1e-6, "rdp")


def risk(name, high=0.05, value=0.02, reason=""):
    return Risk(name, value, 0.0, high, 0.05, 0.03, 0.02, 500, 500, {}, reason)


def bound(attack="singling_out", high=0.05, **changed):
    usual = {
        "attack": attack,
        "variant": "",
        "stratum": ALL,
        "statistic": "success",
        "value": 0.01,
        "high": high,
        "error": 0.01,
        "spread": 0.01,
        "p_value": 0.5,
        "detectable": 0.06,
        "graded": False,
        "members": 0.05,
        "non_members": 0.04,
        "n_members": 4000,
        "n_non_members": 2000,
    }
    return Bound(**usual | changed)


def family(*bounds, level=0.01, left_out=()):
    bounds = bounds or (bound(),)
    return Simultaneous(level, 1, 1000, min(b.p_value for b in bounds), bounds, left_out)


def evaluation(risks=None, scores=None, found=None):
    known = {n: risk(n) for n in POLICY.attacks} | (risks or {})
    measured = {
        "copied_rows": Score("copied_rows", 0.002, 0.001, 0.003, 0.002, "lower"),
        "constraint_violations": Score("constraint_violations", 0.0, 0.0, 0.001, 0.0, "lower"),
    } | (scores or {})
    return Evaluation(
        scores={n: s for n, s in measured.items() if s is not None},
        risks={n: r for n, r in known.items() if r is not None},
        columns=(),
        rows={},
        rows_given={},
        protocol_hash="0" * 64,
        bound=family() if found is None else found,
    )


def failed(decision):
    return {check.name for check in decision.failed}


def test_all_numbers_that_hold_are_a_yes():
    decision = decide(evaluation(), POLICY, rows=FACTS, privacy=None)
    assert decision.released
    assert len(decision.checks) == 7 + len(POLICY.attacks)


@given(st.tuples(*[st.floats(0, 0.2)] * len(POLICY.attacks)))
def test_the_upper_end_of_every_risk_is_what_counts(highs):
    found = family(*(bound(n, high=h, value=0.0) for n, h in zip(POLICY.attacks, highs, strict=True)))
    assert decide(evaluation(found=found), POLICY, rows=FACTS, privacy=None).released == (max(highs) <= 0.09)


@pytest.mark.parametrize("name", POLICY.attacks)
def test_an_attack_that_was_not_run_or_not_measurable_is_a_no(name):
    other = family(bound("membership"))
    absent = decide(evaluation({name: None}, found=other), POLICY, rows=FACTS, privacy=None)
    unknown = replace(risk(name), value=None, low=None, high=None, reason="too few unseen patients")
    unmeasured = decide(evaluation({name: unknown}, found=other), POLICY, rows=FACTS, privacy=None)
    for decision in (absent, unmeasured):
        assert not decision.released
        assert "was not computed" in decision.reasons[0]
    assert "Too few unseen patients." in unmeasured.reasons[0]


def test_without_the_simultaneous_bound_nothing_passes():
    without = replace(evaluation(), bound=None)
    assert failed(decide(without, POLICY, rows=FACTS, privacy=None)) == {LEAK}


def test_a_bound_at_a_laxer_level_than_the_policys_was_not_computed():
    lax = evaluation(found=family(level=0.2))
    assert failed(decide(lax, POLICY, rows=FACTS, privacy=None)) == {LEAK}


def test_a_shown_leak_is_a_no_however_small_and_called_a_finding():
    found = family(bound(high=0.001, value=0.0005, p_value=0.001))
    decision = decide(evaluation(found=found), POLICY, rows=FACTS, privacy=None)
    assert failed(decision) == {LEAK}
    assert "A leak was found" in decision.reasons[0]


def test_what_cannot_tell_the_limit_from_chance_is_a_no_and_no_finding():
    found = family(bound(detectable=0.2, high=0.15, judged=False))
    decision = decide(evaluation(found=found), POLICY, rows=FACTS, privacy=None)
    assert failed(decision) == {"Singling out"}
    assert "Not measurable here" in decision.reasons[0]
    assert "not a finding" in decision.reasons[0]
    assert decision.failed[0].value is None


def test_a_variant_that_cannot_be_judged_hides_behind_no_other():
    found = family(bound(), bound(variant="other", detectable=0.256, high=0.279, judged=False))
    decision = decide(evaluation(found=found), POLICY, rows=FACTS, privacy=None)
    assert failed(decision) == {"Singling out"}
    assert "0.256" in decision.reasons[0]
    assert "8.1 times as many patients" in decision.reasons[0]  # (0.256 / 0.09) squared


def test_how_many_patients_would_measure_everything_is_said_once():
    found = family(
        bound(detectable=0.18, high=0.2, judged=False),
        bound(attack="linkability", detectable=0.27, high=0.3, judged=False),
    )
    reasons = decide(evaluation(found=found), POLICY, rows=FACTS, privacy=None).reasons
    assert sum("Not measurable here" in reason for reason in reasons) == 2
    assert [reason.count("times as many patients") for reason in reasons] == [1, 0]
    assert "9.0 times as many patients" in reasons[0]  # (0.27 / 0.09) squared: the attack that needs most
    assert "Linkability asks for most" in reasons[0]


def test_of_many_times_as_many_patients_one_digit_is_told():
    found = family(bound(detectable=2.29, high=2.3, judged=False))
    reasons = decide(evaluation(found=found), POLICY, rows=FACTS, privacy=None).reasons
    assert "about 600 times as many patients" in reasons[0]  # (2.29 / 0.09) squared is 647.4


def test_patients_who_were_not_measured_are_named_before_more_are_asked_for():
    found = evaluation(found=family(bound(detectable=0.18, high=0.2, judged=False)))
    few = {"train": 400, "holdout": 400, "synthetic": 400}
    part = replace(found, rows=few, rows_given={"train": 3_000, "holdout": 3_000, "synthetic": 3_000})
    assert "Only 800 of 6,000 were measured" in decide(part, POLICY, rows=FACTS, privacy=None).reasons[0]
    whole = replace(found, rows=few, rows_given=few)
    assert "were measured" not in decide(whole, POLICY, rows=FACTS, privacy=None).reasons[0]


def test_a_column_that_is_nearly_always_guessed_right_is_named_and_the_others_judge():
    rare = bound("inference", variant="hiv", detectable=0.8, high=0.6, judged=False)
    common = bound("inference", variant="ward", high=0.07)
    named = decide(evaluation(found=family(rare, common)), POLICY, rows=FACTS, privacy=None)
    assert named.released
    (check,) = [c for c in named.checks if c.name == "Attribute inference"]
    assert check.value == 0.07
    assert "too few patients to judge by: hiv" in check.explanation
    alone = decide(evaluation(found=family(rare)), POLICY, rows=FACTS, privacy=None)
    assert failed(alone) == {"Attribute inference"}
    shown = replace(rare, p_value=0.001)
    assert failed(decide(evaluation(found=family(shown, common)), POLICY, rows=FACTS, privacy=None)) == {LEAK}


def test_a_level_that_the_permutations_cannot_reach_was_not_computed():
    decision = decide(evaluation(found=family(level=1e-9)), POLICY, rows=FACTS, privacy=None)
    assert failed(decision) == {LEAK}


def test_a_group_too_small_to_judge_is_left_out_and_named():
    blunt = bound(stratum="sex: F", detectable=0.2, high=0.3, judged=False)
    gone = LeftOut("singling_out", "race: other", "all", "fewer than 50 attacked patients on a side")
    decision = decide(
        evaluation(found=family(bound(), blunt, left_out=(gone,))), POLICY, rows=FACTS, privacy=None
    )
    assert decision.released
    (check,) = [c for c in decision.checks if c.name == "Singling out"]
    assert check.value == 0.05
    assert "sex: F" in check.explanation
    assert "race: other" in check.explanation


def test_what_may_be_shared_tells_how_many_groups_are_too_small_and_never_which():
    one_patient = LeftOut("singling_out", "parity: 12", "all", "fewer than 50 attacked patients on a side")
    blunt = bound(stratum="sex: missing", detectable=0.2, high=0.3, judged=False)
    decision = decide(
        evaluation(found=family(bound(), blunt, left_out=(one_patient,))), POLICY, rows=FACTS, privacy=None
    )
    (inside,) = [c for c in decision.checks if c.name == "Singling out"]
    (outside,) = [c for c in decision.shareable.checks if c.name == "Singling out"]
    assert "Too small to be judged on their own: parity: 12, sex: missing." in inside.explanation
    assert "Too small to be judged on their own: 2 groups." in outside.explanation
    assert outside.explanation.startswith(inside.explanation.split("Too small")[0].strip())
    shared = str(decision.shareable.as_json())
    assert "parity" not in shared
    assert "missing" not in shared


def test_a_group_that_can_be_judged_counts_like_all_patients():
    group = bound(stratum="sex: F", detectable=0.08, high=0.1)
    decision = decide(evaluation(found=family(bound(), group)), POLICY, rows=FACTS, privacy=None)
    assert failed(decision) == {"Singling out"}
    assert "cannot be ruled out" in decision.reasons[0]


@pytest.mark.parametrize(
    ("change", "limit", "source"),
    [
        ({}, 0.09, "ours"),
        ({"attack": "identity_disclosure"}, 0.09, "regulator"),
        ({"attack": "distance", "graded": True, "statistic": "AUROC"}, 0.09, "ours"),
        (
            {"attack": "distance", "graded": True, "statistic": "TPR at 1 % FPR", "detectable": 0.015},
            0.02,
            "ours",
        ),
    ],
)
def test_each_kind_of_attack_has_its_own_limit(change, limit, source):
    attack = change.get("attack", "singling_out")
    run = {attack: risk(attack)}
    for high in (limit, limit + 1e-3):
        found = family(bound(**change | {"high": high}))
        decision = decide(evaluation(run, found=found), POLICY, rows=FACTS, privacy=None)
        assert decision.released == (high == limit)
        (check,) = [c for c in decision.checks if c.limit == limit and c.value == high]
        assert check.source == source


@pytest.mark.parametrize(("upper", "passes"), [(0.089, True), (0.091, False)])
def test_the_regulators_limit_is_held_against_the_identity_risk_itself(upper, passes):
    known = {"risk_interval": {"value": 0.08, "low": 0.07, "high": upper}}
    run = {"identity_disclosure": replace(risk("identity_disclosure", high=0.0), details=known)}
    decision = decide(evaluation(run), POLICY, rows=FACTS, privacy=None)
    (check,) = [c for c in decision.checks if c.name == "Identity disclosure"]
    assert (check.value, check.passed, check.source) == (upper, passes, "regulator")
    assert ("`population` in the schema" in check.explanation) != passes


@pytest.mark.parametrize(
    ("upper", "high", "value", "said"),
    [(0.05, 0.2, 0.2, "cannot be ruled out"), (0.15, 0.08, 0.15, "may be as high as")],
)
def test_identity_is_held_against_the_worse_of_its_own_risk_and_the_bound(upper, high, value, said):
    """The bound takes the control off, and knows of groups and of attempts; the risk itself does neither."""
    known = {"risk_interval": {"value": 0.04, "low": 0.03, "high": upper}}
    run = {"identity_disclosure": replace(risk("identity_disclosure", high=0.0), details=known)}
    name = {"attack": "identity_disclosure"}
    gone = LeftOut("identity_disclosure", "race: other", "all", "fewer than 50 attacked patients on a side")
    for judged, worst in ((True, value), (False, upper)):
        bounds = bound(**name, judged=judged), bound(**name, stratum="sex: F", high=high, judged=judged)
        found = family(bound(), *bounds, left_out=(gone,))
        decision = decide(evaluation(run, found=found), POLICY, rows=FACTS, privacy=None)
        (check,) = [c for c in decision.checks if c.name == "Identity disclosure"]
        assert (check.value, check.passed) == (worst, worst <= 0.09)
        if judged:
            assert said in check.explanation
            assert "race: other" in check.explanation


def test_a_statistic_that_was_too_blunt_to_judge_is_named():
    """The others judge the attack; that the limit over all patients was not held is not hidden."""
    sharp = bound("distance", graded=True, statistic="TPR at 1 % FPR", high=0.015, variant="gower")
    blunt = bound("distance", graded=True, statistic="AUROC", high=0.4, variant="gower", judged=False)
    decision = decide(
        evaluation({"distance": risk("distance")}, found=family(bound(), sharp, blunt)),
        POLICY,
        rows=FACTS,
        privacy=None,
    )
    assert decision.released
    (check,) = [c for c in decision.checks if c.limit == 0.02]
    assert "too few patients to judge by: AUROC of gower." in check.explanation
    assert "AUROC of gower" in check.shareable.explanation


def test_an_attack_beyond_the_policys_own_counts_too():
    leak = evaluation({"membership": risk("membership", high=0.5)})
    assert failed(decide(leak, POLICY, rows=FACTS, privacy=None)) == {"Membership"}


@pytest.mark.parametrize(
    ("score", "passes"),
    [
        (Score("copied_rows", 0.010, 0.008, 0.012, 0.002, "lower"), False),
        (Score("copied_rows", 0.003, 0.001, 0.005, 0.002, "lower"), True),
        (Score("copied_rows", 0.0, 0.0, 0.001, 0.0, "lower"), True),
        (Score("copied_rows", 0.0, 0.0, 0.001, None, "lower"), False),
        (Score("copied_rows", None, None, None, 0.0, "lower"), False),
        (None, False),
    ],
)
def test_copied_rows_may_not_stand_above_the_holdouts_beyond_their_interval(score, passes):
    decision = decide(evaluation(scores={"copied_rows": score}), POLICY, rows=FACTS, privacy=None)
    assert decision.released == passes
    if not passes:
        assert failed(decision) == {"Copied rows above the holdout's"}


@pytest.mark.parametrize(
    ("copies", "by_chance", "says"),
    [(3, 0, "not surely more often"), (0, 3, "no more often"), (0, 0, "no more often")],
)
def test_a_few_copies_are_told_as_they_are_and_outside_without_their_number(copies, by_chance, says):
    details = {"rows": 4_000, "copies": copies, "excess": {"value": 0.0, "low": -0.001, "high": 0.002}}
    shares = copies / 4_000, 0.0, 0.002, by_chance / 4_000
    run = {"copied_rows": Score("copied_rows", *shares, "lower", details)}
    decision = decide(evaluation(scores=run), POLICY, rows=FACTS, privacy=None)
    assert decision.released
    inside, outside = (
        next(c.explanation for c in d.checks if c.name.startswith("Copied"))
        for d in (decision, decision.shareable)
    )
    assert says in inside
    assert says in outside
    assert ("3 equal a training patient and 0 an unseen one" in inside) == (copies == 3)
    assert not re.findall(r"\d", outside)


@pytest.mark.parametrize("value", [1e-4, 1.0, None])
def test_one_broken_rule_is_a_no(value):
    score = Score("constraint_violations", value, None, None, 0.0, "lower")
    decision = decide(evaluation(scores={"constraint_violations": score}), POLICY, rows=FACTS, privacy=None)
    assert failed(decision) == {"Constraint violations"}


@pytest.mark.parametrize(
    ("facts", "name"),
    [
        (replace(FACTS, holdout=499), "Patients held out"),
        (replace(FACTS, patients=999), "Patients in the table"),
        (replace(FACTS, rarest_category=10), "Patients in the rarest category"),
        (replace(FACTS, suspicions=("contact: email addresses",)), "Signs of identifiers"),
    ],
)
def test_a_table_that_is_too_small_or_too_telling_is_a_no(facts, name):
    assert failed(decide(evaluation(), POLICY, rows=facts, privacy=None)) == {name}


def test_without_a_holdout_nothing_passes_whatever_the_policy_says():
    none = POLICY.minimum_holdout.model_copy(update={"value": 0})
    lax = POLICY.model_copy(update={"minimum_holdout": none})
    decision = decide(evaluation(), lax, rows=replace(FACTS, holdout=0), privacy=None)
    assert failed(decision) == {"Patients held out"}


def test_fewer_patients_pass_with_a_guarantee_or_when_the_policy_says_so():
    small = replace(FACTS, patients=600)
    fewer = POLICY.minimum_patients_without_guarantee.model_copy(update={"value": 600})
    lax = POLICY.model_copy(update={"minimum_patients_without_guarantee": fewer})
    assert not decide(evaluation(), POLICY, rows=small, privacy=None).released
    assert decide(evaluation(), lax, rows=small, privacy=None).released
    assert decide(evaluation(), POLICY, rows=small, privacy=PRIVATE).released


def test_a_guarantee_needs_a_public_schema():
    decision = decide(evaluation(), POLICY, rows=replace(FACTS, guessed=1), privacy=PRIVATE)
    assert failed(decision) == {"Schema items guessed from the data"}
    assert decide(evaluation(), POLICY, rows=replace(FACTS, guessed=1), privacy=None).released


def test_a_table_without_categories_has_none_that_is_rare():
    assert decide(evaluation(), POLICY, rows=replace(FACTS, rarest_category=None), privacy=None).released


def test_a_yes_can_be_shown_without_telling_a_small_count():
    decision = decide(evaluation(), POLICY, rows=FACTS, privacy=None)
    # The measured error rates count trials, not patients.
    said = " ".join(check.explanation for check in decision.checks if check.name != LEAK)
    numbers = [int(n.replace(",", "")) for n in re.findall(r"\b\d[\d,]*\b", said)]
    assert not [n for n in numbers if 1 <= n <= 10]
    for check in decision.shareable.checks[1 : 1 + len(POLICY.attacks)]:
        assert check.value == 0.05


def test_every_check_says_whose_limit_it_is():
    decision = decide(evaluation(), POLICY, rows=FACTS, privacy=None)
    assert {check.source for check in decision.checks} == {"ours", "regulator"}
    assert all(check.citation and check.explanation for check in decision.checks)


COLUMNS = (
    {"name": "age", "kind": "integer", "minimum": 0, "maximum": 120},
    {"name": "ward", "kind": "category", "values": ["north", "south", "closed"], "source": "public"},
    {"name": "icd", "kind": "code", "values": ["I61", "I63"], "missing": True, "source": "public"},
    {"name": "died", "kind": "boolean", "source": "public"},
)
# 40 patients: 15 in the rarer ward, 20 with the rarer code, 18 who died.
TABLE = {
    "age": [str(20 + n) for n in range(40)],
    "ward": ["north"] * 15 + ["south"] * 25,
    "icd": ["I61"] * 20 + ["I63"] * 20,
    "died": ["true"] * 18 + ["false"] * 22,
}


def facts(policy=POLICY, **changed):
    schema = Schema(name="ward", columns=COLUMNS, citation="Made up")
    table = table_from_frame(pd.DataFrame(TABLE | changed), schema)
    return facts_of(table, 7, schema, policy)


def test_the_facts_of_a_table_are_counted():
    found = facts()
    assert (found.patients, found.holdout, found.rarest_category, found.suspicions) == (40, 7, 15, ())
    assert found.guessed == len(Schema(name="ward", columns=COLUMNS, citation="Made up").guessed()) > 0


@pytest.mark.parametrize(
    ("column", "words"),
    [
        ("ward", ["north"] * 3 + ["south"] * 37),
        ("icd", ["I61"] * 3 + ["I63"] * 20 + [""] * 17),
        ("died", ["true"] * 3 + ["false"] * 37),
    ],
)
def test_the_rarest_of_any_listed_column_counts_and_what_nobody_holds_does_not(column, words):
    assert facts(**{column: words}).rarest_category == 3


def test_a_column_that_looks_like_an_identifier_is_a_suspicion_until_judged_harmless():
    schema = Schema(name="w", columns=[{"name": "email", "kind": "category", "values": ["a", "b"]}])
    table = table_from_frame(pd.DataFrame({"email": ["a", "b"] * 20}), schema)
    (suspicion,) = facts_of(table, 7, schema, POLICY).suspicions
    assert "email" in suspicion
    judged = POLICY.model_copy(update={"judged_harmless": ("email",)})
    assert facts_of(table, 7, schema, judged).suspicions == ()


def test_the_column_of_a_rare_category_is_named_without_its_word_or_count():
    rows = replace(FACTS, rarest_category=3, rare_columns=("infection",))
    decision = decide(evaluation(), POLICY, rows=rows, privacy=None)
    (check,) = [c for c in decision.checks if c.name == "Patients in the rarest category"]
    assert not check.passed
    assert "infection" in check.explanation
    assert "3" not in check.explanation
