"""The gate: an evaluation and a policy in, a decision out. What was not computed is a no."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import pandas as pd

from ehrsynth.errors import ReleaseBlocked
from ehrsynth.evaluation.base import Score
from ehrsynth.evaluation.suite import Evaluation
from ehrsynth.generators.base import PrivacySpent
from ehrsynth.release.attack_checks import NOT_COMPUTED, attacks, held, leak
from ehrsynth.release.policy import Limit, Policy
from ehrsynth.report.decision import Check, Comparison, Decision, compare
from ehrsynth.schema import BooleanColumn, CategoryColumn, CodeColumn, Schema
from ehrsynth.tables.identifiers import scan

MEASURED = ("copied_rows", "constraint_violations")  # the metrics that the gate looks at
COPIED = "Copied rows above the holdout's"


@dataclass(frozen=True, slots=True)
class Facts:
    """What the gate must know of the table besides its evaluation.

    Parameters
    ----------
    patients
        Rows of the whole table, before the split.
    holdout
        Rows that the generator never saw.
    rarest_category
        Patients in the rarest category that occurs, over all listed columns; None when no column lists any.
    guessed
        Items of the schema that were guessed from the data.
    suspicions
        What the scan for identifiers still finds, without a value and without a count of 1 to 10.
    rare_columns
        Columns that list a category of fewer patients than the policy asks for.
    """

    patients: int
    holdout: int
    rarest_category: int | None
    guessed: int
    suspicions: tuple[str, ...]
    rare_columns: tuple[str, ...] = ()


def facts_of(table: pd.DataFrame, holdout: int, schema: Schema, policy: Policy) -> Facts:
    """The facts of a real table, as it was learnt from.

    Parameters
    ----------
    table
        All real patients, both sides of the split.
    holdout
        How many of them the generator never saw.
    """
    rarest = {
        column.name: int(min(held))
        for column in schema.learnt
        if isinstance(column, CategoryColumn | CodeColumn | BooleanColumn)
        and (held := [count for count in table[column.name].value_counts() if count])
    }
    rare = tuple(name for name, count in rarest.items() if count < policy.category_patients.value)
    found = [str(f) for f in scan(table, schema) if f.column not in policy.judged_harmless]
    least = min(rarest.values(), default=None)
    return Facts(len(table), holdout, least, len(schema.guessed()), tuple(found), rare)


def refuse_identifiers(facts: Facts, policy: Policy) -> None:
    """Raise before anything is learnt from a table that may name people.

    Raises
    ------
    ReleaseBlocked
        If more columns look like identifiers than the policy allows; all are listed.
    """
    if len(facts.suspicions) > policy.identifiers.value:
        raise ReleaseBlocked("blocked: some columns look like identifiers", facts.suspicions)


def decide(evaluation: Evaluation, policy: Policy, *, rows: Facts, privacy: PrivacySpent | None) -> Decision:
    """Hold an evaluation against a policy.

    In their `shareable` form the explanations carry no number computed from 1 to 10 patients, nor the name of
    a group of so few, so that a decision to release may itself be shown.

    Parameters
    ----------
    rows
        The table's own facts.
    privacy
        The guarantee of the fitted model; None when there is none.
    """
    evaluation = held(evaluation, policy)
    return Decision.from_checks(
        [
            *of_the_table(evaluation, policy),
            _holdout(rows, policy),
            _size(rows, policy) if privacy is None else _public_schema(rows),
            _identifiers(rows, policy),
            # Under differential privacy rare categories are public words with noisy counts.
            *([_categories(rows, policy)] if privacy is None else []),
        ]
    )


def of_the_table(evaluation: Evaluation, policy: Policy) -> Iterator[Check]:
    """The checks of what was measured on the synthetic table, which a change of it may mend.

    Parameters
    ----------
    evaluation
        As `ehrsynth.release.attack_checks.held` gives it, with the metrics `MEASURED`.
    """
    yield leak(evaluation.bound, policy, unread=evaluation.unread)
    yield from attacks(evaluation, policy)
    yield _copied_rows(evaluation.scores.get("copied_rows"), policy)
    yield _violations(evaluation.scores.get("constraint_violations"), policy, unread=evaluation.unread)


def _check(name: str, value: float | None, limit: Limit, comparison: Comparison, explanation: str) -> Check:
    said = NOT_COMPUTED if value is None else explanation
    return compare(
        name, value, limit.value, comparison, explanation=said, source=limit.source, citation=limit.citation
    )


def _copied_rows(score: Score | None, policy: Policy) -> Check:
    limit = policy.copied_rows_above_holdout
    excess = None
    if score is not None and score.value is not None and score.reference is not None:
        excess = max(0.0, _surely_above(score, score.value, score.reference))
    often = "Rows of training patients occur in the synthetic table"
    if score is None or excess is None or excess > limit.value:
        return _check(COPIED, excess, limit, "at most", f"{often} more often than those of unseen ones.")
    if (score.value or 0.0) <= (score.reference or 0.0):
        return _check(COPIED, excess, limit, "at most", f"{often} no more often than those of unseen ones.")
    said = f"{often} not surely more often than those of unseen ones"
    made = int(score.details.get("rows", 0))
    copies, by_chance = (round((share or 0.0) * made) for share in (score.value, score.reference))
    counts = (
        f": of {made:,} synthetic rows {copies:,} equal a training patient and {by_chance:,} an unseen one"
    )
    found = _check(COPIED, excess, limit, "at most", f"{said}{counts if made else ''}.")
    return replace(found, outside=f"{said}.")


def _surely_above(score: Score, value: float, reference: float) -> float:
    """The lower end of the difference: paired where the metric gives it, else of the value alone."""
    paired = score.details.get("excess")
    if paired is not None:
        return float(paired["low"])
    return (value if score.low is None else score.low) - reference


def _violations(score: Score | None, policy: Policy, *, unread: int) -> Check:
    value = None if score is None else score.value
    found = f"Every synthetic row {'that was read ' if unread else ''}keeps the rules of the schema."
    if value:
        found = "Some synthetic rows break a rule of the schema."
    return _check("Constraint violations", value, policy.constraint_violations, "at most", found)


def _holdout(rows: Facts, policy: Policy) -> Check:
    limit = policy.minimum_holdout
    # Without a holdout nothing passes, whatever the policy file says.
    limit = limit.model_copy(update={"value": max(1, limit.value)})
    found = f"{rows.holdout:,} patients were held out; the policy asks for at least {limit.value:,}."
    return _check("Patients held out", rows.holdout, limit, "at least", found)


def _size(rows: Facts, policy: Policy) -> Check:
    limit = policy.minimum_patients_without_guarantee
    found = (
        f"The table has {rows.patients:,} patients; without a formal guarantee the policy asks for "
        f"at least {limit.value:,}. One with --epsilon is not held to this number."
    )
    return _check("Patients in the table", rows.patients, limit, "at least", found)


def _public_schema(rows: Facts) -> Check:
    found = "Under differential privacy every bound and category must be known without the data."
    limit = Limit(value=0, source="ours", citation="A bound read from the data is outside the guarantee.")
    return _check("Schema items guessed from the data", rows.guessed, limit, "at most", found)


def _identifiers(rows: Facts, policy: Policy) -> Check:
    found = "No column looks like one of the 18 identifiers of HIPAA's Safe Harbor."
    if rows.suspicions:
        found = (
            f"{'. '.join(rows.suspicions)}. A column judged harmless is named in the policy: judged_harmless."
        )
    value = len(rows.suspicions)
    return _check("Signs of identifiers", value, policy.identifiers, "at most", found)


def _categories(rows: Facts, policy: Policy) -> Check:
    limit = policy.category_patients
    rarest = rows.patients if rows.rarest_category is None else rows.rarest_category
    enough = rarest >= limit.value
    where = (
        f"{len(rows.rare_columns)} column(s) ({', '.join(rows.rare_columns)})"
        if rows.rare_columns
        else "a column"
    )
    found = (
        f"Every category that occurs is held by at least {limit.value} patients."
        if enough
        else f"In {where} a category is held by fewer than {limit.value} patients: merge it, or leave the"
        " column out (left_out in the schema)."
    )
    return _check("Patients in the rarest category", rarest, limit, "at least", found)
