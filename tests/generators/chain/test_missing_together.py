"""Laboratory values that are ordered together are missing together, and as often as in real patients."""

import numpy as np
import pytest

from ehrsynth import generator
from ehrsynth.schema import Schema
from ehrsynth.tables.values import from_values, to_values

_PATIENTS, _PANELS, _SIZE = 400, 8, 8
_NAMES = [[f"panel{p}_{k}" for k in range(_SIZE)] for p in range(_PANELS)]
_SCHEMA = Schema(
    name="laboratory",
    citation="made for this test",
    columns=tuple(
        {"name": name, "kind": "number", "minimum": 0, "maximum": 30, "decimals": 1, "missing": True}
        for names in _NAMES
        for name in names
    ),
)


def laboratory(seed: int) -> dict[str, np.ndarray]:
    """Panels are ordered for the sick; of an ordered one a value in twelve is missing."""
    rng = np.random.default_rng(seed)
    sick, values = rng.normal(size=_PATIENTS), {}
    for names in _NAMES:
        ordered = rng.random(_PATIENTS) < 1 / (1 + np.exp(-sick))
        level = sick / 2 + rng.normal(size=_PATIENTS)
        for name in names:
            value = np.round(10 + 1.4 * (level + rng.normal(size=_PATIENTS)), 1).clip(0, 30)
            values[name] = np.where(ordered & (rng.random(_PATIENTS) > 1 / 12), value, np.nan)
    return values


def gaps(values: dict[str, np.ndarray], names: list[str]) -> np.ndarray:
    return np.isnan(np.column_stack([values[name] for name in names]))


@pytest.fixture(scope="module")
def tables() -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    real = laboratory(3)
    model = generator("autoregressive").fit(from_values(real, _SCHEMA), _SCHEMA, seed=3)
    return real, to_values(model.sample(3_000, seed=1).table, _SCHEMA)


def test_whole_panels_are_missing_as_often(tables: tuple[dict[str, np.ndarray], ...]) -> None:
    real, made = (np.mean([gaps(t, names).all(axis=1).mean() for names in _NAMES]) for t in tables)
    assert real - 0.08 < made < real + 0.04


def test_no_column_is_missing_more_or_less_often(tables: tuple[dict[str, np.ndarray], ...]) -> None:
    names = [name for panel in _NAMES for name in panel]
    real, made = (gaps(t, names).mean(axis=0) for t in tables)
    assert np.abs(made - real).max() < 0.1
    assert abs(made.mean() - real.mean()) < 0.03
