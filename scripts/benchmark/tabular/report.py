"""The page and the picture, from the cells as they stand."""

import datetime as dt
import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from tabular import cells
from tabular.bars import Bar, Cells, average, bars
from tabular.learners import ISSUE
from tabular.sources import LARGER, SOURCES
from tabular.systems import OURS, RIVAL, systems

COLUMNS = {
    "C2ST issue's trees": ("c2st", ISSUE),
    "C2ST protocol trees": ("c2st", "boosted_trees"),
    "C2ST logistic": ("c2st", "logistic_regression"),
    "C2ST neural": ("c2st", "neural_network"),
    "TSTR issue's trees": ("tstr", ISSUE),
    "TSTR protocol trees": ("tstr", "boosted_trees"),
    "TSTR logistic": ("tstr", "logistic_regression"),
    "pair trends": ("pair_trends",),
    "missingness error": ("missingness",),
    "copied rows": ("copied_rows",),
    "DCR share": ("dcr_share",),
    "MIA nearest": ("membership", "all", "nearest", "auroc"),
    "MIA odds": ("membership", "all", "odds", "auroc"),
    "TPR nearest, upper": ("membership", "all", "nearest", "tpr_high"),
    "TPR odds, upper": ("membership", "all", "odds", "tpr_high"),
    "isolated: TPR nearest": ("membership", "isolated", "nearest", "tpr"),
    "isolated: TPR odds": ("membership", "isolated", "odds", "tpr"),
}
COSTS = {
    "fit s": ("fit", "wall"),
    "fit CPU s": ("fit", "cpu"),
    "sample s": ("sample", "wall"),
    "MB": ("peak_mb",),
}
EXTRA = ("real", "paired")


def read_cells(folder: Path) -> Cells:
    """Every cell that the benchmark has, begun or not."""
    found: Cells = {}
    for table in SOURCES:
        for system in systems().values():
            for seed in system.seeds(table):
                found[table, system.name, seed] = cells.read(folder, table, system.name, seed)
        for name in EXTRA:
            for seed in (1, 2, 3, 4, 5):
                found[table, name, seed] = cells.read(folder, table, name, seed)
    return found


def write_report(folder: Path) -> None:
    """Write tabular.md and tabular.png beside the folder of cells."""
    every = read_cells(folder)
    picture = folder.parent / "tabular.png"
    drawn = draw(every, picture)
    lines = [
        *head(every),
        *(["![C2ST against fit time](tabular.png)", ""] if drawn else []),
        *bar_lines(bars(every)),
    ]
    for table in SOURCES:
        lines += table_lines(every, table)
    folder.parent.mkdir(parents=True, exist_ok=True)
    (folder.parent / "tabular.md").write_text("\n".join(lines))


def head(every: Cells) -> list[str]:
    """What this is, and how it was measured."""
    packages = ", ".join(
        f"{n} {version(n)}" for n in ("ehrsynth", "lightgbm", "scikit-learn", "torch", "sdv")
    )
    versions = sorted({c.made["version"] for c in every.values() if "version" in c.made})
    return [
        "# Generators on patient tables",
        "",
        "`python scripts/benchmark/tabular generate`, then `judge`, with --data, --environments, --work DIR;",
        f"this page on {dt.datetime.now(dt.UTC):%Y-%m-%d}. Python {platform.python_version()}, {packages};",
        f"{platform.machine()}, {os.cpu_count()} cores.",
        f"Results come from: {'; '.join(versions) or 'nothing yet'}.",
        "",
        "Same files for every system, each in a process and an environment of its own, with its defaults.",
        "Means over the seeds that are done. C2ST: 0.5 is perfect, and the AUROC of telling synthetic from",
        "held-out rows; the issue's trees are scikit-learn's HistGradientBoosting with defaults, categories",
        "as categories, three folds. TSTR: AUROC of the outcome on held-out rows; higher is better. MIA:",
        "AUROC of telling training from held-out patients, TPR at 1 % false positives (upper: Clopper-",
        "Pearson); 0.5 and 0.01 are harmless. DCR share: 0.5 is perfect. Numbers are judged as they came,",
        "not rounded to the schema; arfpy and synthcity refuse missing values and get a word or a flag for",
        "them. `busy` marks times taken while other work ran: their quality counts, their seconds do not.",
        "The issue says 0.593 for its sketch B and 0.578 for C on ist, 0.667 for C on support2: the rows of",
        "the sketches here are rewritten from one line each, and say how this scale differs from the",
        "issue's.",
        "",
    ]


def bar_lines(found: list[Bar]) -> list[str]:
    """The issue's bars."""
    words = {True: "met", False: "MISSED", None: "not measured yet"}
    lines = ["## Bars of the issue", "", "| table | demand | found | seeds | |", "|---|---|---|---|---|"]
    lines += [f"| {b.table} | {b.demand} | {shown(b.found)} | {b.seeds} | {words[b.met]} |" for b in found]
    elsewhere = (
        "Conditions, a million rows and the demo are measured elsewhere; what TSTR a drawn outcome can reach"
        " with real covariates is in redrawn.md."
    )
    return [*lines, "", elsewhere, ""]


def table_lines(every: Cells, table: str) -> list[str]:
    """One data set: quality, then cost."""
    lines = [f"## {table}", "", f"| system | {' | '.join((*COLUMNS, *COSTS))} | seeds | |"]
    lines.append("|---" * (len(COLUMNS) + len(COSTS) + 3) + "|")
    for system in systems().values():
        figures = [
            average(every, table, system.name, *path)[0] for path in (*COLUMNS.values(), *COSTS.values())
        ]
        mine = [every[table, system.name, seed] for seed in system.seeds(table)]
        notes = sorted({note for cell in mine if (note := note_of(cell))})
        done = f"{sum(bool(c.judged) for c in mine)} of {len(mine)}"
        lines.append(f"| {system.title} | {' | '.join(map(shown, figures))} | {done} | {'; '.join(notes)} |")
    real = [average(every, table, "real", *path)[0] for path in COLUMNS.values()]
    blank = " | " * len(COSTS)
    return [*lines, f"| *training rows themselves* | {' | '.join(map(shown, real))} {blank}| | |", ""]


def note_of(cell: cells.Cell) -> str:
    """What a reader must know of a cell."""
    if cell.state != cells.MADE:
        return f"{cell.state}: {cell.made['reason']}" if cell.made.get("reason") else cell.state
    if not cell.judged or cell.judged.get("of") != cell.made.get("csv"):
        return "not judged yet"
    return "busy" if cell.made.get("busy") else ""


def shown(found: float | None) -> str:
    """A figure with three digits that mean something."""
    if found is None:
        return ""
    return f"{found:.3f}" if abs(found) < 10 else f"{found:,.0f}"  # noqa: PLR2004


MIDDLE = 30  # seconds: labels of slower systems stand on the left of their point
APART = 0.045  # of a panel's height, between two labels
PLAIN = "#777777"


class Point(NamedTuple):
    """A system in a panel."""

    seconds: float
    height: float
    name: str
    colour: str


def _show(place: Any, points: list[Point]) -> None:
    """Points with their names, none of which stands on another."""
    low, high = place.get_ylim()
    points = sorted(points, key=lambda p: p.height)
    for point, at in zip(points, apart([(p.height - low) / (high - low) for p in points]), strict=True):
        left = point.seconds < MIDDLE
        place.scatter(point.seconds, point.height, color=point.colour, zorder=3)
        place.annotate(
            point.name,
            (point.seconds, point.height),
            fontsize=7,
            color=point.colour if point.colour != PLAIN else "#333333",
            xytext=(point.seconds * 1.2 ** (1 if left else -1), low + at * (high - low)),
            ha="left" if left else "right",
            va="center",
        )


def apart(heights: list[float]) -> list[float]:
    """Rising shares of a panel's height, moved so that none is closer to the next than `APART`."""
    found = list(heights)
    for k in range(1, len(found)):
        found[k] = max(found[k], found[k - 1] + APART)
    for k in reversed(range(len(found))):
        found[k] = min(found[k], found[k + 1] - APART if k + 1 < len(found) else 1 - APART / 2)
    return found


def draw(every: Cells, path: Path) -> bool:
    """C2ST against fit time, and the larger membership AUROC, on the larger tables; False without figures."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, len(LARGER), figsize=(13, 8), layout="constrained", squeeze=False)
    any_drawn = False
    for column, table in enumerate(LARGER):
        points: tuple[list[Point], list[Point]] = ([], [])
        for system in systems().values():
            found = [average(every, table, system.name, *p)[0] for p in (("fit", "wall"), ("c2st", ISSUE))]
            mia = [
                average(every, table, system.name, "membership", "all", a, "auroc")[0]
                for a in ("nearest", "odds")
            ]
            if None in found or None in mia:
                continue
            any_drawn = True
            colour = {OURS: "#0b6e4f", RIVAL: "#c44900"}.get(system.name, PLAIN)
            for panel, height in zip(points, (found[1], max(mia)), strict=True):
                panel.append(Point(found[0], height, system.title.removeprefix("ehrsynth "), colour))
        for row, label in ((0, "C2ST (0.5 is perfect)"), (1, "membership AUROC, larger of two")):
            place = axes[row, column]
            place.set(title=table, xscale="log", xlabel="fit (s)", ylabel=label, xlim=(1, 1_000))
            # Every height begins where nothing is told apart, so that panels compare.
            top = max((point.height for point in points[row]), default=0.5)
            place.set_ylim(0.495, max(top + (top - 0.5) / 10, 0.55))
            _show(place, points[row])
    if any_drawn:
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=130)
    plt.close(figure)
    return any_drawn
