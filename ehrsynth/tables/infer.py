"""Proposes a schema for a table that has none; a person checks it.

Everything is stamped ``source: data``. What is a measurement, an identifier or a code cannot be known from a
file: each guess comes with a comment that says why it was made. A schema holds bounds and lists of values,
so the proposal holds them too: bounds are rounded outward, values are in alphabetical order, and of how many
patients hold them only "fewer than 11" is ever said.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ehrsynth.errors import NotEnoughData
from ehrsynth.schema import (
    BooleanColumn,
    CategoryColumn,
    Column,
    Constraint,
    DateColumn,
    DatetimeColumn,
    IdentifierColumn,
    Inequality,
    IntegerColumn,
    LeftOut,
    NumberColumn,
    PresentTogether,
    Role,
    Schema,
)
from ehrsynth.schema.sdv_metadata import Knowledge
from ehrsynth.tables.advice import advised
from ehrsynth.tables.evidence import Evidence, Guess, code_reason, evidence, shared
from ehrsynth.tables.guess_formulas import guess_formulas
from ehrsynth.tables.guess_missing import guess_missing
from ehrsynth.tables.guess_moments import fitting_orders, guess_durations, guess_moments
from ehrsynth.tables.guess_numbers import guess_numbers, id_pattern
from ehrsynth.tables.guess_spans import guess_spans
from ehrsynth.tables.guess_words import (
    guess_booleans,
    guess_categories,
    guess_codes,
    guess_identifiers,
    guess_text,
    guess_thousands,
    guess_unread_numbers,
)
from ehrsynth.tables.parsing import parse_words
from ehrsynth.tables.reading import read_raw, without_blank_tail
from ehrsynth.tables.typed import words_of_frame
from ehrsynth.tables.validation import DECIMAL_COMMA
from ehrsynth.tables.vocabulary import (
    meanings,
    names_an_identifier,
    names_censoring,
    names_codes,
    roles,
)

_LEAST_MISSING = 0.05
_FEWEST_PAIRS = 30
_MOST_DATES = 20
_FEWEST_PATIENTS = 20  # who have several rows
_MOST_OUTCOME_VALUES = 20
_CENSORING = (
    "named like censoring, and only you know which word stands for an event: make that one 'true' and the"
    " other 'false', and give the role event"
)
_DESCRIPTION = (
    "Guessed from data by `ehrsynth schema infer`: check every item. Bounds are rounded outward; the lists of"
    " values are those that patients hold, rare ones included, so treat this file as you treat the data until"
    " they are checked. Write `source: public` and a citation where the documentation fixes an item."
)


def infer_schema(
    source: Path | str | pd.DataFrame, *, name: str, known: Knowledge | None = None
) -> tuple[Schema, dict[str, str]]:
    """Propose a schema for a table, with the reason of each guess.

    Parameters
    ----------
    source
        A file that `ehrsynth.tables.read_raw` reads, or a frame of one row per patient.
    name
        The schema's name.
    known
        What SDV's metadata say of the table: it wins over a guess that it does not contradict.

    Returns
    -------
    schema
        Everything stamped ``source: data``. Columns that cannot be learnt are left out, with the reason.
    comments
        Column name to the reasons of its guesses, for `ehrsynth.schema.yaml_files.save_schema`.

    Raises
    ------
    DataError
        If the file cannot be read, or no column can be used.
    """
    frame = _words(source)
    if not len(frame):
        raise NotEnoughData("a table without rows says nothing: give at least one patient")
    commas = bool(frame.attrs.get(DECIMAL_COMMA, False))
    found = [evidence(column, frame[column], decimal_comma=commas) for column in frame.columns]
    order = _date_order(found)
    with_commas = any(each.commas for each in found)
    guesses = [(with_commas and guess_thousands(each)) or _guess(each, order) for each in found]
    if known is not None:
        guesses = [advised(g, e, known, decimal_comma=commas) for g, e in zip(guesses, found, strict=True)]
    guesses = _one_patient_key([_with_roles(g, e) for g, e in zip(guesses, found, strict=True)])
    columns = tuple(g.column for g in guesses if not isinstance(g.column, LeftOut))
    left_out = tuple(g.column for g in guesses if isinstance(g.column, LeftOut))
    if not columns:
        reasons = (f"column {c.name!r}: {c.reason}" for c in left_out)
        raise NotEnoughData("no column can be used", reasons)
    moments = _values(guesses, found, (DateColumn, DatetimeColumn))
    numbers = _values(guesses, found, (IntegerColumn, NumberColumn), decimal_comma=commas)
    words = _values(guesses, found, (BooleanColumn, CategoryColumn))
    spans = guess_spans(columns, numbers, moments)
    formulas = [*spans, *guess_formulas(columns, numbers, computed={span.column for span in spans})]
    absent = _absent(guesses, found)
    together = _present_together(absent)
    spoken_for = _spoken_for(together, {formula.column for formula in formulas})
    constraints = (
        *together,
        *guess_missing(columns, words | numbers, absent, spoken_for=spoken_for),
        *_date_order_rules(columns, moments),
        *formulas,
    )
    schema = Schema(
        name=name, description=_DESCRIPTION, columns=columns, constraints=constraints, left_out=left_out
    )
    return schema, {g.column.name: "; ".join(g.reasons) for g in guesses if g.reasons}


def _words(source: Path | str | pd.DataFrame) -> pd.DataFrame:
    if not isinstance(source, pd.DataFrame):
        return without_blank_tail(read_raw(source))
    words, _ = words_of_frame(source)
    return pd.DataFrame(words, columns=list(words))


def _guess(found: Evidence, order: str) -> Guess:
    if not found.words:
        codes = " but for missing codes" if found.codes else ""
        return Guess(LeftOut(name=found.name, reason=f"empty in every row{codes}: nothing to learn"))
    guessers: Sequence[Callable[[Evidence], Guess | None]] = (
        *((guess_codes,) if names_codes(found.name) else ()),
        guess_booleans,
        guess_durations,
        lambda each: guess_moments(each, order),
        guess_numbers,
        guess_unread_numbers,
        guess_identifiers,
        _repeated_key,
        guess_codes,
        guess_text,
    )
    guesses = (guesser(found) for guesser in guessers)
    return next((g for g in guesses if g is not None), None) or guess_categories(found)


def _repeated_key(found: Evidence) -> Guess | None:
    """A key whose words repeat. The patient's stays: were it left out, a visit would pass for a patient."""
    if not names_an_identifier(found.name) or len(found.words) < 2:  # noqa: PLR2004 - a constant tells nobody apart
        return None
    if "patient" in meanings(found.name) and len(found.words) >= _FEWEST_PATIENTS:
        # A row without a key is said when the table is read, and decides nothing here.
        given = shared(found) | {"missing": False}
        column = IdentifierColumn(pattern=id_pattern(found.words), roles=("patient_key",), **given)
        reason = (
            "taken as the patient key, and patients have several rows: ehrsynth takes one row per patient"
        )
        remedy = "summarise each patient in one row; put it under left_out only if each row is a patient"
        return Guess(column, (*code_reason(found.codes), reason, remedy))
    reason = "named like an identifier, but its words repeat: give one row per patient, or rename it"
    return Guess(LeftOut(name=found.name, reason=reason))


def _date_order(found: Sequence[Evidence]) -> str:
    votes = {fitting_orders(each) for each in found} - {""}
    return votes.pop() if len(votes) == 1 else ""


def _with_roles(guess: Guess, found: Evidence) -> Guess:
    column = guess.column
    if isinstance(column, LeftOut | IdentifierColumn):
        return guess
    given = tuple(role for role in roles(found.name) if _fits(role, column))
    if "event" in given:
        given = tuple(dict.fromkeys((*given, "outcome")))
    if isinstance(column, BooleanColumn) and names_censoring(found.name):
        guess = Guess(column, (*guess.reasons, _CENSORING))
    if not given:
        return guess
    reasons = (*guess.reasons, f"roles guessed from the name: {', '.join(given)}")
    return Guess(_changed(column, roles=given), reasons)


def _fits(role: Role, column: Column) -> bool:
    """Whether a column of this kind can have the role that its name suggests."""
    few_values = isinstance(column, BooleanColumn) or (
        column.kind in {"category", "integer"}
        and not isinstance(column, IdentifierColumn)
        and column.size <= _MOST_OUTCOME_VALUES
    )
    if role == "event":
        return isinstance(column, BooleanColumn)
    if role in {"outcome", "treatment"}:
        return few_values
    if role == "time":
        return column.kind in {"integer", "number", "duration"} and not few_values
    return role != "site" or column.kind in {"category", "integer", "boolean"}


def _one_patient_key(guesses: list[Guess]) -> list[Guess]:
    """The first identifier that the name says is the patient's, or the only one, tells patients apart."""
    places = [i for i, g in enumerate(guesses) if isinstance(g.column, IdentifierColumn)]
    if any("patient_key" in guesses[i].column.roles for i in places):  # type: ignore[union-attr]
        return guesses
    full = [i for i in places if not guesses[i].column.missing]  # type: ignore[union-attr]
    named = [i for i in full if "patient" in meanings(guesses[i].column.name)] or [
        i for i in full if names_an_identifier(guesses[i].column.name)
    ]
    key = named[0] if named else full[0] if len(full) == 1 else None
    if key is None:
        return guesses
    guess = guesses[key]
    reasons = (*guess.reasons, "taken as the patient key: it decides who goes to the holdout")
    keyed = Guess(_changed(guess.column, roles=("patient_key",)), reasons)
    return [keyed if i == key else g for i, g in enumerate(guesses)]


def _changed(column: Any, **fields: Any) -> Any:
    return type(column)(**column.model_dump() | fields)


def _absent(guesses: Sequence[Guess], found: Sequence[Evidence]) -> dict[str, NDArray[np.bool_]]:
    """Where each column that may be missing is."""
    return {
        guess.column.name: each.absent(guess.column.missing_codes)
        for guess, each in zip(guesses, found, strict=True)
        if not isinstance(guess.column, LeftOut | IdentifierColumn) and guess.column.missing
    }


def _present_together(absent: Mapping[str, NDArray[np.bool_]]) -> list[PresentTogether]:
    """Columns that are missing in exactly the same rows, if those are more than one in twenty."""
    groups: dict[bytes, list[str]] = {}
    for name, gone in absent.items():
        if gone.mean() > _LEAST_MISSING:
            groups.setdefault(np.packbits(gone).tobytes(), []).append(name)
    why = "missing in exactly the same rows"
    return [
        PresentTogether(columns=tuple(names), description=why, source="data")
        for names in groups.values()
        if len(names) > 1
    ]


def _spoken_for(together: Sequence[PresentTogether], computed: set[str]) -> set[str]:
    """Columns whose missing values follow: computed ones, and of a group all but one that is learnt."""
    learnt = [[name for name in group.columns if name not in computed] for group in together]
    return computed | {name for names in learnt for name in names[1:]}


def _values(
    guesses: Sequence[Guess],
    found: Sequence[Evidence],
    kinds: tuple[type, ...],
    *,
    decimal_comma: bool = False,
) -> dict[str, NDArray[np.float64]]:
    """Columns of these kinds row by row, dates as days, datetimes as seconds; NaN for missing."""
    values: dict[str, NDArray[np.float64]] = {}
    for guess, each in zip(guesses, found, strict=True):
        if isinstance(guess.column, kinds):
            column: Any = guess.column
            parsed = parse_words(each.words, column, decimal_comma=decimal_comma).values
            values[column.name] = np.append(parsed, np.nan)[each.places]
    return values


def _date_order_rules(
    columns: tuple[Column, ...], moments: dict[str, NDArray[np.float64]]
) -> list[Constraint]:
    """Pairs of dates of which the first is never after the second, in enough rows to say so."""
    dated = [c for c in columns if c.name in moments][:_MOST_DATES]
    rules: list[Constraint] = []
    for low in dated:
        for high in dated:
            if low is high or low.kind != high.kind:
                continue
            a, b = moments[low.name], moments[high.name]
            both = ~(np.isnan(a) | np.isnan(b))
            if both.sum() >= _FEWEST_PAIRS and np.all(a[both] <= b[both]) and np.any(a[both] < b[both]):
                why = "never after it in any row: check that this is a rule"
                rules.append(Inequality(low=low.name, high=high.name, description=why, source="data"))
    return rules
