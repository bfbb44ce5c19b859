"""Attacks on private tables of few patients: are true-positive rates within what the guarantee allows?

    python scripts/benchmark/private_attacks.py [--generators ...] [--epsilon 1]

Each generator learns 871 patients drawn from SUPPORT2 (bundled); every attack that `ehrsynth evaluate`
knows scores them and patients who were not learnt from. At false-positive rates of 1 % and 10 % (the
threshold set on one half of the non-members, the rate counted on the other) the true-positive rate stands
beside its cap. It adds to reports/benchmark/dp/attacks.json, one generator after another; `private.py
report` writes the page.

SUPPORT2's schema has bounds that were set after a look at all 9,105 patients, so that a release of it under
differential privacy is refused. Here the whole schema is taken as given: it is the same whoever is drawn.
"""

import argparse
import json
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from private import GENERATORS, versions

from ehrsynth.dp.audit import ERROR, epsilon_bound
from ehrsynth.evaluation.suite import evaluate
from ehrsynth.files import write_json
from ehrsynth.generators.recipes import recipe
from ehrsynth.randomness import numpy_generator
from ehrsynth.schema import Schema
from ehrsynth.tables import bundled, read_table

OUT = Path(__file__).parents[2] / "reports" / "benchmark" / "dp" / "attacks.json"
LEARNT, HELD_OUT = 871, 4_000
RATES = (0.01, 0.10)
CITATION = "taken as given for this benchmark"


def as_public(schema: Schema) -> Schema:
    """The same schema with every item declared public."""

    def declared(value: Any) -> Any:
        if isinstance(value, dict):
            kept = {k: declared(v) for k, v in value.items() if k != "item_sources"}
            return kept | ({"source": "public"} if "kind" in kept else {})
        return [declared(v) for v in value] if isinstance(value, list | tuple) else value

    return Schema(**declared(schema.as_json()) | {"citation": schema.citation or CITATION})


def drawn() -> tuple[Schema, pd.DataFrame, pd.DataFrame]:
    """The schema, patients to learn from, and others."""
    source = bundled("support2")
    schema = as_public(source.schema)
    table = read_table(source.path, schema)
    order = numpy_generator(1, "benchmark", "support2", "attacks").permutation(len(table))
    ends = (order[:LEARNT], order[LEARNT : LEARNT + HELD_OUT])
    return (schema, *(table.iloc[rows].reset_index(drop=True) for rows in ends))


def rates(
    members: np.ndarray, non_members: np.ndarray, *, graded: bool
) -> Iterator[tuple[int, int, int, int]]:
    """Hits, members, false hits, non-members: at each rate of false alarms, or of successes."""
    members, non_members = (side[~np.isnan(side)] for side in (members, non_members))
    if not graded:
        yield int((members >= 1 / 2).sum()), len(members), int((non_members >= 1 / 2).sum()), len(non_members)
        return
    order = numpy_generator(1, "halves").permutation(len(non_members))
    setting, counting = np.array_split(non_members[order], 2)
    for rate in RATES:
        threshold = np.sort(setting)[::-1][int(rate * len(setting))]
        hits, false = int((members > threshold).sum()), int((counting > threshold).sum())
        yield hits, len(members), false, len(counting)


def attacked(generator: str, epsilon: float) -> list[dict[str, Any]]:
    """Every attack on one generator's table."""
    schema, train, holdout = drawn()
    share = LEARNT / schema.rows.value
    model = recipe(generator, {"epsilon": epsilon}).fit(train, schema, seed=1, share=share)
    made = model.sample(LEARNT, seed=2).table
    risks = evaluate(train, holdout, made, schema, seed=3, metrics=()).risks
    delta, found = model.privacy.delta, []
    for name, risk in risks.items():
        for one in risk.evidence:
            for hits, n, false, m in rates(one.members, one.non_members, graded=one.graded):
                if n and m:
                    cap = min(1.0, math.exp(epsilon) * false / m + delta)
                    said = {"generator": generator, "attack": name, "variant": one.variant, "delta": delta}
                    counts = {"hits": hits, "members": n, "false_hits": false, "non_members": m}
                    found.append(said | counts | {"true": hits / n, "false": false / m, "cap": cap})
    return found


def judged(rows: list[dict[str, Any]], epsilon: float) -> list[dict[str, Any]]:
    """Rows with the epsilon that each refutes, the error shared by all of them."""
    for row in rows:
        counts = (row["hits"], row["members"], row["false_hits"], row["non_members"])
        row["bound"] = epsilon_bound(*counts, delta=row["delta"], error=ERROR / len(rows))
        row["refuted"] = row["bound"] > epsilon
    return rows


def main() -> None:
    """Attack what was not attacked yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--generators", nargs="+", choices=GENERATORS, default=list(GENERATORS))
    parser.add_argument("--epsilon", type=float, default=1.0)
    given = parser.parse_args()
    rows = json.loads(OUT.read_text())["rows"] if OUT.is_file() else []
    for generator in given.generators:
        if any(row["generator"] == generator for row in rows):
            continue
        start = time.perf_counter()
        rows = judged([*rows, *attacked(generator, given.epsilon)], given.epsilon)
        write_json(OUT, {"epsilon": given.epsilon, "rows": rows, "versions": versions()})
        own = [row for row in rows if row["generator"] == generator]
        above = sum(row["true"] > row["cap"] for row in own)
        said = f"{len(own)} rates, {above} above the cap, {sum(row['refuted'] for row in own)} refuted"
        print(generator, said, f"{time.perf_counter() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main()
