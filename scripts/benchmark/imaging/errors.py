"""How often the verdict of an image study is wrong, both ways.

    python scripts/benchmark/imaging/errors.py [--runs 400] [--publish]

A study is simulated on points instead of images: two classes in 60 dimensions that overlap, one of them rare,
three folds by three seeds with training sides that are cut as in the benchmark, and the study's own scores,
intervals and verdict. "Synthetic" points are copies of training points with noise (they hold nothing new), or
real points from the same population that nobody else has (they hold what a perfect model would give). It
writes reports/imaging/errors.md and, with --publish, the data file that the study reads its error rates from.
"""

import argparse
import datetime as dt
from importlib.metadata import version
from pathlib import Path

import numpy as np
import yaml
from sklearn.linear_model import LogisticRegression
from written import columns, head, row, write

from ehrsynth.imaging.study.arms import CONTROL, PRIMARY
from ehrsynth.imaging.study.frozen import with_matched
from ehrsynth.imaging.study.verdict import decide

ROOT = Path(__file__).parents[3]
RATES = ROOT / "ehrsynth" / "imaging" / "study" / "error_rates.yaml"
D, RARE, COMMON, FOLDS, SEEDS = 60, 450, 1300, 3, 3
TAUGHT = {0: 60, 1: 540}
# Kind: (in words, whether there is a gain, real points that the treated arm has more of the rare class).
KINDS = {
    "nothing": ("studies where synthetic images hold nothing new", False, 0),
    "half": ("studies where they are worth half as many real images more", True, 30),
    "double": ("studies where they are worth as many real images more", True, 60),
    "triple": ("studies where they are worth twice as many real images more", True, 120),
}
APART = 2.4  # Euclidean distance of the classes' means, in standard deviations


def population(rng):
    """Points and labels: 0 is rare."""
    labels = np.repeat([0, 1], [RARE, COMMON])
    points = rng.normal(size=(len(labels), D))
    points[labels == 0] *= 1.1
    points[labels == 0, 0] += APART
    return points, labels


def taught(points, labels):
    """Logistic regression that counts both classes alike."""
    weights = (1 / np.bincount(labels))[labels]
    return LogisticRegression(C=0.02, max_iter=200).fit(
        points, labels, sample_weight=weights * len(labels) / 2
    )


def split_of(labels, rng):
    """The fold of each point, classes spread evenly."""
    side = np.empty(len(labels), int)
    for k in (0, 1):
        own = rng.permutation(np.flatnonzero(labels == k))
        side[own] = np.arange(len(own)) % FOLDS
    return side


def one_study(kind, seed):
    """The verdict of one simulated study."""
    rng = np.random.default_rng([seed, list(KINDS).index(kind)])
    points, labels = population(rng)
    more = rng.normal(size=(FOLDS * SEEDS, 200, D)) * 1.1
    more[..., 0] += APART
    splits = []
    for repeat in range(SEEDS):
        side = split_of(labels, rng)
        for fold in range(FOLDS):
            pool, test = np.flatnonzero(side != fold), np.flatnonzero(side == fold)
            rows = [rng.permutation(pool[labels[pool] == k])[:n] for k, n in TAUGHT.items()]
            real, own = points[np.concatenate(rows)], labels[np.concatenate(rows)]
            added, names = synthetic(kind, real, own, more[repeat * FOLDS + fold], rng)
            both = np.concatenate([real, added]), np.concatenate([own, names])
            told = {
                CONTROL.name: taught(real, own).predict_proba(points[test]),
                PRIMARY.name: taught(*both).predict_proba(points[test]),
            }
            arms = with_matched(told, labels[test], (0,))
            splits.append({"arms": {"tuned": arms, "untuned": arms}, "pool": len(pool), "n_test": len(test)})
    return decide(splits)


def synthetic(kind, real, own, more, rng):
    """What the treated arm has besides: real points of nobody else, or noisy copies."""
    count = KINDS[kind][2]
    if count:
        return more[:count], np.zeros(count, int)
    copied = np.concatenate([rng.choice(np.flatnonzero(own == k), 200) for k in (0, 1)])
    return real[copied] + 0.3 * rng.normal(size=(400, D)), own[copied]


def main():
    """Simulate and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=400)
    parser.add_argument("--publish", action="store_true")
    given = parser.parse_args()
    found = {}
    for kind in KINDS:
        verdicts = [one_study(kind, seed) for seed in range(given.runs)]
        gains = [v.primary.difference.value for v in verdicts]
        found[kind] = (sum(v.recommended for v in verdicts), float(np.mean(gains)), float(np.std(gains)))
        print(kind, found[kind], flush=True)
    report(found, given.runs)
    if given.publish:
        publish(found, given.runs)


def report(found, runs):
    """Write the table."""
    command = "python scripts/benchmark/imaging/errors.py --publish"
    lines = head("How often the verdict of an image study is wrong", command, "scikit-learn")
    lines += [
        f"Simulated studies: {D} dimensions, {TAUGHT[0]} rare and {TAUGHT[1]} frequent training points,",
        f"{FOLDS} folds by {SEEDS} seeds; the study's own scores, intervals and verdict.",
        "",
        *columns(["studies", "runs", "recommended", "share", "mean gain in minority recall (sd)"]),
    ]
    for kind, (named, gain, spread) in found.items():
        lines.append(row([KINDS[kind][0], runs, named, f"{named / runs:.1%}", f"{gain:+.3f} ({spread:.3f})"]))
    lines += [
        "",
        "A recommendation without a gain is an error (the lower end of a 95 % interval means 2.5 % at most);",
        "so is none where there is one. The table says how large a gain a study of this size can see.",
    ]
    write("errors.md", lines)


def publish(found, runs):
    """Write what the study reads."""
    rates = {
        "date": str(dt.datetime.now(dt.UTC).date()),
        "version": version("ehrsynth"),
        "folds": FOLDS,
        "seeds": SEEDS,
        "measured": [
            {"what": KINDS[kind][0], "gain": KINDS[kind][1], "runs": runs, "recommended": named}
            for kind, (named, _, _) in found.items()
        ],
    }
    head = (
        "# Written by scripts/benchmark/imaging/errors.py --publish; reports/imaging/errors.md explains it.\n"
    )
    RATES.write_text(head + yaml.safe_dump(rates, sort_keys=False, allow_unicode=True), encoding="utf-8")


if __name__ == "__main__":
    main()
