"""How many bits the greys of a picture use, and what is done where a set mixes them.

Greys of 16 bits hold what a scanner made of 10, 12 or 14, and no PNG says which. They are spread over one
scale for the whole set, so that what is brighter stays brighter. A set that mixes scales would come out with
some images nearly black, and where the scale goes with the class, a classifier learns the scanner.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ehrsynth.errors import DataError
from ehrsynth.imaging.image_set import Pixels, Whole
from ehrsynth.imaging.reading.frames import Raw, Source, few

FINAL = -1  # stands for a picture of 8 bits, which is taken as it is
_EIGHT = 8
_APART = 2  # bits: a quarter of the brightness is still seen, less is nearly black


def bits_used(pixels: Raw) -> int:
    """Bits that the brightest pixel needs, 0 to 16; `FINAL` for a picture of 8 bits."""
    return FINAL if pixels.dtype == np.uint8 else int(pixels.max()).bit_length()


def eight_bits(pixels: Raw, bits: int) -> Pixels:
    """Eight bits; 16-bit greys are spread over the whole of `bits`, and over 8 at least."""
    if pixels.dtype == np.uint8:
        return np.asarray(pixels, dtype=np.uint8)
    return np.asarray(pixels.astype(np.float64) * 255 / (2 ** max(_EIGHT, bits) - 1), dtype=np.uint8)


def refuse_mixed(bits: Whole, source: Source) -> None:
    """Raise where greys of one set use depths so far apart that some would come out nearly black.

    Parameters
    ----------
    bits
        What `bits_used` says of each picture.

    Raises
    ------
    DataError
        Lists the pictures outside of the span of depths that holds most, by ordinal.
    """
    deep = bits[bits != FINAL]
    if not deep.size or np.ptp(deep) <= _APART:
        return
    low = _usual(deep)
    inside = (bits == FINAL) | ((bits >= low) & (bits <= low + _APART))
    odd, usual = np.flatnonzero(~inside), bits[inside & (bits != FINAL)]
    listed = [f"{source.place(int(i))}: {bits[i]} bits" for i in odd]
    raise DataError(
        f"{len(odd)} of {len(deep)} images of 16-bit greys use another depth than the rest "
        f"({_span(bits[odd])} against {_span(usual)}): on one scale some would be nearly black, and a "
        "classifier would learn the scanner; bring all to one scale first (for instance to 8 bits, each by "
        "the depth of its scanner), or leave these out",
        few(listed),
    )


def _usual(deep: NDArray[np.int64]) -> int:
    """The lowest depth of the span that holds most pictures; of equal spans the deeper one."""
    spans = {low: int(((deep >= low) & (deep <= low + _APART)).sum()) for low in map(int, np.unique(deep))}
    return max(spans, key=lambda low: (spans[low], low))


def depth_remarks(bits: Whole, labels: Whole) -> Iterator[str]:
    """What the report says of depths: the common scale, and whether depth goes with the class."""
    deep = bits != FINAL
    if not deep.any():
        return
    top = max(_EIGHT, int(bits.max()))
    yield f"{int(deep.sum())} images: 16-bit greys that use {_span(bits[deep])} were spread over {top}"
    if not deep.all():
        yield f"{int((~deep).sum())} images were stored with 8 bits, and have a scale of their own"
    if bits.min() < bits.max() and _goes_with_class(bits, labels):
        yield (
            "the depth of greys tells some class from the others: what a classifier learns of it may be the "
            "scanner"
        )


def _goes_with_class(bits: Whole, labels: Whole) -> bool:
    """Whether some class shares no depth with any other."""
    known = [set(bits[labels == label].tolist()) for label in np.unique(labels)]
    return any(
        own.isdisjoint(set[int]().union(*(other for other in known if other is not own))) for own in known
    )


def _span(bits: Whole) -> str:
    low, high = int(bits.min()), int(bits.max())
    return f"{low} bits" if low == high else f"{low} to {high} bits"
