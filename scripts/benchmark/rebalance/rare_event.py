"""What oversampling a rare outcome does to predicted risks, and what recalibration mends.

    python scripts/benchmark/rebalance/rare_event.py

2,000 patients with an event rate of 10 %, ten features, no groups: classes are made equal by each method, 12
repeated splits (van den Goorbergh et al. 2022, doi 10.1093/jamia/ocac093). Writes
reports/rebalance/rare_event.md.
"""

from collections.abc import Iterator

from running import head, table, write
from simulation import SCHEMA, patients

from ehrsynth.rebalance.groups import EVERYONE
from ehrsynth.rebalance.job import cut_repeatedly
from ehrsynth.rebalance.study import Study, study
from ehrsynth.rebalance.verdict import decide
from ehrsynth.rebalance.wishes import Wishes, prepare

OVERSAMPLING = ("random_oversampling", "smote", "adasyn", "random_undersampling", "class_weights")
METHODS = (*OVERSAMPLING, *(f"recalibration of={name}" for name in OVERSAMPLING))
# An intercept at which one in ten has the event.
INTERCEPT = -3.35


def measured(seed: int) -> tuple[Study, float]:
    """The study, and the share of events."""
    ready = prepare(
        patients(2_000, 0, flips=0, seed=seed, intercept=INTERCEPT),
        SCHEMA,
        Wishes(outcome="event", everyone=True, classes="equal"),
    )
    found = study(
        ready.table, ready.plan, ready.schema, METHODS, splits=cut_repeatedly(ready, None, seed), seed=seed
    )
    return found, float(ready.rows.event.mean())


def lines(found: Study, rate: float) -> Iterator[str]:
    """The report."""
    yield from head("A rare event and oversampling", "python scripts/benchmark/rebalance/rare_event.py")
    yield f"2,000 patients, {rate:.1%} with the event; both outcomes are made equally frequent."
    yield ""
    verdict = decide(found, (EVERYONE,))
    rows = []
    for name in found.methods:
        d = found.difference(name, EVERYONE, "auroc")
        flagged = any("too high" in flag for flag in verdict.flags.get(name, ()))
        rows.append(
            (
                name,
                found.mean(name, EVERYONE, "auroc"),
                "" if d is None or name == "none" else f"{d.value:+.4f} ({d.low:+.4f} to {d.high:+.4f})",
                found.mean(name, EVERYONE, "brier"),
                found.mean(name, EVERYONE, "calibration_slope"),
                f"{found.mean(name, EVERYONE, 'excess_risk'):+.4f}",
                "yes" if flagged else "",
            )
        )
    names = (
        "method",
        "AUROC",
        "against none",
        "Brier",
        "slope",
        "mean risk less rate",
        "flagged: risk too high",
    )
    yield from table(names, rows)
    yield f"Verdict: {verdict.sentence}"
    yield ""
    yield (
        "Asked for: over-estimation by oversampling is flagged, and recalibration brings the mean risk"
        " within 0.01 of the"
    )
    yield "share of events."
    yield ""


def main() -> None:
    """Measure and write the report."""
    write("rare_event.md", lines(*measured(1)))


if __name__ == "__main__":
    main()
