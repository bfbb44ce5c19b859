"""Measure how long it takes to import ehrsynth and to show its help.

    python scripts/benchmark/starting.py

writes reports/benchmark/starting.md. Each start is a new process; the median of several counts.
"""

import datetime as dt
import os
import platform
import statistics
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).parents[2]
REPEATS = 9
STARTS = {
    "an empty Python program": ([sys.executable, "-c", ""], None),
    "import ehrsynth": ([sys.executable, "-c", "import ehrsynth"], 0.5),
    "ehrsynth --help": ([str(Path(sys.executable).parent / "ehrsynth"), "--help"], 0.7),
}
HEAVY = "import sys, ehrsynth; print(*[m for m in ('torch', 'lightgbm', 'pandas') if m in sys.modules])"


def seconds(command: list[str]) -> list[float]:
    """Wall seconds of each start, after one that warms the disk's cache."""
    found = []
    for _ in range(REPEATS + 1):
        start = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        found.append(time.perf_counter() - start)
    return found[1:]


def main() -> None:
    """Measure and write the report."""
    heavy = subprocess.run(
        [sys.executable, "-c", HEAVY], check=True, stdout=subprocess.PIPE, text=True
    ).stdout
    lines = [
        "# Starting",
        "",
        f"`python scripts/benchmark/starting.py` on {dt.datetime.now(dt.UTC):%Y-%m-%d}.",
        f"{here}; {platform.machine()}, {os.cpu_count()} cores.",
        "",
        f"Of torch, lightgbm and pandas, `import ehrsynth` loads: {heavy.strip() or 'none'}.",
        "",
        f"| start ({REPEATS} times) | median (s) | slowest (s) | wanted (s) | kept |",
        "|---|---|---|---|---|",
    ]
    for name, (command, wanted) in STARTS.items():
        found = seconds(command)
        middle = statistics.median(found)
        kept = "" if wanted is None else ("yes" if middle < wanted else "NO")
        lines.append(f"| {name} | {middle:.2f} | {max(found):.2f} | {wanted or ''} | {kept} |")
    out = ROOT / "reports" / "benchmark" / "starting.md"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text("\n".join([*lines, ""]))
    print(out)


if __name__ == "__main__":
    main()
