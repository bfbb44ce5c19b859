"""A table larger than memory: fit it, and sample as many rows with one worker and with two.

    python scripts/benchmark/larger.py [--rows N] [--sampled N ...] [--scratch DIR] [--generators NAME ...]

writes reports/benchmark/larger.md. A table of N rows (30 columns and a patient key; five hidden traits drive
every column; a seventh of the cells is missing) is written to Parquet in row groups, and removed at the end.
Each measured command is the `ehrsynth` program; its memory is the sum over its processes, looked at four
times a second. One worker is kept on one processor, two on two.
"""

import argparse
import datetime as dt
import hashlib
import json
import os
import platform
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
from scale import _KINDS, PUBLIC, _values

from ehrsynth.schema import Schema
from ehrsynth.schema.yaml_files import save_schema
from ehrsynth.tables.values import from_values
from ehrsynth.tables.writing import write_table

ROOT = Path(__file__).parents[2]
PROGRAM = Path(sys.executable).parent / "ehrsynth"
COLUMNS, TRAITS, GROUP = 30, 5, 100_000
LIMIT = 4_000  # MB
KEY = {"name": "id", "kind": "identifier", "pattern": "P########", "roles": ("patient_key",)}


def schema_of() -> Schema:
    """The patient key and thirty columns of four kinds."""
    described = [{"name": f"c{place}", "missing": True, **_KINDS[place % 4]} for place in range(COLUMNS)]
    return Schema(**PUBLIC, columns=(KEY, *described))


def write(rows: int, schema: Schema, out: Path) -> None:
    """Write the table, a row group at a time."""
    weights = np.random.default_rng(0).normal(size=(TRAITS, COLUMNS)) / 2
    writer = None
    for start in range(0, rows, GROUP):
        rng, size = np.random.default_rng(1 + start), min(GROUP, rows - start)
        hidden = rng.normal(size=(size, TRAITS)) @ weights + rng.normal(size=(size, COLUMNS))
        values = {
            f"c{place}": np.where(rng.random(size) < 1 / 7, np.nan, _values(place % 4, hidden[:, place]))
            for place in range(COLUMNS)
        }
        group = out.with_name("group.parquet")
        write_table(from_values(values, schema, first_id=1 + start), schema, group)
        table: pa.Table = pq.read_table(group)
        writer = writer or pq.ParquetWriter(out, table.schema)
        writer.write_table(table)
    writer.close()
    group.unlink()


def measured(words: list, processors: int) -> dict:
    """Run the program on so many processors; seconds, and the most memory of all its processes (MB)."""
    allowed = sorted(os.sched_getaffinity(0))[:processors]
    command = ["taskset", "-c", ",".join(map(str, allowed)), str(PROGRAM), *map(str, words), "--json"]
    start, most = time.perf_counter(), 0
    run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    while run.poll() is None:
        most = max(most, memory(run.pid))
        time.sleep(0.25)
    seconds = time.perf_counter() - start
    if run.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {run.returncode}")
    return {"seconds": seconds, "memory": most / 1e6, **json.loads(run.stdout.read())}


def memory(pid: int) -> int:
    """Bytes that a process and its children hold."""
    try:
        tree = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
        return sum(process.memory_info().rss for process in tree)
    except psutil.NoSuchProcess:
        return 0


def digest(file: Path) -> str:
    """SHA-256 of a file."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def sampled(model: Path, rows: int, scratch: Path) -> list[dict]:
    """The same rows with one worker and with two."""
    found = []
    for workers in (1, 2):
        out = scratch / f"sampled{workers}.parquet"
        words = ["sample", model, "--rows", rows, "--seed", 1, "--workers", workers, "--out", out]
        one = measured(words, workers) | {"workers": workers, "digest": digest(out), "rows": rows}
        out.unlink()
        print(one, flush=True)
        found.append(one)
    return found


def _words(given: argparse.Namespace) -> str:
    at_most = f" --at-most {given.at_most}" if given.at_most else ""
    names = " ".join(given.generators)
    sampled, by_trees = (" ".join(map(str, rows)) for rows in (given.sampled, given.sampled_by_trees))
    return (
        f" --rows {given.rows} --sampled {sampled} --sampled-by-trees {by_trees} --generators {names}"
        + at_most
    )


def page(
    given: argparse.Namespace, size: float, fits: dict[str, dict], samples: dict[str, list[dict]]
) -> str:
    """The report as Markdown."""
    rows = given.rows
    packages = ("ehrsynth", "numpy", "pyarrow", "lightgbm", "distributed")
    lines = [
        "# Larger than memory",
        "",
        f"`python scripts/benchmark/larger.py{_words(given)}`, {dt.datetime.now(dt.UTC):%Y-%m-%d}.",
        f"Python {platform.python_version()}, {', '.join(f'{name} {version(name)}' for name in packages)};",
        f"{platform.machine()}, {os.cpu_count()} processors. Memory: all processes of the program together.",
        "",
        f"## Fit from {rows:,} rows of {COLUMNS} columns and a key ({size:,.0f} MB of Parquet)",
        "",
        f"Wanted: under {LIMIT:,} MB.",
        "",
        "| generator | seconds | memory (MB) | kept | patients read | learnt from | how |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, one in fits.items():
        kept = "yes" if one["memory"] < LIMIT else "NO"
        learnt, how = one.get("learnt_from", one["patients"]), one.get("how", "all of them, in memory")
        lines.append(
            f"| {name} | {one['seconds']:.0f} | {one['memory']:,.0f} | {kept} | {one['patients']:,} |"
            f" {learnt:,} | {how} |"
        )
    lines += ["", "## Sample to Parquet", ""]
    lines += [
        "| generator | rows | seconds, 1 worker | 2 workers | times as fast | MB, 1 | MB, 2 | equal bytes |"
    ]
    lines += ["|---|---|---|---|---|---|---|---|"]
    for name, found in samples.items():
        for one, two in zip(found[::2], found[1::2], strict=True):
            lines.append(
                f"| {name} | {one['rows']:,} | {one['seconds']:.0f} | {two['seconds']:.0f} |"
                f" {one['seconds'] / two['seconds']:.2f} | {one['memory']:,.0f} | {two['memory']:,.0f} |"
                f" {'yes' if one['digest'] == two['digest'] else 'NO'} |"
            )
    return "\n".join([*lines, ""])


def main() -> None:
    """Measure and write the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--sampled", type=int, nargs="+", default=[1_000_000, 10_000_000])
    parser.add_argument("--sampled-by-trees", type=int, nargs="+", default=[500_000], help="autoregressive")
    parser.add_argument("--generators", nargs="+", default=["independent", "autoregressive"])
    parser.add_argument("--at-most", type=int, help="patients in memory; the program's own default if absent")
    parser.add_argument("--scratch", type=Path)
    given = parser.parse_args()
    fits, samples = {}, {}
    with TemporaryDirectory(prefix="ehrsynth-larger-", dir=given.scratch) as folder:
        scratch, schema = Path(folder), schema_of()
        table = scratch / "table.parquet"
        write(given.rows, schema, table)
        save_schema(schema, scratch / "schema.yaml")
        size = table.stat().st_size / 1e6
        most = ["--at-most", given.at_most] if given.at_most else []
        for name in given.generators:
            words = [
                "fit",
                table,
                "--schema",
                scratch / "schema.yaml",
                "--generator",
                name,
                "--seed",
                1,
                *most,
            ]
            fits[name] = measured([*words, "--out", scratch / name, "--workers", 1], os.cpu_count())
            print(name, fits[name], flush=True)
            samples[name] = []
            for rows in given.sampled_by_trees if name == "autoregressive" else given.sampled:
                samples[name] += sampled(scratch / name, rows, scratch)
                report = ROOT / "reports" / "benchmark" / "larger.md"
                report.write_text(page(given, size, fits, samples))
    print(report)


if __name__ == "__main__":
    main()
