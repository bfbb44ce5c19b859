"""What a rebalancing found, as plain values; and what of it goes into files."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ehrsynth.errors import RequestError
from ehrsynth.files import canonical_json, plain
from ehrsynth.rebalance import headroom as rooms
from ehrsynth.rebalance.base import Treatment, with_origin
from ehrsynth.rebalance.error_rates import measured_error_rates
from ehrsynth.rebalance.job import Rebalancing
from ehrsynth.rebalance.measures import MEASURES
from ehrsynth.rebalance.methods import UNTREATED
from ehrsynth.rebalance.plan import Counts, Population, rows_of
from ehrsynth.rebalance.population import margins_of
from ehrsynth.rebalance.protocol import rebalance_protocol
from ehrsynth.rebalance.raking import Margin, Moment, achieved
from ehrsynth.rebalance.study import EXPOSURES, Study
from ehrsynth.rebalance.targets import raked_weights, stratum_counts, wanted
from ehrsynth.rebalance.verdict import advice
from ehrsynth.rebalance.worth import best_worth
from ehrsynth.statistics import Estimate
from ehrsynth.tables import write_table
from ehrsynth.tables.origin import REAL

TABLE, WEIGHTS, TREATMENT = "treatment.csv", "weights.csv", "treatment.json"


def as_values(found: Rebalancing) -> dict[str, Any]:
    """Everything that was found, as plain values; numbers that do not exist are NaN or None."""
    verdict, study = found.verdict, found.study
    return {
        "verdict": verdict.answer,
        "sentence": verdict.sentence,
        "recommended": verdict.recommended,
        "applied": None if found.treatment is None else found.treatment.method,
        "reasons": list(verdict.reasons),
        "instead": _instead(found),
        "error_rates": measured_error_rates(),
        "worth": best_worth(found.headroom.worth, verdict.recommended),
        "plan": _plan(found),
        "groups": _groups(found),
        "methods": {name: _method(study, name) for name in study.methods},
        "failed": dict(study.failed),
        "warnings": _warnings(found),
        "tests": verdict.as_json(),
        "membership": _membership(found),
        "headroom": rooms.as_json(found.headroom),
        "sites": None if found.sites is None else found.sites.as_json(),
        "brnet": found.dependence,
        "population": _margins(found),
        "provenance": {
            "seed": found.seed,
            "date": found.date,
            "versions": dict(found.versions),
            "schema_hash": found.ready.schema.hash(),
            "protocol_hash": rebalance_protocol().hash,
        },
    }


def _instead(found: Rebalancing) -> list[str]:
    """What to do where nothing gains, and what real patients would add."""
    if found.verdict.recommended is not None:
        return []
    said = advice(found.study, found.verdict.helped, found.headroom.curves)
    for curve in found.headroom.curves:
        if (more := curve.per_doubling["auroc"]) is not None:
            said.append(
                f"{curve.group}: twice as many real patients would change the AUROC by {more.value:+.3f}"
                f" ({more.low:+.3f} to {more.high:+.3f})."
            )
    return said


def _plan(found: Rebalancing) -> dict[str, Any]:
    plan, goal = found.ready.plan, found.ready.plan.goal
    said = {"Equal": "equal groups", "Counts": "counts", "Population": "a target population"}[
        type(goal).__name__
    ]
    return {
        "outcome": " and ".join(plan.outcomes),
        "event": plan.event,
        "goal": said,
        "counts": dict(goal.wanted) if isinstance(goal, Counts) else None,
        "classes": plan.classes,
        "predictors": list(plan.predictors),
        "learner": plan.learner,
        "splits": len(found.study.splits),
        "test_share": rebalance_protocol().test_share,
        "helped": list(found.verdict.helped),
        "notes": list(found.ready.notes),
    }


def _groups(found: Rebalancing) -> list[dict[str, Any]]:
    """Real patients of each group, what the goal asks for, and rows made, which are evidence of nobody."""
    ready = found.ready
    counts = stratum_counts(ready.rows, len(ready.plan.groups))
    target = _target(found)
    made = None if found.treatment is None else found.treatment.made
    made_in = None if made is None else rows_of(made, ready.plan, ready.schema).group
    return [
        {
            "group": group.name,
            "where": group.where,
            "patients": int(counts[place].sum()),
            "events": int(counts[place, 1]),
            "share": float(counts[place].sum() / len(ready.rows)),
            "wanted": None if target is None else int(target[place].sum()),
            "wanted_events": None if target is None else int(target[place, 1]),
            "raised": group.name in found.verdict.helped,
            "synthetic": 0 if made_in is None else int((made_in == place).sum()),
        }
        for place, group in enumerate(ready.plan.groups)
    ]


def _target(found: Rebalancing) -> NDArray[np.int64] | None:
    """What the goal asks for; None where that is more than can be made, and only weights reach it."""
    try:
        return wanted(found.ready.table, found.ready.plan, found.ready.schema, "up")
    except RequestError:
        return None


def _method(study: Study, name: str) -> dict[str, Any]:
    """Each measure in each group: its mean over splits, and the difference against "none"."""
    told: dict[str, Any] = {}
    for group in study.groups:
        measured: dict[str, Any] = {}
        for measure in MEASURES:
            difference = None if name == UNTREATED else study.difference(name, group, measure)
            measured[measure] = {
                "value": study.mean(name, group, measure),
                "difference": None if difference is None else difference._asdict(),
            }
        excess = study.interval(study.of(name, group, "excess_risk"))
        told[group] = {
            **measured,
            "mean_excess_risk_interval": None if excess is None else excess._asdict(),
            "test_patients": study.mean(name, group, "patients"),
            "test_events": study.mean(name, group, "events"),
        }
    return told


def _warnings(found: Rebalancing) -> list[str]:
    said = [word for words in found.study.warnings.values() for word in words]
    said += list(found.treatment.warnings) if found.treatment is not None else []
    return list(dict.fromkeys(said))


def _membership(found: Rebalancing) -> dict[str, Any]:
    """For each helped group: how well members are told, before ("none") and after each method."""
    study, told = found.study, {}
    for group in found.verdict.helped:
        after: dict[str, Any] = {}
        for name in study.methods:
            each = {what: study.interval(study.of(name, group, what)) for what in EXPOSURES}
            after[name] = {what: None if one is None else _auroc(one) for what, one in each.items()}
        told[group] = {"before": after.pop(UNTREATED), "after": after}
    return told


def _auroc(found: Estimate) -> dict[str, float]:
    """Student's interval of a few splits, where it lies among possible values."""
    return {"value": found.value, "low": max(0.0, found.low), "high": min(1.0, found.high)}


def _margins(found: Rebalancing) -> list[dict[str, Any]] | None:
    """The target population: each margin's cells before and after raking, and what was asked for."""
    ready = found.ready
    if not isinstance(ready.plan.goal, Population):
        return None
    raked = raked_weights(ready.rows, ready.plan, ready.schema)
    told = []
    for margin in margins_of(ready.plan.goal.margins, ready.rows.values, ready.schema):
        before, after = achieved(margin, np.ones(len(ready.rows))), achieved(margin, raked.weights)
        labels, asked = _cells(margin)
        told += [
            {"margin": margin.name, "cell": label, "before": float(b), "after": float(a), "wanted": w}
            for label, b, a, w in zip(labels, before, after, asked, strict=True)
        ]
    return [
        *told,
        {
            "margin": "effective patients",
            "cell": "",
            "before": len(ready.rows),
            "after": raked.effective,
            "wanted": None,
        },
    ]


def _cells(margin: Margin) -> tuple[tuple[str, ...], list[float]]:
    """The cells of a margin and what is asked of each; a mean or a variance is one cell of its own name."""
    if isinstance(margin, Moment):
        return (margin.name,), [margin.target]
    return margin.labels, margin.shares.tolist()


def write_treatment(found: Rebalancing, folder: Path) -> tuple[str, ...]:
    """Write what was done to the table, and give the names of the files.

    ``treatment.json`` says which method with which settings and seed. ``treatment.csv`` holds the rows to
    learn from, real patients among them, each marked in `_origin`; ``weights.csv`` a weight for each of its
    lines.
    """
    treatment, ready = found.treatment, found.ready
    (folder / TREATMENT).write_bytes(canonical_json(_told(found, treatment)))
    names = [TREATMENT]
    if treatment is None or (treatment.table is None and treatment.weights is None):
        return tuple(names)
    table = with_origin(ready.table, REAL) if treatment.table is None else treatment.table
    write_table(table, ready.schema, folder / TABLE, origin_column=True)
    names.append(TABLE)
    if treatment.weights is not None:
        lines = ["weight", *(f"{weight:.10g}" for weight in treatment.weights)]
        (folder / WEIGHTS).write_text("\n".join(lines) + "\n", encoding="utf-8")
        names.append(WEIGHTS)
    return tuple(names)


def _told(found: Rebalancing, treatment: Treatment | None) -> dict[str, Any]:
    plan = found.ready.plan
    how: Mapping[str, Any] = {} if treatment is None else treatment.notes
    return {
        "method": UNTREATED if treatment is None else treatment.method,
        "verdict": found.verdict.sentence,
        "what": _kind(treatment),
        "event": plan.event,
        "groups": {group.name: group.where for group in plan.groups},
        "predictors": list(plan.predictors),
        "learner": plan.learner,
        "notes": plain(how),
        "warnings": [] if treatment is None else list(treatment.warnings),
        "seed": found.seed,
        "date": found.date,
    }


def _kind(treatment: Treatment | None) -> str:
    if treatment is None:
        return "nothing was done to the table: see report.html"
    if treatment.predictor is not None:
        return "a model: learn it again with ehrsynth.rebalance.job.rebalance and this seed"
    if treatment.table is None:
        return f"the real patients ({TABLE}) and a weight for each ({WEIGHTS})"
    weighed = f", with a weight for each ({WEIGHTS})" if treatment.weights is not None else ""
    return f"rows to learn from ({TABLE}), each marked in _origin{weighed}"
