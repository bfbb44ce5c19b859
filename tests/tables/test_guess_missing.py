"""Rules of `schema infer` about what is missing because of another column."""

import numpy as np
import pandas as pd

from ehrsynth.generators.independent import Independent
from ehrsynth.tables.infer import infer_schema
from ehrsynth.tables.reading import table_from_frame

N = 300


def rules(**columns):
    """The implications proposed for a table of words: condition to consequence."""
    frame = pd.DataFrame(columns)
    schema, _ = infer_schema(frame, name="made")
    table_from_frame(frame, schema)  # keeps its own rules
    return {c.if_: c.then for c in schema.constraints if c.kind == "implication"}


def some(n=N, *, of=("yes", "no"), seed=1):
    return np.random.default_rng(seed).choice(of, n)


def days(known, seed=2):
    return np.where(known, np.random.default_rng(seed).integers(1, 200, len(known)).astype(str), "")


def test_a_day_of_death_is_there_for_the_dead_and_for_nobody_else():
    died = some()
    assert rules(died=died, day=days(died == "yes")) == {
        'died == "no"': "missing(day)",
        'died == "yes"': "not missing(day)",
    }


def test_what_only_some_can_have_is_missing_for_the_others():
    sex, luck = some(of=("F", "M")), some(seed=3)
    assert rules(sex=sex, weeks=days((sex == "F") & (luck == "yes"))) == {'sex == "M"': "missing(weeks)"}


def test_several_words_are_listed_and_odd_names_quoted():
    state = some(of=('at "home"', "dead", "lost", "well"))
    found = rules(**{"state, last": state, "next visit": days(np.isin(state, ["well", 'at "home"']))})
    assert found == {
        '`state, last` in ("dead", "lost")': "missing(`next visit`)",
        '`state, last` in ("at \\"home\\"", "well")': "not missing(`next visit`)",
    }


def test_few_patients_make_no_rule():
    died = np.array(["yes"] * (N - 10) + ["no"] * 10)
    assert not rules(died=died, day=days(died == "yes"))


def test_chance_makes_no_rule():
    # Twelve of a ward, and each result is missing with 80 %: all twelve have none once in fourteen tables.
    ward = np.array(["A"] * 12 + ["B"] * (N - 12))
    known = np.random.default_rng(4).random(N) < 0.2
    known[:12] = False
    assert not rules(ward=ward, result=days(known))


def test_some_values_of_a_number_make_no_rule_and_all_do():
    stage, luck = some(of=("1", "2", "3", "4")), some(seed=3)
    assert not rules(stage=stage, size=days(np.isin(stage, ["2", "3"]) & (luck == "yes")))
    assert rules(stage=stage, size=days(stage != "4")) == {
        "stage == 4": "missing(size)",
        "stage in (1, 2, 3)": "not missing(size)",
    }


def test_columns_that_are_missing_together_are_spoken_for_by_their_first():
    died = some()
    found = rules(died=died, day=days(died == "yes"), hour=days(died == "yes", seed=5))
    assert set(found.values()) == {"missing(day)", "not missing(day)"}


def test_of_two_causes_the_one_that_says_of_every_row_is_taken():
    died = some()
    place = np.where(died == "yes", "ward", some(of=("ward", "home"), seed=6))
    found = rules(place=place, died=died, day=days(died == "yes"))
    assert set(found) == {'died == "no"', 'died == "yes"'}


def test_two_spellings_of_a_number_are_one_value():
    stage = some(of=("+1", "1", "1.0", "2", "10"))
    assert rules(stage=stage, size=days(np.isin(stage, ["2", "10"]))) == {
        "stage == 1": "missing(size)",
        "stage in (2, 10)": "not missing(size)",
    }


def test_two_spellings_of_yes_are_one_word():
    died = some(of=("Yes", "yes", "no", "No"))
    found = rules(died=died, day=days(np.char.lower(died) == "yes"))
    assert sorted(found.values()) == ["missing(day)", "not missing(day)"]


def test_a_cause_asked_of_few_rows_does_not_win_over_one_that_speaks_of_many():
    died, luck = some(n=1_000), some(n=1_000, of=("a", "b", "c", "d"), seed=7)
    known = (died == "yes") & (luck != "d")
    why = np.where(np.arange(1_000) < 60, np.where(known, "a", "b"), "")
    assert 'died == "no"' in rules(died=died, why=why, day=days(known))


def test_columns_missing_together_in_few_rows_each_have_a_rule():
    died = np.array(["no"] * 60 + ["yes"] * 1_940)
    dead = died == "yes"
    schema, _ = infer_schema(
        pd.DataFrame({"died": died, "day": days(dead), "hour": days(dead, seed=8)}), name="made"
    )
    assert [c.then for c in schema.constraints if c.kind == "implication" and c.if_ == 'died == "no"'] == [
        "missing(day)",
        "missing(hour)",
    ]


def test_a_computed_column_does_not_speak_for_the_one_it_is_computed_from():
    died, came = some(), pd.Timestamp("2020-01-01") + pd.to_timedelta(np.arange(N), unit="D")
    stay = np.random.default_rng(9).integers(0, 90, N)
    last = (came + pd.to_timedelta(stay, unit="D")).strftime("%Y-%m-%d")
    dead = died == "yes"
    found = rules(
        died=died,
        stay=np.where(dead, stay.astype(str), ""),
        came=came.strftime("%Y-%m-%d"),
        dead_on=np.where(dead, last, ""),
    )
    assert found == {'died == "no"': "missing(dead_on)", 'died == "yes"': "not missing(dead_on)"}


def test_a_questionnaire_by_form_is_drawn_by_a_generator_of_single_columns():
    form = some(n=800, of=tuple("ABCDEFGH"), seed=10)
    items = {f"item{k}": days(np.isin(form, list("ABCDEFGH")[k % 5 : k % 5 + 4]), seed=k) for k in range(30)}
    frame = pd.DataFrame({"form": form, **items})
    schema, _ = infer_schema(frame, name="made")
    table = table_from_frame(frame, schema)
    assert Independent().fit(table, schema, seed=1).sample(100, seed=1).acceptance > 0.1
