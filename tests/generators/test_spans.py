"""Spans: what outputs mean."""

import numpy as np
import pytest

from ehrsynth.errors import ModelError
from ehrsynth.generators.marginals import Marginal
from ehrsynth.generators.plain import PlainColumn
from ehrsynth.generators.spans import draw_rows, number_span, pack_spans, unpack_spans, word_span

WORD = word_span(0, [1, 0])
NUMBER = number_span(1, np.array([0.0, 100.0]), np.array([10.0, 20.0]))
NOTHING = Marginal(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0), 0.0)
COLUMNS = (
    PlainColumn(2, np.array([0, 1]), np.array([0.4, 0.6]), 0, 0, NOTHING),
    PlainColumn(500, np.empty(0, np.int64), np.ones(1), 0, 400, NOTHING),
)


def outputs(*row: float, n: int = 20_000) -> np.ndarray:
    return np.tile(np.array(row), (n, 1))


def test_words_follow_the_softmax_in_the_spans_order() -> None:
    rows = draw_rows(outputs(np.log(3), 0.0), [WORD], np.random.default_rng(0))
    assert rows.words[0].mean() == pytest.approx(0.75, abs=0.01)  # the first output is word 1


def test_numbers_follow_their_component() -> None:
    rows = draw_rows(outputs(np.arctanh(0.5), 0.0, 50.0), [NUMBER], np.random.default_rng(0))
    assert rows.numbers[1] == pytest.approx(np.full(20_000, 110.0))
    spread = draw_rows(
        outputs(0.0, 50.0, 0.0), [NUMBER], np.random.default_rng(0), noise=np.array([0.1, 0, 0])
    )
    assert spread.numbers[1].std() == pytest.approx(1.0, rel=0.05)


def test_rows_that_are_not_finite_are_left_out() -> None:
    given = outputs(0.0, 0.0, n=4)
    given[1, 0], given[2, 1] = np.nan, np.inf
    assert draw_rows(given, [WORD], np.random.default_rng(0)).n == 2


def test_no_outputs_at_all() -> None:
    assert draw_rows(np.empty((5, 0)), [], np.random.default_rng(0)).n == 5


def test_pack_and_unpack_are_inverse_and_check() -> None:
    arrays = pack_spans([WORD, NUMBER])
    word, number = unpack_spans(arrays, COLUMNS)
    assert word.order.tolist() == [1, 0]
    assert number.reach.tolist() == [10.0, 20.0]
    with pytest.raises(ModelError):
        unpack_spans(arrays, COLUMNS[:1])
    with pytest.raises(ModelError):
        unpack_spans(arrays | {"spans.order": np.array([0, 0])}, COLUMNS)
    with pytest.raises(ModelError):
        unpack_spans(arrays | {"spans.centre": np.array([np.nan, 1.0])}, COLUMNS)
