"""What a network's outputs mean: a span of outputs for each word or number, and how rows are drawn from it.

A word's span holds one logit for each word. A number's span holds its place within a component of a
mixture (-1 to 1, after tanh) and one logit for each component (mode-specific normalisation: Xu et al.
2019, "Modeling Tabular Data using Conditional GAN", NeurIPS).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ehrsynth.errors import ModelError
from ehrsynth.generators.plain import PlainColumn, PlainRows

Floats = NDArray[np.float64]
_DAMAGED = "the stored outputs do not fit the columns: the model is damaged"


@dataclass(frozen=True, slots=True, eq=False)
class Span:
    """The outputs of one word or one number of the learnt column at `place`.

    For a word, `order` is the word behind each output. For a number, component k spans
    ``centre[k] - reach[k]`` to ``centre[k] + reach[k]``.
    """

    place: int
    order: NDArray[np.int64]
    centre: Floats
    reach: Floats

    @property
    def is_word(self) -> bool:
        """Is it the span of a word?"""
        return len(self.order) > 0

    @property
    def width(self) -> int:
        """Number of outputs."""
        return len(self.order) if self.is_word else 1 + len(self.centre)


def word_span(place: int, order: Sequence[int]) -> Span:
    """The span of a word."""
    return Span(place, np.array(order, np.int64), np.empty(0), np.empty(0))


def number_span(place: int, centre: Floats, reach: Floats) -> Span:
    """The span of a number."""
    return Span(place, np.empty(0, np.int64), centre, reach)


def draw_rows(
    outputs: Floats, spans: Sequence[Span], rng: np.random.Generator, noise: Floats | None = None
) -> PlainRows:
    """Draw words and numbers from network outputs; rows with an output that is not finite are left out.

    Parameters
    ----------
    outputs
        n x the sum of the spans' widths, before tanh and softmax.
    noise
        For each output, the standard deviation of a number around its place; none by default.
    """
    outputs = outputs[np.isfinite(outputs).all(axis=1)]
    words: dict[int, NDArray[np.int64]] = {}
    numbers: dict[int, Floats] = {}
    at = 0
    for span in spans:
        piece = outputs[:, at : at + span.width]
        if span.is_word:
            words[span.place] = span.order[_choose(piece, rng)]
        else:
            place = np.tanh(piece[:, 0])
            if noise is not None:
                place = np.clip(place + noise[at] * rng.standard_normal(len(place)), -1, 1)
            which = _choose(piece[:, 1:], rng)
            numbers[span.place] = span.centre[which] + span.reach[which] * place
        at += span.width
    return PlainRows(len(outputs), words, numbers)


def _choose(logits: Floats, rng: np.random.Generator) -> NDArray[np.int64]:
    # The largest of the logits plus Gumbel noise is a draw from their softmax.
    return np.asarray(np.argmax(logits + rng.gumbel(size=logits.shape), axis=1), np.int64)


def pack_spans(spans: Sequence[Span]) -> dict[str, NDArray[Any]]:
    """Spans as flat arrays, for a model's folder."""
    return {
        "spans.shape": np.array([[s.place, len(s.order), len(s.centre)] for s in spans], np.int64).reshape(
            -1, 3
        ),
        "spans.order": np.concatenate([np.empty(0, np.int64), *(s.order for s in spans)]),
        "spans.centre": np.concatenate([np.empty(0), *(s.centre for s in spans)]),
        "spans.reach": np.concatenate([np.empty(0), *(s.reach for s in spans)]),
    }


def unpack_spans(arrays: Mapping[str, NDArray[Any]], columns: Sequence[PlainColumn]) -> tuple[Span, ...]:
    """The spans that `pack_spans` made, for these columns.

    Raises
    ------
    ModelError
        If they do not fit the columns.
    """
    shape, order, centre, reach = (
        np.asarray(arrays[f"spans.{n}"]) for n in ("shape", "order", "centre", "reach")
    )
    if shape.ndim != 2 or not ((shape >= 0) & (shape <= len(order) + len(centre) + len(columns))).all():  # noqa: PLR2004
        raise ModelError(_DAMAGED)
    spans, at, mix_at = [], 0, 0
    for place, n_words, n_parts in shape:
        mixture = slice(mix_at, mix_at + n_parts)
        spans.append(Span(int(place), order[at : at + n_words], centre[mixture], reach[mixture]))
        at, mix_at = at + n_words, mix_at + n_parts
    if (at, mix_at, mix_at) != (len(order), len(centre), len(reach)) or not _fit(spans, columns):
        raise ModelError(_DAMAGED)
    return tuple(spans)


def _fit(spans: Sequence[Span], columns: Sequence[PlainColumn]) -> bool:
    wanted = [(p, True) for p, c in enumerate(columns) if c.has_words]
    wanted += [(p, False) for p, c in enumerate(columns) if c.has_number]
    if sorted(wanted) != sorted((s.place, s.is_word) for s in spans):
        return False
    fine = all(
        sorted(s.order) == list(range(len(columns[s.place].shares))) if s.is_word else len(s.centre) > 0
        for s in spans
    )
    return fine and all(bool(np.isfinite([*s.centre, *s.reach]).all()) for s in spans)
