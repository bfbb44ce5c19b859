"""A generator's guarantee, tried: its parts, neighbouring tables, and canaries in one real fit.

A generator is seen from outside only, as something that fits and samples.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ehrsynth.dp.audit import Verdict, audit_neighbours
from ehrsynth.dp.budget import checked_delta, public_rows
from ehrsynth.dp.canaries import audit_canaries, toss
from ehrsynth.dp.neighbours import joined, ordinary_patients, random_patients, strange_patient
from ehrsynth.dp.soundness import Finding, soundness
from ehrsynth.encoding import encode, encoding
from ehrsynth.errors import RequestError
from ehrsynth.generators.base import AbstractFitted, AbstractGenerator
from ehrsynth.progress import Progress, part, silent
from ehrsynth.randomness import numpy_generator
from ehrsynth.schema import Schema

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]

TINY = 12  # patients of a neighbouring table
DRAWN = 60  # synthetic patients that each run looks at
_NEAR = 0.05  # of a column's range: what counts as the same number
_SYNTHETIC = 5_000


@dataclass(frozen=True, slots=True)
class Trial:
    """What a trial found: the parts of private training, the domain, and what audits bound."""

    findings: tuple[Finding, ...]
    verdicts: tuple[Verdict, ...]

    @property
    def broken(self) -> bool:
        """Whether anything refutes the claim."""
        return bool(self.reasons)

    @property
    def reasons(self) -> tuple[str, ...]:
        """What refutes it; empty where nothing does."""
        parts = [f"{f.name}: {f.detail}" for f in self.findings if not f.holds]
        return (*parts, *(v.sentence for v in self.verdicts if v.broken))

    def as_json(self) -> dict[str, Any]:
        """Plain values; what would never have been told apart is null."""
        verdicts = [
            asdict(v)
            | {"detectable": v.detectable if math.isfinite(v.detectable) else None, "sentence": v.sentence}
            for v in self.verdicts
        ]
        return {
            "verdict": "broken" if self.broken else "not broken at this resolution",
            "parts": [asdict(f) for f in self.findings],
            "audits": verdicts,
        }


def try_guarantee(  # noqa: PLR0913 - what a person decides
    recipe: AbstractGenerator,
    schema: Schema,
    table: pd.DataFrame | None = None,
    *,
    runs: int = 200,
    canaries: int = 1_000,
    seed: int = 0,
    audits: int = 1,
    progress: Progress | None = None,
) -> Trial:
    """Try to refute what a private generator claims.

    Parameters
    ----------
    recipe
        With its epsilon.
    table
        Real patients, for canaries in one fit; without it only the parts and tiny tables are tried.
    runs
        Runs on each side of the neighbouring tables.
    canaries
        How many canaries are tossed for.
    audits
        How many audits share the error: this one's two, and those of other generators.

    Raises
    ------
    RequestError
        If the recipe claims nothing.
    """
    if recipe.asked is None:
        raise RequestError(f"{recipe.name} claims no epsilon: there is nothing to audit")
    report = progress or silent
    tiny = small_schema(schema)
    findings = (*soundness(), domain_is_public(recipe, tiny))
    verdicts = [
        against_neighbours(
            recipe, tiny, runs=runs, seed=seed, audits=audits, progress=part(report, 0.05, 0.7)
        )
    ]
    if table is not None:
        verdicts.append(
            against_canaries(
                recipe,
                schema,
                table,
                canaries=canaries,
                seed=seed,
                audits=audits,
                progress=part(report, 0.7, 1),
            )
        )
    report(1.0, "audited")
    return Trial(tuple(findings), tuple(verdicts))


def small_schema(schema: Schema, columns: int = 4) -> Schema:
    """The first few columns, so that one strange patient is a large part of what is learnt of them."""
    names = tuple(c.name for c in schema.learnt)[:columns]
    return schema.subset(names).changed(rows={"value": TINY, "citation": "made for the audit"})


def claimed(recipe: AbstractGenerator, schema: Schema) -> tuple[float, float]:
    """The epsilon and delta that a recipe claims for a schema."""
    if recipe.asked is None:
        raise RequestError(f"{recipe.name} claims no epsilon")
    epsilon, delta = recipe.asked
    return epsilon, checked_delta(delta, public_rows(schema))


def domain_is_public(recipe: AbstractGenerator, schema: Schema) -> Finding:
    """What is fixed before noise is drawn is the same, byte for byte, with a strange patient and without."""
    base = ordinary_patients(schema, TINY)
    folders = [
        recipe.fit(table, schema, seed=5).parts().arrays
        for table in (base, joined(base, strange_patient(schema)))
    ]
    ends = [name for name in folders[0] if name.endswith((".low", ".high"))]
    changed = [
        name
        for name in ends
        if name not in folders[1] or folders[0][name].tobytes() != folders[1][name].tobytes()
    ]
    said = f"{len(ends)} arrays of bounds and categories, {len(changed)} changed by one patient"
    return Finding("bounds and categories", bool(ends) and not changed, said)


def against_neighbours(
    recipe: AbstractGenerator,
    schema: Schema,
    *,
    runs: int,
    seed: int,
    audits: int = 1,
    progress: Progress | None = None,
) -> Verdict:
    """The whole fit and sample, on equal patients alone and with a strange one among them."""
    base, strange = ordinary_patients(schema, TINY), strange_patient(schema)
    tables = {True: joined(base, strange), False: base}
    target = encode(strange, schema)[0]

    def run(side: bool, number: int) -> Sequence[float]:  # noqa: FBT001 - which of two tables
        model = recipe.fit(tables[side], schema, seed=number)
        return looks(encode(model.sample(DRAWN, seed=number).table, schema), target, schema)

    epsilon, delta = claimed(recipe, schema)
    return audit_neighbours(
        f"{recipe.name} on neighbouring tables",
        run,
        claim=epsilon,
        delta=delta,
        runs=runs,
        seed=seed,
        audits=audits,
        progress=progress,
    )


def looks(codes: Codes, target: Codes, schema: Schema) -> list[float]:
    """What may tell that a strange patient was there: how many synthetic ones are like them, and in what."""
    sizes = np.array([column.size for column in schema.learnt])
    near = np.abs(codes - target) <= np.floor(_NEAR * sizes)
    near &= (codes < 0) == (target < 0)
    return [*near.mean(axis=0).tolist(), float(near.all(axis=1).mean()), float((near.sum(axis=1) > 1).mean())]


def against_canaries(  # noqa: PLR0913 - as `try_guarantee`
    recipe: AbstractGenerator,
    schema: Schema,
    table: pd.DataFrame,
    *,
    canaries: int,
    seed: int,
    audits: int = 1,
    progress: Progress | None = None,
) -> Verdict:
    """One fit on real patients, among whom canaries were put by tosses of a coin."""
    rng = numpy_generator(seed, "audit", "canaries")
    birds = random_patients(schema, canaries, rng)
    inside = toss(canaries, rng)
    mixed = joined(table, birds.loc[inside])
    model = recipe.fit(mixed, schema, seed=seed, progress=progress)
    scores = likeness(model, birds, schema, seed)
    epsilon, delta = claimed(recipe, schema)
    return audit_canaries(
        f"{recipe.name} with {canaries:,} canaries", inside, scores, claim=epsilon, delta=delta, audits=audits
    )


def likeness(model: AbstractFitted, birds: pd.DataFrame, schema: Schema, seed: int) -> Floats:
    """How near the nearest synthetic patient is to each canary: a copy is as near as can be."""
    made = encode(model.sample(_SYNTHETIC, seed=seed).table, schema)
    targets, found = encode(birds, schema), np.empty(len(birds))
    sizes = np.array([column.size if encoding(column).numeric else 1 for column in schema.learnt])
    for place, target in enumerate(targets):
        far = np.minimum(np.abs(made - target) / sizes, 1.0)
        far[(made < 0) != (target < 0)] = 1.0
        found[place] = -far.sum(axis=1).min()
    return found
