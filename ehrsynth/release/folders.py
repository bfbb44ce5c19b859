"""The two folders of a release, written together: whole, or not at all."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ehrsynth.evaluation.suite import Evaluation
from ehrsynth.evaluation.summaries import summarise
from ehrsynth.evaluation.table_one import table_one
from ehrsynth.files import canonical_json, whole_folder
from ehrsynth.generators.base import AbstractFitted
from ehrsynth.release.card import card
from ehrsynth.release.manifest import Secrets, internal_manifest, public_manifest
from ehrsynth.release.policy import Policy
from ehrsynth.release.renewal import Renewal
from ehrsynth.release.request import Request
from ehrsynth.release.sealing import (
    INTERNAL,
    PRIVATE_FOLDER,
    SHARE,
    seal_internal,
    seal_share,
    without_codes,
)
from ehrsynth.report.decision import Decision
from ehrsynth.report.page import render
from ehrsynth.report.provenance import Provenance
from ehrsynth.report.results import as_json
from ehrsynth.schema import Schema
from ehrsynth.schema.yaml_files import save_schema
from ehrsynth.tables import write_table


@dataclass(frozen=True, slots=True)
class Product:
    """Everything that a finished job knows; `copies` are the synthetic tables, one or more."""

    decision: Decision
    provenance: Provenance
    evaluation: Evaluation
    schema: Schema
    copies: tuple[pd.DataFrame, ...]
    model: AbstractFitted
    secrets: Secrets
    policy: Policy
    request: Request
    renewal: Renewal | None = None


def write_release(out: Path, made: Product) -> None:
    """Write `internal/` and, when the gate said yes, `share/`.

    Raises
    ------
    OutputError
        If the place is taken, cannot be written, or the disk is full; nothing is left behind.
    """
    with whole_folder(out) as draft:
        shared = _write_share(draft / SHARE, made) if made.decision.released else {}
        _write_internal(draft / INTERNAL, made, shared)
        if made.renewal is not None:
            made.renewal.finish(draft)


def _write_share(folder: Path, made: Product) -> dict[str, str]:
    folder.mkdir()
    _write_table(folder, made)
    save_schema(without_codes(made.schema), folder / "schema.yaml")
    _write(folder / "report.html", _page(made, shareable=True))
    _write(folder / "card.md", card(made.decision, made.provenance, made.evaluation, made.schema))
    return seal_share(folder, public_manifest(made.decision, made.provenance))


def _write_internal(folder: Path, made: Product, shared: dict[str, str]) -> None:
    folder.mkdir(mode=PRIVATE_FOLDER)
    _write(folder / "report.html", _page(made, shareable=False))
    results = as_json(made.decision, made.provenance, made.evaluation)
    (folder / "report.json").write_bytes(canonical_json(results))
    made.model.save(folder / "model")
    save_schema(made.schema, folder / "schema.yaml")
    made.request.save(folder)
    (folder / "policy.json").write_bytes(canonical_json(made.policy.as_json()))
    if not made.decision.released:
        # Kept so that the one who must mend it can look at it; it may not leave.
        _write_table(folder, made)
    manifest = internal_manifest(
        made.decision, made.provenance, made.secrets, made.schema.as_json(), shared=shared
    )
    if made.renewal is not None:
        manifest["replaces"] = dict(made.renewal.record)
        for name, content in made.renewal.files(made.decision).items():
            (folder / name).write_bytes(content)
    seal_internal(folder, manifest)


def _write_table(folder: Path, made: Product) -> None:
    for name, table in zip(table_names(len(made.copies)), made.copies, strict=True):
        write_table(table, made.schema, folder / f"{name}.csv")
        write_table(table, made.schema, folder / f"{name}.parquet")


def table_names(copies: int) -> tuple[str, ...]:
    """What so many synthetic tables are called, without an ending."""
    return ("synthetic",) if copies == 1 else tuple(f"synthetic_{n}" for n in range(1, copies + 1))


def _page(made: Product, *, shareable: bool) -> str:
    hides = shareable and made.provenance.guarantee is not None
    return render(
        made.decision,
        made.provenance,
        of_synthetic_alone(made.copies[0], made.schema) if hides else made.evaluation,
        made.schema,
        shareable=shareable,
        small_cell=made.policy.small_cell.value,
    )


def of_synthetic_alone(synthetic: pd.DataFrame, schema: Schema) -> Evaluation:
    """What can be said of a table without looking at a patient: all that a DP release may show."""
    columns, rows = summarise(synthetic, synthetic, schema), table_one(synthetic, synthetic, schema)
    return Evaluation({}, {}, columns, {}, "", table_one=rows)


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
