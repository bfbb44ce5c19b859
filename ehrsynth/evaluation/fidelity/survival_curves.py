"""Do synthetic patients have their events when real ones do?"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ehrsynth.evaluation.base import Score
from ehrsynth.evaluation.fidelity.follow_up import Curves, Floats, Whole, curves
from ehrsynth.evaluation.matrix import Mask, Matrix, is_discrete, matrix
from ehrsynth.evaluation.protocol import protocol
from ehrsynth.evaluation.strata import Stratum, by_group, is_listed, level_name, strata
from ehrsynth.progress import Progress, silent
from ehrsynth.randomness import numpy_generator
from ehrsynth.schema import LearntColumn, Schema
from ehrsynth.statistics import normal_quantile
from ehrsynth.tables.grids import grid

_NAME = "survival_curves"
_TABLES = ("real", "synthetic", "train")
_DRAWN = 60  # times at which a report draws the curves
_TIMES = 400  # most times at which the curves are compared; more are grouped by the held-out patients' times


class _Followed(NamedTuple):
    """The patients of a table whose time and event are known; `rows` are their positions in it."""

    time: Floats
    cause: Whole
    rows: Whole


def survival_curves(
    train: pd.DataFrame,
    holdout: pd.DataFrame,
    synthetic: pd.DataFrame,
    schema: Schema,
    *,
    seed: int,
    progress: Progress | None = None,
) -> Score:
    """The largest gap between the survival curves of synthetic and held-out patients.

    The first columns of the schema with the roles time and event. An event of two values is false (or the
    first) for patients whose follow-up ended without it; of more values, the first means without event, and
    the others compete. Curves are Kaplan and Meier's (1958, doi 10.1080/01621459.1958.10501452), the share
    without any event, or where events compete the share with each kind by Aalen and Johansen (1978, Scand J
    Stat 5:141). The gap is looked for up to the last time at which at least `at_risk` patients of both tables
    are still followed (protocol.yaml).

    Range and direction: 0 to 1, lower is better; a gap of 0.05 means that at some time 5 in 100 patients more
    had had the event in one table. The interval is normal, its error from resampled patients of both tables.
    `reference` is the training table against the holdout: two samples always lie a little apart. `details`
    has the same for each treatment arm, protected group, intersection and site, the mean gap, and the curves
    at a few times.
    """
    report = progress or silent
    event = next((c for c in schema.learnt if "event" in c.roles and is_listed(c)), None)
    time = next((c for c in schema.learnt if "time" in c.roles and not is_discrete(c)), None)
    if event is None or time is None:
        why = "not measurable here: the schema needs a number with the role time and one column with event"
        return Score(_NAME, None, None, None, None, "lower", {}, why)
    real, other, fresh = (matrix(t, schema) for t in (holdout, synthetic, train))
    followed = [_followed(t, event, time) for t in (real, other, fresh)]
    least = 2 * protocol().at_risk
    if min(len(f.time) for f in followed[:2]) < least:
        why = f"not measurable here: {least} patients of each table need a known time and event"
        return Score(_NAME, None, None, None, None, "lower", {}, why)
    kinds = max(1, event.size - 1)
    found = _gap(followed[0], followed[1], kinds, seed, protocol().bootstraps)
    report(0.2, "survival curves: reference")
    reference = _gap(followed[0], followed[2], kinds, seed, 0) if len(followed[2].time) >= least else {}
    arms = _arms(schema, (real, other, fresh))
    report(0.3, "survival curves: groups")

    def within(one: Stratum) -> Mapping[str, float | None]:
        parts = [_within(f, mask) for f, mask in zip(followed, one.masks, strict=True)]
        if min(len(p.time) for p in parts) < least:
            return {"value": None, "low": None, "high": None, "reference": None}
        gap = _gap(parts[0], parts[1], kinds, seed, protocol().bootstraps // 2)
        expected = _gap(parts[0], parts[2], kinds, seed, 0)
        return {n: gap[n] for n in ("value", "low", "high")} | {"reference": expected["value"]}

    details = {
        "time": time.name,
        "event": event.name,
        "without_event": level_name(event, 0),
        "method": "Kaplan-Meier" if kinds == 1 else "Aalen-Johansen",
        "curves": _drawn({"real": followed[0], "synthetic": followed[1]}, event, kinds),
        "curves_of_synthetic_alone": _drawn({"synthetic": followed[1]}, event, kinds),
        "mean_gap": found["mean"],
        "mean_gap_of_reference": reference.get("mean"),
        "patients_followed": {n: len(f.time) for n, f in zip(_TABLES, followed, strict=True)},
        "arms": [{"arm": one.name, **within(one)} for one in arms],
        "groups": by_group(strata(schema, (real, other, fresh)), within),
    }
    return Score(_NAME, found["value"], found["low"], found["high"], reference.get("value"), "lower", details)


def _followed(table: Matrix, event: LearntColumn, time: LearntColumn) -> _Followed:
    until, cause = table.values[:, table.place(time.name)], table.values[:, table.place(event.name)]
    rows = np.flatnonzero(~np.isnan(until) & ~np.isnan(cause))
    return _Followed(until[rows], grid(event).codes(cause[rows]), rows)


def _within(followed: _Followed, mask: Mask) -> _Followed:
    kept = mask[followed.rows]
    return _Followed(followed.time[kept], followed.cause[kept], followed.rows[kept])


def _arms(schema: Schema, tables: tuple[Matrix, Matrix, Matrix]) -> list[Stratum]:
    found = []
    for column in schema.learnt:
        if "treatment" not in column.roles or not is_listed(column):
            continue
        codes = [grid(column).codes(t.values[:, t.place(column.name)]) for t in tables]
        found += [
            Stratum(f"{column.name}: {level_name(column, code)}", tuple(c == code for c in codes))
            for code in range(column.size)
            if min(int((c == code).sum()) for c in codes) >= protocol().strata_minimum
        ]
    return found


def _gap(real: _Followed, other: _Followed, kinds: int, seed: int, resamples: int) -> dict[str, float]:
    """The largest and the mean gap, with the normal interval of the largest from `resamples` of patients."""
    times = np.unique(np.concatenate([real.time, other.time]))
    if len(times) > _TIMES:
        cuts = np.quantile(real.time, np.linspace(0, 1, _TIMES), method="lower")
        times = np.unique(np.append(cuts, times[-1]))
    drawn = [
        _curves(one, times, kinds, seed, name, resamples) for one, name in ((real, "real"), (other, "other"))
    ]
    enough = np.minimum(drawn[0].at_risk[0], drawn[1].at_risk[0]) >= protocol().at_risk
    last = max(1, int(enough.sum()))  # patients at risk only fall
    gaps = _gaps(drawn[0], drawn[1], kinds)[:, :last]
    weights = np.append(np.diff(times[:last]), times[min(last, len(times) - 1)] - times[last - 1])
    mean = float(np.average(gaps[0], weights=weights)) if weights.sum() > 0 else float(gaps[0].mean())
    largest = gaps.max(axis=1)
    half = normal_quantile(0.95) * float(largest[1:].std(ddof=1)) if resamples else 0.0
    value = float(largest[0])
    return {"value": value, "low": max(0.0, value - half), "high": min(1.0, value + half), "mean": mean}


def _drawn(tables: Mapping[str, _Followed], event: LearntColumn, kinds: int) -> dict[str, Any]:
    """The curves at a few times, as long as `at_risk` patients of each table are followed.

    The times are those of these tables, so that the curve of one alone says nothing of another.
    """
    times = np.unique(np.concatenate([one.time for one in tables.values()]))
    found = {name: _curves(one, times, kinds, 0, "", 0) for name, one in tables.items()}
    enough = np.min([one.at_risk[0] for one in found.values()], axis=0) >= protocol().at_risk
    times = times[: max(1, int(enough.sum()))]
    even = np.searchsorted(times, np.linspace(times[0], times[-1], _DRAWN), side="right") - 1
    kept = np.unique(np.concatenate([even, np.linspace(0, len(times) - 1, _DRAWN).astype(np.int64)]))
    shown = {n: one.survival[0][None] if kinds == 1 else one.incidence[0] for n, one in found.items()}
    names = ["without event"] if kinds == 1 else [level_name(event, k + 1) for k in range(kinds)]
    return {
        "times": times[kept].tolist(),
        "lines": [
            {"name": name, **{table: lines[k][kept].tolist() for table, lines in shown.items()}}
            for k, name in enumerate(names)
        ],
    }


def _curves(one: _Followed, times: Floats, kinds: int, seed: int, name: str, resamples: int) -> Curves:
    places = np.minimum(np.searchsorted(times, one.time), len(times) - 1)
    n = len(one.time)
    rng = numpy_generator(seed, "survival", name)
    drawn = rng.multinomial(n, np.full(n, 1 / n), size=resamples).astype(np.float64)
    return curves(places, one.cause, np.vstack([np.ones((1, n)), drawn]), (kinds, len(times)))


def _gaps(real: Curves, other: Curves, kinds: int) -> Floats:
    """Resamples x times: the gap of survival, or the largest over kinds of event where they compete."""
    if kinds == 1:
        return np.asarray(np.abs(real.survival - other.survival))
    return np.asarray(np.abs(real.incidence - other.incidence).max(axis=1))
