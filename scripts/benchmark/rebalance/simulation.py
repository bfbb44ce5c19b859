"""Patients of a known law: ten features, a majority, a minority with some coefficients turned round."""

import numpy as np
import pandas as pd

from ehrsynth.schema import Schema
from ehrsynth.tables.values import from_values

FEATURES = 10
COEFFICIENTS = np.linspace(1.08, 0.0, FEATURES)
SCHEMA = Schema(
    name="simulated",
    columns=(
        {"name": "group", "kind": "category", "values": ("majority", "minority"), "roles": ("protected",)},
        {"name": "event", "kind": "boolean", "roles": ("outcome",)},
        *(
            {"name": f"x{i}", "kind": "number", "minimum": -8, "maximum": 8, "decimals": 4}
            for i in range(FEATURES)
        ),
    ),
)


def patients(majority: int, minority: int, *, flips: int, seed: int, intercept: float = 0.0) -> pd.DataFrame:
    """So many patients; the first `flips` coefficients have the other sign in the minority."""
    rng = np.random.default_rng(seed)
    n = majority + minority
    group = np.repeat([0.0, 1.0], [majority, minority])
    x = np.clip(rng.normal(size=(n, FEATURES)), -8, 8).round(4)
    coefficients = np.tile(COEFFICIENTS, (n, 1))
    coefficients[group == 1, :flips] *= -1
    risk = 1 / (1 + np.exp(-(intercept + (x * coefficients).sum(axis=1))))
    values = {"group": group, "event": (rng.random(n) < risk).astype(float)}
    return from_values(values | {f"x{i}": x[:, i] for i in range(FEATURES)}, SCHEMA)
