"""Fit and sample the flagship, with its defaults, on tables from tiny to large.

    python scripts/benchmark/scale.py [--data DIR] [--cases NAME ...] [--generator NAME] [--rows-at-most N]

writes reports/benchmark/scale.md. Each case is a process of its own: seconds on the clock and of the
processor to fit and to sample, and the peak memory of the whole process. All tables but the last are made up
here: five hidden traits drive every column, so that columns depend on each other; a seventh of the cells is
missing. DIR holds brfss2020_heart.csv.gz (CDC, US government work), used for the case of 300,000 rows.
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
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

from ehrsynth.encoding import encode
from ehrsynth.generators.recipes import recipe
from ehrsynth.schema import Schema
from ehrsynth.tables.values import from_values

ROOT = Path(__file__).parents[2]
FILE = "brfss2020_heart.csv.gz"
LIMIT = 4_000  # MB
SAMPLED = 10_000
CODES = 5_000
CASES = {
    "150 x 5": (150, 5),
    "150 x 300": (150, 300),
    "5,000 x 300": (5_000, 300),
    "50,000 x 8, codes with a hierarchy": (50_000, 8),
    "50,000 x 8, the same as a plain category": (50_000, 8),
    "300,000 x 18": (300_000, 18),
}
PUBLIC = {"name": "scale", "citation": "made up for scripts/benchmark/scale.py"}


def mixed(rows: int, columns: int) -> tuple[pd.DataFrame, Schema]:
    """A table of numbers, counts with a heap at 0, categories and flags, driven by five hidden traits."""
    rng = np.random.default_rng(rows + columns)
    traits = rng.normal(size=(rows, 5))
    described, values = [], {}
    for place in range(columns):
        name, hidden = f"c{place}", traits @ rng.normal(size=5) / 2 + rng.normal(size=rows)
        described.append({"name": name, "missing": True, **_KINDS[place % 4]})
        found = _values(place % 4, hidden)
        values[name] = np.where(rng.random(rows) < 1 / 7, np.nan, found)
    schema = Schema(**PUBLIC, columns=tuple(described))
    return from_values(values, schema), schema


_KINDS = (
    {"kind": "number", "minimum": -20, "maximum": 20, "decimals": 2},
    {"kind": "integer", "minimum": 0, "maximum": 10_000},
    {"kind": "category", "values": ("a", "b", "c", "d", "e", "f")},
    {"kind": "boolean"},
)


def _values(kind: int, hidden: np.ndarray) -> np.ndarray:
    if kind == 0:
        return np.clip(hidden, -20, 20).round(2)
    if kind == 1:
        return np.clip(np.exp(hidden + 3).round() - 10, 0, 10_000)
    return np.clip(np.floor(hidden + 3), 0, 5) if kind == 2 else (hidden > 1).astype(float)  # noqa: PLR2004


def coded(rows: int, columns: int, *, hierarchy: bool) -> tuple[pd.DataFrame, Schema]:
    """A table with one column of 5,000 codes, of very uneven frequency, whose chapter follows the patient."""
    table, schema = mixed(rows, columns - 1)
    rng = np.random.default_rng(7)
    words = sorted(f"{chr(65 + c)}{n:02d}.{d}" for c in range(25) for n in range(20) for d in range(10))
    chapter = np.clip(np.floor(np.nan_to_num(table["c0"].to_numpy(float)) * 3 + 12), 0, 24)
    inside = np.minimum(rng.zipf(1.3, rows) - 1, 199)
    kind = {"kind": "code", "system": "ICD-10"} if hierarchy else {"kind": "category"}
    added = {"name": "code", "values": tuple(words), **kind}
    described = [column.model_dump(exclude_unset=True) for column in schema.columns]
    whole = Schema(**PUBLIC, columns=(*described, added))
    table["code"] = pd.Categorical.from_codes(
        (chapter * 200 + inside).astype(int), dtype=from_values(_none(whole), whole)["code"].dtype
    )
    return table, whole


def _none(schema: Schema) -> dict[str, np.ndarray]:
    return {column.name: np.zeros(0) for column in schema.learnt}


def survey(folder: Path) -> tuple[pd.DataFrame, Schema]:
    """The telephone survey, with an inferred schema."""
    from ehrsynth.tables import read_table
    from ehrsynth.tables.infer import infer_schema

    schema, _ = infer_schema(folder / FILE, name="brfss2020_heart")
    return read_table(folder / FILE, schema), schema


def load(case: str, folder: Path | None, most: int) -> tuple[pd.DataFrame, Schema]:
    """The table of a case, its first `most` rows."""
    rows, columns = CASES[case]
    if case.startswith("300,000") and folder is not None:
        table, schema = survey(folder)
    elif case.startswith("50,000"):
        table, schema = coded(rows, columns, hierarchy="hierarchy" in case)
    else:
        table, schema = mixed(rows, columns)
    return table.head(min(rows, most)).reset_index(drop=True), schema


def measure(case: str, generator: str, folder: Path | None, most: int) -> dict:
    """Fit, save and sample in this process."""
    table, schema = load(case, folder, most)
    before = peak()
    fit, model = timed(lambda: recipe(generator).fit(table, schema, seed=1))
    sample, drawn = timed(lambda: model.sample(SAMPLED, seed=2))
    top = peak()
    with TemporaryDirectory() as scratch:
        model.save(Path(scratch) / "model")
        size = sum(file.stat().st_size for file in (Path(scratch) / "model").iterdir())
    found = {"fit": fit, "sample": sample, "peak": top, "before": before, "folder": size / 1e6}
    if "code" in schema.names:
        found["chapter"] = chapter_gap(table, drawn.table, schema)
    return found | {"rows": len(table), "columns": len(schema.learnt)}


def chapter_gap(real: pd.DataFrame, made: pd.DataFrame, schema: Schema) -> dict:
    """How well the code's chapter follows the column that drives it: correlations, real and synthetic."""
    place = {column.name: at for at, column in enumerate(schema.learnt)}
    found = {}
    for name, table in (("real", real), ("synthetic", made)):
        codes = encode(table, schema)
        known = codes[:, place["c0"]] >= 0
        pair = codes[known][:, [place["c0"], place["code"]]].astype(float)
        found[name] = float(np.corrcoef(pair[:, 0], pair[:, 1] // 200)[0, 1])
    return found


def timed(work):
    """Seconds on the clock and of the processor, and the result."""
    clock, processor = time.perf_counter(), time.process_time()
    result = work()
    return (time.perf_counter() - clock, time.process_time() - processor), result


def peak() -> float:
    """The most memory that this process has held, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_000


def page(found: dict[str, dict], given: argparse.Namespace) -> str:
    """The report as Markdown."""
    packages = ("ehrsynth", "numpy", "pandas", "lightgbm", "scikit-learn")
    lines = [
        "# Scale",
        "",
        f"`python scripts/benchmark/scale.py --data DIR` on {dt.datetime.now(dt.UTC):%Y-%m-%d}.",
        f"Python {platform.python_version()}, {', '.join(f'{name} {version(name)}' for name in packages)};",
        f"{platform.machine()}, {os.cpu_count()} cores.",
        "",
        f"`{given.generator}` with its defaults; {SAMPLED:,} rows sampled. Seconds: on the clock / of the",
        f"processor (other work may run beside). Wanted: under {LIMIT:,} MB.",
        "",
        "| case | rows used | fit (s) | sample (s) | peak (MB) | of it before (MB) | folder (MB) | kept |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for case, one in found.items():
        fit, sample = (" / ".join(f"{x:.1f}" for x in one[key]) for key in ("fit", "sample"))
        memory = f"{one['peak']:,.0f} | {one['before']:,.0f} | {one['folder']:.1f}"
        kept = "yes" if one["peak"] < LIMIT else "NO"
        lines.append(f"| {case} | {one['rows']:,} | {fit} | {sample} | {memory} | {kept} |")
    for case, one in found.items():
        if "chapter" in one:
            real, made = one["chapter"]["real"], one["chapter"]["synthetic"]
            lines += ["", f"{case}: chapter against the column that drives it, correlation {real:.3f} in"]
            lines += [f"the table, {made:.3f} in the sample."]
    return "\n".join([*lines, ""])


def main() -> None:
    """Measure and write the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, metavar="DIR", help=f"a folder with {FILE}")
    parser.add_argument("--cases", nargs="+", choices=list(CASES), default=list(CASES))
    parser.add_argument("--generator", default="autoregressive")
    parser.add_argument("--rows-at-most", type=int, default=10**9)
    parser.add_argument("--one", choices=list(CASES), help="measure one case in this process, print JSON")
    parser.add_argument("--out", type=Path, default=ROOT / "reports" / "benchmark" / "scale.md")
    given = parser.parse_args()
    if given.one:
        print(json.dumps(measure(given.one, given.generator, given.data, given.rows_at_most)))
        return
    found = {}
    for case in given.cases:
        if case.startswith("300,000") and given.data is None:
            print(f"{case}: left out: give a folder with {FILE} with --data DIR")
            continue
        command = [sys.executable, __file__, "--one", case, "--generator", given.generator]
        command += ["--rows-at-most", str(given.rows_at_most)]
        command += ["--data", str(given.data)] if given.data else []
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        found[case] = json.loads(done.stdout)
        print(case, found[case], flush=True)
        given.out.parent.mkdir(parents=True, exist_ok=True)
        given.out.write_text(page(found, given))


if __name__ == "__main__":
    main()
