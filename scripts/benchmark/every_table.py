"""Run the whole path on every table with a header: infer, read, split, fit, sample, check, evaluate.

    python scripts/benchmark/every_table.py --data DIR [--generators NAME ...] [--tables NAME ...]

writes reports/benchmark/every_table.md. Neural generators run with few epochs: this shows that nothing
breaks on a table, not how good a generator is. A cell says what went wrong, by the error's type and first
line, which name columns and counts only.
"""

import argparse
import datetime as dt
import os
import platform
import time
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

from ehrsynth.encoding import codes_to_values, encode
from ehrsynth.errors import EhrSynthError
from ehrsynth.evaluation.suite import evaluate
from ehrsynth.generators.recipes import recipe
from ehrsynth.generators.storage import load_model
from ehrsynth.registry import known
from ehrsynth.schema import Schema
from ehrsynth.schema.yaml_files import load_schema, save_schema
from ehrsynth.tables import read_table, split, write_table
from ehrsynth.tables.constraints import satisfied
from ehrsynth.tables.infer import infer_schema

ROOT = Path(__file__).parents[2]
QUICK = {"ctgan": {"epochs": 2}, "tvae": {"epochs": 2}, "diffusion": {"epochs": 2}}
# IHDP has no header; the readme of the data says so.
WITHOUT_HEADER = "ihdp"
MOST_ROWS, EVALUATED = 20_000, 1_000


def tables(folder: Path) -> list[Path]:
    """Every CSV with a header under a folder."""
    found = sorted({*folder.rglob("*.csv"), *folder.rglob("*.csv.gz")})
    return [path for path in found if WITHOUT_HEADER not in path.relative_to(folder).parts]


def prepared(path: Path, scratch: Path) -> tuple[Schema, pd.DataFrame, pd.DataFrame]:
    """The schema, read back from its file, and the two sides of the table."""
    schema, comments = infer_schema(path, name=path.name.split(".")[0])
    save_schema(schema, scratch / "schema.yaml", comments=comments)
    schema = load_schema(scratch / "schema.yaml")
    table = read_table(path, schema)
    train, holdout = split(table, schema, key=b"every table")
    return schema, train.head(MOST_ROWS), holdout.head(MOST_ROWS)


def one(name: str, schema: Schema, train: pd.DataFrame, holdout: pd.DataFrame, scratch: Path) -> str:
    """Fit, save, load, sample, write, reread, evaluate; what to put in the cell."""
    start = time.perf_counter()
    model = recipe(name, QUICK.get(name)).fit(train, schema, seed=1)
    fitted = time.perf_counter() - start
    model.save(scratch / name)
    rows = min(len(train), EVALUATED)
    sample = load_model(scratch / name).sample(rows, seed=2).table
    write_table(sample, schema, scratch / f"{name}.csv")
    sample = read_table(scratch / f"{name}.csv", schema)
    valid = satisfied(codes_to_values(encode(sample, schema), schema), schema)
    if len(sample) != rows or not valid.all():
        return "INVALID ROWS"
    found = evaluate(train, holdout, sample, schema, seed=3, rows=EVALUATED)
    telling = found.scores["classifier_two_sample"].value
    score = "not measurable" if telling is None else f"{telling:.2f}"
    return f"{score} ({fitted:.0f} s)"


def run(path: Path, names: list[str]) -> list[str]:
    """One row of the report."""
    with TemporaryDirectory() as folder:
        scratch = Path(folder)
        try:
            schema, train, holdout = prepared(path, scratch)
        except EhrSynthError as error:
            return [path.name, "", *[_said(error)] * len(names)]
        cells = [path.name, f"{len(train) + len(holdout):,} x {len(schema.columns)}"]
        for name in names:
            try:
                cells.append(one(name, schema, train, holdout, scratch))
            except EhrSynthError as error:
                cells.append(_said(error))
            print(path.name, name, cells[-1], flush=True)
        return cells


def _said(error: EhrSynthError) -> str:
    return f"{type(error).__name__}: {str(error).splitlines()[0][:120]}"


def main() -> None:
    """Measure and write the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, metavar="DIR", help="a folder with tables")
    parser.add_argument("--generators", nargs="+", default=list(known("generator")))
    parser.add_argument("--tables", nargs="+", help="only tables whose file name contains one of these")
    parser.add_argument("--out", type=Path, default=ROOT / "reports" / "benchmark" / "every_table.md")
    given = parser.parse_args()
    if given.data is None:
        print("skipped: it needs more than the bundled data: give a folder of tables with --data DIR")
        return
    paths = [p for p in tables(given.data) if not given.tables or any(t in p.name for t in given.tables)]
    rows = [run(path, given.generators) for path in paths]
    packages = ("ehrsynth", "numpy", "pandas", "torch", "lightgbm")
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    lines = [
        "# Every table, every generator",
        "",
        f"`python scripts/benchmark/every_table.py --data DIR` on {dt.datetime.now(dt.UTC):%Y-%m-%d}.",
        f"Python {platform.python_version()}, {versions}; {platform.machine()}, {os.cpu_count()} cores.",
        "",
        f"Infer, read, split (at most {MOST_ROWS:,} rows a side), fit, save, load, sample, write, read again",
        f"and evaluate on {EVALUATED:,} rows. Each cell: the classifier two-sample test (0.5 is perfect) and",
        "the seconds of the fit; neural generators with 2 epochs only, so their scores mean nothing.",
        "",
        "| table | used | " + " | ".join(given.generators) + " |",
        "|---|---|" + "---|" * len(given.generators),
        *("| " + " | ".join(cells) + " |" for cells in rows),
        "",
    ]
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text("\n".join(lines))


if __name__ == "__main__":
    main()
