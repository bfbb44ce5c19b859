"""The provenance as a list of names and values that a person reads."""

import json

from ehrsynth.report.provenance import Provenance, Rows

_FEW = 12


def facts(provenance: Provenance) -> list[tuple[str, tuple[str, ...]]]:
    """Name and values of each fact that is known to this reader."""
    p = provenance
    given = p.guarantee
    formal = (
        "none" if given is None else f"epsilon {given.epsilon:g}, delta {given.delta:g}, {given.accountant}"
    )
    found = [
        ("Data", (f"{p.title} ({p.data})" if p.title else p.data,)),
        ("Source of the data", (p.citation,)),
        ("Attribution", (p.attribution,)),
        ("Patients", _rows(p.rows)),
        ("Synthetic copies", (f"{p.copies:,}, drawn from one model" if p.copies > 1 else "",)),
        ("Measured on", _measured_on(p)),
        ("Generator", (p.generator or "not known: the table was given",)),
        ("Settings", tuple(f"{name}: {json.dumps(value)}" for name, value in sorted(p.recipe.items()))),
        ("Formal guarantee", (formal,)),
        ("Changed before learning", p.actions or ("nothing",)),
        ("Guessed from the data", _guessed(p.guessed)),
        ("Made on", (p.date,)),
        ("Versions", (", ".join(f"{name} {version}" for name, version in sorted(p.versions.items())),)),
        ("Hash of the schema", (p.schema_hash,)),
        ("Hash of the evaluation protocol", (p.protocol_hash,)),
        ("Policy", (f"{p.policy}, hash {p.policy_hash}",)),
        ("Attempt on this data", (str(p.attempt) if p.attempt else "",)),
        ("Register", (p.register,)),
        ("Seed", ("" if p.seed is None else str(p.seed),)),
        ("Command", (p.command,)),
    ]
    return [(name, values) for name, values in found if any(values)]


def _rows(rows: Rows) -> tuple[str, ...]:
    counts = (
        ("real, in the table", rows.patients),
        ("real, for training", rows.train),
        ("real, held out", rows.holdout),
        ("synthetic", rows.synthetic),
    )
    return tuple(f"{count:,} {what}" for what, count in counts if count is not None)


def _measured_on(provenance: Provenance) -> tuple[str, ...]:
    rows = provenance.rows
    whole = {"train": rows.train, "holdout": rows.holdout, "synthetic": rows.synthetic}
    if not provenance.measured_on:
        return ()
    if all(provenance.measured_on.get(name) == count for name, count in whole.items()):
        return ("all rows",)
    by = {"synthetic": " (attacks, copied rows and broken rules: all)"}
    return tuple(f"{n:,} rows of {name}{by.get(name, '')}" for name, n in provenance.measured_on.items())


def _guessed(items: tuple[str, ...]) -> tuple[str, ...]:
    if not items:
        return ("no item of the schema: all are public",)
    if len(items) <= _FEW:
        return items
    return (*items[:_FEW], f"and {len(items) - _FEW} more items of the schema")
