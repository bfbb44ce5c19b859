"""What a report may draw of a column."""

import numpy as np
import pandas as pd
import pytest

from cohort import COHORT, cohort
from ehrsynth.evaluation.summaries import MOST_CELLS, ColumnSummary, summarise
from ehrsynth.schema import CategoryColumn, CodeColumn, Schema
from ehrsynth.tables.values import from_values


def of(counts: tuple[int, ...], missing: int = 0) -> ColumnSummary:
    n = sum(counts) + missing
    shares = tuple(c / n for c in counts)
    labels = tuple(str(i) for i in range(len(counts)))
    return ColumnSummary("x", "category", labels, (), shares, shares, missing / n, missing / n, n, n)


def test_shares_add_up_and_cells_are_few() -> None:
    real, made = cohort(500, 1), cohort(400, 2)
    found = summarise(real, made, COHORT)
    assert [s.name for s in found] == [c.name for c in COHORT.learnt]
    for s in found:
        assert len(s.labels) == len(s.real) == len(s.synthetic) <= MOST_CELLS
        assert sum(s.real) + s.real_missing == pytest.approx(1)
        assert sum(s.synthetic) + s.synthetic_missing == pytest.approx(1)
        assert not s.edges or (len(s.edges) == len(s.labels) + 1 and list(s.edges) == sorted(set(s.edges)))
        assert len(set(s.labels)) == len(s.labels)
    by_name = {s.name: s for s in found}
    assert by_name["lab"].real_missing == pytest.approx(real["lab"].isna().mean())
    assert by_name["stage"].real == pytest.approx([(real["stage"] == v).mean() for v in ("I", "II", "III")])


def test_the_real_table_moves_no_cell() -> None:
    made = cohort(400, 2)
    one, other = summarise(cohort(500, 1), made, COHORT), summarise(cohort(50, 9), made, COHORT)
    assert [(s.labels, s.edges) for s in one] == [(s.labels, s.edges) for s in other]


def test_many_words_end_in_other() -> None:
    words = tuple(f"A{n:02d}" for n in range(60))
    schema = Schema(name="codes", columns=(CodeColumn(name="c", values=words, system="other"),))
    draw = np.random.default_rng(0).choice(60, 500, p=np.arange(60) / np.arange(60).sum())
    table = pd.DataFrame({"c": pd.Categorical.from_codes(draw, categories=list(words))})
    (found,) = summarise(table, table, schema)
    assert found.labels[-1] == "other"
    assert len(found.labels) == MOST_CELLS
    assert sum(found.real) == pytest.approx(1)


def test_small_cells_and_what_gives_them_away_are_hidden() -> None:
    assert of((100, 200)).suppressed() == of((100, 200))
    assert [r is None for r in of((100, 50, 3)).suppressed().real] == [False, True, True]
    assert [r is None for r in of((100, 1, 1)).suppressed().real] == [True, True, True]
    assert [r is None for r in of((100, 6, 7, 30)).suppressed().real] == [False, True, True, False]
    hidden = of((100, 50), missing=4).suppressed()
    assert (hidden.real, hidden.real_missing) == ((pytest.approx(100 / 154), None), None)
    assert of((0, 40, 60)).suppressed().real[0] == 0


@pytest.mark.parametrize("seed", range(20))
def test_what_is_hidden_cannot_be_worked_out(seed: int) -> None:
    counts = tuple(int(c) for c in np.random.default_rng(seed).geometric(0.05, 8) - 1)
    hidden = [c for c, r in zip(counts, of(counts).suppressed().real, strict=True) if r is None]
    shown = [c for c, r in zip(counts, of(counts).suppressed().real, strict=True) if r is not None]
    assert not [c for c in shown if 1 <= c <= 10]
    assert not hidden or sum(hidden) > 10 or not shown


def test_twenty_words_keep_their_order() -> None:
    words = tuple("cab")
    schema = Schema(name="w", columns=(CategoryColumn(name="c", values=words),))
    table = pd.DataFrame({"c": pd.Categorical(list("aab"), categories=list(words))})
    assert summarise(table, table, schema)[0].labels == words


def test_moments_to_the_minute_have_a_cell_for_each_minute() -> None:
    column = {"name": "seen", "kind": "datetime", "format": "%Y-%m-%d %H:%M"}
    bounds = {"minimum": "2020-01-01T10:00:00", "maximum": "2020-01-01T10:09:00"}
    schema = Schema(name="ward", columns=[column | bounds])
    start = np.datetime64("2020-01-01T10:00:00", "s").astype(np.int64)
    table = from_values({"seen": start + 60.0 * np.repeat(np.arange(10), 12)}, schema)
    (found,) = summarise(table, table, schema)
    assert len(found.labels) == 10
    np.testing.assert_allclose(found.real, 0.1)
    np.testing.assert_allclose(found.synthetic, 0.1)
