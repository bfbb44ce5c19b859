"""How often the verdict names a gain that is not there, and how often it misses one that is.

    python scripts/benchmark/rebalance/errors.py [--runs 200] [--seconds S] [--publish]

Simulated tables of 1,500 patients of a majority and 120 of a minority, ten features (see simulation.py), put
before the verdict by the same code and with the same methods as `ehrsynth rebalance`: no coefficient flipped
in the minority (nothing is there to be gained), three, and one. Each run is one line of
reports/calibration/rebalance.jsonl: stopped and started again, the script goes on. It writes
reports/calibration/rebalance.md and, with --publish, the data file that the verdict reads its own error rates
from.
"""

import argparse
import datetime as dt
from collections import Counter
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

import yaml
from running import CALIBRATION, ROOT, done, go_on, head, how, table, write
from simulation import SCHEMA, patients

from ehrsynth.rebalance.job import cut_repeatedly
from ehrsynth.rebalance.methods import quick
from ehrsynth.rebalance.protocol import rebalance_protocol
from ehrsynth.rebalance.study import study
from ehrsynth.rebalance.targets import helped
from ehrsynth.rebalance.verdict import decide
from ehrsynth.rebalance.wishes import Wishes, prepare
from ehrsynth.statistics import clopper_pearson

LINES = CALIBRATION / "rebalance.jsonl"
RATES = ROOT / "ehrsynth" / "rebalance" / "error_rates.yaml"
MAJORITY, MINORITY = 1_500, 120
# Flipped coefficients: in words, and whether there is something to gain.
KINDS = {
    0: ("tables in which no method can gain", False),
    3: ("tables with three coefficients flipped in the group", True),
    1: ("tables with the largest coefficient flipped in the group", True),
}


def one(flips: int, number: int) -> dict[str, Any]:
    """One table before the verdict."""
    seed = 10_000 * flips + number
    table_ = patients(MAJORITY, MINORITY, flips=flips, seed=seed)
    ready = prepare(table_, SCHEMA, Wishes(outcome="event", protected=("group",)))
    studied = study(
        ready.table, ready.plan, ready.schema, quick(), splits=cut_repeatedly(ready, None, seed), seed=seed
    )
    raised = helped(ready.table, ready.plan, ready.schema)
    verdict = decide(studied, raised)
    best = max(
        (look for look in verdict.looks if look.measure == "auroc"), key=lambda look: look.difference.value
    )
    return {
        "answer": verdict.answer,
        "recommended": verdict.recommended,
        "none": round(studied.mean("none", raised[0], "auroc"), 3),
        "best": best.method,
        "best_gain": round(best.difference.value, 3),
        "least_p": min(look.adjusted for look in verdict.looks),
        "failed": len(studied.failed),
    }


def lines(runs: list[dict[str, Any]], count: int) -> Iterator[str]:
    """The report."""
    flips = " ".join(str(kind) for kind in KINDS if any(run["flips"] == kind for run in runs))
    yield from head(
        "How often the verdict on rebalancing errs",
        f"python scripts/benchmark/rebalance/errors.py --runs {count} --flips {flips} --publish",
    )
    yield f"{MAJORITY:,} patients of a majority and {MINORITY} of a minority, ten features; goal: equal;"
    yield f"the verdict over {len(quick())} methods: {', '.join(quick())}."
    yield ""
    rows = []
    for flips, (words, effect) in KINDS.items():
        mine = [run for run in runs if run["flips"] == flips]
        if mine:
            named = sum(run["recommended"] is not None for run in mine)
            interval = clopper_pearson(named, len(mine))
            whom = Counter(run["recommended"] for run in mine if run["recommended"]).most_common(4)
            rows.append(
                (
                    words,
                    "yes" if effect else "no",
                    len(mine),
                    f"{named} ({named / len(mine):.1%}; {interval.low:.1%} to {interval.high:.1%})",
                    ", ".join(f"{name} {n}" for name, n in whom),
                    sum(run["none"] for run in mine) / len(mine),
                    f"{sum(run['cpu_seconds'] for run in mine) / len(mine):.0f}",
                )
            )
    names = (
        "simulated",
        "effect",
        "runs",
        "a gain named (95 % interval)",
        "recommended",
        "AUROC of none",
        "CPU s a run",
    )
    yield from table(names, rows)
    yield "Asked for: a gain named in at most 6 of 200 tables without an effect."
    yield ""


def publish(runs: list[dict[str, Any]]) -> None:
    """Write what the verdict says of its own error rates."""
    measured = [
        {
            "what": words,
            "effect": effect,
            "runs": len(mine),
            "named": sum(r["recommended"] is not None for r in mine),
        }
        for flips, (words, effect) in KINDS.items()
        if (mine := [run for run in runs if run["flips"] == flips])
    ]
    content = {
        "date": f"{dt.datetime.now(dt.UTC):%Y-%m-%d}",
        "version": version("ehrsynth"),
        "protocol": rebalance_protocol().hash,
        "methods": list(quick()),
        "measured": measured,
    }
    where = "scripts/benchmark/rebalance/errors.py --publish; reports/calibration/rebalance.md explains it"
    RATES.write_text(f"# Written by {where}.\n" + yaml.safe_dump(content, sort_keys=False, width=100))


def main() -> None:
    """Measure what is missing and write the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--flips", type=int, nargs="+", default=list(KINDS), choices=KINDS)
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("--publish", action="store_true", help="let the verdict say these rates")
    given = parser.parse_args()
    wanted = [{"flips": flips, "number": n} for n in range(given.runs) for flips in given.flips]
    go_on(LINES, wanted, one, given.seconds, depends=how())
    runs = [run for run in done(LINES, how()) if run["number"] < given.runs]
    write("rebalance.md", lines(runs, given.runs), CALIBRATION)
    if given.publish:
        publish(runs)


if __name__ == "__main__":
    main()
