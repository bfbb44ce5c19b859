"""The benchmark on patient tables, in three steps that can each be stopped and resumed.

    python scripts/benchmark/tabular generate --data DIR --environments DIR --work DIR [--quiet] ...
    python scripts/benchmark/tabular judge    --data DIR --environments DIR --work DIR ...
    python scripts/benchmark/tabular report

`generate` fits each system on each split and draws as many rows, one system at a time, TabularARGN beside
ours. `judge` measures what lies there. `report` writes reports/benchmark/tabular.md and the pictures. Results
are kept in reports/benchmark/tabular/, tables in the folder given by --work. --environments holds a virtual
environment for each peer, `tabularargn`, `arfpy`, `synthcity`: scripts/benchmark/environments/make DIR.
"""

import argparse
from pathlib import Path

import numpy as np

from tabular import cells
from tabular.cells import MADE, Cell
from tabular.generating import Conditions, generate
from tabular.judging import judge, judge_real, judging_hash
from tabular.membership import ATTACKS, Scores, paired
from tabular.report import write_report
from tabular.sources import LARGER, SOURCES, Split, split
from tabular.systems import OURS, RIVAL, ROOT, System, systems, version

RESULTS = ROOT / "reports" / "benchmark" / "tabular"
REAL = "real"
Place = tuple[str, int, System]


def order(tables: list[str], names: list[str], seeds: list[int] | None) -> list[Place]:
    """Seed after seed, table after table; ours and TabularARGN side by side, who is first alternating."""
    every, places = systems(), []
    for seed in range(1, 6):
        for table in tables:
            chosen = [every[n] for n in every if n in names and seed in every[n].seeds(table)]
            pair = [s for s in chosen if s.timed]
            rest = [s for s in chosen if not s.timed]
            places += [(table, seed, s) for s in (pair if seed % 2 else pair[::-1]) + rest]
    return [p for p in places if seeds is None or p[1] in seeds]


def made_path(work: Path, table: str, seed: int, system: str) -> Path:
    """Where a synthetic table lies."""
    return work / "made" / table / f"{system}-{seed}.csv"


def do_generate(given: argparse.Namespace) -> None:
    """Make what is not made yet."""
    how = Conditions(given.cap, given.threads)
    for table, seed, system in order(given.tables, given.systems, given.seeds):
        cell = cells.read(RESULTS, table, system.name, seed)
        parts = split(table, seed, data=given.data, work=given.work)
        now, out = version(system, given.environments), made_path(given.work, table, seed, system.name)
        key = {"version": now, "split": parts.hash}
        done = cells.is_made(cell, **key, quiet=given.quiet) and (cell.state != MADE or out.is_file())
        if done and not (given.again and cell.state != MADE):
            continue
        python = system.python(given.environments)
        if python is None:
            found = {"state": "failed", "reason": f"no environment {system.environment!r} was given"}
        else:
            found = generate(system, python, parts, seed, out, how)
        cells.write(RESULTS, Cell(table, system.name, seed, found | key, cell.judged))
        shown = {k: found.get(k) for k in ("state", "reason", "fit", "other_cores")}
        print(table, seed, system.name, shown, flush=True)


def do_judge(given: argparse.Namespace) -> None:
    """Judge what is made and not judged yet, then write the report."""
    protocol = judging_hash()
    for table, seed, system in order(given.tables, given.systems, given.seeds):
        parts = split(table, seed, data=given.data, work=given.work)
        real = cells.read(RESULTS, table, REAL, seed)
        if real.judged.get("key") != [protocol, parts.hash]:
            judged = {"key": [protocol, parts.hash]} | judge_real(table, parts, seed)
            cells.write(RESULTS, Cell(table, REAL, seed, {}, judged))
        cell = cells.read(RESULTS, table, system.name, seed)
        path = made_path(given.work, table, seed, system.name)
        if cell.state != MADE or cells.is_judged(cell, protocol=protocol) or not path.is_file():
            continue
        judge_one(cell, parts, path, protocol, given.work)
        print(table, seed, system.name, "judged", flush=True)
    write_report(RESULTS)


def judge_one(cell: Cell, parts: Split, path: Path, protocol: str, work: Path) -> None:
    """Judge one table; of ours and the rival's also the paired interval, once both are judged."""
    found, scores = judge(cell.table, parts, path, cell.seed)
    judged = found | {"protocol": protocol, "of": cell.made["csv"]}
    cells.write(RESULTS, Cell(cell.table, cell.system, cell.seed, cell.made, judged))
    folder = work / "scores" / cell.table
    folder.mkdir(parents=True, exist_ok=True)
    store(folder / f"{cell.system}-{cell.seed}.npz", scores)
    both = [folder / f"{name}-{cell.seed}.npz" for name in (OURS, RIVAL)]
    if cell.system in {OURS, RIVAL} and all(file.is_file() for file in both):
        ours, rival = map(stored, both)
        differences = {a: paired(ours, rival, a, cell.seed) for a in ATTACKS}
        cells.write(RESULTS, Cell(cell.table, "paired", cell.seed, {}, differences))


def store(path: Path, scores: Scores) -> None:
    """Keep each patient's scores outside the repository."""
    arrays = {f"member {a}": scores.member[a] for a in ATTACKS} | {
        f"other {a}": scores.other[a] for a in ATTACKS
    }
    np.savez_compressed(path, lone_member=scores.lone_member, lone_other=scores.lone_other, **arrays)


def stored(path: Path) -> Scores:
    """Read `store`'s file."""
    with np.load(path) as found:
        member = {a: found[f"member {a}"] for a in ATTACKS}
        other = {a: found[f"other {a}"] for a in ATTACKS}
        return Scores(member, other, found["lone_member"], found["lone_other"])


def main() -> None:
    """Parse the command line and do it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("command", choices=("generate", "judge", "report"))
    parser.add_argument(
        "--data", type=Path, metavar="DIR", help="a folder with the tables that are not bundled"
    )
    parser.add_argument(
        "--environments", type=Path, metavar="DIR", help="a folder with the peers' environments"
    )
    parser.add_argument("--work", type=Path, metavar="DIR", help="where splits and synthetic tables are kept")
    parser.add_argument("--tables", nargs="+", choices=SOURCES, default=list(SOURCES))
    parser.add_argument("--systems", nargs="+", choices=systems(), default=list(systems()))
    parser.add_argument("--seeds", nargs="+", type=int)
    parser.add_argument(
        "--cap", type=int, default=600, help="seconds of the processor after which a system is stopped"
    )
    parser.add_argument(
        "--threads", type=int, help="threads of each system; as many as it likes if not given"
    )
    parser.add_argument("--timed", action="store_true", help="only ours and TabularARGN on the larger tables")
    parser.add_argument("--quiet", action="store_true", help="do again what was timed on a busy machine")
    parser.add_argument("--again", action="store_true", help="do again what failed or was stopped")
    given = parser.parse_args()
    if given.timed:
        given.tables, given.systems = list(LARGER), [OURS, RIVAL]
    if given.command == "report":
        write_report(RESULTS)
    elif given.work is None:
        print("skipped: give a folder for splits and tables with --work DIR (and --data DIR)")
    else:
        (do_generate if given.command == "generate" else do_judge)(given)
