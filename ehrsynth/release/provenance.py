"""What tables, twins and the appraisal of others' tables say alike of where they come from."""

from collections.abc import Iterable
from datetime import UTC, datetime

from ehrsynth.evaluation.suite import Evaluation
from ehrsynth.generators.base import AbstractFitted
from ehrsynth.release.policy import Policy, called
from ehrsynth.report.provenance import Guarantee, Provenance, Rows
from ehrsynth.schema import Schema
from ehrsynth.versions import installed_versions


def provenance_of(
    schema: Schema, policy: Policy, evaluation: Evaluation | None, *, rows: Rows, packages: Iterable[str]
) -> Provenance:
    """Everything that follows from the schema, the policy and the evaluation, now; the rest is left empty.

    Parameters
    ----------
    schema
        That of the tables which were measured.
    evaluation
        None where there was nothing to attack.
    packages
        Those that the result depends on; one that is not installed is left out.
    """
    return Provenance(
        data=schema.name,
        title=schema.title,
        citation=schema.citation,
        attribution="",
        generator="",
        recipe={},
        schema_hash=schema.hash(),
        protocol_hash="" if evaluation is None else evaluation.protocol_hash,
        policy=called(policy),
        policy_hash=policy.hash(),
        versions=installed_versions(packages),
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        rows=rows,
        measured_on={} if evaluation is None else dict(evaluation.rows),
        guessed=schema.guessed(),
    )


def guarantee_of(model: AbstractFitted, composed: float | None) -> Guarantee | None:
    """What a model has spent, for its provenance; `composed` is epsilon over all that was learnt so far."""
    spent = model.privacy
    if spent is None:
        return None
    return Guarantee(
        spent.epsilon,
        spent.delta,
        spent.accountant,
        by=dict(spent.by),
        rows_per_patient=spent.rows_per_patient,
        names_patients=model.schema.patient_key is not None,
        composed=composed,
    )
