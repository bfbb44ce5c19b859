"""Small patient tables drawn from a known distribution, for the tests of metrics and attacks."""

import numpy as np
import pandas as pd

from ehrsynth.schema import (
    BooleanColumn,
    CategoryColumn,
    DateColumn,
    DatetimeColumn,
    DurationColumn,
    IdentifierColumn,
    Implication,
    IntegerColumn,
    NumberColumn,
    Schema,
)
from ehrsynth.tables.values import from_values

COHORT = Schema(
    name="cohort",
    columns=(
        IdentifierColumn(name="id", roles=("patient_key",)),
        IntegerColumn(name="age", minimum=18, maximum=100, roles=("quasi_identifier",)),
        CategoryColumn(name="sex", values=("F", "M"), roles=("quasi_identifier",)),
        CategoryColumn(name="region", values=("north", "south", "east"), missing=True),
        CategoryColumn(name="stage", values=("I", "II", "III"), ordered=True),
        NumberColumn(name="lab", minimum=-50, maximum=50, decimals=2, missing=True),
        NumberColumn(name="marker", minimum=0, maximum=1000, decimals=1),
        BooleanColumn(name="smoker", missing=True, roles=("sensitive",)),
        DateColumn(name="admitted", minimum="2010-01-01", maximum="2020-12-31", missing=True),
        DatetimeColumn(name="seen", minimum="2010-01-01T00:00:00", maximum="2020-12-31T00:00:00"),
        DurationColumn(name="stay", minimum=0, maximum=400, unit="days", decimals=1),
        BooleanColumn(name="died", roles=("outcome",)),
    ),
    constraints=(Implication(**{"if": "age < 18", "then": "smoker == false"}),),
)


def cohort(n: int, seed: int) -> pd.DataFrame:
    """n patients whose columns hang together."""
    rng = np.random.default_rng(seed)
    risk = rng.normal(size=n)
    age = np.clip(np.round(62 + 12 * risk + 8 * rng.normal(size=n)), 18, 100)
    day = rng.integers(14_610, 18_600, n).astype(float)
    values = {
        "age": age,
        "sex": rng.integers(0, 2, n).astype(float),
        "region": rng.choice([0.0, 1.0, 2.0], n, p=[0.6, 0.3, 0.1]),
        "stage": np.clip(np.round(1 + risk), 0, 2),
        "lab": np.clip(np.round(5 * risk + 6 * rng.normal(size=n), 2), -50, 50),
        "marker": np.clip(np.round(np.exp(3 + risk + rng.normal(size=n) / 2), 1), 0, 1000),
        "smoker": (rng.random(n) < 0.3).astype(float),
        "admitted": day,
        "seen": day * 86_400 + rng.integers(0, 86_400, n),
        "stay": np.clip(np.round(rng.gamma(2, 5, n), 1), 0, 400),
        "died": (rng.random(n) < 1 / (1 + np.exp(1.5 - 1.5 * risk))).astype(float),
    }
    for name, share in (("region", 0.1), ("lab", 0.2), ("smoker", 0.05), ("admitted", 0.1)):
        values[name][rng.random(n) < share] = np.nan
    return from_values(values, COHORT)


_MORE = tuple(
    CategoryColumn(name=f"flag{i}", values=("no", "yes"), missing=i % 4 == 0)
    if i % 3 == 0
    else NumberColumn(name=f"assay{i}", minimum=-60, maximum=60, decimals=2, missing=i % 4 == 0)
    for i in range(40)
)
WIDE = COHORT.changed(columns=(*COHORT.columns, *_MORE))


def wide_cohort(n: int, seed: int) -> pd.DataFrame:
    """The same with 40 more columns, of mixed types and with gaps, that five hidden causes tie together."""
    rng = np.random.default_rng((seed, 1))
    loads = np.random.default_rng(0).normal(size=(5, len(_MORE)))
    values = rng.normal(size=(n, 5)) @ loads + 2 * rng.normal(size=(n, len(_MORE)))
    cells: dict[str, np.ndarray] = {}
    for column, found in zip(_MORE, values.T, strict=True):
        cells[column.name] = (
            (found > 2.5).astype(float)
            if isinstance(column, CategoryColumn)
            else np.clip(found.round(2), -60, 60)
        )
        if column.missing:
            cells[column.name][rng.random(n) < 0.1] = np.nan
    more = from_values(cells, Schema(name="more", columns=_MORE))
    return pd.concat([cohort(n, seed), more], axis=1)[list(WIDE.names)]


def shuffled_columns(table: pd.DataFrame, n: int, seed: int) -> pd.DataFrame:
    """The same single columns, each in an order of its own: no association is left."""
    rng = np.random.default_rng(seed)
    return pd.DataFrame({name: table[name].iloc[rng.permutation(len(table))[:n]].array for name in table})
