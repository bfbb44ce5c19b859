"""Small charts as inline SVG: no script, no font and no colour of their own (the page's CSS has those).

Every mark has a `<title>`, which a browser shows on hover and a screen reader reads; every chart has a
label. Shares are 0 to 1; None is a number that is not shown.
"""

from collections.abc import Sequence

from markupsafe import Markup, escape

Shares = Sequence[float | None]

_WIDTH, _HEIGHT = 320.0, 104.0
_HEAT = 380.0
_GAUGE_WIDTH = 200.0


def percent(share: float | None) -> str:
    """A share in words that never round something to nothing or nearly all to all.

    >>> percent(0.1234), percent(0.0002), percent(0.0), percent(0.9999), percent(None)
    ('12.3 %', '<0.1 %', '0 %', '>99.9 %', 'not shown')
    """
    if share is None:
        return "not shown"
    hundred = 100 * share
    if hundred in (0.0, 100.0):
        return f"{hundred:.0f} %"
    if hundred < 0.1:  # noqa: PLR2004 - the last digit that is printed
        return "<0.1 %"
    return ">99.9 %" if hundred > 99.9 else f"{hundred:.1f} %"  # noqa: PLR2004


def histogram(
    name: str, labels: Sequence[str], real: Shares, synthetic: Shares, *, shows_real: bool = True
) -> Markup:
    """A histogram of a numeric column: real patients as a filled shape, synthetic ones as a line.

    Parameters
    ----------
    labels
        One text for each bin, for instance "60 to 65".
    real, synthetic
        The share of each bin; None (a small cell) is drawn as a hatched stub.
    shows_real
        False: real patients are not drawn at all.
    """
    top = max([s for s in (*real, *synthetic) if s is not None], default=0.0) or 1.0
    step = _WIDTH / max(1, len(labels))
    bars, hovers = [], []
    for i, (label, r, s) in enumerate(zip(labels, real, synthetic, strict=True)):
        x = i * step
        bars.append(_bar(x, step, r, top) if shows_real else "")
        said = escape(_said(label, r, s, shows_real=shows_real))
        hovers.append(f'<rect class="hover" {_box(x, 0, step, _HEIGHT)}><title>{said}</title></rect>')
    line = _steps(synthetic, step, top)
    label = escape(f"Histogram of {name}: {'real and ' if shows_real else ''}synthetic patients")
    return _svg(
        f'<svg class="histogram" viewBox="0 -2 {_WIDTH:g} {_HEIGHT + 4:g}" preserveAspectRatio="none" '
        f'role="img" aria-label="{label}">'
        f'{"".join(bars)}<path class="synthetic-line" d="{line}"/>'
        f'<line class="axis" x1="0" x2="{_WIDTH:g}" y1="{_HEIGHT:g}" y2="{_HEIGHT:g}"/>'
        f"{''.join(hovers)}</svg>"
    )


def _said(label: str, real: float | None, synthetic: float | None, *, shows_real: bool) -> str:
    first = f"real {percent(real)}, " if shows_real else ""
    return f"{label}: {first}synthetic {percent(synthetic)}"


def _svg(text: str) -> Markup:
    return Markup(text)  # noqa: S704 - every name was escaped where it was put in


def _bar(x: float, width: float, share: float | None, top: float) -> str:
    if share is None:
        return f'<rect class="hidden-cell" {_box(x, _HEIGHT - 5, width, 5)}/>'
    height = _HEIGHT * share / top
    return (
        f'<rect class="real" {_box(x + 0.4, _HEIGHT - height, max(0.6, width - 0.8), height)}/>'
        if share
        else ""
    )


def _box(x: float, y: float, width: float, height: float) -> str:
    return f'x="{x:.2f}" y="{y:.2f}" width="{width:.2f}" height="{height:.2f}"'


def _steps(shares: Shares, step: float, top: float) -> str:
    # A gap in the line is a bin whose synthetic share is not shown.
    path, pen = [], False
    for i, share in enumerate(shares):
        if share is None:
            pen = False
            continue
        y = _HEIGHT * (1 - share / top)
        path.append(f"{'L' if pen else 'M'}{i * step:.2f} {y:.2f}H{(i + 1) * step:.2f}")
        pen = True
    return "".join(path)


def bar_pair(
    label: str, real: float | None, synthetic: float | None, top: float, *, shows_real: bool = True
) -> Markup:
    """Two bars, one above the other: the share of real and of synthetic patients with one value.

    `top` is the share that fills the whole width, above 0.
    """
    said = escape(_said(label, real, synthetic, shows_real=shows_real))
    if not shows_real:
        first = ""
    elif real is None:
        first = '<rect class="hidden-cell" x="0" y="0" width="10" height="6"/>'
    else:
        first = f'<rect class="real" x="0" y="0" width="{_width(real, top)}" height="6"/>'
    second = f'<rect class="synthetic" x="0" y="7" width="{_width(synthetic, top)}" height="6"/>'
    return _svg(
        f'<svg class="pair" role="img" aria-label="{said}" height="13">'
        f"<title>{said}</title>{first}{second}</svg>"
    )


def _width(share: float | None, top: float) -> str:
    # What is rare stays visible: at least a hairline.
    return f"{max(0.6, 100 * share / top):.2f}%" if share else "0"


def heat_map(title: str, names: Sequence[str], values: Sequence[Shares], kind: str) -> Markup:
    """The lower triangle of a matrix over columns; each column's name stands at the diagonal.

    Parameters
    ----------
    values
        `values[i][j]` for j < i, 0 to 1; None where the pair was not measured.
    kind
        "real", "synthetic" or "difference": the CSS class, so the colour.
    """
    count = len(names)
    cell = _HEAT / (count + 6)
    size = min(13.0, 0.82 * cell)
    marks = []
    for i, name in enumerate(names):
        for j in range(i):
            value = values[i][j]
            shade = "" if value is None else f' fill-opacity="{min(1.0, abs(value)):.2f}"'
            cls = "none" if value is None else "cell"
            said = escape(f"{name} and {names[j]}: {'not measured' if value is None else f'{value:.2f}'}")
            marks.append(
                f'<rect class="{cls}"{shade} x="{j * cell:.1f}" y="{i * cell:.1f}" width="{cell - 0.6:.1f}" '
                f'height="{cell - 0.6:.1f}"><title>{said}</title></rect>'
            )
        x, y = (i + 0.25) * cell, (i + 0.5) * cell
        marks.append(f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size:.1f}">{escape(_short(name))}</text>')
    return _svg(
        f'<svg class="heat {kind}" viewBox="0 {cell:.1f} {_HEAT:g} {cell * (count - 1):.1f}" role="img" '
        f'aria-label="{escape(title)}">{"".join(marks)}</svg>'
    )


def _short(name: str) -> str:
    longest = 14
    return name if len(name) <= longest else f"{name[: longest - 1]}…"


def step_curves(
    name: str,
    times: Sequence[float],
    real: Sequence[float] | None,
    synthetic: Sequence[float],
    *,
    top: float,
    unit: str = "",
) -> Markup:
    """Curves over time that change in steps: real patients grey, synthetic ones in the accent's colour.

    Parameters
    ----------
    times
        Rising; a share holds from its time up to the next.
    real
        None: not shown.
    top
        The share at the upper edge, above 0.
    """
    start, stop = times[0], times[-1]
    scale = _WIDTH / ((stop - start) or 1.0)
    edges = [(t - start) * scale for t in times]
    lines = "".join(
        f'<line class="axis" x1="0" x2="{_WIDTH:g}" y1="{_HEIGHT * part:g}" y2="{_HEIGHT * part:g}"/>'
        for part in (0.0, 0.25, 0.5, 0.75, 1.0)
    )
    drawn = [("real-line", real)] if real is not None else []
    paths = "".join(
        f'<path class="{kind}" d="{_stairs(edges, shares, top)}"/>'
        for kind, shares in (*drawn, ("synthetic-line", synthetic))
    )
    hovers = []
    for i, (x, made) in enumerate(zip(edges, synthetic, strict=True)):
        until = edges[i + 1] if i + 1 < len(edges) else _WIDTH
        said = _said(
            f"{times[i]:g} {unit}".strip(), real[i] if real else None, made, shows_real=real is not None
        )
        hovers.append(
            f'<rect class="hover" {_box(x, 0, until - x, _HEIGHT)}><title>{escape(said)}</title></rect>'
        )
    whose = "real and synthetic" if real is not None else "synthetic"
    return _svg(
        f'<svg class="histogram curve" viewBox="0 -2 {_WIDTH:g} {_HEIGHT + 4:g}" preserveAspectRatio="none" '
        f'role="img" aria-label="{escape(name)}: curves of {whose} patients">'
        f"{lines}{paths}{''.join(hovers)}</svg>"
    )


def _stairs(edges: Sequence[float], shares: Sequence[float], top: float) -> str:
    steps = [f"{x:.2f} {_HEIGHT * (1 - min(1.0, s / top)):.2f}" for x, s in zip(edges, shares, strict=True)]
    path = f"M{steps[0]}"
    for x, step in zip(edges[1:], steps[1:], strict=True):
        path += f"H{x:.2f}L{step}"
    return f"{path}H{_WIDTH:g}"


Interval = tuple[float, float, float]


def interval_pair(
    label: str, real: Interval | None, synthetic: Interval, span: tuple[float, float]
) -> Markup:
    """An estimate with its interval (low, value, high): real above synthetic, and a line at 0."""

    def at(number: float) -> float:
        start, stop = span
        return 4 + (_GAUGE_WIDTH - 8) * min(1.0, max(0.0, (number - start) / ((stop - start) or 1.0)))

    parts = [f'<line class="axis" x1="{at(0.0):.1f}" x2="{at(0.0):.1f}" y1="0" y2="20"/>']
    rows = [("real", real, 6)] if real is not None else []
    for kind, (low, value, high), y in (*rows, ("synthetic", synthetic, 14)):
        parts.append(
            f'<line class="reach {kind}" x1="{at(low):.1f}" x2="{at(high):.1f}" y1="{y}" y2="{y}"/>'
            f'<circle class="{kind}" cx="{at(value):.1f}" cy="{y}" r="3.5"/>'
        )
    said = escape(label)
    return _svg(
        f'<svg class="gauge" viewBox="0 0 {_GAUGE_WIDTH:g} 20" role="img" aria-label="{said}">'
        f"<title>{said}</title>{''.join(parts)}</svg>"
    )


def gauge(  # noqa: PLR0913 - a number, its interval and what it is held against
    label: str,
    value: float,
    low: float | None,
    high: float | None,
    *,
    span: tuple[float, float],
    mark: float | None = None,
    limit: float | None = None,
) -> Markup:
    """A number on its scale: the interval as a bar, the value as a dot, and what to hold it against.

    Parameters
    ----------
    span
        The two ends of the scale; what lies outside is drawn at the end.
    mark
        A reference (real against real), drawn as a hollow diamond.
    limit
        A limit, drawn as an upright line.
    """

    def at(number: float) -> float:
        start, stop = span
        return 4 + (_GAUGE_WIDTH - 8) * min(1.0, max(0.0, (number - start) / (stop - start)))

    parts = [f'<line class="track" x1="4" x2="{_GAUGE_WIDTH - 4:g}" y1="10" y2="10"/>']
    if low is not None and high is not None:
        parts.append(f'<line class="interval" x1="{at(low):.1f}" x2="{at(high):.1f}" y1="10" y2="10"/>')
    if limit is not None:
        parts.append(f'<line class="limit" x1="{at(limit):.1f}" x2="{at(limit):.1f}" y1="2" y2="18"/>')
    if mark is not None:
        x = at(mark)
        parts.append(f'<path class="mark" d="M{x:.1f} 4.5L{x + 5.5:.1f} 10L{x:.1f} 15.5L{x - 5.5:.1f} 10Z"/>')
    parts.append(f'<circle class="dot" cx="{at(value):.1f}" cy="10" r="4.5"/>')
    said = escape(label)
    return _svg(
        f'<svg class="gauge" viewBox="0 0 {_GAUGE_WIDTH:g} 20" role="img" aria-label="{said}">'
        f"<title>{said}</title>{''.join(parts)}</svg>"
    )
