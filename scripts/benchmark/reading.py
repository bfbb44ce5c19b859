"""Measure how long it takes to read and check a large table, and how much memory it needs.

    python scripts/benchmark/reading.py --data DIR

writes reports/benchmark/reading.md. DIR holds brfss2020_heart.csv.gz, a telephone survey of 319,795 people
(CDC, US government work). The schema is inferred beforehand; each reading is a process of its own.
"""

import argparse
import datetime as dt
import json
import os
import platform
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).parents[2]
FILE = "brfss2020_heart.csv.gz"
REPEATS = 3
SECONDS, MEGABYTES = 10, 1000
INFER = """
import json, sys
from ehrsynth.tables.infer import infer_schema
schema, _ = infer_schema(sys.argv[1], name="brfss2020_heart")
json.dump(schema.as_json(), open(sys.argv[2], "w"))
"""
READ = """
import json, resource, sys, time
from ehrsynth.schema import Schema
from ehrsynth.tables import read_table
schema = Schema(**json.load(open(sys.argv[2])))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
start = time.perf_counter()
table = read_table(sys.argv[1], schema)
seconds = time.perf_counter() - start
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"seconds": seconds, "peak": peak, "before": before, "shape": table.shape}))
"""


def measure(path: Path) -> list[dict]:
    """Read `path` in new processes: seconds, and peak memory in kB before and after."""
    with tempfile.TemporaryDirectory() as folder:
        schema = str(Path(folder) / "schema.json")
        # Also in a process of its own: a child's peak begins at its parent's.
        run(INFER, str(path), schema)
        return [json.loads(run(READ, str(path), schema)) for _ in range(REPEATS)]


def run(code: str, *arguments: str) -> str:
    """What a new Python process prints."""
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def page(runs: list[dict]) -> str:
    """The report as Markdown."""
    rows, columns = runs[0]["shape"]
    packages = ("numpy", "pandas", "pyarrow", "pydantic")
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    slowest = max(each["seconds"] for each in runs)
    peak = max(each["peak"] for each in runs) / 1000
    kept = slowest < SECONDS and peak < MEGABYTES
    lines = [
        "# Reading and checking a large table",
        "",
        f"`python scripts/benchmark/reading.py --data DIR` on {dt.datetime.now(dt.UTC):%Y-%m-%d}.",
        f"Python {platform.python_version()}, {versions}; {platform.machine()}, {os.cpu_count()} cores.",
        "",
        f"`read_table` of {FILE}: {rows:,} rows, {columns} columns,",
        "every cell checked against a schema that was inferred beforehand.",
        f"Wanted: under {SECONDS} s and {MEGABYTES} MB. Found: {'yes' if kept else 'NO'}.",
        "",
        "| run | seconds | peak memory (MB) | of it before reading (imports) |",
        "|---|---|---|---|",
        *(
            f"| {n} | {each['seconds']:.1f} | {each['peak'] / 1000:.0f} | {each['before'] / 1000:.0f} |"
            for n, each in enumerate(runs, 1)
        ),
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure and write the report."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--data", type=Path, metavar="DIR", help=f"a folder with {FILE}")
    folder = parser.parse_args().data
    if folder is None:
        print(f"skipped: it needs more than the bundled data: give a folder with {FILE} with --data DIR")
        return
    path = folder / FILE
    if not path.is_file():
        parser.error(f"--data names a folder without {FILE}")
    target = ROOT / "reports" / "benchmark" / "reading.md"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(page(measure(path)))
    print(target.read_text())


if __name__ == "__main__":
    main()
