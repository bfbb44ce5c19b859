"""The schema: what a patient table means. It reads no data."""

import hashlib
from collections import Counter
from collections.abc import Iterator
from functools import cached_property
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from ehrsynth.errors import RequestError, unknown
from ehrsynth.files import canonical_json
from ehrsynth.schema.columns import (
    BooleanColumn,
    CategoryColumn,
    CodeColumn,
    Column,
    IdentifierColumn,
    LearntColumn,
    Role,
    Source,
    Strict,
    Word,
)
from ehrsynth.schema.constraints import Constraint


class PublicRows(Strict):
    """A count of people that is known without the data, for instance from the trial's publication."""

    value: int = Field(ge=1)
    source: Source = "public"
    citation: str = ""


class LeftOut(Strict):
    """A column of the file that is deliberately not part of the table, with the reason."""

    name: Word
    reason: str = ""


class Schema(Strict):
    """What one patient table means: one row per patient.

    `rows` is how many there are and `population` the number of people that they are drawn from, for instance
    all such patients of the region in those years, both as known without the data.
    `citation` stands for every public item that has none of its own. `missing_codes` are raw words that
    mean missing in every column, besides the empty field. `rows_per_patient` above 1 declares how many rows
    may be one patient's; only differentially private generators take such a table, and pay for it.
    """

    format: Literal[1] = 1
    name: str
    title: str = ""
    description: str = ""
    citation: str = ""
    rows: PublicRows | None = None
    population: PublicRows | None = None
    rows_per_patient: int = Field(default=1, ge=1, description="most rows of one patient")
    missing_codes: tuple[Word, ...] = ()
    columns: tuple[Column, ...] = Field(min_length=1)
    constraints: tuple[Constraint, ...] = ()
    left_out: tuple[LeftOut, ...] = ()

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        problems = [*self._name_problems(), *self._citation_problems(), *self._missing_code_problems()]
        if not problems:
            from ehrsynth.schema.binding import constraint_problems  # it needs Schema

            problems = constraint_problems(self)
        if problems:
            raise ValueError("\n".join(problems))
        return self

    def _name_problems(self) -> Iterator[str]:
        counts = Counter(c.name for c in (*self.columns, *self.left_out))
        for name, count in counts.items():
            if count > 1:
                yield f"column {name!r} is declared {count} times"
        keys = self.with_role("patient_key")
        if len(keys) > 1:
            yield f"one column is the patient_key, not {len(keys)}: {', '.join(keys)}"

    def _citation_problems(self) -> Iterator[str]:
        if self.citation:
            return
        said = "source public needs a citation (its own, or the schema's)"
        for column in self.columns:
            if "public" in {column.source, *column.item_sources.values()} and not column.citation:
                yield f"column {column.name!r}: {said}"
        for place, rule in enumerate(self.constraints, 1):
            if rule.source == "public" and not rule.citation:
                yield f"constraint {place} ({rule.kind}): {said}"
        for name, count in self._counts.items():
            if count.source == "public" and not count.citation:
                yield f"{name}: {said}"

    def _missing_code_problems(self) -> Iterator[str]:
        for column in self.columns:
            if isinstance(column, BooleanColumn):
                words: tuple[str, ...] = (column.true, column.false)
            else:
                words = column.values if isinstance(column, CategoryColumn | CodeColumn) else ()
            both = [word for word in words if word in self.missing_codes]
            if both:
                said = ", ".join(map(repr, both))
                yield f"column {column.name!r}: {said}: a value here and a missing code of the whole schema"

    @cached_property
    def _by_name(self) -> dict[str, LearntColumn | IdentifierColumn]:
        return {c.name: c for c in self.columns}

    @cached_property
    def names(self) -> tuple[str, ...]:
        """All column names, in order."""
        return tuple(c.name for c in self.columns)

    @cached_property
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
        found += [
            f"constraint {n}: {c.kind}" for n, c in enumerate(self.constraints, 1) if c.source == "data"
        ]
        return (*found, *(name for name, count in self._counts.items() if count.source == "data"))

    @property
    def _counts(self) -> dict[str, PublicRows]:
        counts = {"rows": self.rows, "population": self.population}
        return {name: count for name, count in counts.items() if count is not None}

    def subset(self, names: tuple[str, ...]) -> "Schema":
        """The schema of some columns, in the order given.

        Rules that mention other columns go; the other columns are listed as left out.
        """
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
        dumped = self.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        return (
            {"format": self.format}
            | dumped
            | {
                "columns": [self._kind_first(c) for c in self.columns],
                "constraints": [self._kind_first(c) for c in self.constraints],
            }
        )

    @staticmethod
    def _kind_first(item: Strict) -> dict[str, Any]:
        dumped = item.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        first = {"name": dumped.pop("name")} if "name" in dumped else {}
        return {**first, "kind": item.kind, **dumped}  # type: ignore[attr-defined]

    def hash(self) -> str:
        """Hex SHA-256 of the schema's canonical JSON."""
        return hashlib.sha256(canonical_json(self.as_json())).hexdigest()
