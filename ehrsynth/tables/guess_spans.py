"""Which numbers are the time between two moments: the length of a stay, the age at an event.

A stay that a generator learns beside its two dates comes out near their difference; a formula makes it so.
Only what holds in every row is proposed, as for other formulas (`guess_formulas`).
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import permutations, product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ehrsynth.expressions import quoted
from ehrsynth.schema import Column, DateColumn, DatetimeColumn, Formula, IntegerColumn, NumberColumn
from ehrsynth.tables.grids import grid
from ehrsynth.tables.guess_formulas import HOLDS, holds

Floats = NDArray[np.float64]
Values = Mapping[str, Floats]
_MOST = 20  # moments looked at
_FEWEST_VALUES = 3
_FIRST = 100  # rows of a first look
# A difference of dates is in days, of datetimes in seconds: how often a unit goes into it, in words and as a
# factor. Years and months are those of the calendar on average.
_OF_DATES = {
    "": 1.0,
    " * 24": 24.0,
    " / 7": 1 / 7,
    " / 365.25": 1 / 365.25,
    " / 365": 1 / 365,
    " / 30.4375": 1 / 30.4375,
}
_OF_DATETIMES = {" / 86400": 1 / 86400, " / 3600": 1 / 3600, " / 60": 1 / 60, "": 1.0}


class _Form(NamedTuple):
    """A way to count the time from one moment to another."""

    first: str
    last: str
    unit: str
    factor: float
    how: str

    @property
    def words(self) -> str:
        """As an expression."""
        span = f"{quoted(self.last)} - {quoted(self.first)}"
        counted = f"({span}){self.unit}" if self.unit else span
        if self.how == "completed":
            return f"floor({counted})"
        return f"{counted} + 1" if self.how == "both ends" else counted

    def compute(self, moments: Values) -> Floats:
        """The number in each row, NaN where a moment is missing."""
        counted: Floats = (moments[self.last] - moments[self.first]) * self.factor
        if self.how == "completed":
            return np.floor(counted)
        return counted + (self.how == "both ends")


def guess_spans(columns: Sequence[Column], numbers: Values, moments: Values) -> list[Formula]:
    """Formulas of numbers that are the time between two moments in every row, each number's at most one.

    Parameters
    ----------
    columns
        The columns proposed so far, in the table's order.
    numbers
        Of each integer and number among them the value in each row, NaN where it is missing.
    moments
        Of each date its day, of each datetime its second.
    """
    forms = list(_forms([c for c in columns if c.name in moments][:_MOST]))
    if not forms:
        return []
    counted = [c for c in columns if isinstance(c, IntegerColumn | NumberColumn) and c.name in numbers]
    found = (
        (column.name, _span(numbers[column.name], grid(column).scale, forms, moments)) for column in counted
    )
    return [
        Formula(column=name, equals=form.words, description=HOLDS, source="data")
        for name, form in found
        if form
    ]


def _span(own: Floats, scale: float, forms: Sequence[_Form], moments: Values) -> _Form | None:
    """The first form that gives a number in every row; of few values any would do."""
    known = np.flatnonzero(~np.isnan(own))
    if len(np.unique(own[known])) < _FEWEST_VALUES:
        return None
    for some in (known[:3], known[:_FIRST]):
        those = {name: values[some] for name, values in moments.items()}
        forms = [f for f in forms if holds(own[some], f.compute(those), 1 / scale, fewest=1)]
    return next((form for form in forms if holds(own, form.compute(moments), 1 / scale)), None)


def _forms(moments: Sequence[Column]) -> Iterator[_Form]:
    """Every way to count between two, the plain ones first: completed years may be rounded ones by chance."""
    hows = ("plain", "both ends", "completed")
    for kind, units in ((DateColumn, _OF_DATES), (DatetimeColumn, _OF_DATETIMES)):
        pairs = list(permutations([c.name for c in moments if isinstance(c, kind)], 2))
        for how, (unit, factor), (first, last) in product(hows, units.items(), pairs):
            if how != "both ends" or not unit:
                yield _Form(first, last, unit, factor, how)
