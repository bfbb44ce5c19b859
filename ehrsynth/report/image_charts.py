"""Small drawings of the image study: a map of points, values along a sweep, a confusion matrix."""

from collections.abc import Sequence

from markupsafe import Markup, escape

_WIDE, _TALL = 320.0, 200.0
_EDGE = 12.0
_CELL = 64.0


def point_map(label: str, points: Sequence[Sequence[float]], classes: Sequence[int]) -> Markup:
    """Points of several classes; a class is told by the shape of its mark and not by colour alone."""
    xs, ys = [p[0] for p in points], [p[1] for p in points]
    marks = []
    for (x, y), kind in zip(points, classes, strict=True):
        left, top = _along(x, xs, _WIDE), _TALL - _along(y, ys, _TALL)
        marks.append(_mark(left, top, kind))
    return Markup(  # noqa: S704 - numbers, and a label that is escaped
        f'<svg class="points" viewBox="0 0 {_WIDE:g} {_TALL:g}" role="img" aria-label="{escape(label)}">'
        f"<title>{escape(label)}</title>{''.join(marks)}</svg>"
    )


def _along(value: float, values: Sequence[float], length: float) -> float:
    low, high = min(values), max(values)
    return _EDGE + (length - 2 * _EDGE) * (value - low) / ((high - low) or 1.0)


def _mark(x: float, y: float, kind: int) -> str:
    shape = kind % 4
    hue = f"k{kind % 6}"
    if shape == 0:
        return f'<circle class="{hue}" cx="{x:.1f}" cy="{y:.1f}" r="3"/>'
    if shape == 1:
        return f'<rect class="{hue}" x="{x - 2.6:.1f}" y="{y - 2.6:.1f}" width="5.2" height="5.2"/>'
    if shape == 2:  # noqa: PLR2004 - a triangle
        return f'<path class="{hue}" d="M{x:.1f} {y - 3.4:.1f}l3.2 6h-6.4z"/>'
    return f'<path class="{hue}" d="M{x:.1f} {y - 3.6:.1f}l3.6 3.6l-3.6 3.6l-3.6-3.6z"/>'


def key_mark(kind: int) -> Markup:
    """The mark of a class, for the legend."""
    mark = f'<svg class="points keymark" viewBox="0 0 12 12" aria-hidden="true">{_mark(6, 6, kind)}</svg>'
    return Markup(mark)  # noqa: S704 - numbers alone


def sweep_line(label: str, names: Sequence[str], values: Sequence[float], level: float) -> Markup:
    """Values along a sweep as dots on a line, with a level line to hold them against."""
    low, high = min((*values, level)), max((*values, level))
    room = max(high - low, 0.02)
    step = (_WIDE - 2 * _EDGE) / max(1, len(names) - 1)

    def at(value: float) -> float:
        return 20 + (_TALL - 62) * (high - value) / room

    places = [(_EDGE + 14 + i * (step - 28 / max(1, len(names) - 1)), at(v)) for i, v in enumerate(values)]
    path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
    dots = "".join(f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="4"/>' for x, y in places)
    texts = "".join(
        f'<text x="{x:.1f}" y="{y - 9:.1f}">{v:.3f}</text>'
        f'<text x="{x:.1f}" y="{_TALL - 8:.1f}">{escape(n)}</text>'
        for (x, y), v, n in zip(places, values, names, strict=True)
    )
    line = (
        f'<line class="level" x1="{_EDGE}" x2="{_WIDE - _EDGE}" y1="{at(level):.1f}" y2="{at(level):.1f}"/>'
    )
    return Markup(  # noqa: S704 - numbers, and words that are escaped
        f'<svg class="sweep" viewBox="0 0 {_WIDE:g} {_TALL:g}" role="img" aria-label="{escape(label)}">'
        f'<title>{escape(label)}</title>{line}<path class="synthetic-line" d="{path}"/>{dots}{texts}</svg>'
    )


def confusion_matrix(label: str, classes: Sequence[str], counts: Sequence[Sequence[float]]) -> Markup:
    """How often each class (row) was called each class (column), as shares of the row."""
    n = len(classes)
    marks = []
    for i, row in enumerate(counts):
        total = sum(row) or 1.0
        for j, count in enumerate(row):
            share = count / total
            x, y = 70 + j * _CELL, 24 + i * 34
            said = escape(f"{classes[i]} called {classes[j]}: {share:.1%}")
            marks.append(
                f'<rect class="cell" fill-opacity="{0.06 + 0.6 * share:.2f}" x="{x:.0f}" y="{y}" '
                f'width="{_CELL - 2:.0f}" height="32"><title>{said}</title></rect>'
                f'<text x="{x + _CELL / 2 - 1:.0f}" y="{y + 20}">{share:.0%}</text>'
            )
        name, middle = escape(_short(classes[i])), 70 + i * _CELL + _CELL / 2 - 1
        marks.append(f'<text class="side" x="64" y="{44 + i * 34}">{name}</text>')
        marks.append(f'<text x="{middle:.0f}" y="16">{name}</text>')
    return Markup(  # noqa: S704 - numbers, and names that are escaped
        f'<svg class="confusion" viewBox="0 0 {74 + n * _CELL:.0f} {28 + n * 34}" role="img" '
        f'aria-label="{escape(label)}"><title>{escape(label)}</title>{"".join(marks)}</svg>'
    )


def _short(name: str) -> str:
    longest = 9
    return name if len(name) <= longest else f"{name[: longest - 1]}…"
