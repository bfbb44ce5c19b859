"""Columns that the schema's rules decide in part or wholly, so that no model has to learn what is known.

Of columns that are present together one says for all whether they are missing: learnt apart, three columns
that are each missing for a fifth of the patients would rarely agree. A formula's column is recomputed.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ehrsynth.conditions import CodeSet
from ehrsynth.encoding import codes_to_values, values_to_codes
from ehrsynth.schema import Formula, PresentTogether, Schema
from ehrsynth.schema.binding import columns_of
from ehrsynth.tables.constraints import recompute

Codes = NDArray[np.int64]

FREE = -1
RECOMPUTED = -2


def ties(schema: Schema) -> tuple[int, ...]:
    """For each learnt column `FREE`, `RECOMPUTED`, or the place of the one that says if it is missing."""
    places = {c.name: p for p, c in enumerate(schema.learnt)}
    found = [FREE] * len(places)
    for rule in schema.constraints:
        if isinstance(rule, Formula) and _is_known(rule, schema):
            found[places[rule.column]] = RECOMPUTED
    for rule in schema.constraints:
        if isinstance(rule, PresentTogether):
            _tie(found, [places[n] for n in rule.columns if _may_miss(schema, n)])
    return tuple(found)


def _may_miss(schema: Schema, name: str) -> bool:
    return schema.column(name).missing


def _is_known(rule: Formula, schema: Schema) -> bool:
    # Where an input is missing so is the result, which must then be allowed to be.
    inputs = columns_of(rule) - {rule.column}
    return _may_miss(schema, rule.column) or not any(_may_miss(schema, name) for name in inputs)


def _tie(found: list[int], group: list[int]) -> None:
    group = [place for place in group if found[place] != RECOMPUTED]
    leaders = {found[p] if found[p] >= 0 else p for p in group}
    if not leaders:
        return
    first = min(leaders)
    for place, tie in enumerate(found):
        if place != first and (place in leaders or tie in leaders or place in group):
            found[place] = first


def own_codes(codes: Codes, schema: Schema) -> list[Codes]:
    """For each learnt column the codes that are its own to learn: at least one."""
    found = []
    for place, tie in enumerate(ties(schema)):
        own = codes[:, place]
        if tie == RECOMPUTED:
            own = np.zeros(1, np.int64)
        elif tie != FREE and (own >= 0).any():
            own = own[own >= 0]
        found.append(own)
    return found


def own_counts(values: Codes, held: Codes, tie: int) -> tuple[Codes, Codes]:
    """As `own_codes` for one column, from how many patients hold each code."""
    if tie == RECOMPUTED:
        return np.zeros(1, np.int64), np.ones(1, np.int64)
    own = values >= 0
    return (values[own], held[own]) if tie != FREE and own.any() else (values, held)


def settle(codes: Codes, schema: Schema) -> Codes:
    """Rows of codes with every tied column missing where its leader is, and every formula computed."""
    tied = ties(schema)
    codes = codes.copy()
    for place, tie in enumerate(tied):
        if tie >= 0:
            codes[codes[:, tie] == -1, place] = -1
    known = [place for place, tie in enumerate(tied) if tie == RECOMPUTED]
    if known and len(codes):
        computed = values_to_codes(recompute(codes_to_values(codes, schema), schema), schema)
        codes[:, known] = computed[:, known]
    return codes


def lead(box: Mapping[int, CodeSet], schema: Schema) -> dict[int, CodeSet]:
    """A box of a condition, by place, as what is learnt can meet it: it contains the box.

    Whether a tied column is missing is asked of its leader; a computed column is not asked at all.
    """
    tied, sizes = ties(schema), [c.size for c in schema.learnt]
    found: dict[int, CodeSet] = {}
    for place, allowed in box.items():
        leader = tied[place]
        if leader == RECOMPUTED:
            continue
        if leader >= 0:
            if not allowed.missing:
                _narrow(found, leader, CodeSet(((0, sizes[leader] - 1),), missing=False))
                _narrow(found, place, allowed)
            elif not allowed.intervals:
                _narrow(found, leader, CodeSet((), missing=True))
            continue
        _narrow(found, place, allowed)
    return found


def _narrow(found: dict[int, CodeSet], place: int, allowed: CodeSet) -> None:
    found[place] = found[place].intersect(allowed) if place in found else allowed
