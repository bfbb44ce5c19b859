"""The folders of private twins: `share/` holds nothing that was measured on a patient.

The tables, the page and the manifest that may leave are made from the private model, the question and the
schema alone. The decision, its checks, counts, seed and the composed epsilon stand in `internal/`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ehrsynth.files import canonical_json, plain, whole_folder
from ehrsynth.generators.base import AbstractFitted
from ehrsynth.release.manifest import FORMAT, Secrets, guarantee_in_words
from ehrsynth.release.policy import Policy
from ehrsynth.release.sealing import INTERNAL, PRIVATE_FOLDER, SHARE, seal_internal, seal_share
from ehrsynth.release.twin_folders import file_names, write_twin_table
from ehrsynth.report.decision import Decision
from ehrsynth.report.private_twins import render_private_twins
from ehrsynth.report.provenance import Provenance
from ehrsynth.twins.private import PrivateCohort

COLUMNS = {
    "patient": "the row of patients.csv, counted from 1",
    "mean": "mean of the draws (share of patients, or mean position, if listed)",
    "model_low, model_high": (
        "interval of the model's own draws; nobody has checked how often it holds a real outcome: that is"
        " measured on patients"
    ),
    "draw_*": (
        "outcomes that the private model gives patients like this in this arm; arms are drawn apart, and a"
        " difference of two arms' draws is no individual effect"
    ),
}
NO_ERRORS = (
    "No standard error may be computed from these rows: there are as many as one likes. The error of a mean"
    " is that of the patients learnt from and of the noise of privacy, and it is not told."
)


@dataclass(frozen=True, slots=True, eq=False)
class PrivateTwinProduct:
    """Everything that a finished job knows; `answer` holds nothing that was measured on patients."""

    answer: Mapping[str, Any]
    cohort: PrivateCohort
    decision: Decision
    provenance: Provenance
    model: AbstractFitted
    secrets: Secrets
    policy: Policy


def write_private_twins(out: Path, made: PrivateTwinProduct) -> None:
    """Write `internal/` and, for a cohort that may leave, `share/`.

    Raises
    ------
    OutputError
        If the place is taken, cannot be written, or the disk is full; nothing is left behind.
    """
    with whole_folder(out) as draft:
        shared = _write_share(draft / SHARE, made) if made.decision.released else {}
        _write_internal(draft / INTERNAL, made, shared)


def _write_share(folder: Path, made: PrivateTwinProduct) -> dict[str, str]:
    folder.mkdir()
    _write_cohort(folder, made.cohort)
    page = render_private_twins(plain(made.answer), made.provenance, None)
    (folder / "report.html").write_text(page, encoding="utf-8")
    manifest = {
        **_said(made),
        "what": "twins of synthetic patients made by ehrsynth; no row stands for a real person",
        "formal_guarantee": guarantee_in_words(made.provenance),
        "provenance": plain(made.provenance.shareable.as_json()),
    }
    return seal_share(folder, manifest)


def _write_internal(folder: Path, made: PrivateTwinProduct, shared: Mapping[str, str]) -> None:
    folder.mkdir(mode=PRIVATE_FOLDER)
    page = render_private_twins(plain(made.answer), made.provenance, made.decision)
    (folder / "report.html").write_text(page, encoding="utf-8")
    release = made.decision.as_json()
    results = {**made.answer, "release": release, "provenance": made.provenance.as_json()}
    (folder / "report.json").write_bytes(canonical_json(plain(results)))
    made.model.save(folder / "model")
    if not made.decision.released:
        _write_cohort(folder, made.cohort)
    manifest = {
        **_said(made),
        "what": "what was measured to decide on a cohort of private twins: not for sharing",
        "decision": made.decision.verdict,
        "reasons": list(made.decision.reasons),
        "provenance": plain(made.provenance.as_json()),
        **made.secrets.as_json(),
        "shared_files": dict(shared),
    }
    seal_internal(folder, manifest)


def _said(made: PrivateTwinProduct) -> dict[str, Any]:
    """What both manifests say."""
    names = ("verdict", "question", "intended_use", "identification", "not_checked", "cohort", "level")
    return {
        "format": FORMAT,
        **{name: plain(made.answer[name]) for name in names},
        "columns": COLUMNS,
        "standard_errors": NO_ERRORS,
    }


def _write_cohort(folder: Path, cohort: PrivateCohort) -> None:
    write_twin_table(folder, "patients", cohort.patients)
    names = file_names(twins.outcome.name for twins in cohort.outcomes)
    for name, twins in zip(names, cohort.outcomes, strict=True):
        write_twin_table(folder, f"twins_{name}", twins.twins)
