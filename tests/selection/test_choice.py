"""The rule of `auto`: who is out, who wins, and what it says."""

import pytest

from ehrsynth.selection.choice import Sizes, choose
from ehrsynth.selection.judging import Marks

SIZES = Sizes(200, 100)


def marks(telling: float, utility: float | None = 0.8, *, nearest: float = 0.5, odds: float = 0.5):
    """Four splits that differ a little."""
    return [
        Marks(telling + e, None if utility is None else utility + e, nearest + e, odds + e)
        for e in (0, 0.002, 0.001, 0.003)
    ]


def chosen(**found):
    return choose(found, {}, SIZES, limit=0.53)


def test_who_is_told_apart_more_easily_is_out_however_useful() -> None:
    choice = chosen(good=marks(0.05, 0.7), bad=marks(0.3, 0.95))
    assert choice.chosen == "good"
    assert "more easily than good" in choice.judged[1].left_out


def test_among_those_equally_hard_to_tell_the_more_useful_wins() -> None:
    assert chosen(first=marks(0.05, 0.7), second=marks(0.05, 0.8)).chosen == "second"


@pytest.mark.parametrize("how", ["nearest", "odds"])
def test_who_copies_is_not_chosen_however_good(how: str) -> None:
    choice = chosen(copier=marks(0.0, 0.99, **{how: 0.7}), honest=marks(0.2, 0.7))
    assert choice.chosen == "honest"
    assert f"membership by {how}" in choice.judged[0].left_out


def test_equal_in_both_the_one_that_leaks_less_then_the_earlier_wins() -> None:
    assert chosen(a=marks(0.05, odds=0.51), b=marks(0.05, odds=0.5)).chosen == "b"
    assert chosen(a=marks(0.05), b=marks(0.05)).chosen == "a"


@pytest.mark.parametrize("how", ["nearest", "odds"])
@pytest.mark.parametrize(("leak", "wins"), [(0.53, "safe"), (0.51, "true")])
def test_a_leak_weighs_as_much_as_being_told_apart(how: str, leak: float, wins: str) -> None:
    safe = [
        one._replace(telling=one.telling + e)
        for one, e in zip(marks(0.07), (-0.03, 0.03, -0.03, 0.03), strict=True)
    ]
    assert chosen(true=marks(0.05, **{how: leak}), safe=safe).chosen == wins


def test_what_independent_columns_give_away_is_no_copying() -> None:
    found, alone = {"good": marks(0.05, odds=0.58), "poor": marks(0.2)}, marks(0.3, odds=0.56)
    assert choose(found, {}, SIZES, limit=0.53).chosen == "poor"
    assert choose(found, {}, SIZES, limit=0.53, alone=alone).chosen == "good"
    copier = {"good": marks(0.0, odds=0.62), "poor": marks(0.2)}
    choice = choose(copier, {}, SIZES, limit=0.53, alone=alone)
    assert choice.chosen == "poor"
    assert "0.060 above that of independent columns" in choice.judged[0].left_out


def test_independent_columns_below_chance_are_no_reason_to_call_another_a_copier() -> None:
    found = {"good": marks(0.05, odds=0.52), "poor": marks(0.2)}
    assert choose(found, {}, SIZES, limit=0.53, alone=marks(0.3, odds=0.45)).chosen == "good"


def test_if_all_copy_the_least_is_chosen_and_it_is_said() -> None:
    choice = chosen(much=marks(0.0, odds=0.9), less=marks(0.1, odds=0.7))
    assert choice.chosen == "less"
    assert "every candidate copies" in choice.in_words()


def test_without_an_outcome_telling_decides_and_failures_are_kept() -> None:
    choice = choose({"a": marks(0.06, None), "b": marks(0.05, None)}, {"c": "broke"}, SIZES, limit=0.53)
    assert choice.chosen == "b"
    assert [one.candidate for one in choice.judged] == ["a", "b", "c"]
    assert choice.judged[2].left_out == "broke"
