"""Measure rows drawn inside a condition: are they like the real patients who meet it, and what do they cost?

    python scripts/benchmark/conditions.py [--rows N] [--free N] [--seed N]

writes reports/benchmark/conditions.md. The bundled stroke trial (30 columns, patients with OCCODE 1 to 4) is
split by a keyed hash; the default `autoregressive` model learns from one half. For each of twelve conditions
the marginal of every other column is compared with that of the held-out patients who meet the condition, by
the total variation distance (Kolmogorov-Smirnov's for numbers; missing is a state of its own).

A column lies within the band when its distance is at most the 95th percentile of the distance between two
bootstrap samples of those held-out patients, one of their number and one of the number of rows drawn: 95 % of
columns would lie there if the rows were drawn from the same patients. The strict band leaves out that drawn
rows err by chance too: the distance of one bootstrap sample to the patients themselves. Beside the sampler's
rows stand training patients who meet the condition (what real patients reach), and rows of a free sample of
the model that happen to meet it (what a sampler without any error reaches with this model).
"""

import argparse
import datetime as dt
import os
import platform
import time
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np
from scipy.stats import beta

from ehrsynth.conditions import Condition
from ehrsynth.encoding import encode, encoding
from ehrsynth.errors import EhrSynthError
from ehrsynth.generators.autoregressive import Autoregressive, FittedAutoregressive
from ehrsynth.schema import Schema
from ehrsynth.tables import read_table, split
from ehrsynth.tables.bundled import bundled

ROOT = Path(__file__).parents[2]
CONDITIONS = (
    "AGE >= 80",
    'OCCODE == "1"',
    'SEX == "F" and AGE >= 80',
    '60 <= AGE < 80 and STYPE in ("LACS", "PACS") and missing(DPLACE)',
    "TD < 5",
    "ISC14",
    '60 <= AGE < 80 and STYPE in ("LACS", "PACS") and missing(RATRIAL)',
    'DPLACE == "E" and OCCODE == "1"',
    'SEX == "F" and AGE >= 80 and RSBP >= 220',
    'H14 and OCCODE == "1"',
    'AGE >= 90 and OCCODE == "4"',
    "H14 and TD < 3",
)
FEWEST, BOOTSTRAP, SHARE, WORTH = 50, 2_000, 0.9, 500
FIRST, AFTER = 5.0, 1.0
DRAWS = 5
REPORT = """# Conditions

`python scripts/benchmark/conditions.py --rows {rows} --free {free} --seed {seed}` on {date:%Y-%m-%d}.
{here}, {machine}; load {load:.1f} (idle is 0).
{learnt} patients to learn from, {held} held out.

## Likeness

Columns within the 95 % band of the held-out patients (in brackets: within the strict band), the mean over
{draws} draws, each with free rows of its own; at least {share:.0%} are wanted where {fewest} patients meet
the condition. Filtered: of {free} free rows those that meet the condition, which shows what is the model's
doing and not the sampler's. Real: training patients who meet it.
The head of the script says what the bands are.

| condition | patients | drawn | filtered | real | kept | outside in most draws |
|---|---|---|---|---|---|---|
{likeness}

## Worth, probability and cost

{rows} rows; every row meets its condition and the schema. Wanted: worth {worth} independent rows, in
{first:.0f} s at first use and {after:.0f} s after (in brackets: of the processor). The interval is that of
the held-out patients' share (Clopper and Pearson); beside it stands the share of free rows.

| condition | estimate | held-out interval | inside | free rows | worth | first (s) | after (s) | kept |
|---|---|---|---|---|---|---|---|---|
{costs}
"""


class Column(NamedTuple):
    """One column of the real patients: what share each state has, and whether states are numbers."""

    name: str
    place: int
    size: int
    numeric: bool


class Cost(NamedTuple):
    """Seconds on the clock and of the processor."""

    clock: float
    processor: float


def columns(schema: Schema, condition: Condition) -> list[Column]:
    """The columns that the condition leaves free."""
    found = [Column(c.name, p, c.size, encoding(c).numeric) for p, c in enumerate(schema.learnt)]
    return [column for column in found if column.name not in condition.columns]


def shares(rows, column: Column):
    """The share of each state, missing first."""
    return np.bincount(rows[:, column.place] + 1, minlength=column.size + 1) / len(rows)


def distance(one, other, column: Column):
    """Kolmogorov-Smirnov's distance of numbers, total variation of categories, along the last axis."""
    gap = one - other
    return np.abs(gap.cumsum(-1)).max(-1) if column.numeric else np.abs(gap).sum(-1) / 2


def outside(real, rows, free: list[Column], rng) -> tuple[list[str], list[str]]:
    """The columns outside the band, and outside the strict band."""
    wide, strict = [], []
    for column in free:
        truth, made = shares(real, column), shares(rows, column)
        patients = rng.multinomial(len(real), truth, BOOTSTRAP) / len(real)
        drawn = rng.multinomial(len(rows), truth, BOOTSTRAP) / len(rows)
        # Where all patients agree the bootstrap is blind: an event never seen may have a chance of 3 / n.
        least = 3 / len(real) if truth.max() == 1 else 0.0
        found = distance(made, truth, column)
        for bounds, missed in (
            (distance(patients, drawn, column), wide),
            (distance(patients, truth, column), strict),
        ):
            if found > max(float(np.quantile(bounds, 0.95)), least) + 1e-12:
                missed.append(column.name)
    return wide, strict


def interval(hits: int, n: int) -> tuple[float, float]:
    """Clopper and Pearson's 95 % interval of a share."""
    low = float(beta.ppf(0.025, hits, n - hits + 1)) if hits else 0.0
    return low, float(beta.ppf(0.975, hits + 1, n - hits))


def timed(work) -> tuple[object, Cost]:
    """What the work gives, and its cost."""
    start, used = time.perf_counter(), time.process_time()
    found = work()
    return found, Cost(time.perf_counter() - start, time.process_time() - used)


def prepared(seed: int):
    """The model and the codes of its training and of the held-out patients."""
    trial = bundled("ist")
    schema = trial.demo_schema
    table = read_table(trial.path, trial.schema)[list(schema.names)]
    kept = Condition.parse(trial.demo_where, schema).mask(encode(table, schema))
    train, holdout = split(table[kept].reset_index(drop=True), schema, key=b"conditions")
    model = cast("FittedAutoregressive", Autoregressive().fit(train, schema, seed=seed))
    return model, encode(train, schema), encode(holdout, schema)


def fresh(model: FittedAutoregressive, number: int = 0) -> FittedAutoregressive:
    """The same model with nothing drawn yet; numbers above 0 have other free rows to begin from."""
    found = type(model)(model.schema, model.recipe, model.chain)
    if number:
        found.__dict__["_pool"] = found._pool_of(np.random.default_rng(number))  # noqa: SLF001
    return found


def one(where: str, model, real, rows: int, seed: int) -> tuple[list[str], str]:
    """A line of each of the two tables of the report, or why there is none."""
    train, holdout, free_rows = real
    condition, schema = Condition.parse(where, model.schema), model.schema
    rng, free = np.random.default_rng(seed), columns(schema, condition)
    mine, theirs, ours = (codes[condition.mask(codes)] for codes in (holdout, train, free_rows))
    used = fresh(model)
    sample, first = timed(lambda: used.sample(rows, where=where, seed=seed))
    _, after = timed(lambda: used.sample(rows, where=where, seed=seed + 1))
    drawn = [encode(sample.table, schema)]
    # One draw of a thousand rows, and one set of free rows that it begins from, say little of likeness.
    later = (fresh(model, more).sample(rows, where=where, seed=seed + more).table for more in range(1, DRAWS))
    drawn += [encode(table, schema) for table in later]
    valid = all(bool(condition.mask(codes).all()) for codes in drawn)
    low, high = interval(len(mine), len(holdout))
    fits = "yes" if low <= sample.probability <= high else "NO"
    numbers = [
        f"{sample.probability:.5f}",
        f"{low:.5f} to {high:.5f}",
        fits,
        f"{len(ours) / len(free_rows):.5f}",
    ]
    cost = [f"{first.clock:.2f} ({first.processor:.2f})", f"{after.clock:.2f} ({after.processor:.2f})"]
    kept = valid and sample.effective_sample_size >= WORTH and first.clock < FIRST and after.clock < AFTER
    facts = [f"`{where}`", *numbers, f"{sample.effective_sample_size:.0f}", *cost, "yes" if kept else "NO"]
    if len(mine) < FEWEST:
        return facts, f"| `{where}` | {len(mine)} | too few held-out patients | | | | |"
    picked = [drawn, *([some(found, rows, rng) for _ in range(DRAWS)] for found in (ours, theirs))]
    missed = [[outside(mine, codes, free, rng) for codes in kind] for kind in picked]
    inside = [[len(free) - np.mean([len(one[which]) for one in kind]) for which in (0, 1)] for kind in missed]
    cells = [f"{wide:.1f} ({strict:.1f}) of {len(free)}" for wide, strict in inside]
    met = "yes" if inside[0][0] >= SHARE * len(free) else "NO"
    often = [c.name for c in free if sum(c.name in wide for wide, _ in missed[0]) > DRAWS / 2]
    return facts, f"| `{where}` | {len(mine)} | {' | '.join(cells)} | {met} | {' '.join(often)} |"


def some(codes, rows: int, rng):
    """Up to so many rows, without regard to their order."""
    return codes[rng.permutation(len(codes))[:rows]]


def main() -> None:
    """Measure and write the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000, help="rows drawn inside each condition")
    parser.add_argument(
        "--free", type=int, default=200_000, help="free rows that are filtered for comparison"
    )
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    model, train, holdout = prepared(given.seed)
    free_rows = fresh(model)._draw(given.free, None, given.seed + 100, lambda *_: None).codes  # noqa: SLF001
    costs, likeness = [], []
    for where in CONDITIONS:
        try:
            facts, line = one(where, model, (train, holdout, free_rows), given.rows, given.seed)
        except EhrSynthError as error:
            facts, line = [f"`{where}`", str(error).splitlines()[0], *[""] * 7], f"| `{where}` | refused |"
        costs.append(f"| {' | '.join(facts)} |")
        likeness.append(line)
    text = REPORT.format(
        rows=given.rows,
        free=given.free,
        seed=given.seed,
        date=dt.datetime.now(dt.UTC),
        here=", ".join(f"{name} {version(name)}" for name in ("ehrsynth", "lightgbm", "numpy")),
        machine=f"Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} cores",
        load=os.getloadavg()[0],
        learnt=len(train),
        held=len(holdout),
        share=SHARE,
        draws=DRAWS,
        fewest=FEWEST,
        worth=WORTH,
        first=FIRST,
        after=AFTER,
        likeness="\n".join(likeness),
        costs="\n".join(costs),
    )
    out = ROOT / "reports" / "benchmark" / "conditions.md"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(text)
    print(out)


if __name__ == "__main__":
    main()
