"""Who comes first in the chain: the schema's roles, and within a role the simpler column.

Protected and quasi-identifying columns and the site come first, then everything measured at the start, then
treatment, then outcomes and times: the order in which things happen to a patient. Within a stage, columns
with fewer observed states come first, because a sharp number (days to death) follows from simple facts
(dead or alive) more easily than the other way round. A formula's column is computed, and follows its inputs.
"""

from collections.abc import Collection, Sequence

from ehrsynth.schema import Formula, LearntColumn, Schema
from ehrsynth.schema.binding import columns_of

_STAGES = (
    ("protected", "quasi_identifier", "site"),
    (),
    ("treatment",),
    ("outcome", "event", "time"),
)
_NO_ROLE = 1


def chain_order(schema: Schema, states: Sequence[int]) -> list[int]:
    """The places of the learnt columns in the order of the chain.

    Parameters
    ----------
    states
        How many states of each learnt column were observed.
    """
    columns = schema.learnt
    return _inputs_first(
        schema, sorted(range(len(columns)), key=lambda p: (_stage(columns[p]), states[p], p))
    )


def leading(schema: Schema, order: Sequence[int], names: Collection[str]) -> list[int]:
    """The order with some columns first, and before a formula's column what it is computed from."""
    wanted = set(names)
    for _ in schema.constraints:  # as often as one formula can wait for another
        for formula in schema.constraints:
            if isinstance(formula, Formula) and formula.column in wanted:
                wanted |= columns_of(formula)
    first = [place for place in order if schema.learnt[place].name in wanted]
    return _inputs_first(schema, [*first, *(place for place in order if place not in first)])


def _inputs_first(schema: Schema, order: list[int]) -> list[int]:
    """The order with each formula's column after its inputs."""
    place = {column.name: p for p, column in enumerate(schema.learnt)}
    formulas = [c for c in schema.constraints if isinstance(c, Formula)]
    for _ in formulas:
        for formula in formulas:
            computed = place[formula.column]
            order.remove(computed)
            inputs = [order.index(place[name]) for name in columns_of(formula) - {formula.column}]
            order.insert(max(inputs, default=-1) + 1, computed)
    return order


def computed_columns(schema: Schema) -> frozenset[str]:
    """The names of the columns that formulas give: they are computed and not learnt."""
    return frozenset(c.column for c in schema.constraints if isinstance(c, Formula))


def _stage(column: LearntColumn) -> int:
    # A protected outcome is an outcome: the latest stage counts.
    found = [stage for stage, roles in enumerate(_STAGES) if set(roles) & set(column.roles)]
    return max(found, default=_NO_ROLE)
