"""Target populations as people write them."""

from pathlib import Path

import numpy as np
import pytest

from ehrsynth.errors import RequestError
from ehrsynth.rebalance.population import checked, margins_of, read_population
from ehrsynth.rebalance.raking import Moment, Shares
from ehrsynth.schema import Schema

SCHEMA = Schema(
    name="people",
    columns=(
        {"name": "country", "kind": "category", "values": ("NO", "SE", "y"), "missing": True},
        {"name": "age", "kind": "integer", "minimum": 0, "maximum": 120},
        {"name": "smoker", "kind": "boolean", "true": "Y", "false": "N"},
    ),
)
VALUES = {
    "country": np.array([0, 1, 2, np.nan, 0, 1.0]),
    "age": np.array([20, 50, 60, 70, 80, 90.0]),
    "smoker": np.array([1, 0, 1, 0, 1, 0.0]),
}
YAML = """\
country: {NO: 50, SE: 30, y: 10, missing: 10}
age: {"< 60": 0.5, "60 <= age < 80": 0.25, ">= 80": 0.25}
smoker: {Y: 1, N: 3}
"""


def test_yaml_and_csv_say_the_same_and_norway_stays_norway(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(YAML)
    lines = ["margin,cell,share"]
    for margin, cells in read_population(tmp_path / "p.yaml").items():
        lines += [f'"{margin}","{cell}",{share}' for cell, share in cells.items()]
    (tmp_path / "p.csv").write_text("\n".join(lines))
    assert read_population(tmp_path / "p.csv") == read_population(tmp_path / "p.yaml")
    assert read_population(tmp_path / "p.yaml")["country"]["NO"] == 50


def test_cells_are_words_comparisons_missing_and_expressions(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(
        YAML + "joint: {'smoker and age < 60': 1, 'not (smoker and age < 60)': 4}\n"
    )
    country, age, smoker, joint = margins_of(read_population(tmp_path / "p.yaml"), VALUES, SCHEMA)
    assert country.cell.tolist() == [0, 1, 2, 3, 0, 1]
    assert age.cell.tolist() == [0, 0, 1, 1, 2, 2]
    assert smoker.cell.tolist() == [0, 1, 0, 1, 0, 1]
    assert joint.cell.tolist() == [0, 1, 1, 1, 1, 1]
    assert isinstance(smoker, Shares)
    assert smoker.shares == pytest.approx([0.25, 0.75])


def test_a_number_can_have_a_mean_and_a_spread() -> None:
    mean, variance = margins_of({"age": {"mean": 60.0, "sd": 20.0}}, VALUES, SCHEMA)
    assert isinstance(mean, Moment)
    assert (mean.target, variance.target) == (60.0, 400.0)
    assert variance.values.tolist() == [1600, 100, 0, 100, 400, 900]


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ({"country": {"NO": 50, "SE": 50}}, "2 of 6 patients are in no cell"),
        ({"age": {"< 60": 1, "< 80": 1, ">= 80": 1}}, "cells do not overlap"),
        ({"country": {"NO": 1, "DK": 1}}, "country: unknown value 'DK'; known: "),
        ({"contry": {"NO": 1}}, "contry:"),
        ({"country": {"mean": 3}}, "column with numbers"),
    ],
)
def test_what_does_not_fit_the_table_is_told(written: dict, words: str) -> None:
    with pytest.raises(RequestError, match=words):
        margins_of(checked(written), VALUES, SCHEMA)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[1, 2]", "holds no margins"),
        ("country: 3", "holds no margins"),
        ("country: {NO: many}", "'many' is no number"),
        ("country: {NO: -1, SE: 2}", "0 or more"),
        ("country: {NO: 0, SE: 0}", "all 0"),
        ("country: {NO: 1}\ncountry: {SE: 1}", "says things twice: country"),
        ("country: {NO: 1, NO: 2}", "says things twice: NO"),
        ("age: {sd: 3}", "needs the mean"),
        ("age: {mean: 3, sd: 0}", "above 0"),
        ("age: {mean: 3, '< 60': 2}", "stand alone"),
        ("a: [", "cannot be read"),
    ],
)
def test_a_file_that_holds_no_population_is_told(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(text)
    with pytest.raises(RequestError, match=words):
        read_population(tmp_path / "p.yaml")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a,b,c\n1,2,3", "margin,cell,share"),
        ("margin,cell,share\nage,< 60", "2 fields"),
        ("margin,cell,share\nage,< 60,1\nage,< 60,2", "twice"),
    ],
)
def test_a_csv_that_holds_no_population_is_told(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text(text)
    with pytest.raises(RequestError, match=words):
        read_population(tmp_path / "p.csv")
