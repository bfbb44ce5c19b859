"""A small ward for the tests of the chain: eight columns, a rule, a formula and a rare last column."""

import numpy as np
import pandas as pd

from ehrsynth.schema import Schema
from ehrsynth.tables.values import from_values

WARD = Schema(
    citation="made for this test",
    name="ward",
    columns=(
        {"name": "id", "kind": "identifier", "pattern": "P####", "roles": ("patient_key",)},
        {"name": "sex", "kind": "category", "values": ("F", "M"), "roles": ("protected",)},
        {"name": "age", "kind": "integer", "minimum": 0, "maximum": 110, "roles": ("protected",)},
        {"name": "sbp", "kind": "integer", "minimum": 40, "maximum": 300, "missing": True},
        {"name": "dbp", "kind": "integer", "minimum": 20, "maximum": 250, "missing": True},
        {"name": "pulse pressure", "kind": "integer", "minimum": 0, "maximum": 280, "missing": True},
        {"name": "drug", "kind": "boolean", "roles": ("treatment",)},
        {"name": "dead", "kind": "boolean", "roles": ("outcome",)},
        {
            "name": "day of death",
            "kind": "integer",
            "minimum": 0,
            "maximum": 365,
            "missing": True,
            "roles": ("time",),
        },
    ),
    constraints=(
        {"kind": "inequality", "low": "dbp", "high": "sbp"},
        {"kind": "formula", "column": "pulse pressure", "equals": "sbp - dbp"},
        {"kind": "implication", "if": "not dead", "then": "missing(`day of death`)"},
        {"kind": "implication", "if": "dead", "then": "not missing(`day of death`)"},
    ),
)


def patients(n: int = 2_000, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    female = rng.random(n) < 0.4
    age = np.clip(rng.normal(70, 12, n) + 6 * female, 18, 105).round()
    dbp = np.clip(rng.normal(60 + age / 4, 8, n), 30, 140).round()
    sbp = np.clip(dbp + rng.gamma(20, 3, n), dbp, 290).round()
    unmeasured = rng.random(n) < np.where(female, 0.3, 0.05)
    sbp = np.where(unmeasured, np.nan, sbp)
    drug = rng.random(n) < 0.5
    dead = rng.random(n) < 1 / (1 + np.exp(-(age - 80) / 6 + drug))
    values = {
        "sex": np.where(female, 0.0, 1.0),
        "age": age,
        "sbp": sbp,
        "dbp": dbp,
        "pulse pressure": sbp - dbp,
        "drug": drug.astype(float),
        "dead": dead.astype(float),
        "day of death": np.where(dead, np.minimum(rng.geometric(0.02, n), 365).astype(float), np.nan),
    }
    return from_values(values, WARD)
