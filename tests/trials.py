"""Made-up trials and studies whose truth is known, for the tests of twins."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ehrsynth.schema import Schema
from ehrsynth.tables.values import from_values

COVARIATE, OUTCOME = ("covariate",), ("outcome",)
SHOWN = ("covariate", "protected")
TRIAL = Schema(
    name="trial",
    citation="made for this test",
    columns=(
        {"name": "age", "kind": "integer", "minimum": 18, "maximum": 100, "roles": SHOWN},
        {"name": "sex", "kind": "category", "values": ("F", "M"), "roles": SHOWN},
        {
            "name": "sbp",
            "kind": "number",
            "minimum": 50,
            "maximum": 260,
            "decimals": 1,
            "missing": True,
            "roles": COVARIATE,
        },
        {"name": "ward", "kind": "category", "values": ("a", "b", "c"), "roles": COVARIATE},
        {"name": "site", "kind": "integer", "minimum": 0, "maximum": 400, "roles": ("site",)},
        {"name": "drug", "kind": "category", "values": ("none", "low", "high"), "roles": ("treatment",)},
        {"name": "score", "kind": "number", "minimum": -300, "maximum": 300, "decimals": 2, "roles": OUTCOME},
        {"name": "poor", "kind": "boolean", "missing": True, "roles": OUTCOME},
        {
            "name": "stage",
            "kind": "category",
            "values": ("I", "II", "III"),
            "ordered": True,
            "roles": OUTCOME,
        },
        {"name": "day", "kind": "integer", "minimum": 0, "maximum": 400, "unit": "days", "roles": ("time",)},
        {
            "name": "event",
            "kind": "category",
            "values": ("censored", "death", "relapse"),
            "roles": ("event",),
        },
        {"name": "stay", "kind": "integer", "minimum": 0, "maximum": 400},
    ),
)
# Two arms alone, since the schema has three.
TWO = {"none": ("none",), "low": ("low",)}


@dataclass(frozen=True)
class Truth:
    """A table with what is true of each patient: mean of `score` in every arm, chance of every arm."""

    table: pd.DataFrame
    means: np.ndarray
    chances: np.ndarray

    def part(self, rows: np.ndarray) -> "Truth":
        return Truth(self.table.iloc[rows].reset_index(drop=True), self.means[rows], self.chances[rows])


def trial(
    n: int = 600,
    seed: int = 0,
    *,
    arms: int = 2,
    effect: float = 2.0,
    slope: float = 0.0,
    confounding: float = 0.0,
    sites: int = 12,
) -> Truth:
    """n patients; `slope` makes the effect differ by age, `confounding` treats the old more often."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=n)
    age = np.clip(np.round(65 + 12 * z), 18, 100)
    z = (age - 65) / 12
    male = rng.random(n) < 0.5
    ward = rng.choice(3, n, p=[0.5, 0.3, 0.2])
    odds = np.exp(confounding * np.outer(z, np.arange(arms)))
    chances = odds / odds.sum(axis=1, keepdims=True)
    arm = (rng.random((n, 1)) > np.cumsum(chances, axis=1)[:, :-1]).sum(axis=1)
    base = 10 + 3 * z + 2 * male + (ward == 2)
    gain = effect + slope * z
    means = base[:, None] + np.outer(gain, np.arange(arms))
    score = np.clip(np.round(means[np.arange(n), arm] + rng.normal(0, 2, n), 2), -300, 300)
    poor = (rng.random(n) < 1 / (1 + np.exp(-(z - 0.5 * arm)))).astype(float)
    poor[rng.random(n) < 0.03] = np.nan
    hazard = 0.004 * np.exp(0.5 * z - 0.4 * arm)
    death, relapse = rng.exponential(1 / hazard), rng.exponential(1 / 0.002, n)
    end = rng.uniform(60, 400, n)
    day = np.floor(np.minimum(np.minimum(death, relapse), end))
    event = np.where(end <= np.minimum(death, relapse), 0, np.where(death < relapse, 1, 2))
    sbp = np.round(np.clip(140 + 15 * z + 10 * rng.normal(size=n), 50, 260), 1)
    sbp[rng.random(n) < 0.1] = np.nan
    values = {
        "age": age,
        "sex": male.astype(float),
        "sbp": sbp,
        "ward": ward.astype(float),
        "site": rng.integers(0, sites, n).astype(float),
        "drug": arm.astype(float),
        "score": score,
        "poor": poor,
        "stage": np.clip(np.round(1 + 0.7 * z - 0.4 * arm + 0.6 * rng.normal(size=n)), 0, 2),
        "day": day,
        "event": event.astype(float),
        "stay": np.clip(np.round(20 + 10 * arm + 3 * rng.normal(size=n)), 0, 400),
    }
    return Truth(from_values(values, TRIAL), means, chances)
