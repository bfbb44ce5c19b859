"""Can a patient be described so closely from the synthetic table that nobody else fits?"""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ehrsynth.evaluation.base import Risk
from ehrsynth.evaluation.matrix import Floats, Mask, Matrix, matrix, row_hashes
from ehrsynth.evaluation.privacy.lone_matches import Matches, alone, overdispersion
from ehrsynth.evaluation.privacy.nearest import listed_columns
from ehrsynth.evaluation.privacy.success import Successes, worst
from ehrsynth.evaluation.privacy.targets import scene
from ehrsynth.evaluation.privacy.unseen import unseen_patients
from ehrsynth.evaluation.protocol import protocol
from ehrsynth.progress import Progress, silent
from ehrsynth.randomness import numpy_generator
from ehrsynth.schema import Schema

_NAME = "singling_out"
_MOST_ROWS_SCANNED = 10  # times the protocol's `pairs`: a scan costs less than a distance
_RANDOM_QUERIES = 500
_OPERATORS = ("==", ">=", "<=")


class Predicate(NamedTuple):
    """One comparison of a column (by position) with a value; "missing" compares with nothing."""

    column: int
    operator: str
    value: float


Query = tuple[Predicate, ...]


class _Hunt(NamedTuple):
    """The synthetic table, in columns, without repeated rows, and what queries on it look like."""

    table: Floats
    medians: Floats
    listed: Mask
    rng: np.random.Generator


def singling_out(
    members: pd.DataFrame,
    non_members: pd.DataFrame,
    reference: pd.DataFrame,
    synthetic: pd.DataFrame,
    schema: Schema,
    *,
    seed: int,
    progress: Progress | None = None,
) -> Risk:
    """How often what fits one synthetic row fits exactly one training patient, beyond the control.

    Descriptions are conjunctions over a few columns of a synthetic row (multivariate), and values that occur
    once, extremes among them, in one column (univariate); the worse of the two is reported (after Giomi et
    al. 2023, doi 10.56553/popets-2023-0055; predicates after Cohen and Nissim 2020, arXiv 1904.06009).
    Control: the same descriptions on patients whom the generator never saw (the non-members and the
    reference, which nothing is learnt from here). Fitting exactly one depends on how many there are, so the
    larger table counts by the exact chance that one match is left when it is thinned to the size of the
    smaller; where that thins the members, the excess is divided by the share kept. Rates are of the
    descriptions that were made, not of those asked for; their variance is taken from patients. Baseline:
    descriptions of random values.

    Evidence for each patient: 1 if some description fits this patient and nobody else of members,
    non-members and reference together, else 0. It is counted in all tables as one, so that it does not
    depend on who is a member.

    Range and direction: 0 to 1, lower is safer.
    """
    report = progress or silent
    there = scene((members, non_members, reference, synthetic), schema, seed=seed)
    if there.empty:
        return worst(_NAME, [], if_none="a table has no rows")
    known, unseen = matrix(members, schema), unseen_patients(non_members, reference, schema)
    hunt = _hunt(there.synthetic, numpy_generator(seed, _NAME))
    attempts, evidence = [], []
    for share, (kind, find) in enumerate({"multivariate": _multivariate, "univariate": _univariate}.items()):
        report(share / 2, f"singling out: {kind}")
        queries = find(hunt)
        attempts.append(_try(kind, queries, hunt, known, unseen))
        evidence.append(there.evidence(_NAME, kind, singled_out(queries, there.everybody), graded=False))
    return worst(_NAME, attempts, if_none="no description fits one synthetic row", evidence=evidence)


def _hunt(made: Matrix, rng: np.random.Generator) -> _Hunt:
    distinct = made.rows(np.sort(np.unique(row_hashes(made.values), return_index=True)[1]))
    table = np.ascontiguousarray(distinct.values.T)
    medians = np.array([_median(column) for column in table])
    return _Hunt(table, medians, listed_columns(made), rng)


def _median(column: Floats) -> float:
    known = column[~np.isnan(column)]
    return float(np.median(known)) if len(known) else 0.0


def _try(kind: str, queries: list[Query], hunt: _Hunt, known: Matrix, unseen: Matrix) -> Successes:
    size = min(len(known), len(unseen))
    attack, control = (alone(matches(queries, table), size) for table in (known, unseen))
    widths = (1, 1) if kind == "univariate" else protocol().attacks.query_columns
    random = [_random_query(hunt, widths) for _ in range(min(len(queries), _RANDOM_QUERIES))]
    baseline = float(alone(matches(random, known), size)[0]) if random else None
    return Successes(
        kind,
        float(attack[0]) * len(queries),
        len(queries),
        float(control[0]) * len(queries),
        len(queries),
        baseline,
        reach=size / len(known),
        spread=overdispersion(attack, control, len(queries)),
        details={"compared_at_rows": size},
    )


def matches(queries: list[Query], table: Matrix) -> Matches:
    """How many patients of each group every query fits."""
    groups = protocol().groups
    group = np.arange(len(table)) % groups  # rows stand in the order of a hash: that is a draw
    columns = np.ascontiguousarray(table.values.T)
    counts = [np.bincount(group[fits(query, columns)], minlength=groups) for query in queries]
    patients = np.bincount(group, minlength=groups)
    return Matches(np.array(counts, dtype=np.int64).reshape(len(queries), groups), patients)


def singled_out(queries: list[Query], table: Matrix) -> Floats:
    """Which patients some description fits alone: 1 or 0 for each row."""
    found, columns = np.zeros(len(table)), np.ascontiguousarray(table.values.T)
    for query in queries:
        met = np.flatnonzero(fits(query, columns))
        if len(met) == 1:
            found[met] = 1
    return found


def fits(query: Query, columns: Floats) -> Mask:
    """Which rows meet every predicate.

    Parameters
    ----------
    columns
        p x n: one row for each column.
    """
    met = np.ones(columns.shape[1], np.bool_)
    for predicate in query:
        met &= _TESTS[predicate.operator](columns[predicate.column], predicate.value)
    return met


_TESTS: dict[str, Callable[[Floats, float], Mask]] = {
    "==": lambda column, value: column == value,
    ">=": lambda column, value: column >= value,
    "<=": lambda column, value: column <= value,
    "missing": lambda column, _: np.isnan(column),
}


def _multivariate(hunt: _Hunt) -> list[Query]:
    settings = protocol().attacks
    columns, rows = hunt.table.shape
    fewest, most = (min(k, columns) for k in settings.query_columns)
    if columns < 2 or not rows:  # noqa: PLR2004
        return []
    affordable = _MOST_ROWS_SCANNED * settings.pairs // (rows * most)
    candidates = (
        _query_of_a_row(hunt, fewest, most)
        for _ in range(min(settings.attempts * settings.queries, affordable))
    )
    return list(_first(settings.queries, _that_single_out(candidates, hunt)))


def _query_of_a_row(hunt: _Hunt, fewest: int, most: int) -> Query:
    width = int(hunt.rng.integers(fewest, most + 1))
    row = int(hunt.rng.integers(hunt.table.shape[1]))
    chosen = np.sort(hunt.rng.choice(len(hunt.table), size=width, replace=False))
    return tuple(_predicate(hunt, int(column), float(hunt.table[column, row])) for column in chosen)


def _predicate(hunt: _Hunt, column: int, value: float) -> Predicate:
    if np.isnan(value):
        return Predicate(column, "missing", 0.0)
    if hunt.listed[column]:
        return Predicate(column, "==", value)
    return Predicate(column, ">=" if value > hunt.medians[column] else "<=", value)


def _that_single_out(candidates: Iterable[Query], hunt: _Hunt) -> Iterator[Query]:
    seen: set[Query] = set()
    for query in candidates:
        if query not in seen and fits(query, hunt.table).sum() == 1:
            seen.add(query)
            yield query


def _first(count: int, queries: Iterator[Query]) -> Iterator[Query]:
    return (query for _, query in zip(range(count), queries, strict=False))


def _univariate(hunt: _Hunt) -> list[Query]:
    every = [query for column in range(len(hunt.table)) for query in _lonely_values(hunt, column)]
    order: NDArray[np.int64] = hunt.rng.permutation(len(every))[: protocol().attacks.queries]
    return [every[place] for place in order]


def _lonely_values(hunt: _Hunt, column: int) -> Iterator[Query]:
    values = hunt.table[column]
    known = values[~np.isnan(values)]
    if len(values) - len(known) == 1:
        yield (Predicate(column, "missing", 0.0),)
    levels, counts = np.unique(known, return_counts=True)
    if not hunt.listed[column] and len(levels):
        for end, operator in ((0, "<="), (-1, ">=")):
            if counts[end] == 1:
                yield (Predicate(column, operator, float(levels[end])),)
    for value in levels[counts == 1]:
        yield (Predicate(column, "==", float(value)),)


def _random_query(hunt: _Hunt, widths: tuple[int, int]) -> Query:
    fewest, most = (min(k, len(hunt.table)) for k in widths)
    width = int(hunt.rng.integers(fewest, most + 1))
    chosen = np.sort(hunt.rng.choice(len(hunt.table), size=width, replace=False))
    return tuple(_random_predicate(hunt, int(column)) for column in chosen)


def _random_predicate(hunt: _Hunt, column: int) -> Predicate:
    value = float(hunt.table[column, hunt.rng.integers(hunt.table.shape[1])])
    if np.isnan(value):
        return Predicate(column, "missing", 0.0)
    operators = _OPERATORS[:1] if hunt.listed[column] else _OPERATORS
    return Predicate(column, operators[int(hunt.rng.integers(len(operators)))], value)
