"""A control in which something is to be gained: three coefficients flipped in the minority.

    python scripts/benchmark/rebalance/controls.py [--seeds 20] [--seconds S]

By the code path and the settings of stroke.py: a hospital of 1,500 patients and 120 of the minority
(simulation.py), drawn 12 times, every quick method, tested on 3,000 other minority patients; the verdict of
`ehrsynth rebalance` on each of 20 seeds. Writes reports/rebalance/controls.md; each seed is a line of
controls.jsonl.
"""

import argparse
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from running import OUT, done, go_on, head, how, table, write
from simulation import SCHEMA, patients

from ehrsynth.rebalance.methods import quick
from ehrsynth.rebalance.splits import Split, Splits
from ehrsynth.rebalance.study import study
from ehrsynth.rebalance.verdict import decide
from ehrsynth.rebalance.wishes import Wishes, prepare

LINES = OUT / "controls.jsonl"
MAJORITY, MINORITY, TEST_MAJORITY, TEST_MINORITY, DRAWS = 1_500, 120, 1_000, 3_000, 12
GROUP = "group: minority"
WANTED = ("group_only", "interaction")


def one(seed: int, learner: str) -> dict[str, Any]:
    """One seed: twelve hospitals and the patients they are tested on."""
    tables = [patients(TEST_MAJORITY, TEST_MINORITY, flips=3, seed=1_000 * seed)]
    splits, start = [], TEST_MAJORITY + TEST_MINORITY
    test = np.arange(start)
    for number in range(DRAWS):
        tables.append(patients(MAJORITY, MINORITY, flips=3, seed=1_000 * seed + 1 + number))
        splits.append(Split(np.arange(start, start + MAJORITY + MINORITY), test))
        start += MAJORITY + MINORITY
    ready = prepare(
        pd.concat(tables, ignore_index=True),
        SCHEMA,
        Wishes(outcome="event", protected=("group",), learner=learner),
    )
    # Training sets are drawn anew each time: they share nobody, and nothing widens the interval.
    found = study(
        ready.table, ready.plan, ready.schema, quick(), splits=Splits(tuple(splits), 1e-6), seed=seed
    )
    verdict = decide(found, (GROUP,))
    aurocs = {name: round(found.mean(name, GROUP, "auroc"), 3) for name in found.methods}
    return {"answer": verdict.answer, "recommended": verdict.recommended, "auroc": aurocs}


def lines(runs: list[dict[str, Any]], count: int) -> Iterator[str]:
    """The report."""
    yield from head(
        "A control in which something is to be gained",
        f"python scripts/benchmark/rebalance/controls.py --seeds {count}",
    )
    yield (
        f"{MAJORITY:,} and {MINORITY} patients, {DRAWS} draws a seed, tested on {TEST_MINORITY:,} of the"
        f" minority; {len(quick())} methods."
    )
    yield ""
    for learner in dict.fromkeys(run["learner"] for run in runs):
        mine = [run for run in runs if run["learner"] == learner]
        counts = Counter(run["recommended"] for run in mine)
        right = sum(counts[name] for name in WANTED)
        yield (
            f"**{learner.replace('_', ' ').capitalize()}**: the group-specific or interaction model is"
            f" recommended in {right} of"
        )
        yield (
            f"{len(mine)} seeds ({', '.join(f'{name} {n}' for name, n in counts.most_common())}). AUROC in"
            f" the minority:"
        )
        yield ""
        names = sorted(
            mine[0]["auroc"], key=lambda name: -float(np.mean([r["auroc"].get(name, 0.0) for r in mine]))
        )
        rows = []
        for name in names:
            each = [run["auroc"][name] for run in mine if name in run["auroc"]]
            rows.append((name, float(np.mean(each)), min(each), max(each)))
        yield from table(("method", "mean over seeds", "lowest", "highest"), rows)
    yield (
        "Asked for (logistic regression): at least 0.80 with the group-specific or interaction model where"
        " none has at most"
    )
    yield "0.50, and that model recommended in 20 of 20 seeds."
    yield ""


def main() -> None:
    """Measure what is missing and write the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("--learners", nargs="+", default=["logistic_regression"])
    given = parser.parse_args()
    wanted = [{"seed": seed, "learner": learner} for learner in given.learners for seed in range(given.seeds)]
    go_on(LINES, wanted, one, given.seconds, depends=how())
    runs = done(LINES, how())
    if runs:
        write("controls.md", lines(runs, given.seeds))


if __name__ == "__main__":
    main()
