"""Does what is missing say the same about death in synthetic patients as in real ones?

    python scripts/benchmark/missingness.py [--rows-at-most N]

writes reports/benchmark/missingness.md. On the bundled support2 table the outcome hospdead is predicted from
the pattern of missing cells of all other columns, and from nothing else: cross-validated AUROC of logistic
regression, among the patients learnt from, among unseen ones, and among synthetic ones.
"""

import argparse
import datetime as dt
import os
import platform
from importlib.metadata import version
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict

from ehrsynth.encoding import encode
from ehrsynth.generators.recipes import recipe
from ehrsynth.statistics import auroc_interval
from ehrsynth.tables import read_table, split
from ehrsynth.tables.bundled import bundled

ROOT = Path(__file__).parents[2]
OUTCOME, WANTED, FOLDS = "hospdead", 0.02, 5


def measured(table, schema):
    """AUROC with its interval, and of each column the difference in the share missing: dead less alive."""
    codes, names = encode(table, schema), [column.name for column in schema.learnt]
    place = names.index(OUTCOME)
    dead, gaps = codes[:, place] == 1, np.delete(codes < 0, place, axis=1)
    model = LogisticRegression(max_iter=1_000)
    scores = cross_val_predict(model, gaps.astype(float), dead, cv=FOLDS, method="predict_proba")[:, 1]
    return auroc_interval(dead, scores), gaps[dead].mean(axis=0) - gaps[~dead].mean(axis=0)


def main() -> None:
    """Measure and write the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--generator", default="autoregressive")
    parser.add_argument("--rows-at-most", type=int, default=10**9)
    parser.add_argument("--out", type=Path, default=ROOT / "reports" / "benchmark" / "missingness.md")
    given = parser.parse_args()
    source = bundled("support2")
    whole = read_table(source.path, source.schema).head(given.rows_at_most)
    train, unseen = split(whole, source.schema, key=b"missingness")
    model = recipe(given.generator).fit(train, source.schema, seed=1)
    made = model.sample(len(train), seed=2).table
    tables = {"learnt from": train, "unseen": unseen, "synthetic": made}
    found = {name: measured(table, source.schema) for name, table in tables.items()}
    gap = found["synthetic"][0].value - found["learnt from"][0].value
    packages = ("ehrsynth", "numpy", "pandas", "scikit-learn", "lightgbm")
    others = [column.name for column in source.schema.learnt if column.name != OUTCOME]
    apart = found["synthetic"][1] - found["learnt from"][1]
    worst = np.argsort(-np.abs(apart))[:5]
    lines = [
        "# What missing cells say about death",
        "",
        f"`python scripts/benchmark/missingness.py` on {dt.datetime.now(dt.UTC):%Y-%m-%d}.",
        f"Python {platform.python_version()}, {', '.join(f'{name} {version(name)}' for name in packages)};",
        f"{platform.machine()}, {os.cpu_count()} cores.",
        "",
        f"support2, {len(whole):,} patients, `{given.generator}` with its defaults: AUROC of predicting",
        f"{OUTCOME} from the pattern of missing cells alone.",
        "",
        "| patients | rows | AUROC | 95 % interval |",
        "|---|---|---|---|",
        *(
            f"| {name} | {len(tables[name]):,} | {one.value:.3f} | {one.low:.3f} to {one.high:.3f} |"
            for name, (one, _) in found.items()
        ),
        "",
        f"Synthetic less learnt from: {gap:+.3f}; wanted: at most {WANTED} either way.",
        f"Kept: {'yes' if abs(gap) <= WANTED else 'NO'}.",
        "",
        "Columns whose share missing differs most, dead less alive, synthetic less learnt from:",
        ", ".join(f"{others[place]} {apart[place]:+.3f}" for place in worst) + ".",
        "",
    ]
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text("\n".join(lines))
    print(given.out.read_text())


if __name__ == "__main__":
    main()
