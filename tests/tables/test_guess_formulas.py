"""Computed columns are proposed as formulas; what only nearly holds, or holds by chance, is not."""

import numpy as np
import pandas as pd
import pytest

from ehrsynth import generator
from ehrsynth.schema import Formula
from ehrsynth.tables.infer import infer_schema
from ehrsynth.tables.reading import table_from_frame

N = 300


def measured(seed: int = 1) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    height, weight = rng.normal(170, 9, N).round(), rng.normal(75, 12, N).round(1)
    first, second = (rng.dirichlet((6, 3, 2), N).T[:2] * 100).round(1)
    items = rng.integers(0, 5, (4, N)).astype(float)
    gone = rng.random(N) < 0.15
    weight[gone] = np.nan
    return {
        "height": height,
        "weight": weight,
        "body weight": weight,
        "bmi": (weight / (height / 100) ** 2).round(1),
        "neutro": first,
        "lympho": second,
        "mono": (100 - first - second).round(1),
        **{f"item{i}": item for i, item in enumerate(items)},
        "score": items.sum(axis=0),
        "half": rng.normal(5, 2, N).round(2),
    }


def formulas(columns: dict[str, np.ndarray]) -> dict[str, str]:
    schema, _ = infer_schema(pd.DataFrame(columns), name="t")
    return {rule.column: rule.equals for rule in schema.constraints if isinstance(rule, Formula)}


def test_copies_totals_parts_of_a_whole_and_quotients_are_proposed() -> None:
    assert formulas(measured()) == {
        "body weight": "weight",
        "score": "item0 + item1 + item2 + item3",
        "mono": "100 - neutro - lympho",
        "bmi": "weight / (height * height) * 10000",
    }


@pytest.mark.parametrize("column", ["body weight", "bmi", "mono", "score"])
def test_one_row_against_it_is_no_rule(column: str) -> None:
    columns = measured()
    row = int(np.flatnonzero(~np.isnan(columns["weight"]))[7])
    columns[column] = columns[column].copy()
    columns[column][row] -= 1
    assert column not in formulas(columns)


def test_a_result_that_is_known_where_an_input_is_not_stays_as_it_is() -> None:
    """Recomputed it would be missing there."""
    columns = measured()
    missing = np.isnan(columns["bmi"])
    columns["bmi"] = np.where(missing, 24.5, columns["bmi"])
    assert "bmi" not in formulas(columns)


def test_several_totals_and_several_wholes_do_not_hide_each_other() -> None:
    rng = np.random.default_rng(2)
    a, b = ({f"{name}{i}": rng.integers(0, 5, N) for i in range(4)} for name in "ab")
    parts = [(rng.dirichlet((6, 3, 2), N).T[:2] * 100).round(1) for _ in range(2)]
    columns = {"first": sum(a.values()), **a, **b, "second": sum(b.values())}
    columns["both"] = columns["first"] + columns["second"]
    for name, (x, y) in zip("uv", parts, strict=True):
        columns |= {f"{name}1": x, f"{name}2": y, f"{name}3": (100 - x - y).round(1)}
    found = formulas(columns)
    assert found["second"] == "b0 + b1 + b2 + b3"
    assert (found["u3"], found["v3"]) == ("100 - u1 - u2", "100 - v1 - v2")
    assert found["both"] == "first + b0 + b1 + b2 + b3"
    for name, equals in found.items():
        assert np.allclose(pd.DataFrame(columns).eval(equals), columns[name])


def test_unrelated_columns_get_no_formula() -> None:
    rng = np.random.default_rng(3)
    for n in (20, 300):
        assert not formulas({f"x{i}": rng.normal(50, 10, n).round(1) for i in range(20)})
        assert not formulas({f"x{i}": rng.integers(0, 12, n) for i in range(20)})


def test_decimal_commas_are_numbers_here_too(tmp_path) -> None:
    path = tmp_path / "t.csv"
    pd.DataFrame(measured()).to_csv(path, sep=";", decimal=",", index=False)
    schema, _ = infer_schema(path, name="t")
    assert sum(isinstance(rule, Formula) for rule in schema.constraints) == 4


def test_what_is_proposed_is_a_rule_that_synthetic_patients_keep() -> None:
    frame = pd.DataFrame(measured())
    schema, _ = infer_schema(frame, name="t")
    table = table_from_frame(frame, schema)
    made = generator("independent").fit(table, schema, seed=1).sample(200, seed=2).table
    known = made[["height", "weight", "bmi", "neutro", "lympho", "mono"]].astype(float)
    assert (known["neutro"] + known["lympho"] + known["mono"]).sub(100).abs().max() < 1e-9
    assert (known["bmi"] - known["weight"] / (known["height"] / 100) ** 2).abs().max() <= 0.05 + 1e-9


@pytest.mark.parametrize(("factor", "decimals"), [(12.0, 0), (2.20462, 1), (0.0113, 2)])
def test_another_unit_is_proposed(factor: float, decimals: int) -> None:
    own = np.random.default_rng(2).integers(20, 101, N).astype(float)
    other = (own * factor).round(decimals)
    found = formulas({"own": own, "other": other})
    assert list(found) == ["other"]
    name, proposed = found["other"].split(" * ")
    assert name == "own"
    assert np.abs(own * float(proposed) - other).max() <= 0.5 * 10**-decimals * (1 + 1e-6)
    assert "other" not in formulas({"own": own, "other": np.append(other[:-1], other[-1] + 1)})


def test_months_are_computed_from_years_wherever_they_stand() -> None:
    age = np.random.default_rng(2).integers(20, 101, N).astype(float)
    assert formulas({"months": 12 * age, "age": age}) == {"months": "age * 12"}
