"""Is `auto` as good as the best single generator on small tables?

    python scripts/benchmark/small_tables.py --data DIR [--splits N] [--tables NAME ...] [--peers FILE]

writes reports/benchmark/small_tables.md after each split. DIR holds heart_failure.csv.gz and
heart_disease_uci.csv.gz. On each split into halves every generator learns one half; as many synthetic rows
are judged against the other by the protocol's classifier two-sample test and by training on synthetic
patients. FILE is JSON with results of other systems on the same splits, so that they are compared too:
{table: {system: [[c2st, tstr], ... one pair a split]}}.
"""

import argparse
import datetime as dt
import json
import os
import platform
from importlib.metadata import version
from pathlib import Path

import numpy as np

from ehrsynth.evaluation.suite import evaluate
from ehrsynth.generators.recipes import recipe
from ehrsynth.schema import Schema
from ehrsynth.statistics import corrected_paired_interval
from ehrsynth.tables import read_table, split
from ehrsynth.tables.infer import infer_schema

ROOT = Path(__file__).parents[2]
TARGETS = {"heart_failure": "DEATH_EVENT", "heart_disease_uci": "disease"}
GENERATORS = ("auto", "autoregressive", "cart", "copula", "independent")
METRICS = ("classifier_two_sample", "train_synthetic_test_real")
Found = dict[str, list[tuple[float, float]]]


def prepared(name: str, folder: Path):
    """The schema, inferred, with the outcome's role; and the table."""
    path = folder / f"{name}.csv.gz"
    schema, _ = infer_schema(path, name=name)
    plain = schema.as_json()
    for column in plain["columns"]:
        roles = set(column.get("roles", ())) - {"outcome"}
        column["roles"] = sorted(roles | ({"outcome"} if column["name"] == TARGETS[name] else set()))
    schema = Schema(**plain)
    return schema, read_table(path, schema)


def one(generator: str, schema: Schema, train, holdout, seed: int):
    """C2ST and TSTR, and what `auto` chose."""
    model = recipe(generator).fit(train, schema, seed=seed)
    made = model.sample(len(train), seed=seed).table
    scores = evaluate(train, holdout, made, schema, seed=seed, metrics=METRICS, attacks=()).scores
    return tuple(scores[name].value for name in METRICS), model.decided


def page(results: dict[str, Found], chosen: list[str], splits: int, sizes: dict[str, tuple[int, int]]) -> str:
    """The report as Markdown."""
    packages = ("ehrsynth", "numpy", "pandas", "scikit-learn", "lightgbm")
    lines = [
        "# Small tables: `auto` and what it chooses from",
        "",
        f"`python scripts/benchmark/small_tables.py --data DIR` on {dt.datetime.now(dt.UTC):%Y-%m-%d}.",
        f"Python {platform.python_version()}, {', '.join(f'{name} {version(name)}' for name in packages)};",
        f"{platform.machine()}, {os.cpu_count()} cores.",
        "",
        "Means over splits into halves. C2ST: 0.5 is perfect; TSTR: higher is better. `auto` less each, with",
        "the corrected 95 % interval over splits (Nadeau and Bengio 2003).",
    ]
    for table, found in results.items():
        done = len(found["auto"])
        lines += ["", f"## {table}", "", f"{done} of {splits} splits done."]
        lines += [
            "",
            "| generator | C2ST | TSTR | auto less it: C2ST | TSTR | auto worse |",
            "|---|---|---|---|---|---|",
        ]
        lines += [_row(name, pairs, found["auto"], sizes[table]) for name, pairs in found.items()]
    return "\n".join([*lines, "", "## What was chosen", "", *(f"- {words}" for words in chosen), ""])


def _row(name: str, pairs, auto, sizes: tuple[int, int]) -> str:
    means = np.mean(pairs, axis=0)
    row = f"| {name} | {means[0]:.3f} | {means[1]:.3f} |"
    if name == "auto" or len(auto) < 2 or len(pairs) != len(auto):  # noqa: PLR2004 - an interval needs two
        return f"{row} | | |"
    less = [
        corrected_paired_interval(np.subtract(auto, pairs)[:, at], n_train=sizes[0], n_test=sizes[1])
        for at in (0, 1)
    ]
    worse = [what for what, bad in (("C2ST", less[0].low > 0), ("TSTR", less[1].high < 0)) if bad]
    cells = (f"{gap.value:+.3f} ({gap.low:+.3f} to {gap.high:+.3f})" for gap in less)
    return f"{row} {' | '.join(cells)} | {', '.join(worse) or 'no'} |"


def main() -> None:
    """Measure and write the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, metavar="DIR", help="a folder with the two tables")
    parser.add_argument("--splits", type=int, default=5)
    parser.add_argument("--tables", nargs="+", choices=list(TARGETS), default=list(TARGETS))
    parser.add_argument("--peers", type=Path, metavar="FILE")
    parser.add_argument("--out", type=Path, default=ROOT / "reports" / "benchmark" / "small_tables.md")
    given = parser.parse_args()
    if given.data is None:
        print("skipped: it needs more than the bundled data: give a folder of tables with --data DIR")
        return
    peers = json.loads(given.peers.read_text()) if given.peers else {}
    results, chosen, sizes = {}, [], {}
    for table in given.tables:
        schema, whole = prepared(table, given.data)
        results[table] = {name: [] for name in GENERATORS}
        for number in range(given.splits):
            train, holdout = split(whole, schema, key=f"small tables {number}".encode())
            sizes[table] = len(train), len(holdout)
            for name in GENERATORS:
                scores, decided = one(name, schema, train, holdout, seed=number)
                results[table][name].append(scores)
                chosen += [f"{table}, split {number + 1}: {decided}"] if decided else []
            given.out.parent.mkdir(parents=True, exist_ok=True)
            given.out.write_text(page(results, chosen, given.splits, sizes))
            print(table, number, {name: pairs[-1] for name, pairs in results[table].items()}, flush=True)
        results[table] |= peers.get(table, {})
        given.out.write_text(page(results, chosen, given.splits, sizes))


if __name__ == "__main__":
    main()
