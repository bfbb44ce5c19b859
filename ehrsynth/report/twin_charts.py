"""Charts of the twins' report: overlap of arms, calibration; as `charts`, inline SVG without a script."""

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup, escape

_WIDTH, _HEIGHT, _SQUARE = 320.0, 104.0, 160.0


def overlap_chart(contrast: str, reference: Sequence[float], other: Sequence[float]) -> Markup:
    """How likely patients of two arms were to come into the second: reference filled, other a line."""
    top = max(*reference, *other, 1e-9)
    step = _WIDTH / len(reference)
    marks = []
    for i, (a, b) in enumerate(zip(reference, other, strict=True)):
        height = _HEIGHT * a / top
        box = f'x="{i * step:.1f}" y="{_HEIGHT - height:.1f}" width="{step - 0.8:.1f}" height="{height:.1f}"'
        if a:
            marks.append(f'<rect class="real" {box}/>')
        low, high = i / len(reference), (i + 1) / len(reference)
        said = f"chance {low:.2f} to {high:.2f}: reference {100 * a:.1f} %, other arm {100 * b:.1f} %"
        whole = f'x="{i * step:.1f}" y="0" width="{step:.1f}" height="{_HEIGHT:g}"'
        marks.append(f'<rect class="hover" {whole}><title>{escape(said)}</title></rect>')
    path = "".join(
        f"{'L' if i else 'M'}{i * step:.1f} {_HEIGHT * (1 - b / top):.1f}H{(i + 1) * step:.1f}"
        for i, b in enumerate(other)
    )
    label = escape(f"Overlap, {contrast}: chance of the arm in both arms")
    return Markup(  # noqa: S704 - every name was escaped where it was put in
        f'<svg class="histogram" viewBox="0 -2 {_WIDTH:g} {_HEIGHT + 4:g}" preserveAspectRatio="none" '
        f'role="img" aria-label="{label}">{"".join(marks)}<path class="synthetic-line" d="{path}"/>'
        f'<line class="axis" x1="0" x2="{_WIDTH:g}" y1="{_HEIGHT:g}" y2="{_HEIGHT:g}"/></svg>'
    )


def calibration_chart(arm: str, fifths: Sequence[Mapping[str, Any]]) -> Markup:
    """What was said against what was seen, by fifths of an arm's patients, with a diagonal."""
    ends = [v for f in fifths for v in (f["said"], f["seen"]["low"], f["seen"]["high"])]
    low, high = min(ends, default=0.0), max(ends, default=1.0)
    room = (high - low) or 1.0

    def at(value: float) -> float:
        return 8 + (_SQUARE - 16) * (value - low) / room

    marks = [f'<line class="axis" x1="8" y1="{_SQUARE - 8:g}" x2="{_SQUARE - 8:g}" y2="8"/>']
    for one in fifths:
        x, seen = at(one["said"]), one["seen"]
        ys = [_SQUARE - at(seen[name]) for name in ("low", "value", "high")]
        said = f"said {one['said']:.3g}, seen {seen['value']:.3g} ({seen['low']:.3g} to {seen['high']:.3g})"
        marks.append(
            f'<g><title>{escape(said)}</title><line class="reach synthetic" x1="{x:.1f}" x2="{x:.1f}" '
            f'y1="{ys[0]:.1f}" y2="{ys[2]:.1f}"/>'
            f'<circle class="synthetic" cx="{x:.1f}" cy="{ys[1]:.1f}" r="3.5"/></g>'
        )
    label = escape(f"Calibration in arm {arm}: said against seen, in fifths")
    return Markup(  # noqa: S704 - as above
        f'<svg class="square" viewBox="0 0 {_SQUARE:g} {_SQUARE:g}" role="img" aria-label="{label}">'
        f"{''.join(marks)}</svg>"
    )
