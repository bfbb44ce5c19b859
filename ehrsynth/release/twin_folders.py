"""The folders of a twins' job, written together: whole, or not at all."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ehrsynth.files import canonical_json, plain, whole_folder
from ehrsynth.release.manifest import FORMAT, Secrets
from ehrsynth.release.policy import Policy
from ehrsynth.release.sealing import (
    INTERNAL,
    PRIVATE_FOLDER,
    SHARE,
    seal_internal,
    seal_share,
    without_codes,
)
from ehrsynth.release.twin_request import TwinNote
from ehrsynth.report.decision import Decision
from ehrsynth.report.provenance import Provenance
from ehrsynth.report.twins import render_twins
from ehrsynth.schema.yaml_files import save_schema
from ehrsynth.tables import write_table
from ehrsynth.twins.cohort import Cohort, Table, summary
from ehrsynth.twins.results import INTENDED

COLUMNS = {
    "patient": "the row of patients.csv, counted from 1",
    "mean": "mean outcome of patients like this in this arm (share of patients, or mean position, if listed)",
    "low, high, predictive_set": (
        "predictive interval of the outcome itself: conformal, on average over patients; never of an effect"
    ),
    "support": "0 to 1: how well patients of every arm support what is said",
    "draw_*": (
        "outcomes that might have been seen; arms are drawn apart, and the number of a draw ties nothing to"
        " anything: a difference of two arms' draws is no individual effect"
    ),
    "average_effect*": "conditional average effect of patients like this, with its interval",
    "individual_low, individual_high": (
        "holds the patient's own contrast whatever the coupling: both arms' predictive intervals, Bonferroni"
    ),
}
NO_ERRORS = (
    "No standard error may be computed from these rows: there are as many as one likes. The interval of an"
    " average effect is the one in the report; it rests on training_n patients."
)


@dataclass(frozen=True, slots=True, eq=False)
class TwinProduct:
    """Everything that a finished job knows."""

    answer: Mapping[str, Any]
    cohort: Cohort
    decision: Decision | None
    provenance: Provenance
    secrets: Secrets
    policy: Policy
    note: TwinNote | None = None

    @property
    def released(self) -> bool:
        """Whether the cohort may leave."""
        return self.decision is not None and self.decision.released and self.cohort.synthetic


def write_twins(out: Path, made: TwinProduct) -> None:
    """Write `internal/` and, for a cohort that may leave, `share/`.

    Raises
    ------
    OutputError
        If the place is taken, cannot be written, or the disk is full; nothing is left behind.
    """
    with whole_folder(out) as draft:
        shared = _write_share(draft / SHARE, made) if made.released else {}
        _write_internal(draft / INTERNAL, made, shared)
        if made.note is not None:
            made.note.finish(draft)


def _write_share(folder: Path, made: TwinProduct) -> dict[str, str]:
    folder.mkdir()
    _write_cohort(folder, made.cohort)
    (folder / "report.html").write_text(_page(made, shareable=True), encoding="utf-8")
    assert made.decision is not None  # noqa: S101 - only what was decided on leaves
    checks = [check.as_json() for check in made.decision.shareable.checks]
    manifest = {
        **_said(made),
        "what": "twins of synthetic patients made by ehrsynth; no row stands for a real person",
        "formal_guarantee": "no formal guarantee",
        "checks": plain(checks),
        "provenance": plain(made.provenance.shareable.as_json()),
    }
    return seal_share(folder, manifest)


def _write_internal(folder: Path, made: TwinProduct, shared: Mapping[str, str]) -> None:
    folder.mkdir(mode=PRIVATE_FOLDER)
    (folder / "report.html").write_text(_page(made, shareable=False), encoding="utf-8")
    results = {**made.answer, "provenance": made.provenance.as_json()}
    (folder / "report.json").write_bytes(canonical_json(plain(results)))
    if not made.released:
        _write_cohort(folder, made.cohort)
    if made.note is not None:
        made.note.write(folder, made.policy, made.decision)
    manifest = {
        **_said(made),
        **({} if made.note is None else made.note.record),
        "what": (
            "twins of synthetic patients, not for release"
            if made.cohort.synthetic
            else "twins of real patients: these patients' data, not for sharing"
        ),
        "cohort_means": plain(summary(made.cohort)),
        "provenance": plain(made.provenance.as_json()),
        **made.secrets.as_json(),
        "shared_files": dict(shared),
    }
    seal_internal(folder, manifest)


def _said(made: TwinProduct) -> dict[str, Any]:
    """What both manifests say."""
    outcomes = made.answer["outcomes"]
    return {
        "format": FORMAT,
        "decision": "released" if made.released else "blocked",
        "verdict": made.answer["verdict"],
        "question": made.answer["question"],
        "intended_use": INTENDED,
        "identification": made.answer["identification"],
        "cohort": {
            name: made.answer["cohort"][name] for name in ("patients", "synthetic", "made_by", "draws")
        },
        "training_n": {one["outcome"]: one["training_n"] for one in outcomes},
        "level": made.answer["level"],
        "columns": COLUMNS,
        "standard_errors": NO_ERRORS,
    }


def _write_cohort(folder: Path, cohort: Cohort) -> None:
    if not cohort.outcomes:
        return
    write_twin_table(folder, "patients", cohort.patients)
    names = file_names([twins.outcome.name for twins in cohort.outcomes])
    for name, twins in zip(names, cohort.outcomes, strict=True):
        write_twin_table(folder, f"twins_{name}", twins.twins)
        if twins.effects is not None:
            write_twin_table(folder, f"effects_{name}", twins.effects)


def file_names(outcomes: Iterable[str]) -> list[str]:
    """A name for each outcome's files: letters, digits and underscores, no two alike."""
    taken: list[str] = []
    for outcome in outcomes:
        name = re.sub(r"\W+", "_", outcome).strip("_") or "outcome"
        while name in taken:
            name += "_"
        taken.append(name)
    return taken


def write_twin_table(folder: Path, name: str, table: Table) -> None:
    """Write a table in both formats, and its schema beside it."""
    for ending in ("csv", "parquet"):
        write_table(table.frame, table.schema, folder / f"{name}.{ending}")
    save_schema(without_codes(table.schema), folder / f"{name}.yaml")


def _page(made: TwinProduct, *, shareable: bool) -> str:
    answer = dict(made.answer)
    if shareable and made.decision is not None:
        answer["release"] = made.decision.shareable.as_json()
    return render_twins(
        plain(answer), made.provenance, shareable=shareable, small_cell=made.policy.small_cell.value
    )
