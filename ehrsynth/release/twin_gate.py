"""The gate of a cohort of twins: refusals, the trial, the attacks, and what the means remember."""

from collections.abc import Iterator

from ehrsynth.evaluation.suite import Evaluation, evaluate
from ehrsynth.progress import Progress
from ehrsynth.randomness import derived_seed
from ehrsynth.release.gate import MEASURED, Facts, decide
from ehrsynth.release.manifest import Secrets
from ehrsynth.release.policy import Policy
from ehrsynth.report.decision import Check, compare
from ehrsynth.statistics import Estimate
from ehrsynth.twins.cohort import Cohort
from ehrsynth.twins.pairs import Pairs, outcome_memory
from ehrsynth.twins.patients import Patients
from ehrsynth.twins.study import Study
from ehrsynth.twins.trial import TOO_FEW, TrialCheck
from ehrsynth.twins.wording import listed


def attack_pairs(tables: Pairs, policy: Policy, hidden: Secrets, progress: Progress) -> Evaluation:
    """Run the attacks, and the metrics that the gate looks at, on twins as a table."""
    return evaluate(
        tables.members,
        tables.others,
        tables.twins,
        tables.schema,
        seed=derived_seed(hidden.seed, "attacks"),
        metrics=MEASURED,
        level=policy.family_wise_level.value,
        attempts=hidden.attempt,
        progress=progress,
    )


def twin_checks(  # noqa: PLR0913 - everything that the gate looks at
    study: Study,
    cohort: Cohort,
    checks: tuple[TrialCheck, ...],
    evaluation: Evaluation | None,
    *,
    policy: Policy,
    facts: Facts,
    theirs: Patients,
) -> Iterator[Check]:
    """One check after the other.

    Parameters
    ----------
    checks
        The cohort against randomised patients whom nothing saw; empty where it was not made.
    evaluation
        The attacks on the pairs of twins; None where there was nothing to attack.
    facts
        Of the real table.
    theirs
        Patients whom nothing saw.
    """
    stopped = [r.reason for one in study.outcomes for r in study.stopped(one)]
    yield compare(
        "Outcomes that were refused",
        float(len({one.name for one in study.outcomes if study.stopped(one)})),
        0.0,
        "at most",
        explanation=stopped[0] if stopped else "No outcome was refused.",
        source="ours",
        citation="What may not be told inside may not be told outside.",
    )
    if study.question.randomised:
        failed = [cell for check in checks for cell in check.failed]
        computed = bool(checks) and all(check.computed for check in checks)
        yield compare(
            "Cells that the trial contradicts",
            float(len(failed)) if computed else None,
            0.0,
            "at most",
            explanation=_trial_in_words(checks, len(failed)),
            source="ours",
            citation="One family-wise level of 5 % over contrasts and levels, in patients whom nothing saw.",
        )
    if evaluation is None:
        return
    yield from decide(evaluation, policy, rows=facts, privacy=None).checks
    for twins in () if cohort.withheld.all() else cohort.outcomes:
        found = outcome_memory(cohort, twins, study.patients, theirs)
        yield memory_check(twins.outcome.name, found, policy)


def memory_check(outcome: str, found: Estimate, policy: Policy) -> Check:
    """The check of what the means remember; see `ehrsynth.twins.pairs`."""
    return compare(
        f"Memory of outcomes: {outcome}",
        max(0.0, 2 * found.high - 1),
        policy.membership.value,
        "at most",
        explanation=(
            "How much better the nearest twin's mean agrees with outcomes of patients learnt from than"
            f" with those of others: AUROC {found.value:.3f}, at most {found.high:.3f}."
        ),
        source=policy.membership.source,
        citation=policy.membership.citation,
    )


def _trial_in_words(checks: tuple[TrialCheck, ...], failed: int) -> str:
    empty = [check.outcome for check in checks if not check.computed]
    if not checks or empty:
        why = f" for {listed(empty)} ({TOO_FEW})" if empty else ""
        return f"It was not computed{why}, and a check that was not computed is a no."
    cells = sum(len(check.cells) for check in checks)
    return (
        f"{failed} of {cells} numbers of the cohort are contradicted by randomised patients whom nothing saw."
    )
