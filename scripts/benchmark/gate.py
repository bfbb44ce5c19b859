"""How often the gate finds a leak that was planted, and how often one that is not there.

    python scripts/benchmark/gate.py --data DIR [--runs 200] [--slow-runs 50] [--processes 2] [--kinds ...]

Real tables (the bundled stroke trial; adult and brfss2020_heart from DIR) are cut into members, holdout and a
fresh sample of the same population. A synthetic table is then the fresh sample itself, the same with one row
in ten copied from a member (as it is, or jittered by 1 % of a standard deviation), or what an overfitted
generator makes. Each run is one line of reports/calibration/privacy.jsonl: stopped and started again, the
script goes on where it was. It writes reports/calibration/privacy.md and, with --publish, the data file that
the gate reads its own error rates from.
"""

import argparse
import datetime as dt
import json
import os
import platform
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import cache
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from ehrsynth.encoding import codes_to_values, decode, encode, values_to_codes
from ehrsynth.evaluation.matrix import is_discrete
from ehrsynth.evaluation.protocol import protocol
from ehrsynth.evaluation.suite import evaluate
from ehrsynth.generators.recipes import recipe
from ehrsynth.randomness import numpy_generator
from ehrsynth.registry import known
from ehrsynth.release.exposure import attacks
from ehrsynth.release.policy import load_policy
from ehrsynth.schema import Schema
from ehrsynth.tables import read_table
from ehrsynth.tables.bundled import bundled
from ehrsynth.tables.infer import infer_schema

ROOT = Path(__file__).parents[2]
OUT = ROOT / "reports" / "calibration"
RATES = ROOT / "ehrsynth" / "release" / "error_rates.yaml"
TABLES = ("ist", "adult", "brfss2020_heart")
MEMBERS, HOLDOUT, SMALL = 2_000, 2_000, 200
# Kind: (in words, whether it leaks, the bar as a share of the runs).
KINDS = {
    "fresh": ("a fresh real sample", False, 6 / 200),
    "copied": ("10 % of the rows copied", True, 184 / 200),
    "jittered": ("10 % of the rows copied and jittered by 1 % of a standard deviation", True, 184 / 200),
    "cart": ("an overfitted CART (leaves of one patient)", True, 46 / 50),
    "ctgan": ("a CTGAN trained on 200 patients for 3,000 epochs", True, 46 / 50),
}
SLOW = {"cart", "ctgan"}


@cache
def population(name: str, folder: Path | None) -> tuple[pd.DataFrame, Schema]:
    """A large real table and its schema."""
    if name == "ist":
        trial = bundled("ist")
        return read_table(trial.path, trial.demo_schema), trial.demo_schema
    if folder is None:
        raise SystemExit(f"{name} is not bundled: give a folder of tables with --data DIR")
    path = folder / f"{name}.csv.gz"
    schema, _ = infer_schema(path, name=name)
    return read_table(path, schema), schema


def parts(table: pd.DataFrame, members: int, seed: int) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Members, holdout, and a fresh sample as long as the members."""
    order = numpy_generator(seed, "parts").permutation(len(table))
    ends = np.cumsum([members, HOLDOUT, max(members, MEMBERS)])
    cut = [table.iloc[order[a:b]].reset_index(drop=True) for a, b in zip([0, *ends], ends, strict=False)]
    return cut[0], cut[1], cut[2]


def planted(kind: str, members: pd.DataFrame, fresh: pd.DataFrame, schema: Schema, seed: int) -> pd.DataFrame:
    """The synthetic table of one kind."""
    if kind == "fresh":
        return fresh
    if kind in SLOW:
        settings = {"leaf": 1} if kind == "cart" else {"epochs": 3_000}
        return recipe(kind, settings).fit(members, schema, seed=seed).sample(len(fresh), seed=seed + 1).table
    rng = numpy_generator(seed, "planted")
    copies = members.iloc[rng.permutation(len(members))[: len(fresh) // 10]].reset_index(drop=True)
    if kind == "jittered":
        copies = jittered(copies, members, schema, rng)
    return pd.concat([fresh.iloc[len(copies) :], copies], ignore_index=True)


def jittered(
    copies: pd.DataFrame, members: pd.DataFrame, schema: Schema, rng: np.random.Generator
) -> pd.DataFrame:
    """Copies whose numbers moved by 1 % of their standard deviation, put back on the schema's grid."""
    values, spread = (codes_to_values(encode(t, schema), schema) for t in (copies, members))
    for column in schema.learnt:
        if not is_discrete(column):
            moved = values[column.name] + 0.01 * np.nanstd(spread[column.name]) * rng.normal(size=len(copies))
            low, high = np.nanmin(spread[column.name]), np.nanmax(spread[column.name])
            values[column.name] = np.clip(moved, low, high)
    return decode(values_to_codes(values, schema), schema)


def one(kind: str, name: str, number: int, folder: Path | None) -> dict[str, object]:
    """One run: plant, evaluate, decide."""
    start = time.process_time()
    table, schema = population(name, folder)
    seed = 1_000 * number + list(KINDS).index(kind)
    members, holdout, fresh = parts(table, SMALL if kind == "ctgan" else MEMBERS, seed)
    made = planted(kind, members, fresh, schema, seed)
    policy = load_policy()
    found = evaluate(
        members, holdout, made, schema, seed=seed, metrics=[], level=policy.family_wise_level.value
    )
    checks = list(attacks(found, policy))
    clearest = None if found.bound is None else found.bound.finding
    return {
        **key(kind, name, number),
        "found": clearest is not None,
        "p": None if found.bound is None else found.bound.p_value,
        "by": None if clearest is None else f"{clearest.attack}: {clearest.statistic}, {clearest.stratum}",
        "within_limits": all(check.passed for check in checks),
        "not_measurable": sum(not check.computed for check in checks),
        "seconds": round(time.process_time() - start, 1),
    }


def key(kind: str, name: str, number: int) -> dict[str, object]:
    """What names a run; a run of another protocol, other attacks or another level is another run."""
    level = load_policy().family_wise_level.value
    how = f"{protocol().hash[:12]} {level:g} {len(known('attack'))}"
    return {"kind": kind, "table": name, "number": number, "how": how}


def wanted(given: argparse.Namespace) -> Iterator[tuple[str, str, int]]:
    """Runs in turns over tables and kinds, so that whenever it stops all are about equally far."""
    for number in range(given.runs):
        for kind in given.kinds:
            if kind not in SLOW or number < given.slow_runs:
                yield kind, given.tables[number % len(given.tables)], number


def done(path: Path) -> list[dict[str, object]]:
    """The runs of the present protocol, attacks and level."""
    lines = path.read_text().splitlines() if path.is_file() else []
    how = key("", "", 0)["how"]
    return [run for line in lines if (run := json.loads(line))["how"] == how]


def measure(given: argparse.Namespace, path: Path) -> None:
    """Make the runs that are missing."""
    have = {(run["kind"], run["table"], run["number"]) for run in done(path)}
    missing = [run for run in wanted(given) if run not in have]
    path.parent.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(given.processes) as pool, path.open("a") as file:
        for future in as_completed([pool.submit(one, *run, given.data) for run in missing]):
            run = future.result()
            file.write(json.dumps(run) + "\n")
            file.flush()
            print(run, flush=True)


def lines(runs: list[dict[str, object]]) -> Iterator[str]:
    """The report."""
    packages = ("ehrsynth", "numpy", "pandas", "scikit-learn", "lightgbm", "torch")
    yield "# How often the privacy gate errs"
    yield ""
    command = " ".join(["python scripts/benchmark/gate.py", "--data DIR", *_shown(sys.argv[1:])])
    yield f"`{command}` on {dt.datetime.now(dt.UTC):%Y-%m-%d}."
    said = ", ".join(f"{name} {version(name)}" for name in packages)
    yield f"Python {platform.python_version()}, {said}; {platform.machine()}, {os.cpu_count()} cores."
    yield ""
    yield f"Protocol `{protocol().hash[:12]}`, family-wise level {load_policy().family_wise_level.value:g},"
    yield f"attacks: {', '.join(known('attack'))}. {MEMBERS:,} members ({SMALL} for CTGAN), {HOLDOUT:,} held"
    yield f"out, as many synthetic rows as members; tables in turn: {', '.join(TABLES)}."
    yield ""
    yield "| synthetic table | leaks | runs | leak found | asked for | within all limits | CPU s a run |"
    yield "|---|---|---|---|---|---|---|"
    for kind, (words, leaks, share) in KINDS.items():
        mine = [run for run in runs if run["kind"] == kind]
        if mine:
            found = sum(bool(run["found"]) for run in mine)
            asked = f"{'at least' if leaks else 'at most'} {share:.0%}"
            within = sum(bool(run["within_limits"]) for run in mine)
            seconds = np.mean([float(str(run["seconds"])) for run in mine])
            cells = (words, "yes" if leaks else "no", len(mine), f"{found} ({found / len(mine):.1%})")
            yield f"| {' | '.join(map(str, cells))} | {asked} | {within} | {seconds:.0f} |"
    yield ""
    yield "By table, leaks found of runs:"
    yield ""
    yield f"| synthetic table | {' | '.join(TABLES)} |"
    yield "|---|" + "---|" * len(TABLES)
    for kind, (words, _, _) in KINDS.items():
        cells = []
        for name in TABLES:
            mine = [bool(run["found"]) for run in runs if (run["kind"], run["table"]) == (kind, name)]
            cells.append(f"{sum(mine)} of {len(mine)}" if mine else "")
        yield f"| {words} | {' | '.join(cells)} |"
    yield ""


def _shown(given: list[str]) -> list[str]:
    """The command without the place of the data."""
    skip = {n for n, word in enumerate(given) if word == "--data"}
    skip |= {n + 1 for n in skip}
    return [word for n, word in enumerate(given) if n not in skip]


def publish(runs: list[dict[str, object]]) -> None:
    """Write what the gate says of its own error rates."""
    measured = []
    for kind, (words, leaks, _) in KINDS.items():
        mine = [bool(run["found"]) for run in runs if run["kind"] == kind]
        if mine:
            measured.append({"what": words, "leaks": leaks, "runs": len(mine), "found": sum(mine)})
    content = {
        "date": f"{dt.datetime.now(dt.UTC):%Y-%m-%d}",
        "version": version("ehrsynth"),
        "level": load_policy().family_wise_level.value,
        "measured": measured,
    }
    head = "# Written by scripts/benchmark/gate.py --publish; reports/calibration/privacy.md explains it.\n"
    RATES.write_text(head + yaml.safe_dump(content, sort_keys=False))


def main() -> None:
    """Measure what is missing and write the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, metavar="DIR", help="a folder with the tables not bundled")
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--slow-runs", type=int, default=50)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--tables", nargs="+", choices=TABLES, default=list(TABLES))
    parser.add_argument("--results", type=Path, default=OUT / "privacy.jsonl")
    parser.add_argument("--publish", action="store_true", help="let the gate say these rates")
    given = parser.parse_args()
    if given.data is None and set(given.tables) != {"ist"}:
        print("skipped: it needs more than the bundled table: give a folder with --data DIR, or --tables ist")
        return
    measure(given, given.results)
    runs = done(given.results)
    (OUT / "privacy.md").write_text("\n".join(lines(runs)))
    if given.publish:
        publish(runs)


if __name__ == "__main__":
    main()
