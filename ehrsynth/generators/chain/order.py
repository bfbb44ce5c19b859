"""Who comes first in the chain: the schema's roles, and within a role the simpler column.

Protected and quasi-identifying columns and the site come first, then everything measured at the start, then
treatment, then outcomes and times: the order in which things happen to a patient. Within a stage, columns
with fewer observed states come first, because a sharp number (days to death) follows from simple facts
(dead or alive) more easily than the other way round.
"""

from collections.abc import Sequence

from ehrsynth.schema import LearntColumn

_STAGES = (
    ("protected", "quasi_identifier", "site"),
    (),
    ("treatment",),
    ("outcome", "event", "time"),
)
_NO_ROLE = 1


def chain_order(columns: Sequence[LearntColumn], states: Sequence[int]) -> list[int]:
    """The places of the columns in the order of the chain.

    Parameters
    ----------
    columns
        The learnt columns.
    states
        How many states of each were observed.
    """
    return sorted(range(len(columns)), key=lambda p: (_stage(columns[p]), states[p], p))


def _stage(column: LearntColumn) -> int:
    # A protected outcome is an outcome: the latest stage counts.
    found = [stage for stage, roles in enumerate(_STAGES) if set(roles) & set(column.roles)]
    return max(found, default=_NO_ROLE)
