"""Compare the effects of ten baseline predictors of death in the stroke trial, real against synthetic.

    python scripts/benchmark/effects.py [--generators NAME ...] [--ctgan-epochs N]

writes reports/calibration/effects.md, after each generator anew. Half of the patients train the generators;
the other half are the holdout. Death within 14 days (ID14) by logistic regression.
For CTGAN fewer epochs than its authors' 300 may be asked for; the report says how many there were.
"""

import argparse
import datetime as dt
from pathlib import Path

from ehrsynth.evaluation.utility.effect_estimates import effect_estimates
from ehrsynth.registry import resolve
from ehrsynth.schema import Schema
from ehrsynth.tables import read_table
from ehrsynth.tables.bundled import bundled
from ehrsynth.tables.splitting import split

ROOT = Path(__file__).parents[2]
SEED = 14
PREDICTORS = ("RDELAY", "RCONSC", "SEX", "AGE", "RATRIAL", "RCT", "RVISINF", "RSBP", "RDEF4", "STYPE")


def question(schema: Schema) -> Schema:
    """The demo's schema with death as the only outcome and the ten predictors as the only covariates."""
    roles = dict.fromkeys(PREDICTORS, ("covariate",)) | {"ID14": ("outcome",)}
    return schema.changed(
        columns=tuple(c.model_copy(update={"roles": roles.get(c.name, ())}) for c in schema.columns)
    )


def arguments():
    """What the command line chooses."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--generators", nargs="+", default=["autoregressive", "ctgan"])
    parser.add_argument("--ctgan-epochs", type=int, default=300)
    return parser.parse_args()


def main() -> None:
    """Fit, compare and write the report."""
    given, chosen = bundled("ist"), arguments()
    schema = given.demo_schema
    table = read_table(given.path, given.schema)[list(schema.names)]
    table = table[table["OCCODE"].notna()].reset_index(drop=True)
    train, holdout = split(table, schema, key=b"effects of ten predictors".ljust(32), holdout=0.5)
    today, command = (
        dt.datetime.now(dt.UTC).date(),
        f"--generators {' '.join(chosen.generators)} --ctgan-epochs {chosen.ctgan_epochs}",
    )
    lines = [
        "# Effects of ten baseline predictors on death within 14 days (IST)",
        "",
        f"`python scripts/benchmark/effects.py {command}` on {today}, seed {SEED};",
        f"{len(train)} patients trained the generators, {len(holdout)} are the holdout. Logistic regression;",
        "difference = (synthetic - real) / the real standard error, overlap = Karr's interval overlap.",
        "Whether significance agrees is shown and decides nothing.",
    ]
    out = ROOT / "reports" / "calibration" / "effects.md"
    out.parent.mkdir(parents=True, exist_ok=True)
    for name in chosen.generators:
        settings = {"epochs": chosen.ctgan_epochs} if name == "ctgan" else {}
        recipe = resolve("generator", name)(**settings)
        made = recipe.fit(train, schema, seed=SEED).sample(len(train), seed=SEED + 1).table
        title = f"{name}, {recipe.epochs} epochs (its authors' default is 300)" if settings else name
        lines += section(title, effect_estimates(train, holdout, made, question(schema), seed=SEED))
        out.write_text("\n".join([*lines, ""]))
    print(out)


def section(name, score):
    """One generator's table."""
    study = next(iter(score.details["studies"].values()))
    mean, own = score.details["mean"], score.details["mean_of_holdout"]
    lines = [
        "",
        f"## {name}",
        "",
        f"Mean |difference| {score.value:.2f} ({score.low:.2f} to {score.high:.2f}); the holdout's own "
        f"{score.reference:.2f}. Mean overlap {mean['overlap']:.2f} (holdout {own['overlap']:.2f}), "
        f"mean ratio of standard errors {mean['ratio_of_errors']:.2f} ({own['ratio_of_errors']:.2f}). "
        "Complete cases: " + ", ".join(f"{n} {k}" for n, k in study["complete_cases"].items()) + ".",
        "",
        "| term | real (SE) | synthetic (SE) | holdout (SE) | off by | holdout | overlap | holdout | agree |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for c in study["coefficients"]:
        three = [number(c[n]) for n in ("real", "synthetic", "holdout")]
        a, b = c["synthetic_against_real"], c["holdout_against_real"]
        pairs = [
            (a, "standardised_difference"),
            (b, "standardised_difference"),
            (a, "overlap"),
            (b, "overlap"),
        ]
        values = [two(x[n]) for x, n in pairs]
        agree = {True: "yes", False: "no", None: ""}[a["significance_agrees"]]
        lines.append(f"| {' | '.join([c['term'], *three, *values, agree])} |")
    return lines


def number(found):
    """An estimate with its standard error."""
    return f"{two(found['estimate'])} ({two(found['error'])})"


def two(value):
    """Two decimals, or nothing."""
    return "" if value is None else f"{value:.2f}"


if __name__ == "__main__":
    main()
