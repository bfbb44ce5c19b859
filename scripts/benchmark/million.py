"""Measure a million rows from the stroke model to Parquet: time, memory, and that the file is right.

    python scripts/benchmark/million.py [--rows N]

writes reports/benchmark/million.md. `ehrsynth sample` runs as a program of its own; GNU time gives its clock,
its processor seconds and its largest memory.
"""

import argparse
import datetime as dt
import os
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow.parquet as pq

from ehrsynth.conditions import Condition
from ehrsynth.encoding import codes_to_values, encode
from ehrsynth.generators.autoregressive import Autoregressive
from ehrsynth.tables import read_table, split
from ehrsynth.tables.bundled import bundled
from ehrsynth.tables.constraints import satisfied

ROOT = Path(__file__).parents[2]
WANTED_SECONDS, WANTED_GIGABYTES, SEED = 180, 2.0, 1
CHECKED = 20_000
REPORT = """# A million rows

`python scripts/benchmark/million.py --rows {rows}` on {date:%Y-%m-%d}.
ehrsynth {own}, Python {python}, {machine}, {cores} cores; load before the run {load:.1f} (idle is 0).

`ehrsynth sample MODEL --rows {rows} --out rows.parquet`, the default `autoregressive` model of the stroke
trial (30 columns, {learnt} patients):

| | measured | wanted | kept |
|---|---|---|---|
| seconds on the clock | {clock:.0f} | {seconds} | {in_time} |
| seconds of the processor | {processor:.0f} | | |
| largest memory (GB) | {memory:.2f} | {gigabytes} | {in_memory} |
| rows in the file | {written} | {rows} | {whole} |
| size of the file (MB) | {size:.0f} | | |
| first {checked} rows that keep the schema's rules | {valid:.2%} | 100.00% | {all_valid} |
"""


def fitted(folder: Path) -> int:
    """Fit the stroke model and save it; how many patients it has seen."""
    trial = bundled("ist")
    schema = trial.demo_schema
    table = read_table(trial.path, trial.schema)[list(schema.names)]
    kept = Condition.parse(trial.demo_where, schema).mask(encode(table, schema))
    train, _ = split(table[kept].reset_index(drop=True), schema, key=b"million")
    Autoregressive().fit(train, schema, seed=0).save(folder)
    return len(train)


def measured(command: list[str], scratch: Path) -> tuple[float, float, float]:
    """Seconds on the clock, seconds of the processor and gigabytes of a program."""
    log = scratch / "time"
    timed = ["/usr/bin/time", "-o", str(log), "-f", "%e %U %S %M", *command]
    subprocess.run(timed, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    clock, user, system, kilobytes = map(float, log.read_text().split())
    return clock, user + system, kilobytes / 2**20


def main() -> None:
    """Measure and write the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    rows = parser.parse_args().rows
    schema = bundled("ist").demo_schema
    with TemporaryDirectory() as folder:
        scratch = Path(folder)
        learnt, load = fitted(scratch / "model"), os.getloadavg()[0]
        program = str(Path(sys.executable).parent / "ehrsynth")
        made = scratch / "rows.parquet"
        asked = ["--rows", str(rows), "--out", str(made), "--seed", str(SEED)]
        clock, processor, memory = measured([program, "sample", str(scratch / "model"), *asked], scratch)
        file = pq.ParquetFile(made)
        written, size = file.metadata.num_rows, made.stat().st_size / 1e6
        pq.write_table(next(iter_tables(file)), scratch / "first.parquet")
        first = read_table(scratch / "first.parquet", schema)
        valid = satisfied(codes_to_values(encode(first, schema), schema), schema).mean()
    said = {True: "yes", False: "NO"}
    text = REPORT.format(
        rows=rows,
        date=dt.datetime.now(dt.UTC),
        own=version("ehrsynth"),
        python=platform.python_version(),
        machine=platform.machine(),
        cores=os.cpu_count(),
        load=load,
        learnt=learnt,
        clock=clock,
        seconds=WANTED_SECONDS,
        in_time=said[clock < WANTED_SECONDS],
        processor=processor,
        memory=memory,
        gigabytes=WANTED_GIGABYTES,
        in_memory=said[memory < WANTED_GIGABYTES],
        written=written,
        whole=said[written == rows],
        size=size,
        checked=len(first),
        valid=valid,
        all_valid=said[bool(valid == 1)],
    )
    out = ROOT / "reports" / "benchmark" / "million.md"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(text)
    print(out)


def iter_tables(file: pq.ParquetFile):
    """The file's rows, some at a time, with its mark."""
    import pyarrow as pa

    for batch in file.iter_batches(CHECKED):
        yield pa.Table.from_batches([batch]).replace_schema_metadata(file.schema_arrow.metadata)


if __name__ == "__main__":
    main()
