"""Does what is missing say the same about death in synthetic patients as in real ones?

    python scripts/benchmark/missingness.py [--rows-at-most N]

writes reports/benchmark/missingness.md. On the bundled support2 table the outcome hospdead is predicted from
the pattern of missing cells, and from nothing else: cross-validated AUROC of logistic regression and of
boosted trees, among the patients learnt from, unseen ones, and synthetic ones of three models. To tell where
a difference comes from, deaths are also drawn by the models for the real patients: only the columns before
the outcome in the chain count there.
"""

import argparse
import datetime as dt
import os
import platform
from importlib.metadata import version
from pathlib import Path

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from ehrsynth.encoding import decode, encode
from ehrsynth.generators.chain.bounds import bounds_of
from ehrsynth.generators.chain.particles import log_density
from ehrsynth.generators.recipes import recipe
from ehrsynth.randomness import numpy_generator
from ehrsynth.statistics import auroc
from ehrsynth.tables import read_table, split
from ehrsynth.tables.bundled import bundled

ROOT = Path(__file__).parents[2]
OUTCOME, WANTED = "hospdead", 0.02
# Shuffled: the file is in no random order, and folds in its order are strangers to each other.
FOLDS = StratifiedKFold(5, shuffle=True, random_state=0)
SEEDS, DRAWS = (1, 2, 3), 10


LEARNERS = {
    "logistic regression": LogisticRegression(max_iter=1_000),
    "boosted trees": HistGradientBoostingClassifier(max_iter=50, random_state=0),
}


def telling(codes, names, of):
    """The AUROC of each learner, and of each column the difference in the share missing: dead less alive."""
    dead = codes[:, names.index(OUTCOME)] == 1
    gaps = codes[:, [names.index(name) for name in of]] < 0
    found = [
        auroc(
            dead, cross_val_predict(model, gaps.astype(float), dead, cv=FOLDS, method="predict_proba")[:, 1]
        )
        for model in LEARNERS.values()
    ]
    return found, gaps[dead].mean(axis=0) - gaps[~dead].mean(axis=0)


def with_drawn_deaths(chain, codes, names, seed):
    """The same patients, their outcome drawn by its link given the columns before it."""
    step, place = chain.names.index(OUTCOME), names.index(OUTCOME)
    seen, bounds = chain.matrix(codes)[:, :step], bounds_of(chain.schema, chain.order)[step]
    alive, dead = (
        log_density(chain, step, seen, codes, own=np.full(len(codes), code), bounds=bounds) for code in (0, 1)
    )
    drawn = codes.copy()
    drawn[:, place] = numpy_generator(seed, "deaths").random(len(codes)) < 1 / (1 + np.exp(alive - dead))
    return drawn


def spread(values):
    """Mean and standard deviation."""
    return f"{np.mean(values):.3f} ({np.std(values):.3f})"


def main() -> None:
    """Measure and write the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rows-at-most", type=int, default=10**9)
    parser.add_argument("--out", type=Path, default=ROOT / "reports" / "benchmark" / "missingness.md")
    given = parser.parse_args()
    source = bundled("support2")
    whole = read_table(source.path, source.schema).head(given.rows_at_most)
    names = [column.name for column in source.schema.learnt]
    others = [name for name in names if name != OUTCOME]
    train, unseen = (encode(t, source.schema) for t in split(whole, source.schema, key=b"missingness"))
    found = {
        key: [telling(codes, names, others)] for key, codes in (("learnt from", train), ("unseen", unseen))
    }
    found |= {"synthetic": []}
    traced = {"learnt from": [], "learnt from, deaths drawn": [], "synthetic": []}
    table = decode(train, source.schema)
    for seed in SEEDS:
        model = recipe("autoregressive").fit(table, source.schema, seed=seed)
        made = encode(model.sample(len(train), seed=seed).table, source.schema)
        before = model.chain.names[: model.chain.names.index(OUTCOME)]
        found["synthetic"].append(telling(made, names, others))
        drawn = [with_drawn_deaths(model.chain, train, names, draw) for draw in range(DRAWS)]
        for key, many in (
            ("learnt from", [train]),
            ("learnt from, deaths drawn", drawn),
            ("synthetic", [made]),
        ):
            traced[key] += [telling(codes, names, before)[0] for codes in many]
    means = {key: np.mean([one for one, _ in many], axis=0) for key, many in found.items()}
    gaps = means["synthetic"] - means["learnt from"]
    kept = ", ".join(
        f"{gap:+.3f} by {name} ({'kept' if abs(gap) <= WANTED else 'NOT kept'})"
        for name, gap in zip(LEARNERS, gaps, strict=True)
    )
    heads = " | ".join(LEARNERS)
    packages = ("ehrsynth", "numpy", "pandas", "scikit-learn", "lightgbm")
    apart = np.mean([one for _, one in found["synthetic"]], axis=0) - found["learnt from"][0][1]
    worst = np.argsort(-np.abs(apart))[:5]
    lines = [
        "# What missing cells say about death",
        "",
        f"`python scripts/benchmark/missingness.py` on {dt.datetime.now(dt.UTC):%Y-%m-%d}.",
        f"Python {platform.python_version()}, {', '.join(f'{name} {version(name)}' for name in packages)};",
        f"{platform.machine()}, {os.cpu_count()} cores.",
        "",
        f"support2, {len(whole):,} patients, `autoregressive` with its defaults, {len(SEEDS)} models:",
        f"AUROC of predicting {OUTCOME} from the pattern of missing cells alone.",
        "",
        f"| patients | {heads} |",
        "|---|---|---|",
        *(f"| {key} | {' | '.join(f'{value:.3f}' for value in one)} |" for key, one in means.items()),
        "",
        f"Synthetic less learnt from: {kept}; wanted: at most {WANTED} either way.",
        "",
        "Columns whose share missing differs most, dead less alive, synthetic less learnt from:",
        ", ".join(f"{others[place]} {apart[place]:+.3f}" for place in worst) + ".",
        "",
        "## Where it is lost",
        "",
        f"The same from the columns before {OUTCOME} in the chain alone. Where the link of {OUTCOME} draws",
        f"deaths for real patients ({DRAWS} times), what it keeps is the link's doing; what is lost beyond",
        "that is lost by the links of the covariates, which forget a little each of why a cell was missing.",
        "In brackets: standard deviations over draws and models.",
        "",
        f"| patients | {heads} |",
        "|---|---|---|",
        *(f"| {key} | {' | '.join(map(spread, np.transpose(many)))} |" for key, many in traced.items()),
        "",
    ]
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text("\n".join(lines))
    print(given.out.read_text())


if __name__ == "__main__":
    main()
