"""Measure how long it takes to import ehrsynth and to show its help.

    python scripts/benchmark/starting.py

writes reports/benchmark/starting.md. Each start is a new process; the median of several counts. Beside the
time on the clock stands the processor's own, which other work on the machine does not lengthen as much.
"""

import datetime as dt
import os
import platform
import resource
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


def seconds(command: list[str]) -> tuple[list[float], list[float]]:
    """Seconds of each start, on the clock and of the processor, after one that warms the disk's cache."""
    clock, processor = [], []
    for _ in range(REPEATS + 1):
        start, used = time.perf_counter(), processor_seconds()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        clock.append(time.perf_counter() - start)
        processor.append(processor_seconds() - used)
    return clock[1:], processor[1:]


def processor_seconds() -> float:
    """What ended child processes have used so far."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Measure and write the report."""
    heavy = subprocess.run(
        [sys.executable, "-c", HEAVY], check=True, stdout=subprocess.PIPE, text=True
    ).stdout
    here = f"Python {platform.python_version()}, ehrsynth {version('ehrsynth')}, typer {version('typer')}"
    lines = [
        "# Starting",
        "",
        f"`python scripts/benchmark/starting.py` on {dt.datetime.now(dt.UTC):%Y-%m-%d}.",
        f"{here}; {platform.machine()}, {os.cpu_count()} cores.",
        "",
        f"Of torch, lightgbm and pandas, `import ehrsynth` loads: {heavy.strip() or 'none'}.",
        "",
        f"Other work when it was measured: a load of {os.getloadavg()[0]:.1f} (1 minute; idle is 0).",
        "",
        f"| start ({REPEATS} times) | median (s) | slowest (s) | processor (s) | wanted (s) | kept |",
        "|---|---|---|---|---|---|",
    ]
    for name, (command, wanted) in STARTS.items():
        found, processor = seconds(command)
        middle = statistics.median(found)
        kept = "" if wanted is None else ("yes" if middle < wanted else "NO")
        own = statistics.median(processor)
        lines.append(f"| {name} | {middle:.2f} | {max(found):.2f} | {own:.2f} | {wanted or ''} | {kept} |")
    out = ROOT / "reports" / "benchmark" / "starting.md"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text("\n".join([*lines, ""]))
    print(out)


if __name__ == "__main__":
    main()
