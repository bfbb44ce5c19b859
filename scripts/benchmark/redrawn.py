"""How high can the AUROC of an outcome be that a model has drawn?

    python scripts/benchmark/redrawn.py --data DIR --work DIR [--tables adult ...] [--draws 5]

writes reports/benchmark/redrawn.md. Every covariate stays real and only the outcome is drawn again, from what
the benchmark's trees learnt of it. Trees taught on that reach less than on the real outcomes: the price of
learning twice, to which a generator adds what its covariates lose. Drawn too surely (log odds times 1.25)
outcomes are easier to learn again, and say that a model knows more than it does.
"""

import argparse
import datetime as dt
import platform
from importlib.metadata import version
from pathlib import Path

import numpy as np
from tabular.learners import ISSUE, issue_trees, predicting
from tabular.opening import judging_schema, opened
from tabular.sources import SOURCES, split

from ehrsynth.evaluation.matrix import Matrix, matrix
from ehrsynth.randomness import numpy_generator, small_seed

ROOT = Path(__file__).parents[2]
SURER = 1.25
SEEDS = (1, 2, 3)


def redrawn(table: Matrix, target: str, power: float, seed: int, draws: int):
    """The table with its outcome drawn again, so many times."""
    place = table.place(target)
    known = table.rows(~np.isnan(table.values[:, place]))
    classes, codes = np.unique(known.values[:, place], return_inverse=True)
    model = issue_trees(known.without([target]), codes, small_seed(seed, "redrawn"))
    chances = model.predict_proba(known.without([target]).values) ** power
    upto = np.cumsum(chances / chances.sum(axis=1, keepdims=True), axis=1)
    for draw in range(draws):
        own = numpy_generator(seed, "redrawn", str(draw)).random(len(known))
        values = known.values.copy()
        values[:, place] = classes[np.minimum((own[:, None] > upto).sum(axis=1), len(classes) - 1)]
        yield Matrix(known.columns, values)


def measured(name: str, seed: int, given: argparse.Namespace) -> tuple[float, float, float]:
    """The AUROC on held-out rows of trees taught on real outcomes, on drawn ones, and on surer ones."""
    parts, target = split(name, seed, data=given.data, work=given.work), SOURCES[name].target
    schema = judging_schema(parts.schema)
    train, holdout = (matrix(opened(path, schema), schema) for path in (parts.train, parts.holdout))

    def mean(power: float) -> float:
        tables = redrawn(train, target, power, seed, given.draws)
        return float(np.mean([predicting(ISSUE, table, holdout, target, seed) for table in tables]))

    return predicting(ISSUE, train, holdout, target, seed), mean(1.0), mean(SURER)


def main() -> None:
    """Measure and write the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--tables", nargs="+", default=["adult", "ist"])
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--out", type=Path, default=ROOT / "reports" / "benchmark" / "redrawn.md")
    given = parser.parse_args()
    today = dt.datetime.now(tz=dt.UTC).date()
    versions = ", ".join(f"{name} {version(name)}" for name in ("ehrsynth", "numpy", "scikit-learn"))
    lines = [
        "# How high can the AUROC of a drawn outcome be?",
        "",
        f"`python scripts/benchmark/redrawn.py --tables {' '.join(given.tables)}` on {today}.",
        f"{versions}, Python {platform.python_version()}.",
        "",
        "Covariates are the real ones of the training rows. TSTR by the issue's trees (scikit-learn's",
        f"histogram gradient boosting), seeds {', '.join(map(str, SEEDS))} and {given.draws} draws.",
        "",
        "| table | outcome | real outcomes | drawn from what trees learnt | drawn too surely |",
        "|---|---|---|---|---|",
    ]
    for name in given.tables:
        found = np.mean([measured(name, seed, given) for seed in SEEDS], axis=0)
        cells = " | ".join(f"{value:.4f}" for value in found)
        lines.append(f"| {name} | {SOURCES[name].target} | {cells} |")
        given.out.write_text("\n".join(lines) + "\n")
        print(lines[-1], flush=True)


if __name__ == "__main__":
    main()
