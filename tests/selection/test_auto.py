"""`auto` on a small table: it judges what it says that it judges, and stands in for what it chose."""

import sys
from typing import Any

import numpy as np
import pytest

from ehrsynth.errors import MissingPackage, RequestError
from ehrsynth.generators.base import AbstractFitted
from ehrsynth.generators.density import knows_density
from ehrsynth.generators.independent import Independent
from ehrsynth.generators.recipes import recipe
from ehrsynth.schema import Schema
from ehrsynth.selection import Auto
from ehrsynth.selection.judging import judge
from ehrsynth.tables.values import from_values

SCHEMA = Schema(
    name="made",
    citation="made for this test",
    columns=(
        {"name": "x", "kind": "number", "minimum": -6, "maximum": 6, "decimals": 3},
        {"name": "y", "kind": "number", "minimum": -6, "maximum": 6, "decimals": 3},
        {"name": "dead", "kind": "boolean", "roles": ("outcome",)},
    ),
)


def patients(n: int, seed: int):
    rng = np.random.default_rng(seed)
    x = np.clip(rng.normal(size=n), -6, 6).round(3)
    y = np.clip(x + 0.2 * rng.normal(size=n), -6, 6).round(3)
    return from_values({"x": x, "y": y, "dead": (x + rng.normal(size=n) > 0).astype(float)}, SCHEMA)


def test_it_prefers_what_keeps_the_relation_whatever_the_order() -> None:
    for candidates in (("independent", "copula"), ("copula", "independent")):
        model = Auto(candidates=candidates, splits=3).fit(patients(300, 1), SCHEMA, seed=1)
        assert model.chosen.recipe.name == "copula"
        assert model.decided.startswith("auto chose copula")
        with pytest.raises(RequestError, match="density"):
            knows_density(model).log_prob(patients(5, 2))


def test_marks_know_a_copy_from_fresh_patients() -> None:
    train, unseen, fresh = patients(150, 3), patients(150, 4), patients(150, 5)
    copied, honest = (judge(train, unseen, made, SCHEMA, seed=1) for made in (train, fresh))
    assert copied.nearest > 0.9
    assert abs(honest.nearest - 0.5) < 0.1
    assert honest.telling < 0.1
    assert honest.utility is not None
    assert honest.utility > 0.7


def test_independent_columns_are_judged_where_they_are_no_candidate_and_not_chosen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    learnt, fit = [], Independent.fit

    def spied(self: Independent, *given: Any, **named: Any) -> AbstractFitted:
        learnt.append(self.name)
        return fit(self, *given, **named)

    monkeypatch.setattr(Independent, "fit", spied)
    model = Auto(candidates=("copula", "copula most_words=50"), splits=3).fit(
        patients(300, 1), SCHEMA, seed=1
    )
    assert learnt == ["independent"] * 3
    assert [one.candidate for one in model.choice.judged] == ["copula", "copula most_words=50"]


def test_too_few_patients_take_the_first_candidate_and_say_so() -> None:
    model = Auto(candidates=("independent", "copula")).fit(patients(20, 6), SCHEMA, seed=1)
    assert model.choice.chosen == "independent"
    assert "fewer than 40" in model.decided


@pytest.fixture
def without_sdv(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sdv", None)


@pytest.mark.usefixtures("without_sdv")
def test_default_candidates_that_are_not_installed_are_left_out_and_named() -> None:
    auto = Auto(splits=2, rows=60)
    for recipe_ in (auto, recipe("auto", auto.model_dump(mode="json"))):  # as it was, and as it is stored
        model = recipe_.fit(patients(60, 1), SCHEMA, seed=1)
        assert model.choice.chosen != "copula"
        assert "not installed: copula" in model.decided
        (judged,) = [one for one in model.choice.judged if one.candidate == "copula"]
        assert judged.telling is None
        assert "ehrsynth[sdv]" in judged.left_out


@pytest.mark.usefixtures("without_sdv")
@pytest.mark.parametrize("last", ["copula", 'sharded generator="copula"'])
def test_candidates_that_were_asked_for_must_be_installed_before_anything_is_learnt(
    monkeypatch: pytest.MonkeyPatch, last: str
) -> None:
    def fit(*_args: object, **_options: object) -> None:
        raise AssertionError

    monkeypatch.setattr(Independent, "fit", fit)
    with pytest.raises(MissingPackage, match="sdv"):
        Auto(candidates=("independent", last)).fit(patients(60, 1), SCHEMA, seed=1)


@pytest.mark.parametrize(
    ("candidates", "match"),
    [
        (["auto"], "choose itself"),
        (["copulla"], "copula"),
        (["cart leef=3"], "leaf"),
        (["cart", "cart"], "twice"),
    ],
)
def test_candidates_that_cannot_be_are_refused(candidates: list[str], match: str) -> None:
    with pytest.raises(RequestError, match=match):
        recipe("auto", {"candidates": candidates})
