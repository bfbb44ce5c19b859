"""Does raking reach the margins of a target population? Country by sex by age band on the stroke trial.

    python scripts/benchmark/rebalance/raking.py

The target is made up: each country an equal share, sexes equal, age bands as in a younger population, and the
joint margin of sex and age band; in a second run age as a number (mean and standard deviation) beside country
and sex. Writes reports/rebalance/raking.md.
"""

from collections.abc import Iterator

import numpy as np
from running import head, table, write

from ehrsynth.rebalance.population import margins_of
from ehrsynth.rebalance.raking import Moment, achieved, rake
from ehrsynth.tables import read_table, to_values
from ehrsynth.tables.bundled import bundled

BANDS = {"< 60": 25, "60 <= AGE < 75": 40, "75 <= AGE < 85": 25, ">= 85": 10}
SEX = {"F": 50, "M": 50}


def populations(countries: dict[str, float]) -> dict[str, dict[str, dict[str, float]]]:
    """The targets."""
    whole = {band: band if "AGE" in band else f"AGE {band}" for band in BANDS}
    joint = {f'SEX == "{sex}" and ({whole[band]})': share / 2 for sex in SEX for band, share in BANDS.items()}
    return {
        "country, sex, age band": {"COUNTRY": countries, "SEX": SEX, "AGE": BANDS},
        "country, sex by age band": {"COUNTRY": countries, "sex by age band": joint},
        "country, sex, age as a number": {
            "COUNTRY": countries,
            "SEX": SEX,
            "AGE": {"mean": 66.0, "sd": 13.0},
        },
    }


def lines() -> Iterator[str]:
    """The report."""
    ist = bundled("ist")
    schema = ist.schema.subset(("SEX", "AGE", "COUNTRY"))
    patients = read_table(ist.path, schema)
    values = to_values(patients, schema)
    present = patients["COUNTRY"].value_counts()
    countries = {name: 1.0 for name, count in present.items() if count}
    yield from head("Raking to a target population", "python scripts/benchmark/rebalance/raking.py")
    yield (
        f"{len(patients):,} patients of the International Stroke Trial, {len(countries)} countries of"
        f" {present[present > 0].min()} to"
    )
    yield f"{present.max():,} patients. Asked for: every margin within 1 %."
    yield ""
    rows = []
    for name, target in populations(countries).items():
        margins = margins_of(target, values, schema)
        raked = rake(margins, len(patients))
        misses, relative = [], []
        for margin in margins:
            wanted = np.array([margin.target]) if isinstance(margin, Moment) else margin.shares
            gap = np.abs(achieved(margin, raked.weights) - wanted)
            misses.append(gap.max() / (np.nanstd(margin.values) if isinstance(margin, Moment) else 1.0))
            relative.append((gap / wanted).max())
        cells = sum(1 if isinstance(m, Moment) else len(m.labels) for m in margins)
        rows.append(
            (
                name,
                cells,
                raked.rounds,
                f"{max(misses):.1e}",
                f"{max(relative):.1e}",
                f"{raked.effective:,.0f}",
            )
        )
    names = (
        "margins",
        "cells",
        "rounds",
        "largest miss (share, or SD)",
        "relative to the target",
        "effective patients",
    )
    yield from table(names, rows)


if __name__ == "__main__":
    write("raking.md", lines())
