"""A synthetic table that somebody else made, held against the same policy as our own releases.

Where the schema has bands, all tables are put in them first, as a release would: the decision is then about
the synthetic table in bands, which is written beside the report.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from ehrsynth.evaluation.suite import Evaluation, evaluate
from ehrsynth.files import canonical_json, whole_folder
from ehrsynth.progress import Progress, part
from ehrsynth.randomness import derived_seed
from ehrsynth.release.attack_checks import held
from ehrsynth.release.folders import table_names
from ehrsynth.release.gate import decide, facts_of
from ehrsynth.release.overlap import refuse_overlap
from ehrsynth.release.policy import Policy, load_policy
from ehrsynth.release.provenance import provenance_of
from ehrsynth.release.remedies import Terms, attacked, remedies, with_remedies
from ehrsynth.report.decision import Decision
from ehrsynth.report.page import render
from ehrsynth.report.provenance import Provenance, Rows
from ehrsynth.report.results import as_json
from ehrsynth.schema import Schema
from ehrsynth.tables import write_table
from ehrsynth.tables.bands import bands_of, in_bands, with_bands
from ehrsynth.tables.origin import mark_synthetic

_MEASURED = 0.9  # of the progress, where remedies are looked for afterwards
BANDED = (
    "all tables were put in the bands of the schema: what is decided here holds for the synthetic table in "
    "bands, and not for the one that was given"
)


@dataclass(frozen=True, slots=True)
class Appraisal:
    """What was measured and what the gate says to it."""

    evaluation: Evaluation
    decision: Decision
    provenance: Provenance
    policy: Policy
    in_bands: tuple[pd.DataFrame, ...] = ()  # the tables that were judged, where the schema has bands


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
    unread: int = 0,
    remedy_seconds: float = 0.0,
    progress: Progress | None = None,
) -> Appraisal:
    """Evaluate a synthetic table and hold it against a policy.

    Parameters
    ----------
    train, holdout
        The patients that the generator saw, and patients that it did not.
    rows
        Measure on so many patients of each side; None uses the protocol's own. No synthetic row is left out.
    attempts
        How often these patients were tried, this time included: it widens the simultaneous bound.
    copies
        Further synthetic tables of the same generator: the attacks look at all of them together.
    second_opinion
        Also ask the package anonymeter about three of the risks.
    given
        How many rows "train", "holdout" and "synthetic" have of which these tables are subsamples; None if
        they are all.
    unread
        Synthetic rows of all copies that are not in these tables: what the attacks could not look at cannot
        get a yes.
    remedy_seconds
        After a no of the attacks, look for so long for bands that would pass, and name them; none are
        applied. The generator is not here, so that nothing is fitted. 0 does not look.

    Raises
    ------
    DataError
        If the holdout holds patients who were learnt from (see `ehrsynth.release.overlap`).
    """
    policy = load_policy() if policy is None else policy
    refuse_overlap(train, holdout, schema)
    asked, bands = schema, bands_of(schema)
    schema = with_bands(schema, bands)
    train, holdout, synthetic, *copies = (in_bands(t, schema) for t in (train, holdout, synthetic, *copies))
    evaluation = evaluate(
        train,
        holdout,
        synthetic,
        schema,
        seed=seed,
        rows=rows,
        progress=part(progress, 0.0, _MEASURED if remedy_seconds else 1.0),
        level=policy.family_wise_level.value,
        attempts=attempts,
        copies=copies,
        second_opinion=second_opinion,
    )
    all_rows = dict(evaluation.rows_given if given is None else given)
    evaluation = held(replace(evaluation, rows_given=all_rows, unread=unread), policy)
    decision = _decided(evaluation, train, holdout, schema, policy)
    if remedy_seconds > 0 and not unread and attacked(decision, policy):
        tried = remedies(
            train,
            holdout,
            schema,
            (synthetic, *copies),
            decision=decision,
            policy=policy,
            seed=derived_seed(seed, "appraise", "remedies"),
            seconds=remedy_seconds,
            terms=Terms(attempts, evaluated_rows=rows),
            progress=part(progress, _MEASURED, 1.0),
        )
        decision = with_remedies(decision, tried, policy)
    provenance = replace(
        provenance_of(asked, policy, evaluation, rows=_rows(evaluation.rows_given), packages=("ehrsynth",)),
        actions=(BANDED,) if bands else (),
        seed=seed,
        attempt=attempts,
        copies=1 + len(copies),
    )
    return Appraisal(evaluation, decision, provenance, policy, (synthetic, *copies) if bands else ())


def _decided(
    evaluation: Evaluation, train: pd.DataFrame, holdout: pd.DataFrame, schema: Schema, policy: Policy
) -> Decision:
    real = pd.concat([train, holdout], ignore_index=True)
    return decide(evaluation, policy, rows=facts_of(real, len(holdout), schema, policy), privacy=None)


def _rows(given: Mapping[str, int]) -> Rows:
    return Rows(given["train"] + given["holdout"], given["train"], given["holdout"], given["synthetic"])


def write_appraisal(found: Appraisal, schema: Schema, out: Path) -> None:
    """Write `report.html` and `report.json` into a new folder, whole or not at all: both are internal.

    Where the schema has bands, the synthetic table in bands is written too (of copies: each), if all of it
    was read.

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
        judged = found.in_bands if _whole(found) else ()
        for name, table in zip(table_names(len(judged)), judged, strict=False):
            write_table(mark_synthetic(table), schema, draft / f"{name}.csv")


def _whole(found: Appraisal) -> bool:
    return sum(map(len, found.in_bands[:1])) == found.evaluation.rows_given["synthetic"]
