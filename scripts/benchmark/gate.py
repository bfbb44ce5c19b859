"""How often the gate finds a leak that was planted, how often one that is not there, and when it says yes.

    python scripts/benchmark/gate.py --data DIR [--runs 200] [--slow-runs 50] [--processes 2] [--kinds ...]
                                     [--keep FOLDER]

Real tables (the bundled stroke trial; adult and brfss2020_heart from DIR) are cut into members, holdout and a
fresh sample of the same population. A synthetic table is then the fresh sample itself, the same with one row
in ten copied from a member (as it is, or jittered by 1 % of a standard deviation), or what an overfitted
generator makes. The fresh sample is tried with 9,600 patients too: that is the table to which the gate must
be able to say yes (a third of the trial's patients, 6,400, where there are no more). Each run is one line of
reports/calibration/privacy.jsonl: stopped and started again, the script goes on where it was. With --keep,
what the slow generators made is kept in a folder, so that a changed attack needs no new training. It writes
reports/calibration/privacy.md and, with --publish, the file that the gate reads its own error rates from.
"""

import argparse
import datetime as dt
import json
import os
import platform
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
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
from ehrsynth.release.attack_checks import attacks, held, leak
from ehrsynth.release.attack_code import attack_code
from ehrsynth.release.policy import load_policy
from ehrsynth.schema import Schema
from ehrsynth.tables import read_table, write_table
from ehrsynth.tables.bundled import bundled
from ehrsynth.tables.infer import infer_schema

ROOT = Path(__file__).parents[2]
OUT = ROOT / "reports" / "calibration"
RATES = ROOT / "ehrsynth" / "release" / "error_rates.yaml"
TABLES = ("ist", "adult", "brfss2020_heart")
MEMBERS, SMALL, LARGE = 2_000, 200, 9_600
# Kind: (in words, whether it leaks, the bar as a share of the runs).
KINDS = {
    "fresh": (f"a fresh real sample of {MEMBERS:,} patients", False, 6 / 200),
    "large": ("a fresh real sample of up to 9,600 patients", False, 6 / 200),
    "copied": (f"10 % of {MEMBERS:,} rows copied", True, 184 / 200),
    "jittered": (
        f"10 % of {MEMBERS:,} rows copied and jittered by 1 % of a standard deviation",
        True,
        184 / 200,
    ),
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


def parts(table: pd.DataFrame, kind: str, seed: int) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Members, holdout, and a fresh sample as long as the holdout."""
    order = numpy_generator(seed, "parts").permutation(len(table))
    size = min(LARGE, len(table) // 3) if kind == "large" else MEMBERS
    ends = np.cumsum([SMALL if kind == "ctgan" else size, size, size])
    cut = [table.iloc[order[a:b]].reset_index(drop=True) for a, b in zip([0, *ends], ends, strict=False)]
    return cut[0], cut[1], cut[2]


def planted(kind: str, members: pd.DataFrame, fresh: pd.DataFrame, schema: Schema, seed: int) -> pd.DataFrame:
    """The synthetic table of one kind."""
    if kind in {"fresh", "large"}:
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


def kept(make: Callable[[], pd.DataFrame], schema: Schema, path: Path | None) -> pd.DataFrame:
    """What was made before, where it was kept; else made now, and kept if asked."""
    if path is not None and path.is_file():
        return read_table(path, schema)
    made = make()
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_table(made, schema, path)
    return made


def one(kind: str, name: str, number: int, folder: Path | None, keep: Path | None) -> dict[str, object]:
    """One run: plant, evaluate, decide."""
    start = time.process_time()
    table, schema = population(name, folder)
    seed = 1_000 * number + sum(map(ord, kind))
    members, holdout, fresh = parts(table, kind, seed)
    path = keep / f"{kind}-{name}-{number}.parquet" if keep and kind in SLOW else None
    made = kept(lambda: planted(kind, members, fresh, schema, seed), schema, path)
    policy = load_policy()
    found = evaluate(
        members, holdout, made, schema, seed=seed, metrics=[], level=policy.family_wise_level.value
    )
    found = held(found, policy)
    checks = [leak(found.bound, policy), *attacks(found, policy)]
    bounds = () if found.bound is None else found.bound.bounds
    clearest = None if found.bound is None else found.bound.finding
    return {
        **key(kind, name, number),
        "found": clearest is not None,
        "p": None if found.bound is None else found.bound.p_value,
        "by": None if clearest is None else f"{clearest.attack}: {clearest.statistic}, {clearest.stratum}",
        "yes": all(check.passed for check in checks),
        "no": [check.name for check in checks if not check.passed],
        "not_measurable": [check.name for check in checks if not check.computed],
        "judged": [sum(bound.judged for bound in bounds), len(bounds)],
        "seconds": round(time.process_time() - start, 1),
    }


def key(kind: str, name: str, number: int) -> dict[str, object]:
    """What names a run; a run of another protocol, another policy or other attacks is another run."""
    how = f"{protocol().hash[:12]} {load_policy().limits_hash()[:12]} {attack_code()}"
    return {"kind": kind, "table": name, "number": number, "how": how}


def wanted(given: argparse.Namespace) -> Iterator[tuple[str, str, int]]:
    """Runs in turns over tables and kinds, so that whenever it stops all are about equally far."""
    for number in range(given.runs):
        for kind in given.kinds:
            if kind not in SLOW or number < given.slow_runs:
                yield kind, given.tables[number % len(given.tables)], number


def done(path: Path) -> list[dict[str, object]]:
    """The runs of the present protocol, attacks and policy."""
    lines = path.read_text().splitlines() if path.is_file() else []
    how = key("", "", 0)["how"]
    return [run for line in lines if (run := json.loads(line))["how"] == how]


def measure(given: argparse.Namespace, path: Path) -> None:
    """Make the runs that are missing."""
    have = {(run["kind"], run["table"], run["number"]) for run in done(path)}
    missing = [run for run in wanted(given) if run not in have]
    path.parent.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(given.processes) as pool, path.open("a") as file:
        for future in as_completed([pool.submit(one, *run, given.data, given.keep) for run in missing]):
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
    yield f"attacks: {', '.join(known('attack'))}."
    yield f"{MEMBERS:,} members ({SMALL} for CTGAN; up to {LARGE:,} where it says so), as many held out"
    yield f"and as many synthetic rows (for CTGAN 2,000 of each); tables in turn: {', '.join(TABLES)}."
    yield ""
    yield "*Leak found*: shown at the family-wise level. *Yes*: every check of the attacks passed."
    yield "*Not measurable*: some attack had too few patients to be judged, which is a no and no finding."
    yield ""
    yield "| synthetic table | leaks | runs | leak found | asked for | yes | not measurable | CPU s a run |"
    yield "|---|---|---|---|---|---|---|---|"
    for kind, (words, leaks, share) in KINDS.items():
        mine = [run for run in runs if run["kind"] == kind]
        if mine:
            found, yes, blind = (
                sum(bool(run[name]) for run in mine) for name in ("found", "yes", "not_measurable")
            )
            asked = f"{'at least' if leaks else 'at most'} {share:.0%}"
            seconds = np.mean([float(str(run["seconds"])) for run in mine])
            cells = (words, "yes" if leaks else "no", len(mine), f"{found} ({found / len(mine):.1%})")
            yield f"| {' | '.join(map(str, cells))} | {asked} | {yes} | {blind} | {seconds:.0f} |"
    yield from _by_table(runs)
    yield from _reasons(runs)


def _by_table(runs: list[dict[str, object]]) -> Iterator[str]:
    yield ""
    yield "By table, leaks found, and the gate's yes, of runs:"
    yield ""
    yield f"| synthetic table | {' | '.join(TABLES)} |"
    yield "|---|" + "---|" * len(TABLES)
    for kind, (words, _, _) in KINDS.items():
        cells = []
        for name in TABLES:
            mine = [run for run in runs if (run["kind"], run["table"]) == (kind, name)]
            found, yes = (sum(bool(run[what]) for run in mine) for what in ("found", "yes"))
            cells.append(f"{found}, {yes} of {len(mine)}" if mine else "")
        yield f"| {words} | {' | '.join(cells)} |"
    yield ""


def _reasons(runs: list[dict[str, object]]) -> Iterator[str]:
    """Which checks say no to a table that leaks nothing."""
    yield "What says no to a fresh real sample, in how many of the runs:"
    yield ""
    for kind in ("large", "fresh"):
        mine = [run for run in runs if run["kind"] == kind]
        counts = Counter(f"{name} (not measurable)" if name in run["not_measurable"] else name
                         for run in mine for name in run["no"])  # fmt: skip
        said = "; ".join(f"{name}: {count}" for name, count in counts.most_common()) or "nothing"
        yield f"- {KINDS[kind][0]}, {len(mine)} runs: {said}."
    yield ""


def _shown(given: list[str]) -> list[str]:
    """The command without the place of the data."""
    skip = {n for n, word in enumerate(given) if word in {"--data", "--keep", "--results"}}
    skip |= {n + 1 for n in skip}
    return [word for n, word in enumerate(given) if n not in skip]


def publish(runs: list[dict[str, object]]) -> None:
    """Write what the gate says of its own error rates."""
    measured = []
    for kind, (words, leaks, _) in KINDS.items():
        mine = [bool(run["found"]) for run in runs if run["kind"] == kind]
        if mine:
            yes = sum(bool(run["yes"]) for run in runs if run["kind"] == kind)
            measured.append(
                {"what": words, "leaks": leaks, "runs": len(mine), "found": sum(mine), "yes": yes}
            )
    content = {
        "date": f"{dt.datetime.now(dt.UTC):%Y-%m-%d}",
        "version": version("ehrsynth"),
        "level": load_policy().family_wise_level.value,
        "protocol": protocol().hash,
        "policy": load_policy().limits_hash(),
        "attacks": attack_code(),
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
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep what slow generators made")
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
