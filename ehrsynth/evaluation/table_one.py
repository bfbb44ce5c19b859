"""Table 1 of a paper: the real and the synthetic patients side by side, small cells suppressed."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ehrsynth.evaluation.matrix import Floats, is_discrete, matrix
from ehrsynth.evaluation.strata import level_name
from ehrsynth.evaluation.summaries import SMALL_CELL
from ehrsynth.schema import DateColumn, DatetimeColumn, LearntColumn, Schema
from ehrsynth.tables.grids import grid

_SKEWED = 1.0
HIDDEN = "suppressed"


@dataclass(frozen=True, slots=True)
class Row:
    """One line: a column, or one value of it.

    `real` and `synthetic` are as printed: mean (SD) or median [IQR] of the patients with a value, or n (%)
    of all patients; SD divides by n - 1.
    `smd` is the standardised mean difference (Austin 2009, doi 10.1002/sim.3697), 0 is best and below 0.1 is
    small; None where it does not exist or would tell a suppressed cell. `spread` is the synthetic SD over
    the real one (the square root of Austin's ratio of variances): 1 is best, below 1 synthetic patients lie
    closer together, as where extremes are lost, which neither a median nor the `smd` tells. None for listed
    values, and where a SD is 0 or suppressed.
    """

    column: str
    level: str
    statistic: str
    real: str
    synthetic: str
    smd: float | None
    spread: float | None = None


def table_one(
    real: pd.DataFrame, synthetic: pd.DataFrame, schema: Schema, *, small_cell: int = SMALL_CELL
) -> tuple[Row, ...]:
    """The rows in the schema's order.

    Numbers and durations: mean (SD), or median [IQR] where the synthetic patients are skewed by more than 1.
    Listed values: n (%) of each value and of missing. Real cells of 1 to `small_cell` patients are
    suppressed, and in that column the next smallest with them, so that no sum gives them away; numbers known
    for at most `small_cell` real patients are suppressed. Dates have no row.
    """
    known, made = matrix(real, schema), matrix(synthetic, schema)
    rows: list[Row] = []
    for column in schema.learnt:
        if isinstance(column, DateColumn | DatetimeColumn):
            continue
        place = known.place(column.name)
        pair = known.values[:, place], made.values[:, place]
        rows += (
            _listed(column, pair, small_cell) if is_discrete(column) else [_number(column, pair, small_cell)]
        )
    return tuple(rows)


def _number(column: LearntColumn, pair: tuple[Floats, Floats], small_cell: int) -> Row:
    real, made = (values[~np.isnan(values)] for values in pair)
    spread = made.std() if len(made) else 0.0
    skew = float((((made - made.mean()) / spread) ** 3).mean()) if spread > 0 else 0.0
    statistic = "median [IQR]" if abs(skew) > _SKEWED else "mean (SD)"
    shown = HIDDEN if len(real) <= small_cell else _said(real, statistic)
    smd = ratio = None
    if len(real) > max(1, small_cell) and len(made) > 1:
        known, drawn = float(real.std(ddof=1)), float(made.std(ddof=1))
        pooled = float(np.hypot(known, drawn)) / np.sqrt(2)
        smd = float(abs(made.mean() - real.mean()) / pooled) if pooled > 0 else None
        ratio = drawn / known if known > 0 and drawn > 0 else None
    return Row(column.name, "", statistic, shown, _said(made, statistic), smd, ratio)


def _said(values: Floats, statistic: str) -> str:
    if not len(values):
        return "none known"
    if statistic == "mean (SD)":
        spread = values.std(ddof=1) if len(values) > 1 else 0.0
        return f"{_short(values.mean())} ({_short(spread)})"
    low, middle, high = np.quantile(values, (0.25, 0.5, 0.75))
    return f"{_short(middle)} [{_short(low)} to {_short(high)}]"


def _short(value: float) -> str:
    """Three digits, without an exponent up to a billion."""
    return f"{float(f'{value:.3g}'):,.9g}"


def _listed(column: LearntColumn, pair: tuple[Floats, Floats], small_cell: int) -> list[Row]:
    names = [level_name(column, code) for code in range(column.size)] + ["missing"]
    counts = [_counts(values, column) for values in pair]
    hidden = _hide(counts[0], small_cell)
    rows = []
    for name, real, made, hide in zip(names, *counts, hidden, strict=True):
        if not (real or made):
            continue
        p, q = real / max(1, len(pair[0])), made / max(1, len(pair[1]))
        pooled = float(np.sqrt((p * (1 - p) + q * (1 - q)) / 2))
        smd = None if hide or not pooled else float(abs(q - p) / pooled)
        rows.append(
            Row(
                column.name,
                name,
                "n (%)",
                HIDDEN if hide else f"{real} ({100 * p:.1f})",
                f"{made} ({100 * q:.1f})",
                smd,
            )
        )
    return rows


def _counts(values: Floats, column: LearntColumn) -> list[int]:
    codes = grid(column).codes(values)
    known = np.bincount(codes[codes >= 0], minlength=column.size)
    return [*(int(count) for count in known), int((codes < 0).sum())]


def _hide(counts: list[int], small_cell: int) -> list[bool]:
    """Which cells are suppressed: small ones, then others until two are and they hold enough together."""
    hide = [1 <= count <= small_cell for count in counts]
    if not any(hide):
        return hide
    for place in np.argsort(counts, kind="stable"):
        if sum(hide) > 1 and sum(c for c, h in zip(counts, hide, strict=True) if h) > small_cell:
            break
        hide[place] = hide[place] or counts[place] > 0
    return hide
