"""Where a release comes from: everything needed to make it again, and what of that may be shown."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class Rows:
    """Row counts, one row per patient; None where a count is not shown."""

    patients: int | None
    train: int | None
    holdout: int | None
    synthetic: int


@dataclass(frozen=True, slots=True)
class Guarantee:
    """The formal guarantee of differential privacy: patient-level, add or remove one.

    Parameters
    ----------
    by
        What each accountant found.
    rows_per_patient
        How many rows may be one patient's.
    names_patients
        Whether a column says whose a row is. If none does, nothing could check that patients have one row.
    composed
        Epsilon over everything that was learnt from these patients, this time included; known inside only, as
        it counts what the gate blocked.
    """

    epsilon: float
    delta: float
    accountant: str
    by: Mapping[str, float] = field(default_factory=dict)
    rows_per_patient: int = 1
    names_patients: bool = True
    composed: float | None = None


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a release comes from.

    Parameters
    ----------
    data, title, citation, attribution
        The schema's name and title, its citation, and the attribution that the data's licence asks for.
    generator, recipe
        The generator's registered name and every setting of its fit; empty for a table that was given.
    schema_hash, protocol_hash, policy_hash
        Hex SHA-256 of the schema, of the evaluation protocol and of the policy: of rules, never of data.
    versions
        Package name to version.
    date
        ISO 8601, UTC, to the second.
    rows
        Row counts.
    measured_on
        Rows that the evaluation used of each table.
    guarantee
        None: there is no formal guarantee.
    guessed
        Items of the schema that were guessed from the data, as "column: item".
    actions
        What was generalised before anything was learnt, in words.
    copies
        Synthetic tables drawn from the one model; `rows` counts those of one.
    register
        What is not in a register that was begun for this release, in words; known inside only.
    seed, command
        Known inside only: a known seed lets an outsider test for one patient, and a command names folders.
    """

    data: str
    title: str
    citation: str
    attribution: str
    generator: str
    recipe: Mapping[str, Any]
    schema_hash: str
    protocol_hash: str
    policy: str
    policy_hash: str
    versions: Mapping[str, str]
    date: str
    rows: Rows
    measured_on: Mapping[str, int] = field(default_factory=dict)
    guarantee: Guarantee | None = None
    guessed: tuple[str, ...] = ()
    actions: tuple[str, ...] = ()
    seed: int | None = None
    command: str = ""
    attempt: int | None = field(default=None)
    copies: int = 1
    register: str = ""

    @property
    def shareable(self) -> "Provenance":
        """The part that may leave: no seed, no command, no register, no count of attempts.

        Under differential privacy the true row counts go too: the guarantee covers the table alone.
        """
        if self.guarantee is None:
            rows, measured_on = self.rows, self.measured_on
        else:
            rows, measured_on = Rows(None, None, None, self.rows.synthetic), {}
        guarantee = None if self.guarantee is None else replace(self.guarantee, composed=None)
        known = {"rows": rows, "measured_on": measured_on, "guarantee": guarantee}
        return replace(self, seed=None, command="", register="", attempt=None, **known)  # type: ignore[arg-type]

    def as_json(self) -> dict[str, Any]:
        """Plain values; what is not known is left out."""
        plain = {f.name: getattr(self, f.name) for f in fields(self)}
        plain |= {name: dict(plain[name]) for name in ("recipe", "versions", "measured_on")}
        plain |= {"guessed": list(self.guessed), "actions": list(self.actions)}
        plain["rows"] = _plain(self.rows)
        plain["guarantee"] = _plain(self.guarantee) if self.guarantee else None
        always = {"guarantee", "recipe", "versions", "guessed", "actions"}
        return {name: value for name, value in plain.items() if name in always or value not in (None, "", {})}


def _plain(value: Rows | Guarantee) -> dict[str, Any]:
    plain = {f.name: getattr(value, f.name) for f in fields(value) if getattr(value, f.name) is not None}
    return plain | {"by": dict(value.by)} if isinstance(value, Guarantee) else plain
