"""The report of a rebalancing: one HTML file that loads nothing, and its JSON."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup, escape

from ehrsynth.files import canonical_json, plain, whole_folder
from ehrsynth.rebalance.job import Rebalancing
from ehrsynth.rebalance.results import as_values, write_treatment
from ehrsynth.report.charts import gauge, percent
from ehrsynth.report.numbers import EMPTY
from ehrsynth.report.rendering import rendered

_WIDTH, _HEIGHT, _EDGE = 320.0, 140.0, 6.0
_MORE = (
    ("auprc", "AUPRC"),
    ("brier", "Brier"),
    ("calibration_slope", "Slope"),
    ("calibration_intercept", "Intercept"),
    ("excess_risk", "Risk less rate"),
    ("sensitivity_at_specificity", "Sens. at fixed spec."),
    ("sensitivity", "Sens."),
    ("specificity", "Spec."),
)


def write_rebalancing(found: Rebalancing, out: Path) -> dict[str, Any]:
    """Write `report.html`, `report.json` and the treatment into a new folder, whole or not at all: internal.

    Returns
    -------
    dict
        What `report.json` holds.

    Raises
    ------
    OutputError
        If the place is taken, cannot be written, or the disk is full; nothing is left behind.
    """
    told: dict[str, Any] = plain(as_values(found))
    with whole_folder(out) as draft:
        told["files"] = list(write_treatment(found, draft))
        (draft / "report.json").write_bytes(canonical_json(told))
        (draft / "report.html").write_text(render_rebalancing(told), encoding="utf-8")
        for file in draft.iterdir():
            file.chmod(0o600)
    return told


def render_rebalancing(told: Mapping[str, Any]) -> str:
    """The page, from the values of `report.json`."""
    page = {
        **told,
        "gain": told["recommended"] is not None,
        "measures": [name for _, name in _MORE],
        "views": [_view(told, group) for group in told["plan"]["helped"]],
        "others": [_view(told, group) for group in _others(told)],
        "rows": [_group(one) for one in told["groups"]],
        "curves": [_curve(one) for one in told["headroom"]["learning_curves"]],
        "restored": [
            _restored(one) for one in told["headroom"]["mask_and_restore"] if one["method"] != "none"
        ],
        "members": [_members(group, one) for group, one in told["membership"].items()],
        "site_rows": _sites(told["sites"]),
        "shown": _shown(told["brnet"]),
        "margins": [_margin(one) for one in told["population"] or []],
    }
    return rendered("rebalancing.html.j2", page)


def _others(told: Mapping[str, Any]) -> list[str]:
    return [group for group in told["methods"]["none"] if group not in told["plan"]["helped"]]


def _view(told: Mapping[str, Any], group: str) -> dict[str, Any]:
    """The methods in one group, best AUROC first."""
    by_method = {name: by[group] for name, by in told["methods"].items()}
    ends = [
        abs(end)
        for one in by_method.values()
        if (d := one["auroc"]["difference"])
        for end in (d["low"], d["high"])
        if end is not None
    ]
    reach = min(max([*ends, 0.01]), 0.5)
    order = sorted(by_method, key=lambda name: -(by_method[name]["auroc"]["value"] or 0.0))
    flags = told["tests"]["flags"]
    base = by_method["none"]
    return {
        "group": group,
        "test_patients": number(base["test_patients"], 0),
        "test_events": number(base["test_events"], 0),
        "reach": f"{reach:.2f}",
        "rows": [
            {
                "method": name,
                "chosen": name == told["recommended"],
                "auroc": number(by_method[name]["auroc"]["value"]),
                "difference": interval(by_method[name]["auroc"]["difference"]),
                "gauge": _gauge(name, by_method[name]["auroc"]["difference"], reach),
                "measures": [number(by_method[name][measure]["value"]) for measure, _ in _MORE],
                "flags": [flag.removeprefix(f"{name}: ") for flag in flags.get(name, []) if group in flag],
            }
            for name in order
        ],
    }


def _gauge(name: str, difference: Mapping[str, float] | None, reach: float) -> Markup:
    if difference is None:
        return Markup("")
    low, high = difference["low"], difference["high"]
    said = f"{name}: {interval(difference)}"
    return gauge(said, difference["value"], low, high, span=(-reach, reach), mark=0.0)


def number(value: float | None, digits: int = 3) -> str:
    """A number as the page shows it, a dash for none."""
    return EMPTY if value is None else f"{value:,.{digits}f}"


def interval(estimate: Mapping[str, float | None] | None) -> str:
    """A difference with its interval, signs shown."""
    if estimate is None or estimate["value"] is None:
        return EMPTY
    return f"{estimate['value']:+.3f} ({estimate['low']:+.3f} to {estimate['high']:+.3f})"


def _group(one: Mapping[str, Any]) -> dict[str, str]:
    return {
        "group": one["group"],
        "where": one["where"],
        "patients": number(one["patients"], 0),
        "events": number(one["events"], 0),
        "share": percent(one["share"]),
        "wanted": number(one["wanted"], 0),
        "synthetic": number(one["synthetic"], 0),
        "raised": "yes" if one["raised"] else "",
    }


def _curve(one: Mapping[str, Any]) -> dict[str, Any]:
    sizes, values = one["training_patients"], one["auroc"]["values"]
    points = [(s, v) for s, v in zip(sizes, values, strict=True) if v is not None]
    return {
        "group": one["group"],
        "picture": line_chart(f"AUROC in {one['group']} by training patients of the group", points),
        "ends": [f"{p:.0f} patients: {v:.3f}" for p, v in points],
        "per_doubling": interval(one["auroc"]["per_doubling"]),
    }


def line_chart(label: str, points: Sequence[tuple[float, float]]) -> Markup:
    """Points joined by a line, lowest value at the bottom and highest at the top; a title on each."""
    if not points:
        return Markup("")
    xs, ys = zip(*points, strict=True)
    wide, high = (max(xs) - min(xs)) or 1.0, (max(ys) - min(ys)) or 1.0

    def at(x: float, y: float) -> tuple[float, float]:
        return (
            _EDGE + (x - min(xs)) / wide * (_WIDTH - 2 * _EDGE),
            _HEIGHT - _EDGE - (y - min(ys)) / high * (_HEIGHT - 2 * _EDGE),
        )

    path = "L".join("{:.1f} {:.1f}".format(*at(x, y)) for x, y in points)
    dots = "".join(_dot(*at(x, y), f"{x:.0f}: {y:.3f}") for x, y in points)
    return Markup(  # noqa: S704 - names were escaped where they were put in
        f'<svg class="gauge" viewBox="0 0 {_WIDTH:g} {_HEIGHT:g}" role="img" aria-label="{escape(label)}">'
        f'<path class="synthetic-line" d="M{path}"/>{dots}</svg>'
    )


def _dot(x: float, y: float, said: str) -> str:
    return f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="4"><title>{escape(said)}</title></circle>'


def _restored(one: Mapping[str, Any]) -> dict[str, str]:
    kept = one["coefficients"]
    return {
        "group": one["group"],
        "method": one["method"],
        "removed": percent(one["removed"]),
        "lost": interval(one["lost"]),
        "regained": interval(one["regained"]),
        "bias": EMPTY if kept is None else number(kept["bias"], 1),
        "overlap": EMPTY if kept is None else number(kept["overlap"], 2),
    }


def _members(group: str, one: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "group": group,
        "before": _level(one["before"]["membership"]),
        "rows": [
            {
                "method": name,
                "after": _level(after["membership"]),
                "by_rows": _level(after["membership_by_rows"]),
            }
            for name, after in one["after"].items()
        ],
    }


def _level(estimate: Mapping[str, float | None] | None) -> str:
    if estimate is None or estimate["value"] is None:
        return EMPTY
    return f"{estimate['value']:.3f} ({estimate['low']:.3f} to {estimate['high']:.3f})"


def _sites(sites: Mapping[str, Any] | None) -> list[dict[str, str]]:
    if sites is None:
        return []
    return [
        {
            "method": name,
            "group": group,
            "auroc": number(one["auroc"]),
            "sites": number(one["sites"], 0),
            "difference": interval(one["difference"]),
        }
        for name, by_group in sites["methods"].items()
        for group, one in by_group.items()
        if one["sites"]
    ]


def _shown(brnet: Mapping[str, Any] | None) -> list[dict[str, str]]:
    """What features show of each bias variable, with and without the second step."""
    if brnet is None:
        return []
    found = []
    for name, plain_net in brnet["plain"].items():
        hidden = brnet["brnet"][name]
        found += [
            {
                "what": f"{name}: squared distance correlation, {label}",
                "before": number(value),
                "after": number(hidden["squared_distance_correlation"].get(label)),
            }
            for label, value in plain_net["squared_distance_correlation"].items()
        ]
        read = {"before": _level(plain_net["probe_auroc"]), "after": _level(hidden["probe_auroc"])}
        found.append({"what": f"{name}: AUROC of a fresh probe", **read})
    return found


def _margin(one: Mapping[str, Any]) -> dict[str, str]:
    return {
        "margin": one["margin"],
        "cell": one["cell"],
        **{k: number(one[k]) for k in ("before", "wanted", "after")},
    }
