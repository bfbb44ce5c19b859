"""Known answers, by hand."""

import pandas as pd
import pytest

from ehrsynth.evaluation.fidelity.column_shapes import column_shapes
from ehrsynth.schema import CategoryColumn, NumberColumn, Schema

SCHEMA = Schema(
    name="two",
    columns=(
        NumberColumn(name="x", minimum=0, maximum=9, decimals=0, missing=True),
        CategoryColumn(name="c", values=("a", "b", "c")),
    ),
)


def table(x: list[float | None], c: str) -> pd.DataFrame:
    return pd.DataFrame(
        {"x": pd.array(x, dtype="float64"), "c": pd.Categorical(list(c), categories=["a", "b", "c"])}
    )


def test_by_hand() -> None:
    real = table([1, 2, 3, 4], "aabb")
    made = table([3, 4, 5, 6], "abbc")
    score = column_shapes(real, real, made, SCHEMA, seed=0)
    found = {c["column"]: c["score"] for c in score.details["columns"]}
    # Half of the real values lie below 3, no synthetic one does; a: 1/2 and 1/4, b: both 1/2, c: 0 and 1/4.
    assert found == pytest.approx({"x": 0.5, "c": 0.75})
    assert score.value == pytest.approx(0.625)
    assert score.reference == pytest.approx(1)


def test_the_interval_tightens_with_rows_and_holds_the_value() -> None:
    widths = []
    for copies in (10, 1000):
        real, made = (
            table([1, 2, 3, 4] * copies, "aabb" * copies),
            table([3, 4, 5, 6] * copies, "abbc" * copies),
        )
        score = column_shapes(real, real, made, SCHEMA, seed=0)
        assert score.low <= score.value <= score.high
        widths.append(score.high - score.low)
    assert widths[1] < widths[0] / 3


def test_nothing_to_compare_is_said() -> None:
    score = column_shapes(table([1], "a"), table([1], "a"), table([], ""), SCHEMA, seed=0)
    assert score.value is None
    assert "not measurable here" in score.reason
