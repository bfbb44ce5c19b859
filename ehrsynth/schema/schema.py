"""The schema: what a patient table means. It reads no data."""

import hashlib
from functools import cached_property
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from ehrsynth.errors import RequestError, unknown
from ehrsynth.files import canonical_json
from ehrsynth.schema.columns import Column, IdentifierColumn, LearntColumn, Role, Source, Strict, Word
from ehrsynth.schema.constraints import Constraint


class PublicRows(Strict):
    """A row count that is known without the data, for instance from the trial's publication."""

    value: int = Field(ge=1)
    source: Source = "public"
    citation: str = ""


class LeftOut(Strict):
    """A column of the file that is deliberately not part of the table, with the reason."""

    name: Word
    reason: str = ""


class Schema(Strict):
    """What one patient table means: one row per patient.

    `citation` stands for every public item that has none of its own. `missing_codes` are raw words that
    mean missing in every column, besides the empty field.
    """

    format: Literal[1] = 1
    name: str
    title: str = ""
    description: str = ""
    citation: str = ""
    rows: PublicRows | None = None
    missing_codes: tuple[Word, ...] = ()
    columns: tuple[Column, ...] = Field(min_length=1)
    constraints: tuple[Constraint, ...] = ()
    left_out: tuple[LeftOut, ...] = ()

    @model_validator(mode="after")
    def _names_are_distinct(self) -> Self:
        names = [c.name for c in self.columns] + [c.name for c in self.left_out]
        twice = sorted({n for n in names if names.count(n) > 1}) if len(set(names)) < len(names) else []
        if twice:
            message = f"column {', '.join(map(repr, twice))} is declared more than once"
            raise ValueError(message)
        keys = [c.name for c in self.columns if "patient_key" in c.roles]
        if len(keys) > 1:
            message = f"one column is the patient_key, not {len(keys)}: {', '.join(keys)}"
            raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _public_items_are_cited(self) -> Self:
        for item in (*self.columns, *self.constraints, *([self.rows] if self.rows else [])):
            if item.source == "public" and not (item.citation or self.citation):
                what = getattr(item, "name", None) or getattr(item, "kind", "rows")
                message = f"{what}: source public needs a citation (its own, or the schema's)"
                raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _constraints_bind(self) -> Self:
        from ehrsynth.schema.binding import constraint_problems  # it needs Schema

        problems = constraint_problems(self)
        if problems:
            raise ValueError("; ".join(problems))
        return self

    @cached_property
    def _by_name(self) -> dict[str, LearntColumn | IdentifierColumn]:
        return {c.name: c for c in self.columns}

    @property
    def names(self) -> tuple[str, ...]:
        """All column names, in order."""
        return tuple(c.name for c in self.columns)

    @property
    def learnt(self) -> tuple[LearntColumn, ...]:
        """The columns that generators learn: all but identifiers, in order."""
        return tuple(c for c in self.columns if not isinstance(c, IdentifierColumn))

    @property
    def patient_key(self) -> str | None:
        """The name of the column that tells patients apart, if there is one."""
        return next((c.name for c in self.columns if "patient_key" in c.roles), None)

    def column(self, name: str) -> LearntColumn | IdentifierColumn:
        """One column by name.

        Raises
        ------
        RequestError
            If there is none; the message lists the names.
        """
        if name not in self._by_name:
            raise RequestError(unknown("column", name, self.names))
        return self._by_name[name]

    def with_role(self, role: Role) -> tuple[str, ...]:
        """Names of the columns that have a role, in order."""
        return tuple(c.name for c in self.columns if role in c.roles)

    def guessed(self) -> tuple[str, ...]:
        """Every item that was guessed from data, as "column: item"; empty when the whole schema is public."""
        found = [f"{c.name}: {i}" for c in self.columns for i in c.items if c.source_of(i) == "data"]
        found += [f"constraint {n}: {c.kind}" for n, c in enumerate(self.constraints, 1) if c.source == "data"]
        return (*found, *(["rows"] if self.rows and self.rows.source == "data" else []))

    def subset(self, names: tuple[str, ...]) -> "Schema":
        """The schema of some columns, in the order given; rules that mention others go, the others are left out."""
        from ehrsynth.schema.binding import columns_of

        kept = set(names)
        out = [LeftOut(name=c.name, reason="not asked for") for c in self.columns if c.name not in kept]
        return self.changed(
            columns=tuple(self.column(n) for n in names),
            constraints=tuple(c for c in self.constraints if columns_of(c) <= kept),
            left_out=(*self.left_out, *out),
        )

    def changed(self, **fields: Any) -> "Schema":
        """A copy with some fields replaced, validated anew."""
        return Schema(**{name: getattr(self, name) for name in type(self).model_fields} | fields)

    def as_json(self) -> dict[str, Any]:
        """Plain values for JSON or YAML, defaults left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_defaults=True) | {
            "columns": [self._kind_first(c) for c in self.columns],
            "constraints": [self._kind_first(c) for c in self.constraints],
        }

    @staticmethod
    def _kind_first(item: Strict) -> dict[str, Any]:
        dumped = item.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        first = {"name": dumped.pop("name")} if "name" in dumped else {}
        return {**first, "kind": item.kind, **dumped}  # type: ignore[attr-defined]

    def hash(self) -> str:
        """Hex SHA-256 of the schema's canonical JSON."""
        return hashlib.sha256(canonical_json(self.as_json())).hexdigest()
