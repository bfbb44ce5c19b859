"""Makes a table coarser before anything is learnt from it, and changes its schema to match.

Ages above 89 become 90, dates become years or days from an index date, ZIP codes keep three digits, bounds
that were guessed from the data are drawn in, categories of fewer than 11 patients are merged, and columns
with a `band` are gathered in bands. What was done is said in words with counts, and no count of 1 to 10 is
ever said.
"""

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from pydantic import ValidationError

from ehrsynth.errors import RequestError, unknown
from ehrsynth.expressions import Missing, Name, parse, walk
from ehrsynth.schema import (
    CategoryColumn,
    CodeColumn,
    Constraint,
    DateColumn,
    DatetimeColumn,
    FixedCombination,
    Implication,
    Inequality,
    IntegerColumn,
    LearntColumn,
    NumberColumn,
    PresentTogether,
    Schema,
)
from ehrsynth.schema.binding import columns_of
from ehrsynth.tables.bands import band_of, keeps, middles, years_of
from ehrsynth.tables.computed import computed_anew, computed_from, draw_in_computed, said_of
from ehrsynth.tables.constraints import violations
from ehrsynth.tables.evidence import few
from ehrsynth.tables.extremes import common_bounds
from ehrsynth.tables.grids import Floats
from ehrsynth.tables.identifiers import DAYS_FROM, OLDEST_AGE, oldest_told
from ehrsynth.tables.merging import Merge, merge_rare
from ehrsynth.tables.times import SECONDS_A_DAY
from ehrsynth.tables.values import to_values, values_series
from ehrsynth.tables.vocabulary import names_a_birth, tokens

_ZIP_NAMES = frozenset({"zip", "zipcode", "postal", "postcode", "plz", "postleitzahl"})
_ZIP = re.compile(r"\d{5}(?:-\d{4})?")
_ZIP_DIGITS = 3
_FIRST_YEAR = 1800


@dataclass(slots=True)
class _Work:
    """A table on its way: values replaced and declarations changed, column by column."""

    columns: dict[str, LearntColumn]
    values: dict[str, Floats]
    words: dict[str, Mapping[str, str | None]] = field(default_factory=dict)
    retyped: set[str] = field(default_factory=set)
    banded: set[str] = field(default_factory=set)
    computed: set[str] = field(default_factory=set)
    actions: list[str] = field(default_factory=list)
    counts: bool = True

    def said(self, what: str, patients: int) -> None:
        """Note what was done, with how many patients it concerned where that may be said."""
        self.actions.append(f"{what} ({few(patients)} patients)" if self.counts else what)


def generalise(
    table: pd.DataFrame, schema: Schema, *, index_date: str | None = None, by_schema_alone: bool = False
) -> tuple[pd.DataFrame, Schema, tuple[str, ...]]:
    """Make a checked table coarser, so that no patient stands out by age, date, place or a rare word.

    Parameters
    ----------
    table
        As `ehrsynth.tables.read_table` gives it for `schema`; not changed.
    index_date
        A date column from which the others are counted in days; without it every date becomes its year, as a
        date of birth does with it too.
    by_schema_alone
        Do only what the schema decides, and say no count: for differential privacy, where what is done may
        not depend on who is in the table. Rare categories stay then, since the schema lists them in public.

    Returns
    -------
    table, schema
        The coarser table and its schema. Rules that the coarser table cannot keep are taken out.
    actions
        What was done, in words, empty if nothing was.

    Raises
    ------
    RequestError
        If `index_date` is no date column, or a date of birth.
    ReleaseBlocked
        If a category of fewer than 11 patients cannot be merged; every such column is listed.
    """
    read = to_values(table, schema)
    work = _Work({c.name: c for c in schema.learnt}, dict(read), counts=not by_schema_alone)
    _gather_ages(work)
    ages = {name: values for name, values in read.items() if work.values[name] is not values}
    latest = _latest_year(work)
    _coarsen_dates(work, index_date)
    _gather_birth_years(work, latest)
    if not by_schema_alone:
        _shorten_zips(work)
        _gather_extremes(work, schema, ages)
        for merge in merge_rare(work.columns, work.values):
            _apply(work, merge)
    _gather_bands(work)
    if not work.actions:
        return table, schema, ()
    new_schema = _new_schema(schema, work, tried=not by_schema_alone)
    changed = {
        n: values_series(v, work.columns[n]) for n, v in work.values.items() if n in _touched(work, schema)
    }
    result = table.assign(**{n: s.set_axis(table.index) for n, s in changed.items()})
    result.attrs = dict(table.attrs)
    return result, new_schema, tuple(work.actions)


def _touched(work: _Work, schema: Schema) -> set[str]:
    return (
        work.banded
        | work.computed
        | {name for name, column in work.columns.items() if column != schema.column(name)}
    )


def _gather_bands(work: _Work) -> None:
    """Last, so that an edge stays where it is whatever else was made coarser."""
    for name, column in work.columns.items():
        width = band_of(column)
        if width is None:
            continue
        work.values[name] = middles(work.values[name], column)
        work.banded.add(name)
        present = int((~np.isnan(work.values[name])).sum())
        work.said(f"{name}: values became the middles of bands of {width:g}", present)


def _gather_ages(work: _Work) -> None:
    for name, column in work.columns.items():
        oldest = oldest_told(name, column)
        if oldest is None or not isinstance(column, IntegerColumn | NumberColumn):
            continue
        if column.maximum <= oldest:
            continue
        old = work.values[name] > oldest
        work.values[name] = np.minimum(work.values[name], oldest)
        about = f"{column.description} {oldest} stands for {oldest} and above.".strip()
        minimum = min(column.minimum, oldest)
        work.columns[name] = _changed(column, minimum=minimum, maximum=oldest, description=about)
        work.said(f"{name}: ages above {oldest} became {oldest}", int(old.sum()))


def _latest_year(work: _Work) -> int:
    """The latest year in which a patient of the table may have been seen, by what the schema allows."""
    seen = [
        column.maximum.year
        for name, column in work.columns.items()
        if isinstance(column, DateColumn | DatetimeColumn) and not names_a_birth(name)
    ]
    now = dt.datetime.now(dt.UTC).year  # nobody was seen later, whatever a generous bound allows
    return min(max(seen, default=now), now)


def _gather_birth_years(work: _Work, latest: int) -> None:
    """A birth year tells an age above 89 as plainly as the age does."""
    earliest = latest - OLDEST_AGE - 1
    for name, column in work.columns.items():
        if not isinstance(column, IntegerColumn) or not names_a_birth(name):
            continue
        if column.minimum >= earliest or column.maximum <= _FIRST_YEAR or column.unit.startswith(DAYS_FROM):
            continue
        old = work.values[name] < earliest
        work.values[name] = np.maximum(work.values[name], earliest)
        about = f"{column.description} {earliest} stands for {earliest} and before.".strip()
        maximum = max(column.maximum, earliest)
        work.columns[name] = _changed(column, minimum=earliest, maximum=maximum, description=about)
        work.said(f"{name}: birth years before {earliest} became {earliest}", int(old.sum()))


def _coarsen_dates(work: _Work, index_date: str | None) -> None:
    dated = {n: c for n, c in work.columns.items() if isinstance(c, DateColumn | DatetimeColumn)}
    if index_date is not None and index_date not in dated:
        raise RequestError(unknown("date column", index_date, list(dated)))
    days = {name: _days(work.values[name], column) for name, column in dated.items()}
    if index_date is not None and names_a_birth(index_date):
        raise RequestError(
            f"days from {index_date!r} are an age to the day: count from another date, such as an admission"
        )
    for name, column in dated.items():
        # Days from a birth to a date of the patient's are an age too, above 89 as well.
        if index_date is None or name == index_date or names_a_birth(name):
            _to_years(work, name, column)
        else:
            _to_days(work, column, days[name] - days[index_date], dated[index_date])


def _days(values: Floats, column: LearntColumn) -> Floats:
    return np.floor(values / SECONDS_A_DAY) if isinstance(column, DatetimeColumn) else values


def _to_years(work: _Work, name: str, column: DateColumn | DatetimeColumn) -> None:
    days = _days(work.values[name], column)
    dates = np.where(np.isnan(days), 0, days).astype(np.int64).astype("datetime64[D]")
    years = dates.astype("datetime64[Y]").astype(np.int64) + 1970
    work.values[name] = np.where(np.isnan(days), np.nan, years)
    fields = _kept(column, years_of(column.band))
    low, high = column.minimum.year, column.maximum.year
    work.columns[name] = IntegerColumn(minimum=low, maximum=high, unit="year", **fields)
    work.retyped.add(name)
    work.said(f"{name}: dates became years", int((~np.isnan(days)).sum()))


def _to_days(work: _Work, column: DateColumn | DatetimeColumn, days: Floats, index: Any) -> None:
    low, high = (
        _ordinal(column.minimum) - _ordinal(index.maximum),
        _ordinal(column.maximum) - _ordinal(index.minimum),
    )
    fields = _kept(column, column.band) | {"missing": column.missing or index.missing}
    unit = f"{DAYS_FROM}{index.name}"
    work.columns[column.name] = IntegerColumn(minimum=low, maximum=high, unit=unit, **fields)
    work.values[column.name] = days
    work.retyped.add(column.name)
    work.said(f"{column.name}: dates became days from {index.name}", int((~np.isnan(days)).sum()))


def _ordinal(bound: Any) -> int:
    return int(bound.toordinal())


def _kept(column: LearntColumn, band: int | None = None) -> dict[str, Any]:
    names = ("name", "description", "roles", "missing", "missing_codes", "source", "citation")
    items = {"kind", "minimum", "maximum", "missing"} | ({"band"} if band else set())
    sources = {k: v for k, v in column.item_sources.items() if k in items}
    kept = {name: getattr(column, name) for name in names} | {"item_sources": sources}
    return kept | ({"band": band} if band else {})


def _gather_extremes(work: _Work, schema: Schema, ages: dict[str, Floats]) -> None:
    """Bounds are drawn in; what is computed follows them, and `ages` (as they were) that became 90."""
    computed, before = computed_from(schema, work.columns), work.values | ages
    _clip(work, [name for name in work.columns if name not in computed])
    if computed and not _draw_in_computed(work, before, schema):
        # Its rule is lost, but a result must not tell the age that became 90.
        work.values |= computed_anew(before, work.values, work.columns, schema)
        work.computed |= computed.keys()
        _clip(work, list(computed))


def _draw_in_computed(work: _Work, before: Mapping[str, Floats], schema: Schema) -> bool:
    """Whether the formulas could be kept true."""
    found = draw_in_computed(before, work.values, work.columns, schema)
    if found is None:
        return False
    values, drawn = found
    work.values |= values
    work.computed |= set(values)
    for name, became in drawn.items():
        column: Any = work.columns[name]
        narrower = became.bounds != (column.minimum, column.maximum)
        if narrower:
            minimum, maximum = became.bounds
            work.columns[name] = _changed(column, minimum=minimum, maximum=maximum)
        if narrower or became.patients or became.clipped:
            work.actions.append(said_of(name, became, narrower=narrower))
    return True


def _clip(work: _Work, names: Sequence[str]) -> None:
    for name in names:
        column = work.columns[name]
        narrower = common_bounds(column, work.values[name])
        if narrower is None:
            continue
        values = work.values[name]
        work.values[name] = np.clip(values, *narrower)
        moved = int(((values < narrower.minimum) | (values > narrower.maximum)).sum())
        work.columns[name] = _changed(column, minimum=narrower.minimum, maximum=narrower.maximum)
        work.actions.append(
            f"{name}: bounds guessed from the data were drawn in to {narrower.minimum:.10g} and"
            f" {narrower.maximum:.10g}, and values beyond them set to these ({few(moved)} patients)"
        )


def _shorten_zips(work: _Work) -> None:
    for name, column in list(work.columns.items()):
        if not _ZIP_NAMES & {*tokens(name), "".join(tokens(name))}:
            continue
        listed = _zip_category(work, name, column) if isinstance(column, IntegerColumn) else column
        if not isinstance(listed, CategoryColumn | CodeColumn) or not any(map(_ZIP.fullmatch, listed.values)):
            continue
        words = {w: w[:_ZIP_DIGITS] if _ZIP.fullmatch(w) else w for w in listed.values}
        count = few(int((~np.isnan(work.values[name])).sum()))
        said = f"{name}: ZIP codes were cut to three digits ({count} patients)"
        _apply(work, Merge(name, words, tuple(dict.fromkeys(words.values())), said))


def _zip_category(work: _Work, name: str, column: IntegerColumn) -> CategoryColumn:
    values = work.values[name]
    distinct = np.unique(values[~np.isnan(values)])
    places = np.searchsorted(distinct, values).astype(np.float64)
    work.values[name] = np.where(np.isnan(values), np.nan, places)
    category = CategoryColumn(
        values=tuple(f"{v:05.0f}" for v in distinct), **_kept(column) | {"item_sources": {}}
    )
    work.columns[name] = category
    work.retyped.add(name)
    return category


def _apply(work: _Work, merge: Merge) -> None:
    """Rename words: the declaration, the values' positions, and what rules have to be told."""
    column = work.columns[merge.column]
    if not isinstance(column, CategoryColumn | CodeColumn):  # only such columns are merged
        return
    place: dict[str | None, float] = {word: float(i) for i, word in enumerate(merge.values)}
    place[None] = np.nan
    new_places = np.array([*(place[merge.words[w]] for w in column.values), np.nan], np.float64)
    values = work.values[merge.column]
    old = np.where(np.isnan(values), len(column.values), values).astype(np.int64)
    work.values[merge.column] = new_places[old]
    fields: dict[str, Any] = {
        "values": merge.values,
        "item_sources": {**column.item_sources, "values": "data"},
    }
    if isinstance(column, CategoryColumn):
        fields["labels"] = {w: label for w, label in column.labels.items() if w in place}
    codes = tuple(c for c in column.missing_codes if c not in place)
    work.columns[merge.column] = _changed(column, missing_codes=codes, **fields)
    before: Mapping[str, str | None] = work.words.get(merge.column, {w: w for w in column.values})
    work.words[merge.column] = {w: now and merge.words[now] for w, now in before.items()}
    work.actions.append(merge.said)


def _changed(column: Any, **fields: Any) -> Any:
    return type(column)(**column.model_dump() | fields)


def _new_schema(schema: Schema, work: _Work, *, tried: bool) -> Schema:
    """The schema with the changed columns, and the rules that make sense and (if `tried`) still hold."""
    columns = tuple(work.columns.get(c.name, c) for c in schema.columns)
    bare = schema.changed(columns=columns, constraints=())
    kept = [c for old in schema.constraints if (c := _still_bound(old, bare, work)) is not None]
    new = bare.changed(constraints=tuple(kept))
    broken = [constraint for constraint, _ in violations(work.values, new)] if tried else []
    kept = [c for c in kept if c not in broken]
    lost = len(schema.constraints) - len(kept)
    if lost:
        work.actions.append(
            f"{lost} rules between columns were taken out: the coarser table cannot keep them"
        )
    return bare.changed(constraints=tuple(kept)) if broken else new


def _still_bound(constraint: Constraint, bare: Schema, work: _Work) -> Constraint | None:
    if isinstance(constraint, FixedCombination):
        constraint = _renamed(constraint, work)
    mentioned = columns_of(constraint)
    if not keeps(constraint, work.columns, work.banded):
        return None
    if _compared(constraint, mentioned) & work.retyped:
        units = {getattr(work.columns[n], "unit", "") if n in work.retyped else "" for n in mentioned}
        if not isinstance(constraint, Inequality) or constraint.strict or len(units) > 1:
            return None
    try:
        bare.changed(constraints=(constraint,))
    except (ValidationError, ValueError):
        return None
    return constraint


def _compared(constraint: Constraint, mentioned: frozenset[str]) -> frozenset[str]:
    """The columns of whose values a rule speaks; of others it asks only whether they are missing."""
    if isinstance(constraint, PresentTogether):
        return frozenset()
    if not isinstance(constraint, Implication):
        return mentioned
    nodes = [node for side in (constraint.if_, constraint.then) for node in walk(parse(side).root)]
    asked = [node.name for node in nodes if isinstance(node, Missing)]
    return frozenset(n.name for n in nodes if isinstance(n, Name) and not any(n is name for name in asked))


def _renamed(constraint: FixedCombination, work: _Work) -> FixedCombination:
    renames = [work.words.get(name, {}) for name in constraint.columns]
    rows = [
        tuple(None if w is None else names.get(w, w) for w, names in zip(row, renames, strict=True))
        for row in constraint.values
    ]
    return FixedCombination(**constraint.model_dump() | {"values": tuple(dict.fromkeys(rows))})
