"""A hospital with a small group, for the tests of rebalancing: mixed columns, gaps, a rule, a formula."""

from functools import cache

import numpy as np
import pandas as pd

from ehrsynth.rebalance.plan import Equal, Plan
from ehrsynth.rebalance.wishes import Prepared, Wishes, prepare
from ehrsynth.schema import Schema
from ehrsynth.tables.values import from_values

HOSPITAL = Schema(
    name="hospital",
    columns=(
        {"name": "id", "kind": "identifier", "pattern": "P####", "roles": ("patient_key",)},
        {"name": "sex", "kind": "category", "values": ("F", "M"), "roles": ("protected", "covariate")},
        {"name": "age", "kind": "integer", "minimum": 18, "maximum": 100, "roles": ("covariate",)},
        {"name": "site", "kind": "category", "values": ("north", "south", "east"), "roles": ("site",)},
        {
            "name": "stage",
            "kind": "category",
            "values": ("I", "II", "III"),
            "ordered": True,
            "roles": ("covariate",),
        },
        {
            "name": "ward",
            "kind": "category",
            "values": ("a", "b", "c"),
            "missing": True,
            "roles": ("covariate",),
        },
        {
            "name": "sbp",
            "kind": "integer",
            "minimum": 50,
            "maximum": 260,
            "missing": True,
            "roles": ("covariate",),
        },
        {
            "name": "dbp",
            "kind": "integer",
            "minimum": 20,
            "maximum": 200,
            "missing": True,
            "roles": ("covariate",),
        },
        {
            "name": "pulse",
            "kind": "integer",
            "minimum": 0,
            "maximum": 240,
            "missing": True,
            "roles": ("covariate",),
        },
        {
            "name": "lab",
            "kind": "number",
            "minimum": -20,
            "maximum": 20,
            "decimals": 2,
            "roles": ("covariate",),
        },
        {"name": "died", "kind": "boolean", "missing": True, "roles": ("outcome",)},
        {"name": "days", "kind": "integer", "minimum": 0, "maximum": 99, "roles": ("time",)},
    ),
    constraints=(
        {"kind": "inequality", "low": "dbp", "high": "sbp"},
        {"kind": "formula", "column": "pulse", "equals": "sbp - dbp"},
        {"kind": "present_together", "columns": ("sbp", "dbp")},
    ),
)
DEATH = Wishes(outcome="died", protected=("sex",))


def hospital(n: int = 400, *, women: float = 0.15, seed: int = 0, gaps: bool = True) -> pd.DataFrame:
    """n patients, a share of them women; older and sicker ones die more often."""
    rng = np.random.default_rng(seed)
    female = np.arange(n) < round(women * n)
    age = np.clip(rng.normal(65, 14, n), 18, 100).round()
    lab = np.clip(rng.normal(0, 4, n), -20, 20).round(2)
    dbp = np.clip(rng.normal(80, 10, n), 30, 140).round()
    sbp = np.clip(dbp + rng.gamma(20, 2.5, n), dbp, 250).round()
    risk = 1 / (1 + np.exp(-((age - 65) / 10 + lab / 3 - 0.5)))
    values = {
        "sex": np.where(female, 0.0, 1.0),
        "age": age,
        "site": rng.integers(0, 3, n).astype(float),
        "stage": np.clip(np.round(1 + lab / 6), 0, 2),
        "ward": rng.choice([0.0, 1.0, 2.0], n, p=[0.6, 0.3, 0.1]),
        "sbp": sbp,
        "dbp": dbp,
        "pulse": sbp - dbp,
        "lab": lab,
        "died": (rng.random(n) < risk).astype(float),
        "days": rng.integers(0, 60, n).astype(float),
    }
    if gaps:
        unmeasured = rng.random(n) < 0.2
        for name in ("sbp", "dbp", "pulse"):
            values[name][unmeasured] = np.nan
        values["ward"][rng.random(n) < 0.1] = np.nan
    return from_values(values, HOSPITAL)


@cache
def ready(n: int = 400, seed: int = 0, *, gaps: bool = True) -> Prepared:
    """The hospital, prepared to raise women to as many as men."""
    return prepare(hospital(n, seed=seed, gaps=gaps), HOSPITAL, DEATH)


NUMBERS = Schema(
    name="numbers",
    columns=(
        {"name": "group", "kind": "category", "values": ("a", "b"), "roles": ("protected",)},
        {"name": "event", "kind": "boolean", "roles": ("outcome",)},
        *({"name": f"x{i}", "kind": "number", "minimum": -9, "maximum": 9, "decimals": 6} for i in range(5)),
    ),
)


def numbers(a: int, b: int, *, flips: int = 0, strength: float = 1.0, seed: int = 0) -> pd.DataFrame:
    """a and b patients with five numbers; the first `flips` coefficients have the other sign in group b."""
    rng = np.random.default_rng(seed)
    n = a + b
    group = np.repeat([0.0, 1.0], [a, b])
    x = np.clip(rng.normal(size=(n, 5)), -9, 9).round(6)
    coefficients = np.tile(strength * np.array([1.4, 1.0, 0.7, 0.4, 0.0]), (n, 1))
    coefficients[group == 1, :flips] *= -1
    event = rng.random(n) < 1 / (1 + np.exp(-(x * coefficients).sum(axis=1)))
    values = {"group": group, "event": event.astype(float)}
    return from_values(values | {f"x{i}": x[:, i] for i in range(5)}, NUMBERS)


def plan_of_numbers(table: pd.DataFrame, **fields: object) -> Plan:
    """The plan of `numbers`: group b as large as group a."""
    prepared = prepare(
        table,
        NUMBERS,
        Wishes(outcome="event", protected=("group",), predictors=tuple(f"x{i}" for i in range(5))),
    )
    return Plan(
        **{name: getattr(prepared.plan, name) for name in Plan.__dataclass_fields__}
        | {"goal": Equal()}
        | fields
    )
