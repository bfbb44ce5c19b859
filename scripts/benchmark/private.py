"""What differential privacy costs: each private generator on public tables, at several epsilons.

    python scripts/benchmark/private.py run --data DIR --environments DIR [--tables ...] [--generators ...]
        [--epsilons ...] [--cap SECONDS]
    python scripts/benchmark/private.py wide | report

`run` fits a generator on a fixed part of a table, draws as many rows, and writes one small file for each cell
to reports/benchmark/dp/: stopped and started again it goes on where it was. DIR holds adult.csv.gz and
brfss2020_heart.csv.gz; the stroke trial is bundled. `wide` times mst on 50,000 rows of 20 columns. `report`
writes reports/benchmark/dp.md and its picture. Cells that no one ran yet stand there as such. The peers
smartnoise-mst and smartnoise-aim need the environment `smartnoise` (scripts/benchmark/environments/make).
"""

import argparse
import datetime as dt
import json
import platform
import time
from dataclasses import dataclass
from importlib.metadata import version
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
from private_peers import PEERS, Asked, interpreter, peer_table, peer_versions
from private_report import write_report
from sklearn.ensemble import HistGradientBoostingClassifier

from ehrsynth.dp.budget import checked_delta, public_rows
from ehrsynth.encoding import encode, encoding
from ehrsynth.files import write_json
from ehrsynth.generators.recipes import recipe
from ehrsynth.randomness import numpy_generator
from ehrsynth.schema import Schema
from ehrsynth.schema.yaml_files import load_schema
from ehrsynth.statistics import auroc
from ehrsynth.tables import bundled, read_table, table_from_frame

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "reports" / "benchmark" / "dp"
GENERATORS = ("dp-independent", "mst", "aim", "autoregressive", "dp-tvae", "dp-ctgan")
ALL = (*GENERATORS, *PEERS)
EPSILONS = (0.5, 1.0, 3.0, 10.0)
BINS, MOST_CELLS, FEWEST = 100, 10_000, 10
WIDE_ROWS, WIDE_COLUMNS = 50_000, 20
SAID = ("state", "reason", "tstr", "pairs", "fit_seconds", "fit_processor_seconds")
NOT_INSTALLED = "skipped: no environment `smartnoise` was given with --environments DIR"
PACKAGES = ("ehrsynth", "numpy", "scipy", "scikit-learn", "torch", "opacus", "dp-accounting")


@dataclass(frozen=True)
class Source:
    """A table with a public schema, its outcome, and how many rows are learnt from (0: half)."""

    schema: str
    target: str
    train: int = 0


SOURCES = {
    "adult": Source("adult", "income", 38_842),
    "ist": Source("ist_public", "OCCODE"),
    "brfss2020_heart": Source("brfss2020_heart", "HeartDisease"),
}


def opened(name: str, folder: Path | None) -> tuple[Schema, pd.DataFrame]:
    """A table and its public schema."""
    schema = load_schema(ROOT / "schemas" / f"{SOURCES[name].schema}.yaml")
    if name == "ist":
        trial = bundled("ist")
        return schema, table_from_frame(read_table(trial.path, trial.schema)[list(schema.names)], schema)
    if folder is None:
        raise SystemExit(f"{name} is not bundled: give a folder of tables with --data DIR")
    return schema, read_table(folder / f"{name}.csv.gz", schema)


def halves(name: str, table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows to learn from and rows to test on; rows without an outcome are left out."""
    table = table[table[SOURCES[name].target].notna()].reset_index(drop=True)
    order = numpy_generator(1, "benchmark", name).permutation(len(table))
    size = SOURCES[name].train or len(table) // 2
    return tuple(table.iloc[rows].reset_index(drop=True) for rows in (order[:size], order[size:]))


def pairs_apart(one: pd.DataFrame, other: pd.DataFrame, schema: Schema) -> float:
    """Mean total variation between all pairs of columns, 0 to 1, lower is closer.

    Grids of more than 100 values are cut into 100 equal ranges, and missing is a value; pairs of more than
    10,000 cells are left out.
    """
    sizes = [min(column.size, BINS) + 1 for column in schema.learnt]
    cut = [_cut(encode(table, schema), schema) for table in (one, other)]
    found = []
    for a, b in combinations(range(len(sizes)), 2):
        cells = sizes[a] * sizes[b]
        if (sizes[a] - 1) * (sizes[b] - 1) <= MOST_CELLS:
            shares = [
                np.bincount(codes[:, a] * sizes[b] + codes[:, b], minlength=cells) / len(codes)
                for codes in cut
            ]
            found.append(np.abs(shares[0] - shares[1]).sum() / 2)
    return float(np.mean(found))


def _cut(codes: np.ndarray, schema: Schema) -> np.ndarray:
    sizes = np.array([column.size for column in schema.learnt])
    ranged = np.where(sizes > BINS, codes * BINS // np.maximum(sizes, 1), codes)
    return np.where(codes < 0, 0, ranged + 1)


def predicting(table: pd.DataFrame, test: pd.DataFrame, schema: Schema, target: str) -> float:
    """AUROC of scikit-learn's boosted trees that learn on one table and predict another's outcome.

    The mean over classes, each against the rest; of a binary outcome its one AUROC.
    """
    codes = [encode(side, schema).astype(float) for side in (table, test)]
    place = [column.name for column in schema.learnt].index(target)
    for side in codes:
        side[side < 0] = np.nan
    learnt, tested = (side[~np.isnan(side[:, place])] for side in codes)
    nominal = [not encoding(c).numeric and c.size < 255 for c in schema.learnt if c.name != target]  # noqa: PLR2004 - its own limit
    model = HistGradientBoostingClassifier(random_state=0, categorical_features=nominal)
    model.fit(np.delete(learnt, place, 1), learnt[:, place])
    chances = model.predict_proba(np.delete(tested, place, 1))
    truth = tested[:, place]
    counted = [c for c in np.unique(truth) if FEWEST <= (truth == c).sum() < len(truth)]
    known = {c: chances[:, k] for k, c in enumerate(model.classes_)}
    nothing = np.zeros(len(truth))
    return float(np.mean([auroc(truth == c, known.get(c, nothing)) for c in counted]))


def versions() -> dict[str, str]:
    """What was used."""
    return {"python": platform.python_version()} | {name: version(name) for name in PACKAGES}


def one_cell(name: str, generator: str, epsilon: float, folder: Path | None) -> dict:
    """Fit, draw, measure."""
    schema, table = opened(name, folder)
    train, test = halves(name, table)
    share = len(train) / schema.rows.value  # the design of this benchmark: known to all
    start, used = time.perf_counter(), time.process_time()
    model = recipe(generator, {"epsilon": epsilon}).fit(train, schema, seed=1, share=share)
    fit, fit_used = time.perf_counter() - start, time.process_time() - used
    start = time.perf_counter()
    made = model.sample(len(train), seed=2).table
    drawn = time.perf_counter() - start
    return {
        "epsilon_spent": model.privacy.epsilon,
        "delta": model.privacy.delta,
        "accountant": model.privacy.accountant,
        "by": dict(model.privacy.by),
        "recipe": model.recipe.model_dump(mode="json"),
        "fit_seconds": round(fit, 2),
        "fit_processor_seconds": round(fit_used, 2),
        "sample_seconds": round(drawn, 2),
        "versions": versions(),
    } | judged(name, made, (train, test), schema)


def peer_cell(name: str, peer: str, epsilon: float, given: argparse.Namespace) -> dict | None:
    """The same of a peer; None where it is not installed."""
    python = interpreter(given.environments)
    if python is None:
        return None
    schema, table = opened(name, given.data)
    train, test = halves(name, table)
    asked = Asked(epsilon, checked_delta(None, public_rows(schema)), given.cap, python)
    found, made = peer_table(peer, train, schema, asked)
    found |= {"epsilon": epsilon, "delta": asked.delta, "cap": given.cap}
    found["versions"] = versions() | {"peer": peer_versions(python)}
    return found if made is None else found | judged(name, made, (train, test), schema)


def judged(name: str, made: pd.DataFrame, parts: tuple[pd.DataFrame, pd.DataFrame], schema: Schema) -> dict:
    """What is measured of synthetic rows; `parts`: the rows that were learnt from, and those held out."""
    train, test = parts
    return {
        "rows": len(train),
        "tstr": predicting(made, test, schema, SOURCES[name].target),
        "pairs": pairs_apart(train, made, schema),
        "date": f"{dt.datetime.now(dt.UTC):%Y-%m-%d}",
    }


def real_cell(name: str, folder: Path | None) -> dict:
    """What real rows get: the training table predicts, and held-out rows stand beside as many of it."""
    schema, table = opened(name, folder)
    train, test = halves(name, table)
    size = min(len(train), len(test))
    return {
        "tstr": predicting(train, test, schema, SOURCES[name].target),
        "pairs": pairs_apart(train.iloc[:size], test.iloc[:size], schema),
        "rows": len(train),
    }


def path_of(name: str, generator: str, epsilon: float | None) -> Path:
    """Where a cell is kept."""
    return RESULTS / name / (f"{generator}.json" if epsilon is None else f"{generator}-{epsilon:g}.json")


def run(given: argparse.Namespace) -> None:
    """Every cell that is not there yet: epsilon 1 first, then the others."""
    epsilons = sorted(given.epsilons, key=lambda e: (e != 1.0, e))
    for name in given.tables:
        if not path_of(name, "real", None).is_file():
            _store(path_of(name, "real", None), real_cell(name, given.data))
        for epsilon in epsilons:
            for generator in given.generators:
                path = path_of(name, generator, epsilon)
                if path.is_file() and not given.again:
                    continue
                if generator in PEERS:
                    found = peer_cell(name, generator, epsilon, given)
                else:
                    found = one_cell(name, generator, epsilon, given.data)
                if found is None:
                    print(name, generator, epsilon, NOT_INSTALLED, flush=True)
                    continue
                _store(path, found)
                said = {k: found[k] for k in SAID if k in found}
                print(name, generator, epsilon, json.dumps(said), flush=True)


def _store(path: Path, found: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, found)


def wide() -> None:
    """Time `mst` on a table of 50,000 rows and 20 columns of 16 values, each related to the one before."""
    columns = tuple(
        {"name": f"c{k:02d}", "kind": "category", "values": tuple(f"v{v:02d}" for v in range(16))}
        for k in range(WIDE_COLUMNS)
    )
    schema = Schema(
        name="wide",
        citation="made for this benchmark",
        rows={"value": WIDE_ROWS, "citation": "made for this benchmark"},
        columns=tuple(column | {"source": "public"} for column in columns),
    )
    rng = numpy_generator(1, "benchmark", "wide")
    values = [rng.integers(0, 16, WIDE_ROWS)]
    for _ in range(WIDE_COLUMNS - 1):
        fresh = rng.integers(0, 16, WIDE_ROWS)
        values.append(np.where(rng.random(WIDE_ROWS) < 1 / 2, values[-1], fresh))
    words = {f"c{k:02d}": [f"v{v:02d}" for v in column] for k, column in enumerate(values)}
    table = table_from_frame(pd.DataFrame(words), schema)
    start = time.perf_counter()
    model = recipe("mst", {"epsilon": 1.0}).fit(table, schema, seed=1)
    fit = time.perf_counter() - start
    model.sample(WIDE_ROWS, seed=2)
    found = {"fit_seconds": round(fit, 2), "all_seconds": round(time.perf_counter() - start, 2)}
    found |= {"rows": WIDE_ROWS, "columns": WIDE_COLUMNS, "versions": versions()}
    _store(RESULTS / "wide.json", found)
    print(found, flush=True)


def main() -> None:
    """Parse the command line and do it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("command", choices=("run", "wide", "report"))
    parser.add_argument("--data", type=Path, metavar="DIR", help="a folder with the tables not bundled")
    parser.add_argument("--tables", nargs="+", choices=tuple(SOURCES), default=list(SOURCES))
    parser.add_argument("--generators", nargs="+", choices=ALL, default=list(ALL))
    parser.add_argument("--epsilons", nargs="+", type=float, default=list(EPSILONS))
    parser.add_argument(
        "--environments", type=Path, metavar="DIR", help="a folder with the peers' environments"
    )
    parser.add_argument(
        "--cap", type=int, default=300, help="seconds of the processor after which a peer is stopped"
    )
    parser.add_argument("--again", action="store_true", help="measure again what is there")
    given = parser.parse_args()
    if given.command == "run":
        run(given)
    elif given.command == "wide":
        wide()
    write_report(RESULTS, tuple(SOURCES), ALL, EPSILONS)


if __name__ == "__main__":
    main()
