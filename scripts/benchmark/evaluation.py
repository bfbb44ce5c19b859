"""How long a full evaluation takes and how much memory, on two sizes of table.

    python scripts/benchmark/evaluation.py [--large]

writes reports/benchmark/evaluation.md. The first table is the bundled stroke trial: 9,642 patients by 30
columns trained on, as many held out, as many synthetic rows. The second, with --large, has 100,000 rows by 40
columns of each: so many patients are not bundled, and so they are drawn from a Gaussian copula of the trial.
Each size is measured in a process of its own.
"""

import argparse
import datetime as dt
import json
import os
import platform
import resource
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

from ehrsynth.evaluation.suite import evaluate
from ehrsynth.generators.recipes import recipe
from ehrsynth.schema import Schema
from ehrsynth.tables import read_table
from ehrsynth.tables.bundled import bundled

ROOT = Path(__file__).parents[2]
OUT = ROOT / "reports" / "benchmark" / "evaluation.md"
STATE = OUT.with_suffix(".json")
SIZES = {"small": (9_642, 30, 4 * 60, None), "large": (100_000, 40, 15 * 60, 6.0)}
SEED = 41


def columns(count: int) -> Schema:
    """The demo's columns, and more of the trial's until there are so many."""
    trial = bundled("ist")
    names = list(trial.demo_columns)
    names += [column.name for column in trial.schema.learnt if column.name not in names]
    return trial.schema.subset(tuple(names[:count]))


def measure(size: str) -> dict[str, object]:
    """One evaluation: seconds of the clock by part, processor seconds, memory at its most."""
    rows, count, _, _ = SIZES[size]
    schema = columns(count)
    real = read_table(bundled("ist").path, bundled("ist").schema)[list(schema.names)]
    fitted = recipe("copula", None).fit(real, schema, seed=SEED)
    if size == "small":
        train, holdout = real.iloc[:rows].reset_index(drop=True), real.iloc[-rows:].reset_index(drop=True)
    else:
        train, holdout = (fitted.sample(rows, seed=SEED + n).table for n in (1, 2))
    made = fitted.sample(rows, seed=SEED + 3).table
    parts: dict[str, float] = {}
    start = last = time.monotonic()
    processor, doing = time.process_time(), ""

    def told(share: float, words: str) -> None:
        nonlocal last, doing
        del share
        now, name = time.monotonic(), doing.partition(":")[0]
        if words.partition(":")[0] != name:
            print(f"{now - start:7.1f} s  {words}", file=sys.stderr, flush=True)
        parts[name] = parts.get(name, 0.0) + now - last
        last, doing = now, words

    found = evaluate(train, holdout, made, schema, seed=SEED, progress=told)
    told(1.0, "")
    return {
        "size": size,
        "seconds": time.monotonic() - start,
        "processor": time.process_time() - processor,
        "gigabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        "parts": parts,
        "scores": len(found.scores),
        "risks": len(found.risks),
        "when": f"{dt.datetime.now(dt.UTC):%Y-%m-%d}",
    }


def lines(found: dict[str, dict[str, object]]) -> list[str]:
    """The report."""
    packages = ("ehrsynth", "numpy", "pandas", "scikit-learn", "lightgbm", "scipy")
    said = ", ".join(f"{name} {version(name)}" for name in packages)
    text = [
        "# How long a full evaluation takes",
        "",
        f"`python scripts/benchmark/evaluation.py{' --large' if 'large' in found else ''}`:",
        "every metric, every attack, one bound over all.",
        f"Python {platform.python_version()}, {said}; {platform.machine()}, {os.cpu_count()} cores.",
        "",
        "| rows of each | columns | date | minutes | CPU minutes | asked for | memory (GB) | asked for |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for size, one in found.items():
        rows, count, seconds, memory = SIZES[size]
        cells = (
            f"{rows:,}",
            count,
            one["when"],
            f"{one['seconds'] / 60:.1f}",
            f"{one['processor'] / 60:.1f}",
            f"under {seconds // 60}",
            f"{one['gigabytes']:.1f}",
            "" if memory is None else f"under {memory:g}",
        )
        text.append(f"| {' | '.join(map(str, cells))} |")
    text += ["", "The largest parts, seconds of the clock:", "", "| part | " + " | ".join(found) + " |"]
    text.append("|---|" + "---|" * len(found))
    names = sorted({n for one in found.values() for n in one["parts"] if n}, key=lambda n: -max(
        one["parts"].get(n, 0.0) for one in found.values()
    ))  # fmt: skip
    for name in names[:12]:
        text.append(
            f"| {name} | " + " | ".join(f"{one['parts'].get(name, 0.0):.0f}" for one in found.values()) + " |"
        )
    return [*text, ""]


def main() -> None:
    """Measure each size in its own process, so that one's memory is not another's."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--large", action="store_true", help="the second size too: some minutes")
    parser.add_argument("--only", choices=SIZES, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.only:
        print(json.dumps(measure(given.only)))
        return
    found = json.loads(STATE.read_text()) if STATE.is_file() else {}
    for size in SIZES if given.large else ["small"]:
        command = [sys.executable, __file__, "--only", size]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        found[size] = json.loads(done.stdout.splitlines()[-1])
        OUT.parent.mkdir(parents=True, exist_ok=True)
        STATE.write_text(json.dumps(found, indent=1) + "\n")
        OUT.write_text("\n".join(lines(found)))
    print(OUT)


if __name__ == "__main__":
    main()
