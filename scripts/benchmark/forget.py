"""What forgetting costs and what it leaves: shards against one model, and an attack before and after.

    python scripts/benchmark/forget.py measure [--data DIR] [--work DIR] [--seeds 0 1 2] [--only PART ...]
    python scripts/benchmark/forget.py report

The first writes one JSON a part and seed to reports/benchmark/forget/ (what stands there is not measured
again), the second reports/benchmark/forget.md and .png from them. The table is the stroke trial with the
splits and judges of scripts/benchmark/tabular.
"""

import argparse
import datetime as dt
import hashlib
import json
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(Path(__file__).parent))

from tabular.sources import split  # noqa: E402

from ehrsynth.errors import MissingPackage  # noqa: E402 - after the path
from ehrsynth.evaluation.fidelity.classifier_two_sample import classifier_two_sample  # noqa: E402
from ehrsynth.evaluation.privacy.nearest_record import nearest_record  # noqa: E402
from ehrsynth.generators.base import AbstractFitted  # noqa: E402
from ehrsynth.generators.forgetting import able_to_forget  # noqa: E402
from ehrsynth.generators.recipes import recipe  # noqa: E402
from ehrsynth.generators.storage import save_model  # noqa: E402
from ehrsynth.registry import known  # noqa: E402
from ehrsynth.schema import Schema  # noqa: E402
from ehrsynth.schema.yaml_files import load_schema  # noqa: E402
from ehrsynth.tables import read_table, write_table  # noqa: E402

OUT = ROOT / "reports" / "benchmark" / "forget"
SHARDS = 8
FASTER, WITHIN = 6.0, 0.03  # what is asked of shards: times as fast as learning all again, and C2ST
Json = dict[str, Any]
# Name in the report: generator, settings alone, settings in a shard.
COMPARED: dict[str, tuple[str, Json, Json]] = {
    "autoregressive": ("autoregressive", {}, {}),
    "autoregressive, held back": ("autoregressive", {}, {"ridge": 1.0, "rate": 0.1}),
    "cart": ("cart", {}, {}),
}
QUICK: dict[str, Json] = {
    "auto": {"candidates": ["cart", "independent"], "splits": 2},
    "ctgan": {"epochs": 3},
    "tvae": {"epochs": 3},
    "diffusion": {"epochs": 5},
}
FEW, GONE = 1_500, 500
OVERFITTED: Json = {"leaf": 1}


def tables(seed: int, arguments: argparse.Namespace) -> tuple[pd.DataFrame, pd.DataFrame, Schema]:
    """The patients to learn from, those held out, and the schema."""
    found = split("ist", seed, data=arguments.data, work=arguments.work)
    schema = load_schema(found.schema)
    return read_table(found.train, schema), read_table(found.holdout, schema), schema


def timed(work: Callable[[], AbstractFitted]) -> tuple[float, AbstractFitted]:
    """Seconds of the processor, so that other work on the machine does not count, and the model."""
    start = time.process_time()
    made = work()
    return time.process_time() - start, made


def in_shards(name: str) -> Json:
    """The settings of a sharded recipe."""
    generator, _, settings = COMPARED[name]
    return {"generator": generator, "settings": settings, "shards": SHARDS}


def sharded(name: str, seed: int, arguments: argparse.Namespace) -> Json:
    """Seconds to learn and to forget one patient, and how well a judge tells the tables from real ones."""
    train, holdout, schema = tables(seed, arguments)
    recipe("cart").fit(train.head(100), schema, seed=0)  # what is imported on first use
    rows, rest = train.iloc[[17]].reset_index(drop=True), train.drop(index=17).reset_index(drop=True)
    generator, settings, _ = COMPARED[name]
    alone, one = timed(lambda: recipe(generator, settings).fit(train, schema, seed=seed))
    refitted, many = timed(lambda: recipe("sharded", in_shards(name)).fit(train, schema, seed=seed))
    forgotten, mended = timed(lambda: many.forget(rows, rest, seed=seed))
    found: Json = {"patients": len(train), "alone": alone, "refitted": refitted, "forgotten": forgotten}
    again = recipe("sharded", in_shards(name)).fit(rest, schema, seed=seed)
    found["exact"] = digest(mended) == digest(again)
    for what, model in (("one model", one), ("shards", many)):
        made = model.sample(len(train), seed=seed).table
        score = classifier_two_sample(train, holdout, made, schema, seed=seed)
        risk = nearest_record(train, holdout.iloc[1::2], holdout.iloc[::2], made, schema, seed=seed)
        found[what] = {
            "c2st": [score.value, score.low, score.high],
            "judges": {judge: told["value"] for judge, told in score.details["learners"].items()},
            "nearest_record": risk.details["auroc"],
        }
        found["real"] = score.reference
    return found


def digest(model: AbstractFitted) -> str:
    """Hex SHA-256 of a model's folder."""
    with tempfile.TemporaryDirectory() as place:
        save_model(model, Path(place) / "model")
        return hashlib.sha256((Path(place) / "model" / "seal.json").read_bytes()).hexdigest()


def exact(name: str, seed: int, arguments: argparse.Namespace) -> Json:
    """Whether forgetting gives the bytes of a fit on a file that never held the patients."""
    train, _, schema = tables(seed, arguments)
    chosen = recipe(name, QUICK.get(name, {}))
    if chosen.asked is not None:
        return {"skipped": "differentially private: the noise is fresh each time"}
    train = train.head(FEW)
    gone = np.isin(np.arange(FEW), np.random.default_rng(seed).permutation(FEW)[:5])
    rows, rest = (train[mask].reset_index(drop=True) for mask in (gone, ~gone))
    with tempfile.TemporaryDirectory() as place:
        write_table(rest, schema, Path(place) / "never.csv")
        never = read_table(Path(place) / "never.csv", schema)
    model = chosen.fit(train, schema, seed=seed)
    able = able_to_forget(model)
    mended = able.forget(rows, rest, seed=seed) if able else chosen.fit(rest, schema, seed=seed)
    fresh = digest(chosen.fit(never, schema, seed=seed))
    return {"equal": digest(mended) == fresh, "changed": digest(model) != fresh, "shorter": able is not None}


def attacked(name: str, seed: int, arguments: argparse.Namespace) -> Json:
    """An attack on forgotten patients of an overfitted model, before and after."""
    train, holdout, schema = tables(seed, arguments)
    everyone = train.head(2_000)
    gone, stay = everyone.head(GONE).reset_index(drop=True), everyone.iloc[GONE:].reset_index(drop=True)
    never, others, reference = np.split(holdout, [2_000, 2_000 + GONE])
    settings = OVERFITTED
    if name == "sharded":
        settings = {"generator": "cart", "settings": OVERFITTED, "shards": SHARDS}
    chosen = recipe(name, settings)
    before = chosen.fit(everyone, schema, seed=seed)
    able = able_to_forget(before)
    after = able.forget(gone, stay, seed=seed + 100) if able else chosen.fit(stay, schema, seed=seed + 100)

    def auroc(model: AbstractFitted, targets: pd.DataFrame) -> Json:
        made = model.sample(4 * len(everyone), seed=seed).table
        sides = [t.reset_index(drop=True) for t in (targets, never, reference)]
        return dict(nearest_record(*sides, made, schema, seed=seed).details["auroc"])

    return {
        "before": auroc(before, gone),
        "after": auroc(after, gone),
        "never": auroc(after, others),
        "stayed": auroc(after, stay.head(GONE)),
    }


PARTS: dict[str, tuple[Callable[..., Json], tuple[str, ...]]] = {
    "shards": (sharded, tuple(COMPARED)),
    "exact": (exact, tuple(known("generator"))),
    "attack": (attacked, ("cart", "sharded")),
}


def measure(arguments: argparse.Namespace) -> None:
    """Measure what was not measured yet."""
    warnings.simplefilter("ignore")
    OUT.mkdir(parents=True, exist_ok=True)
    for part in arguments.only:
        work, names = PARTS[part]
        for seed in arguments.seeds if part != "exact" else arguments.seeds[:1]:
            for name in names:
                file = OUT / f"{part}-{name.replace(', ', '-').replace(' ', '-')}-{seed}.json"
                if file.is_file() or (arguments.name and name not in arguments.name):
                    continue
                try:
                    found = work(name, seed, arguments)
                except MissingPackage as error:
                    found = {"skipped": str(error)}
                stamp = {"name": name, "seed": seed, "date": dt.date.today().isoformat()}  # noqa: DTZ011
                file.write_text(json.dumps(stamp | found, indent=1) + "\n")
                print(file.name, found, flush=True)


def stored(part: str) -> Iterator[Json]:
    """What was measured of one part."""
    for file in sorted(OUT.glob(f"{part}-*.json")):
        yield json.loads(file.read_text())


def mean(values: list[float]) -> float:
    """The mean."""
    return float(np.mean(values))


def met(kept: bool) -> str:  # noqa: FBT001 - the verdict itself
    """Whether what was wanted was found."""
    return "met" if kept else "MISSED"


def of_shards() -> Iterator[str]:
    """The lines about shards."""
    yield (
        f"| recipe | seeds | learn one model, s | learn {SHARDS} shards, s | forget one patient, s | faster"
        " than all shards | faster than one model | C2ST, one model | C2ST, shards | difference | nearest,"
        " one model | nearest, shards | bytes of a fit without | speed | C2ST | bytes |"
    )
    yield "|---" * 16 + "|"
    runs = list(stored("shards"))
    for name in dict.fromkeys(run["name"] for run in runs):
        own = [run for run in runs if run["name"] == name]
        alone, all_, forgotten = (mean([r[k] for r in own]) for k in ("alone", "refitted", "forgotten"))
        one, many = (mean([r[k]["c2st"][0] for r in own]) for k in ("one model", "shards"))
        near = [mean([r[k]["nearest_record"]["value"] for r in own]) for k in ("one model", "shards")]
        exact_ = all(r["exact"] for r in own)
        verdicts = (all_ / forgotten >= FASTER, abs(many - one) <= WITHIN, exact_)
        yield (
            f"| {name} | {len(own)} | {alone:.1f} | {all_:.1f} | {forgotten:.2f} | {all_ / forgotten:.1f} x |"
            f" {alone / forgotten:.1f} x | {one:.3f} | {many:.3f} | {many - one:+.3f} | {near[0]:.3f} |"
            f" {near[1]:.3f} | {'yes' if exact_ else 'no'} | {' | '.join(map(met, verdicts))} |"
        )


def of_bytes() -> Iterator[str]:
    """The lines about exactness."""
    yield "| generator | bytes of a fit that never saw them | by | wanted |"
    yield "|---|---|---|---|"
    for run in stored("exact"):
        if "skipped" in run:
            yield f"| {run['name']} | not tried: {run['skipped']} | - | - |"
            continue
        way = "a shorter way" if run["shorter"] else "learning all again"
        same = run["equal"] and run["changed"]
        yield f"| {run['name']} | {'yes' if same else 'no'} | {way} | {met(same)} |"


def of_attacks() -> Iterator[str]:
    """The lines about the attack."""
    heads = ("model", "seed", "forgotten, before", "forgotten, after", "never members", "who stayed")
    yield f"| {' | '.join(heads)} | before above never | after within never | wanted |"
    yield "|---" * 9 + "|"
    for run in stored("attack"):
        cells = [
            f"{run[k]['value']:.3f} ({run[k]['low']:.3f} to {run[k]['high']:.3f})"
            for k in ("before", "after", "never", "stayed")
        ]
        inside = run["never"]["low"] <= run["after"]["value"] <= run["never"]["high"]
        above = run["before"]["low"] > run["never"]["high"]
        cells += ["yes" if one else "no" for one in (above, inside)]
        yield f"| {run['name']} | {run['seed']} | {' | '.join(cells)} | {met(above and inside)} |"


TEXT = """# Forgetting

Written by `python scripts/benchmark/forget.py measure --data DIR` and `... report` on {date}; ehrsynth {own},
scikit-learn {sklearn}, lightgbm {lightgbm}, torch {torch}. Seconds are those of the processor. The table is
the stroke trial (`ist`), half to learn from, half held out, splits as in [tabular.md](tabular.md).

## {shards} shards against one model

C2ST: how well boosted trees tell synthetic from held-out patients (0.5 is perfect; real against real
{real:.3f}).
Nearest record: the AUROC of that membership attack on all patients who were learnt from (0.5 is harmless).
Wanted: forgetting one patient at least {faster:g} times as fast as learning all again (speed), a C2ST within
{within:g} of one model's (C2ST), and the bytes of a fit without the patient (bytes); each was met or MISSED.

{sharded}

## Bytes

For each generator: {few:,} patients learnt, 5 forgotten, and the model's folder held against that of a fit on
a file that never held them, with the same seed: they are to be the same, and others than before. The whole
command, with its release, is held to the same by `tests/deletion/test_every_generator.py`.

{bytes}

## An attack before and after

A model that was overfitted on purpose (trees with one patient in a leaf, 2,000 patients) and {gone} patients
who are forgotten, with a fresh seed. The attack measures how near a patient is to the synthetic table (AUROC
against 2,000 patients whom no model saw, with 95 % interval; 0.5 is chance). "Never members" are {gone}
others whom no model saw: beforehand the forgotten must be above their interval, afterwards within it. "Who
stayed" shows that the attack still works.

![The attack before and after](forget.png)

{attacked}
"""


def report(arguments: argparse.Namespace) -> None:
    """Write the report from what was measured."""
    del arguments
    versions = {name.replace("-", "_"): version(name) for name in ("scikit-learn", "lightgbm", "torch")}
    text = TEXT.format(
        date=dt.date.today().isoformat(),  # noqa: DTZ011 - the day of the desk
        own=version("ehrsynth"),
        sklearn=versions["scikit_learn"],
        lightgbm=versions["lightgbm"],
        torch=versions["torch"],
        shards=SHARDS,
        faster=FASTER,
        within=WITHIN,
        real=mean([run["real"] for run in stored("shards")]),
        few=FEW,
        gone=GONE,
        sharded="\n".join(of_shards()),
        bytes="\n".join(of_bytes()),
        attacked="\n".join(of_attacks()),
    )
    OUT.with_suffix(".md").write_text(text)
    draw(OUT.with_suffix(".png"))


def draw(file: Path) -> None:
    """The attack as a picture."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    runs = list(stored("attack"))
    figure, axes = plt.subplots(figsize=(7.5, 0.9 + 0.55 * len(runs)))
    colours = {"before": "#b2182b", "after": "#2166ac", "never": "#777777"}
    words = {"before": "forgotten, before", "after": "forgotten, after", "never": "never members"}
    for line, run in enumerate(runs):
        for shift, (what, colour) in enumerate(colours.items()):
            told, height = run[what], -line + 0.2 * (1 - shift)
            axes.plot([told["low"], told["high"]], [height, height], color=colour, linewidth=2)
            label = words[what] if line == 0 else None
            axes.plot([told["value"]], [height], "o", color=colour, markersize=5, label=label)
    axes.axvline(0.5, color="black", linewidth=0.8, linestyle=":")
    axes.set_yticks([-k for k in range(len(runs))], [f"{r['name']}, seed {r['seed']}" for r in runs])
    axes.set_xlim(0.4, 1.0)
    axes.set_xlabel("AUROC of the attack (0.5 is chance), with 95 % interval")
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
    figure.savefig(file, dpi=150, bbox_inches="tight")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("task", choices=("measure", "report"))
    parser.add_argument("--data", type=Path, default=None)
    parser.add_argument("--work", type=Path, default=Path("benchmark-work"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--only", nargs="+", choices=tuple(PARTS), default=tuple(PARTS))
    parser.add_argument("--name", nargs="+", default=())
    arguments = parser.parse_args()
    {"measure": measure, "report": report}[arguments.task](arguments)


if __name__ == "__main__":
    main()
