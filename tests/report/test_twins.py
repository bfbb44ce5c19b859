"""The twins' page: from values alone, for both readers, and nothing that was withheld."""

import pytest

from ehrsynth.files import plain
from ehrsynth.report.provenance import Provenance, Rows
from ehrsynth.report.twin_charts import calibration_chart, overlap_chart
from ehrsynth.report.twins import render_twins
from ehrsynth.twins.effects import Candidates
from ehrsynth.twins.options import Options
from ehrsynth.twins.question import Request, ask
from ehrsynth.twins.results import as_json
from ehrsynth.twins.study import twin_study
from ehrsynth.twins.trial import TOO_FEW
from ehrsynth.twins.trial_run import trial_check
from trials import TRIAL, TWO, trial

QUICK = Options(candidates=Candidates(bases=("linear",), crossed=(), robust=("linear",)), repeats=100)
COHORT = {
    "patients": 5,
    "synthetic": False,
    "made_by": None,
    "draws": 5,
    "outside_support": 0,
    "withheld": 0,
}


@pytest.fixture(scope="module")
def answer():
    question = ask(Request(arms=TWO, outcomes=("score", "poor"), design="randomised"), TRIAL)
    table = trial(400, 61, slope=1.5).table
    study = twin_study(table, question, options=QUICK, seed=1)
    checks = trial_check(table, question, options=QUICK, seed=1)
    return plain({**as_json(study, checks), "cohort": COHORT, "actions": [], "release": None})


def provenance() -> Provenance:
    return Provenance(
        data="trial",
        title="A <trial>",
        citation="",
        attribution="",
        generator="",
        recipe={},
        schema_hash="s",
        protocol_hash="",
        policy="p",
        policy_hash="h",
        versions={"ehrsynth": "1"},
        date="2026-01-01T00:00:00+00:00",
        rows=Rows(400, 400, 0, 0),
        seed=77_123,
        command="ehrsynth twins secret.csv",
    )


def test_the_inside_page_shows_everything(answer) -> None:
    page = render_twins(answer, provenance(), shareable=False)
    for word in (
        "Can the arms be compared",
        "placebo treatment",
        "Calibration",
        "77123",
        "depends on the coupling",
    ):
        assert word in page
    assert "A &lt;trial&gt;" in page
    assert "<script" not in page
    assert "no standard error over twins is given" in page


def test_the_page_that_may_leave_has_no_seed_no_command_and_no_diagnostics_of_covariates(answer) -> None:
    page = render_twins(answer, provenance(), shareable=True)
    for word in ("77123", "secret.csv", "Can the arms be compared", "placebo treatment"):
        assert word not in page
    assert "Average effects" in page


def test_small_groups_do_not_leave(answer) -> None:
    page = render_twins(answer, provenance(), shareable=True, small_cell=10**6)
    assert "age: lowest third" not in page


@pytest.mark.parametrize("shareable", [True, False])
def test_a_trial_check_that_compared_nothing_is_neither_a_yes_nor_a_contradiction(answer, shareable) -> None:
    empty = {"verdict": "not computed", "reason": TOO_FEW, "cells": []}
    checks = [one | empty for one in answer["trial_check"]]
    page = render_twins({**answer, "trial_check": checks}, provenance(), shareable=shareable)
    assert "not computed: fewer than 50 patients an arm in a half" in page
    assert "The trial check was not computed for score" in page
    assert "the trial does not contradict" not in page
    assert "trial contradicts" not in page


def test_groups_that_were_left_out_are_named_inside(answer) -> None:
    outcomes = [one | {"groups_left_out": ["sex: F, low against none: few"]} for one in answer["outcomes"]]
    pages = [
        render_twins({**answer, "outcomes": outcomes}, provenance(), shareable=shareable)
        for shareable in (False, True)
    ]
    assert ["Left out: sex: F, low against none: few" in page for page in pages] == [True, False]


def test_what_is_withheld_is_not_on_the_page(answer) -> None:
    held = {**answer["outcomes"][0], "withheld": ["too few patients"]}
    for name in ("average_effects", "arms", "coupling", "e_values"):
        held.pop(name)
    stopped = {**answer, "verdict": "refused", "outcomes": [held], "trial_check": []}
    page = render_twins(stopped, provenance(), shareable=False)
    assert "These data cannot answer the question." in page
    assert "Withheld: too few patients." in page
    assert "Average effects" not in page


def test_charts_say_in_words_what_they_show() -> None:
    chart = str(overlap_chart("a against <b>", [0.5, 0.5], [0.2, 0.8]))
    assert "&lt;b&gt;" in chart
    assert "other arm 80.0 %" in chart
    fifth = {"said": 0.2, "seen": {"low": 0.1, "value": 0.2, "high": 0.3}}
    assert "said 0.2, seen 0.2" in str(calibration_chart("x", [fifth]))
