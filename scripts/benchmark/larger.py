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
import re
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
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
REPORT = ROOT / "reports" / "benchmark" / "larger.md"
COLUMNS, TRAITS, GROUP = 30, 5, 100_000
LIMIT = 4_000  # MB
# Seconds are of the clock: only where nothing else ran beside. A fifth is what chance does to them here.
SLOWER, GROWS, FASTER = 1.2, 1.2, 1.6
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
    start, most, before = time.perf_counter(), 0, resource.getrusage(resource.RUSAGE_CHILDREN)
    run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    while run.poll() is None:
        most = max(most, memory(run.pid))
        time.sleep(0.25)
    seconds = time.perf_counter() - start
    if run.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {run.returncode}")
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime
    found = {"seconds": seconds, "processor": processor, "memory": most / 1e6, "load": os.getloadavg()[0]}
    return found | json.loads(run.stdout.read())


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


def page(kept: dict) -> str:
    """The report as Markdown."""
    packages = ("ehrsynth", "numpy", "pyarrow", "lightgbm", "distributed")
    lines = [
        "# Larger than memory",
        "",
        *(f"- `python scripts/benchmark/larger.py{words}`" for words in kept["commands"]),
        "",
        f"{dt.datetime.now(dt.UTC):%Y-%m-%d}. Python {platform.python_version()},",
        f"{', '.join(f'{name} {version(name)}' for name in packages)}; {platform.machine()},",
        f"{os.cpu_count()} processors. Memory: all processes of the program together. Seconds: on the clock",
        "or of the processors. Where other work ran beside (load: how many processes wanted a",
        "processor when it ended, its own included), only the seconds of the processors compare.",
        "",
        f"## Fit {COLUMNS} columns and a key",
        "",
        f"Wanted: under {LIMIT:,} MB.",
        "",
        "| generator | rows | MB of Parquet | seconds | load | memory (MB) | kept | learnt from | how |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, one in kept["fits"].items():
        fine = "yes" if one["memory"] < LIMIT else "NO"
        learnt, how = one.get("learnt_from", one["patients"]), one.get("how", "all of them, in memory")
        lines.append(
            f"| {name} | {one['patients']:,} | {one['size']:,.0f} | {_seconds(one)} | {_load(one)} |"
            f" {one['memory']:,.0f} | {fine} | {learnt:,} | {how} |"
        )
    lines += ["", "## Sample to Parquet", ""]
    lines += [
        "| generator | rows | 1 worker (s) | load | 2 workers (s) | load | MB, 1 | MB, 2 | equal bytes |"
    ]
    lines += ["|---|---|---|---|---|---|---|---|---|"]
    for name, found in kept["samples"].items():
        for rows in dict.fromkeys(one["rows"] for one in found):
            by_workers = {one["workers"]: one for one in found if one["rows"] == rows}
            one, two = by_workers[1], by_workers.get(2)
            equal = "" if two is None else "yes" if one["digest"] == two["digest"] else "NO"
            cells = [f"{one['memory']:,.0f}", f"{two['memory']:,.0f}" if two else "", equal]
            lines.append(
                f"| {name} | {rows:,} | {_seconds(one)} | {_load(one)} | {_seconds(two)} | {_load(two)} |"
                f" {' | '.join(cells)} |"
            )
    return "\n".join([*lines, *verdicts(kept["samples"]), ""])


def verdicts(samples: dict) -> list[str]:
    """What was wanted of sampling, and whether it was kept; seconds are those of the clock."""
    lines = [
        "",
        "## Wanted of sampling",
        "",
        f"Near-linear time: a million rows of the largest table take at most {SLOWER:g} times the seconds of",
        f"the smallest, and two workers are at least {FASTER:g} times as fast as one. Memory does not grow:",
        f"at most {GROWS:g} times that of the smallest.",
        "",
        "| generator | wanted | rows | ratio | wanted ratio | verdict |",
        "|---|---|---|---|---|---|",
    ]
    for name, found in samples.items():
        for what, rows, ratio, limit, kept in _wanted(found):
            told = "not measured" if ratio is None else f"{ratio:.2f}"
            verdict = "not measured" if ratio is None else "kept" if kept else "MISSED"
            lines.append(f"| {name} | {what} | {rows} | {told} | {limit} | {verdict} |")
    return lines


def _wanted(found: list[dict]) -> Iterator[tuple[str, str, float | None, str, bool]]:
    """What, of which rows, the ratio found, its limit, and whether it was kept."""
    least, most = (end(one["rows"] for one in found) for end in (min, max))
    by = {(one["rows"], one["workers"]): one for one in found}
    for workers in sorted({one["workers"] for one in found}):
        small, large = by.get((least, workers)), by.get((most, workers))
        if least == most or small is None or large is None:
            time_ratio = memory_ratio = None
        else:
            time_ratio = large["seconds"] / most / (small["seconds"] / least)
            memory_ratio = large["memory"] / small["memory"]
        between, team = f"{most:,} over {least:,}", f"{workers} worker{'s' if workers > 1 else ''}"
        kept = time_ratio is not None and time_ratio <= SLOWER
        yield f"near-linear time, {team}", between, time_ratio, f"at most {SLOWER:g}", kept
        kept = memory_ratio is not None and memory_ratio <= GROWS
        yield f"memory does not grow, {team}", between, memory_ratio, f"at most {GROWS:g}", kept
    one, two = by.get((most, 1)), by.get((most, 2))
    faster = None if one is None or two is None else one["seconds"] / two["seconds"]
    kept = faster is not None and faster >= FASTER
    yield "near-linear time, 1 worker over 2", f"{most:,}", faster, f"at least {FASTER:g}", kept


def _seconds(one: dict | None) -> str:
    """What was measured; empty where a run was stopped before."""
    if one is None:
        return ""
    return f"{one['seconds']:.0f} / {one['processor']:.0f}" if "processor" in one else f"{one['seconds']:.0f}"


def _load(one: dict | None) -> str:
    return f"{one['load']:.0f}" if one is not None and "load" in one else ""


def main() -> None:
    """Measure and write the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--sampled", type=int, nargs="+", default=[1_000_000, 10_000_000])
    parser.add_argument("--sampled-by-trees", type=int, nargs="+", default=[500_000], help="autoregressive")
    parser.add_argument("--generators", nargs="+", default=["independent", "autoregressive"])
    parser.add_argument("--at-most", type=int, help="patients in memory; the program's own default if absent")
    parser.add_argument("--add", action="store_true", help="keep what earlier runs found of other generators")
    parser.add_argument("--scratch", type=Path)
    given = parser.parse_args()
    earlier = REPORT.with_suffix(".json")
    kept = json.loads(earlier.read_text()) if given.add else {"commands": [], "fits": {}, "samples": {}}
    kept["commands"].append(_words(given))
    with TemporaryDirectory(prefix="ehrsynth-larger-", dir=given.scratch) as folder:
        scratch, schema = Path(folder), schema_of()
        table = scratch / "table.parquet"
        write(given.rows, schema, table)
        save_schema(schema, scratch / "schema.yaml")
        most = ["--at-most", given.at_most] if given.at_most else []
        for name in given.generators:
            words = ["fit", table, "--schema", scratch / "schema.yaml", "--generator", name, "--seed", 1]
            fit = measured([*words, *most, "--out", scratch / name, "--workers", 1], os.cpu_count())
            kept["fits"][name] = fit | {"size": table.stat().st_size / 1e6}
            kept["samples"][name] = []
            print(name, fit, flush=True)
            for rows in given.sampled_by_trees if name == "autoregressive" else given.sampled:
                kept["samples"][name] += sampled(scratch / name, rows, scratch)
                earlier.write_text(_without_places(kept))
                REPORT.write_text(page(kept))
    print(REPORT)


def _without_places(kept: dict) -> str:
    """The numbers as JSON, without the scratch folder's name."""
    text = json.dumps(kept, indent=1)
    return re.sub(r'"(model|table)": "[^"]*/', r'"\1": "', text) + "\n"


if __name__ == "__main__":
    main()
