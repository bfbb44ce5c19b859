"""A synthetic table that somebody else made, held against the same policy as our own releases."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import pandas as pd

from ehrsynth.evaluation.suite import Evaluation, evaluate
from ehrsynth.files import canonical_json, whole_folder
from ehrsynth.progress import Progress
from ehrsynth.release.exposure import held
from ehrsynth.release.gate import decide, facts_of
from ehrsynth.release.policy import Policy, load_policy
from ehrsynth.report.decision import Decision
from ehrsynth.report.page import render
from ehrsynth.report.provenance import Provenance, Rows
from ehrsynth.report.results import as_json
from ehrsynth.schema import Schema


@dataclass(frozen=True, slots=True)
class Appraisal:
    """What was measured and what the gate says to it."""

    evaluation: Evaluation
    decision: Decision
    provenance: Provenance
    policy: Policy


def appraise(  # noqa: PLR0913 - as `evaluate`, with a policy
    train: pd.DataFrame,
    holdout: pd.DataFrame,
    synthetic: pd.DataFrame,
    schema: Schema,
    *,
    seed: int,
    policy: Policy | None = None,
    rows: int | None = None,
    attempts: int = 1,
    copies: Sequence[pd.DataFrame] = (),
    second_opinion: bool = False,
    given: Mapping[str, int] | None = None,
    progress: Progress | None = None,
) -> Appraisal:
    """Evaluate a synthetic table and hold it against a policy.

    Parameters
    ----------
    train, holdout
        The patients that the generator saw, and patients that it did not.
    rows
        A declared subsample for the evaluation of large tables; None uses the protocol's own.
    attempts
        How often these patients were tried, this time included: it widens the simultaneous bound.
    copies
        Further synthetic tables of the same generator: the attacks look at all of them together.
    second_opinion
        Also ask the package anonymeter about three of the risks.
    given
        How many rows "train", "holdout" and "synthetic" have of which these tables are subsamples; None if
        they are all.
    """
    policy = load_policy() if policy is None else policy
    evaluation = evaluate(
        train,
        holdout,
        synthetic,
        schema,
        seed=seed,
        rows=rows,
        progress=progress,
        level=policy.family_wise_level.value,
        attempts=attempts,
        copies=copies,
        second_opinion=second_opinion,
    )
    evaluation = held(evaluation, policy)
    whole = dict(evaluation.rows_given if given is None else given)
    evaluation = replace(evaluation, rows_given=whole)
    real = pd.concat([train, holdout], ignore_index=True)
    facts = facts_of(real, len(holdout), schema, policy)
    decision = decide(evaluation, policy, rows=facts, privacy=None)
    provenance = Provenance(
        data=schema.name,
        title=schema.title,
        citation=schema.citation,
        attribution="",
        generator="",
        recipe={},
        schema_hash=schema.hash(),
        protocol_hash=evaluation.protocol_hash,
        policy=policy.title or policy.name,
        policy_hash=policy.hash(),
        versions={"ehrsynth": version("ehrsynth")},
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        rows=Rows(whole["train"] + whole["holdout"], whole["train"], whole["holdout"], whole["synthetic"]),
        measured_on=dict(evaluation.rows),
        guessed=schema.guessed(),
        seed=seed,
        attempt=attempts,
        copies=1 + len(copies),
    )
    return Appraisal(evaluation, decision, provenance, policy)


def write_appraisal(found: Appraisal, schema: Schema, out: Path) -> None:
    """Write `report.html` and `report.json` into a new folder, whole or not at all: both are internal.

    Raises
    ------
    OutputError
        If the place is taken, cannot be written, or the disk is full; nothing is left behind.
    """
    page = render(
        found.decision,
        found.provenance,
        found.evaluation,
        schema,
        shareable=False,
        small_cell=found.policy.small_cell.value,
    )
    results = as_json(found.decision, found.provenance, found.evaluation)
    with whole_folder(out) as draft:
        for name, content in (("report.html", page.encode()), ("report.json", canonical_json(results))):
            (draft / name).write_bytes(content)
            (draft / name).chmod(0o600)
