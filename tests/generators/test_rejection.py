"""The bounded proposal loop."""

from types import SimpleNamespace

import numpy as np
import pytest

from ehrsynth.conditions import Condition
from ehrsynth.errors import SamplingExhausted
from ehrsynth.generators import rejection
from ehrsynth.generators.rejection import Collected, collect, most_proposals
from ehrsynth.progress import silent
from ehrsynth.schema import Schema

SCHEMA = Schema(
    name="ward",
    columns=(
        {"name": "low", "kind": "integer", "minimum": 0, "maximum": 9},
        {"name": "high", "kind": "integer", "minimum": 0, "maximum": 9},
        {"name": "sum", "kind": "integer", "minimum": 0, "maximum": 18},
    ),
    constraints=(
        {"kind": "inequality", "low": "low", "high": "high"},
        {"kind": "formula", "column": "sum", "equals": "low + high"},
    ),
)


def uniform(k: int, rng: np.random.Generator) -> np.ndarray:
    return rng.integers(0, 10, (k, 3))


def run(propose, n: int, where: str | None = None) -> Collected:
    condition = None if where is None else Condition.parse(where, SCHEMA)
    rng = np.random.default_rng(0)
    dice = SimpleNamespace(schema=SCHEMA, recipe=SimpleNamespace(name="dice"))
    return collect(dice, propose, n, condition, rng=rng, progress=silent)


def test_rows_are_repaired_and_checked() -> None:
    found = run(uniform, 5_000)
    low, high, total = found.codes.T
    assert len(found.codes) == 5_000
    assert (low <= high).all()
    assert (low + high == total).all()
    assert found.acceptance == pytest.approx(0.55, abs=0.02)  # P(low <= high) for two fair dice of ten sides


def test_conditions_count_among_valid_rows() -> None:
    found = run(uniform, 2_000, "low == 0")
    assert (found.codes[:, 0] == 0).all()
    assert found.met == pytest.approx(10 / 55, abs=0.02)


def test_no_row_ends_at_the_fewest_proposals() -> None:
    made = []

    def hopeless(k: int, _rng: np.random.Generator) -> np.ndarray:
        made.append(k)
        return np.tile([9, 0, 0], (k, 1))

    with pytest.raises(SamplingExhausted, match="dice found 0 of the 10 rows") as error:
        run(hopeless, 10)
    assert rejection.FEWEST_PROPOSALS <= sum(made) <= 2 * rejection.FEWEST_PROPOSALS
    assert error.value.exit_code == 3
    assert "0 proposals met the schema" in str(error.value)


def test_a_generator_that_gives_nothing_ends_too() -> None:
    with pytest.raises(SamplingExhausted):
        run(lambda _k, _rng: np.empty((0, 3), np.int64), 10)


def test_too_rare_a_condition_names_the_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rejection, "FEWEST_PROPOSALS", 2_000)
    monkeypatch.setattr(rejection, "MOST_PROPOSALS", 2_000)
    with pytest.raises(SamplingExhausted, match=r"of those met the condition low == 9"):
        run(uniform, 90, "low == 9")


def test_the_limit_grows_with_the_rows() -> None:
    limits = [most_proposals(n) for n in (1, 100, 10_000, 10**6)]
    assert limits == sorted(limits)
    assert limits[-1] >= 20 * 10**6


def test_wide_tables_come_in_small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rejection, "_MOST_CELLS", 900)
    sizes = []

    def noted(k: int, rng: np.random.Generator) -> np.ndarray:
        sizes.append(k)
        return uniform(k, rng)

    run(noted, 2_000)
    assert max(sizes) == 300
