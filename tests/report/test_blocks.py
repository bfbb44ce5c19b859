"""Each block of the readers' pages: there inside, and absent or rounded where the page may be shared."""

import re
from dataclasses import replace
from html import unescape

import pytest

from ehrsynth.evaluation.summaries import MOST_CELLS, OTHER, ColumnSummary
from ehrsynth.evaluation.table_one import Row
from ehrsynth.registry import known
from ehrsynth.report import patients
from ehrsynth.report.numbers import EMPTY
from ehrsynth.report.page import render
from ehrsynth.report.provenance import Guarantee
from ehrsynth.report.words import LEAK, RISKS, SCORES
from ehrsynth.schema import FixedCombination, Formula, Implication, Inequality, PresentTogether


def text(html):
    """Words and pictures' labels of a page."""
    labels = " ".join(re.findall(r'aria-label="(.*?)"', html))
    plain = re.sub(r"<style>.*?</style>|<[^>]*>", " ", html, flags=re.DOTALL)
    return " ".join(unescape(f"{plain} {labels}").split())


@pytest.fixture
def inside(whole):
    return text(render(*whole, shareable=False))


@pytest.fixture
def outside(whole):
    return text(render(*whole, shareable=True))


@pytest.fixture
def guarded(whole):
    """What may be shared under differential privacy."""
    decision, provenance, evaluation, schema = whole
    provenance = replace(provenance, guarantee=Guarantee(1.0, 1e-6, "rdp"))
    return text(render(decision, provenance, evaluation, schema, shareable=True))


@pytest.mark.parametrize(("what", "words"), [("metric", SCORES), ("attack", RISKS)])
def test_no_score_and_no_attack_has_a_bare_name(what, words):
    assert set(known(what)) <= set(words)


def test_table_one_stands_side_by_side(inside, outside, guarded):
    for page in (inside, outside):
        assert "51.7 (12.1) 52.2 (12.3) 0.04" in page
        assert f"not shown 500 (5.0) {EMPTY}" in page
    assert "5000 (50.0) 5111 (51.1) 0.02" in inside
    assert "50.0 % 5111 (51.1) 0.02" in outside
    assert "5000 (50.0)" not in outside
    assert "ward 5 & more n (%) 500 (5.0) 0 (0.0)" in inside
    assert "ward 5 & more n (%)" not in guarded
    assert "51.7 (12.1)" not in guarded
    assert "50.0 % 5111" not in guarded
    assert "52.2 (12.3)" in guarded


def test_a_spread_that_is_off_is_said_in_words(whole):
    given, provenance, evaluation, schema = whole
    rows = (
        Row("age", "", "mean (SD)", "50 (10)", "50 (6)", 0.0, 0.6),
        Row("ward", "", "median [IQR]", "3 [2 to 4]", "3 [2 to 4]", 0.01, 0.0003),
        Row("died", "", "mean (SD)", "1 (1)", "1 (1)", 0.0, 1.2),
    )
    found = replace(evaluation, table_one=rows)
    changed = replace(provenance, actions=("age: bounds were drawn in",))
    inside, outside = (text(render(given, changed, found, schema, shareable=s)) for s in (False, True))
    assert (
        "off by more than a fifth (a ratio of SD below 0.8 or above 1.25) in 2 columns, here with the ratio:"
        " age, years (0.60); ward (0.0003)." in inside
    )
    assert "above 1.25) in 1 column, here with the ratio: age, years (0.60)." in outside
    assert f"3 [2 to 4] 3 [2 to 4] 0.01 {EMPTY}" in outside  # the SD beside a median is not known outside
    assert "after what was changed before learning" in inside
    same = text(render(given, replace(provenance, actions=()), evaluation, schema, shareable=False))
    assert "off by more than a fifth" not in same
    assert "after what was changed before learning" not in same


def test_table_one_shows_no_count_that_a_picture_hides(inside, outside):
    for real, made in (("10004 (100.0)", "9003 (90.0)"), ("3 (0.0)", "1004 (10.0)")):
        assert f"{real} {made} 0.03" in inside
        assert f"{real} {made}" not in outside
        assert f"not shown {made} {EMPTY}" in outside


def test_a_larger_small_cell_than_table_one_was_made_for_hides_all_real_patients(whole):
    page = text(render(*whole, shareable=True, small_cell=11))
    assert "51.7 (12.1)" not in page
    assert f"not shown 5111 (51.1) {EMPTY}" in page


def test_the_rest_of_many_values_is_not_the_value_called_other(whole):
    labels = (*(f"v{n}" for n in range(MOST_CELLS - 1)), OTHER)
    shares = tuple(1 / MOST_CELLS for _ in labels)
    column = ColumnSummary("ward", "category", labels, (), shares, shares, 0.0, 0.0, 9000, 9000)
    rows = (Row("ward", OTHER, "n (%)", "400 (4.4)", "300 (3.3)", 0.1),)
    _, _, evaluation, schema = whole
    for summary, shown in (
        (column, "not shown"),
        (replace(column, labels=(*labels[:-2], OTHER, "z")), "4.4 %"),
    ):
        found = replace(evaluation, columns=(summary,), table_one=rows)
        (line,) = patients.table_one(found, schema, shareable=True, shows_real=True, small_cell=10)
        assert line.real == shown


def test_a_column_of_many_values_shows_the_frequent_ones(whole):
    _, _, evaluation, schema = whole
    rows = tuple(Row("ward", f"ward {n}", "n (%)", "20 (0.2)", f"{n} (0.1)", 0.0) for n in range(20))
    lines = patients.table_one(
        replace(evaluation, table_one=rows), schema, shareable=False, shows_real=True, small_cell=10
    )
    assert [line.level for line in lines] == [f"ward {n}" for n in range(8, 20)]


def test_the_value_that_counts_as_without_event_is_named(whole):
    given, provenance, evaluation, schema = whole
    score = evaluation.scores["survival_curves"]
    named = replace(score, details={**score.details, "without_event": "lost to follow-up"})
    found = replace(evaluation, scores={**evaluation.scores, "survival_curves": named})
    for shareable in (False, True):
        page = text(render(given, provenance, found, schema, shareable=shareable))
        assert "“lost to follow-up” in died counts as: followed until then, without event." in page


def test_the_steps_of_real_curves_stay_inside(whole, inside, outside):
    pages = [render(*whole, shareable=shareable) for shareable in (False, True)]
    assert ['class="real-line"' in page for page in pages] == [True, False]
    assert "without event: curves of real and synthetic patients" in inside
    assert "without event: curves of synthetic patients" in outside
    assert ["11 years: real 81.2 %, synthetic 80.0 %" in unescape(page) for page in pages] == [True, False]
    assert ["11 years" in page or "31 years" in page for page in pages] == [True, False]
    assert "10 years: synthetic 80.0 %" in unescape(pages[1])
    assert "0.192" in inside
    assert "0.192" not in outside


def test_a_curve_starts_and_steps_where_it_should(whole):
    page = render(*whole, shareable=True)
    (path,) = re.findall(r'class="synthetic-line" d="(M0\.00 2\.08[^"]*)"', page)
    # 0.98, 0.8 and 0.69 of a height of 104, from a third of the width on, to its end.
    assert path == "M0.00 2.08H106.67L106.67 20.80H320.00L320.00 32.24H320"


def test_impossible_patients_are_told_in_words(inside, outside, guarded):
    for page in (inside, outside, guarded):
        assert "12 of 10,007 synthetic patients (0.1 %) could not exist" in page
        assert "No infant is married." in page
    assert "Of the training patients <0.1 % do." in inside
    assert "Of the training patients" not in outside
    assert "Of the training patients" not in guarded


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (Inequality(low="a", high="b"), "a is at most b."),
        (Inequality(low="a", high="b", strict=True), "a is below b."),
        (FixedCombination(columns=("a", "b"), values=(("1", "2"),)), "a and b occur together only as"),
        (Implication(**{"if": "a == 1", "then": "b == 2"}), "Where a == 1, then b == 2."),
        (Formula(column="a", equals="b + 1"), "a is b + 1."),
        (PresentTogether(columns=("a", "b")), "a and b are all known or all missing."),
    ],
)
def test_every_kind_of_rule_has_words(rule, words):
    assert patients.in_words(rule).startswith(words)


def test_groups_are_shown_and_small_ones_named_inside_only(inside, outside, guarded):
    for page in (inside, outside):
        assert "sex: F 0.681 (0.502)" in page
        assert "ward: ward 0 & more 0.685" in page
        assert "1 groups are too small" not in page
        assert "1 group is too small" in page
    assert "ward: ward 7 & more" in inside
    assert "ward: ward 7 & more" not in outside
    assert "sex: F" not in guarded


def test_the_simultaneous_bound_is_told_and_its_counts_stay_inside(inside, outside, guarded):
    for page in (inside, outside):
        assert "4 statistics: 2 attacks in 2 groups of patients" in page
        assert "1 %: the chance that a leak is found anywhere" in page
        assert f"Said of {LEAK}." in page
    for secret in (
        "0.2525; a finding",
        "Attempts on this data 3:",
        "4,321",
        "2,109",
        "3.0 %",
        "0.013",
        "ward: ward 9 & more",
    ):
        assert secret in inside
        assert secret not in outside
    assert "Crowded by synthetic patients AUROC 0.05 0.08" in outside  # 0.0411, rounded up
    assert "Repeated rows and odd values success 0.02 0.08" in outside  # 0.0133
    assert "All attacks together" not in guarded
    assert "AUROC 0.0" not in guarded


def test_a_bounded_attack_shows_the_number_that_the_gate_looked_at(inside, outside):
    assert "Crowded by synthetic patients at most 0.041" in inside
    assert "Of 4,321 training patients it recognises 12.1 % at 10 % false alarms" in inside
    assert "Crowded by synthetic patients at most 0.05" in outside
    assert "Largest risk 0.041" in inside
    assert "Largest risk 0.05" in outside


def test_an_attack_that_the_gate_could_not_measure_says_so(whole):
    decision, provenance, evaluation, schema = whole
    checks = [
        replace(c, value=None, passed=False) if c.name.startswith("Crowded") else c for c in decision.checks
    ]
    page = text(render(type(decision).from_checks(checks), provenance, evaluation, schema, shareable=False))
    assert "Crowded by synthetic patients Not measurable here" in page
    assert "Crowded by synthetic patients: not computed; no" in page
    assert "Largest risk measured" in page
    assert "1 more of the attacks could not be measured, and may be larger." in page


def test_the_crosswalk_is_evidence_and_never_the_determination(inside, outside, guarded):
    for page in (inside, outside, guarded):
        assert "It is never the determination itself" in page
        for rule in ("HIPAA, Expert Determination", "WP29 Opinion 05/2014: linkability", "EMA Policy 0070"):
            assert rule in page
    for page in (inside, outside):
        assert "Nothing was measured for it here." in page  # no attack measured identity disclosure
    assert "Repeated rows and odd values: 0.026, limit at most 0.09; yes" in inside
    assert "Repeated rows and odd values: 0.030, limit at most 0.09; yes" in outside
    assert "What was measured for it lies outside the guarantee and stays inside" in guarded
    assert "; yes" not in guarded


def test_what_may_leave_depends_on_the_decision(whole, blocked):
    yes, no = (text(render(*case, shareable=False)) for case in (whole, blocked))
    assert "May be shared the synthetic table, as CSV" in yes
    assert "May be shared nothing: the gate said no" in no


def test_effects_on_real_patients_stay_inside(whole, inside, outside, guarded):
    pages = [render(*whole, shareable=shareable) for shareable in (False, True)]
    assert ['class="reach real"' in page for page in pages] == [True, False]
    assert all('class="reach synthetic"' in page for page in pages)
    for page in (inside, outside):
        assert "0.59 (0.39 to 0.78)" in page
        assert "sbp (repeats other columns)" in page
        assert "sbp (linear): not fitted (no baseline column)" in page
    for secret in ("0.42 (0.23 to 0.62)", "0.46 (0.27 to 0.66)", "1.717", "1.313", "0.64", "8,765 of 10,007"):
        assert secret in inside
        assert secret not in outside
    assert "age: synthetic 0.59 (0.39 to 0.78), real 0.42 (0.23 to 0.62)" in inside
    assert "0.59 (0.39 to 0.78)" not in guarded


def test_judges_predictions_sites_and_columns_are_there(inside, outside, guarded):
    said = (
        "Boosted trees 0.683 0.671 to 0.695 0.501",
        "sbp 37.4 %",
        "died boosted trees 0.683 (0.501) 0.671 to 0.695 0.313 (0.313) 0.091 (0.091) 0.980 (0.980)",
        "ward 3 & more 0.717 (0.727) 0.700 to 0.730 -0.010",
        "age 41.4 % 39.4 %",
        "Coverage 0.869 0.860 to 0.880 0.900",
    )
    for one in said:
        assert one in inside
        assert one in outside
        assert one not in guarded
    for secret in ("Authenticity", "6 more are too small"):
        assert secret in inside
        assert secret not in outside


def test_several_copies_say_which_inference_is_valid(whole, inside, outside, guarded):
    for page in (inside, outside):
        assert "All 2 copies together" in page
        assert "No valid population inference" in page
        assert "0.42 to 0.60 0.33 to 0.70" in page
    assert "0.578" in inside
    assert "0.578" not in outside
    assert "All 2 copies together" not in guarded
    decision, provenance, evaluation, schema = whole
    one = render(decision, provenance, replace(evaluation, combined=None), schema, shareable=False)
    assert "copies together" not in one


def test_a_second_opinion_stays_inside(inside, outside, guarded):
    assert "0.005 (0.000 to 0.013), 500 attacks" in inside
    for page in (outside, guarded):
        assert "anonymeter" not in page


def test_what_was_not_judged_shows_no_upper_end(inside, outside):
    assert "(values) AUROC 0.010 not judged 0.100" in inside
    assert "0.078" not in inside
    assert "0.08 0.10" not in outside


def test_the_difference_of_a_pair_is_not_taken_for_that_of_its_strengths(inside):
    """It is half the gap of two correlations, or moved patients: 0.14 and 0.15 may differ by 0.17."""
    assert "Difference (1 less score)" in inside
    assert "which is not the one less the other" in inside
