"""A `where` expression bound to a schema, and turned into boxes of codes that any generator can sample in.

A row is selected where the expression is definitely true: ``not (age > 80)`` leaves out patients whose age
is missing, and ``missing(age)`` asks for them. A box gives a set of codes for some columns (the others are
free); the boxes of a condition are disjoint, and together they are the condition, exactly, as long as no
part of it relates two columns to each other. Then they contain it, and `Condition.mask` decides each row.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from ehrsynth.errors import ConditionError
from ehrsynth.expressions import (
    AbstractNode,
    Comparison,
    Expression,
    Junction,
    Membership,
    Missing,
    Name,
    Not,
    Number,
    truth,
)
from ehrsynth.schema import BooleanColumn, CategoryColumn, CodeColumn, LearntColumn, Schema
from ehrsynth.schema.binding import bind
from ehrsynth.tables.grids import MISSING, Grid, grid

Codes = NDArray[np.int64]
Mask = NDArray[np.bool_]
Interval = tuple[int, int]

MOST_BOXES = 256
_MOST_PIECES = 2 * MOST_BOXES  # before alike boxes are merged
# Columns of up to this many values are tried value by value, so that any expression over one is exact.
_LISTABLE = 65_536
_MIRRORED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}
_OPPOSITE = {"<": ">=", "<=": ">", ">": "<=", ">=": "<", "==": "!=", "!=": "=="}
_TO_SHOW = 5


@dataclass(frozen=True, slots=True)
class CodeSet:
    """A set of codes of one column: intervals (both ends included, sorted, apart) and perhaps missing."""

    intervals: tuple[Interval, ...]
    missing: bool

    def contains(self, codes: Codes) -> Mask:
        """Which codes (-1 for missing) are in the set."""
        found: Mask = np.full(codes.shape, fill_value=False)
        if self.intervals:
            low, high = (np.array(ends, np.int64) for ends in zip(*self.intervals, strict=True))
            place = np.searchsorted(low, codes, side="right") - 1
            found = (place >= 0) & (codes <= high[np.maximum(place, 0)])
        if self.missing:
            found = found | (codes == MISSING)
        return found

    def intersect(self, other: "CodeSet") -> "CodeSet":
        """The codes in both."""
        if self is other:
            return self
        found, ours, theirs = [], list(self.intervals), list(other.intervals)
        while ours and theirs:
            low, high = max(ours[0][0], theirs[0][0]), min(ours[0][1], theirs[0][1])
            if low <= high:
                found.append((low, high))
            (ours if ours[0][1] <= theirs[0][1] else theirs).pop(0)
        return CodeSet(tuple(found), self.missing and other.missing)

    def union(self, other: "CodeSet") -> "CodeSet":
        """The codes in either."""
        found: list[Interval] = []
        for low, high in sorted(self.intervals + other.intervals):
            if found and low <= found[-1][1] + 1:
                found[-1] = (found[-1][0], max(found[-1][1], high))
            else:
                found.append((low, high))
        return CodeSet(tuple(found), self.missing or other.missing)

    def minus(self, other: "CodeSet") -> "CodeSet":
        """The codes in this set and not in the other."""
        if not self.intervals:
            return CodeSet((), self.missing and not other.missing)
        last = self.intervals[-1][1]
        starts = [0, *(high + 1 for _, high in other.intervals)]
        ends = [*(low - 1 for low, _ in other.intervals), last]
        gaps = tuple((low, high) for low, high in zip(starts, ends, strict=True) if low <= high)
        return self.intersect(CodeSet(gaps, not other.missing))

    @property
    def is_empty(self) -> bool:
        """Whether nothing is in it."""
        return not self.intervals and not self.missing

    @property
    def size(self) -> int:
        """How many codes are in it; missing counts as one."""
        return sum(high - low + 1 for low, high in self.intervals) + self.missing

    def covers(self, column_size: int) -> bool:
        """Whether every value of a column is in it (missing or not is not asked)."""
        return self.intervals == ((0, column_size - 1),)


Box = dict[str, CodeSet]


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition under one schema; see the head of this module.

    `boxes` are disjoint and cover the condition; where `exact`, their union is the condition. A column
    that a box does not name is free in it.
    """

    text: str
    schema: Schema
    expression: Expression
    boxes: tuple[Box, ...]
    exact: bool

    @classmethod
    def parse(cls, where: str, schema: Schema) -> "Condition":
        """Read a condition.

        Raises
        ------
        ExpressionError
            If it does not parse or does not fit the schema; points at the word.
        ConditionError
            If no patient can meet it under the schema's bounds, values and missingness.
        """
        expression = bind(where, schema, expects="truth")
        regions = _Regions(expression, schema)
        region = regions.of(expression.root, want=True)
        if not region.boxes:
            raise ConditionError(_impossible(expression, schema))
        return cls(where, schema, expression, regions.named(region), region.exact)

    @property
    def columns(self) -> frozenset[str]:
        """The names of the columns in it."""
        return self.expression.columns

    def mask(self, codes: Codes) -> Mask:
        """Which rows meet the condition: exact, whatever the boxes are.

        Parameters
        ----------
        codes
            int64, n x learnt columns of the schema; -1 for missing.
        """
        if not self.columns:  # always true: what is always false was refused
            return np.full(len(codes), fill_value=True)
        values = {
            column.name: grid(column).values(codes[:, place])
            for place, column in enumerate(self.schema.learnt)
            if column.name in self.columns
        }
        met: Mask = truth(self.expression, values) == 1
        return met


def _impossible(expression: Expression, schema: Schema) -> str:
    allowed = [_allowed(c) for c in schema.learnt if c.name in expression.columns]
    more = [f"and {len(allowed) - _TO_SHOW} more columns"] if len(allowed) > _TO_SHOW else []
    said = "; ".join([*allowed[:_TO_SHOW], *more]) or "it is never true"
    return f"no patient can meet the condition {expression.text}\n  the schema allows: {said}"


def _allowed(column: LearntColumn) -> str:
    if isinstance(column, BooleanColumn):
        said = f"{column.true}, {column.false}"
    elif isinstance(column, CategoryColumn | CodeColumn):
        said = ", ".join(column.values[:_TO_SHOW])
        said += f" and {column.size - _TO_SHOW} more" if column.size > _TO_SHOW else ""
    else:
        said = f"{column.minimum} to {column.maximum}"
    return f"{column.name} {said}{', or missing' if column.missing else ', never missing'}"


# ---- regions: unions of disjoint boxes over the columns of one condition ----

Sets = tuple[CodeSet, ...]


@dataclass(frozen=True, slots=True)
class _Region:
    boxes: tuple[Sets, ...]
    exact: bool = True


def _both(one: _Region, other: _Region) -> _Region:
    met = [tuple(map(CodeSet.intersect, a, b)) for a in one.boxes for b in other.boxes]
    return _bounded([box for box in met if not _is_empty(box)], exact=one.exact and other.exact)


def _either(one: _Region, other: _Region) -> _Region:
    boxes, exact = list(one.boxes), one.exact and other.exact
    for new in other.boxes:
        pieces = [new]
        for old in one.boxes:
            pieces = [piece for part in pieces for piece in without(part, old)]
            if len(boxes) + len(pieces) > _MOST_PIECES:
                return _hull([*one.boxes, *other.boxes])
        boxes += pieces
    return _bounded(_merged(boxes), exact=exact)


def _bounded(boxes: list[Sets], *, exact: bool) -> _Region:
    return _Region(tuple(boxes), exact or not boxes) if len(boxes) <= MOST_BOXES else _hull(boxes)


def _hull(boxes: list[Sets]) -> _Region:
    hull = tuple(reduce(CodeSet.union, sets) for sets in zip(*boxes, strict=True))
    return _Region((hull,), exact=False)


def _is_empty(box: Sets) -> bool:
    return any(codes.is_empty for codes in box)


def _apart(one: CodeSet, other: CodeSet) -> bool:
    if one is other or (one.missing and other.missing):
        return False
    ours, theirs = one.intervals, other.intervals
    if not ours or not theirs or ours[-1][1] < theirs[0][0] or theirs[-1][1] < ours[0][0]:
        return True
    return one.intersect(other).is_empty


def without(box: Sets, hole: Sets) -> list[Sets]:
    """The box minus the hole, as disjoint boxes: one for each column in which it sticks out."""
    if any(map(_apart, box, hole)):
        return [box]
    pieces, rest = [], box
    for place, codes in enumerate(hole):
        outside = rest[place].minus(codes)
        if not outside.is_empty:
            pieces.append((*rest[:place], outside, *rest[place + 1 :]))
        rest = (*rest[:place], rest[place].intersect(codes), *rest[place + 1 :])
    return pieces


def _merged(boxes: list[Sets]) -> list[Sets]:
    """The same region in fewer boxes: those that differ in one column only become one."""
    for place in range(len(boxes[0]) if boxes else 0):
        alike: dict[tuple[Sets, Sets], CodeSet] = {}
        for box in boxes:
            key = (box[:place], box[place + 1 :])
            alike[key] = alike[key].union(box[place]) if key in alike else box[place]
        boxes = [(*before, codes, *after) for (before, after), codes in alike.items()]
    return boxes


# ---- from an expression to a region ----


class _Regions:
    """Builds the region where a node is definitely true, or definitely false, bottom up."""

    def __init__(self, expression: Expression, schema: Schema) -> None:
        self._columns = tuple(c for c in schema.learnt if c.name in expression.columns)
        self._places = {c.name: place for place, c in enumerate(self._columns)}
        self._full = tuple(CodeSet(((0, c.size - 1),), c.missing) for c in self._columns)

    def named(self, region: _Region) -> tuple[Box, ...]:
        """A region's boxes by column name, free columns left out."""
        return tuple(
            {
                c.name: codes
                for c, codes, all_ in zip(self._columns, box, self._full, strict=True)
                if codes != all_
            }
            for box in region.boxes
        )

    def of(self, node: AbstractNode, *, want: bool) -> _Region:
        names = Expression("", node).columns
        if not names:
            met = truth(Expression("", node), {})[0] == (1 if want else -1)
            return _Region((self._full,) if met else ())
        if len(names) == 1:
            place = self._places[min(names)]
            if self._columns[place].size <= _LISTABLE:
                return self._with({place: _tried(node, self._columns[place], want=want)})
        return self._by_parts(node, want=want)

    def _by_parts(self, node: AbstractNode, *, want: bool) -> _Region:
        match node:
            case Not(operand=operand):
                return self.of(operand, want=not want)
            case Junction(operators=operators, operands=operands):
                return self._joined(operands, together=(operators[0] == "and") == want, want=want)
            case Comparison(operators=operators) if len(operators) > 1:
                return self._joined(_neighbours(node), together=want, want=want)
        return self._leaf(node, want=want)

    def _leaf(self, node: AbstractNode, *, want: bool) -> _Region:
        match node:
            case Missing(name=name):
                place = self._places[name.name]
                return self._with({place: CodeSet((), missing=True) if want else self._present(place)})
            case Comparison(operators=(symbol,), operands=(left, right)):
                return self._compared(left, symbol if want else _OPPOSITE[symbol], right)
            case Membership(item=Name() as item, choices=choices, negated=negated):
                return self._listed(item, choices, want=want != negated)
        return self._related(node)

    def _present(self, place: int) -> CodeSet:
        return CodeSet(self._full[place].intervals, missing=False)

    def _joined(self, nodes: Iterable[AbstractNode], *, together: bool, want: bool) -> _Region:
        return reduce(_both if together else _either, (self.of(node, want=want) for node in nodes))

    def _with(self, sets: Mapping[int, CodeSet], *, exact: bool = True) -> _Region:
        box = tuple(s.intersect(sets[place]) if place in sets else s for place, s in enumerate(self._full))
        return _Region(() if _is_empty(box) else (box,), exact or _is_empty(box))

    def _compared(self, left: AbstractNode, symbol: str, right: AbstractNode) -> _Region:
        match left, right:
            case Name(), Number():
                place = self._places[left.name]
                return self._with({place: _against(grid(self._columns[place]), symbol, right.value)})
            case Number(), Name():
                return self._compared(right, _MIRRORED[symbol], left)
            case Name(), Name():
                one, other = self._places[left.name], self._places[right.name]
                ranges = {
                    one: self._reach(one, symbol, other),
                    other: self._reach(other, _MIRRORED[symbol], one),
                }
                return self._with(ranges, exact=False)
        return self._related(left, right)

    def _reach(self, place: int, symbol: str, other: int) -> CodeSet:
        """The codes of a column that some value of the other column is beyond."""
        ours, theirs = grid(self._columns[place]), grid(self._columns[other])
        above = _against(ours, ">=" if symbol == "==" else symbol, theirs.low)
        below = _against(ours, "<=" if symbol == "==" else symbol, theirs.high)
        if symbol == "==":
            return above.intersect(below)
        return above.union(below)

    def _listed(self, item: Name, choices: Iterable[AbstractNode], *, want: bool) -> _Region:
        place = self._places[item.name]
        axis = grid(self._columns[place])
        found = [_against(axis, "==", c.value) for c in choices if isinstance(c, Number)]
        listed = reduce(CodeSet.union, found)
        return self._with({place: listed if want else self._present(place).minus(listed)})

    def _related(self, *nodes: AbstractNode) -> _Region:
        """What is definitely true or false about columns together needs them all to be there."""
        names = {name for node in nodes for name in Expression("", node).columns}
        places = [self._places[name] for name in names]
        return self._with({place: self._present(place) for place in places}, exact=False)


def _neighbours(node: Comparison) -> list[Comparison]:
    pairs = zip(node.operands, node.operators, node.operands[1:], strict=False)
    return [Comparison(node.start, node.length, (symbol,), (a, b)) for a, symbol, b in pairs]


def _tried(node: AbstractNode, column: LearntColumn, *, want: bool) -> CodeSet:
    """The codes of a short column at which a node is definitely true (or false), by trying each."""
    codes = np.arange(MISSING, column.size)
    met = truth(Expression("", node), {column.name: grid(column).values(codes)}) == (1 if want else -1)
    steps = np.flatnonzero(np.diff(np.concatenate([[False], met[1:], [False]]).astype(np.int8)))
    intervals = tuple((int(low), int(high) - 1) for low, high in zip(steps[::2], steps[1::2], strict=True))
    return CodeSet(intervals, bool(met[0]))


def _against(axis: Grid, symbol: str, value: float) -> CodeSet:
    """The codes whose values compare with a number as asked, exact at the boundary."""
    first = _first_code(axis, lambda v: v >= value, value)  # the first code that is not below
    after = _first_code(axis, lambda v: v > value, value)
    parts = {"<": [(0, first)], "<=": [(0, after)], "==": [(first, after)], ">=": [(first, axis.size)]}
    parts |= {">": [(after, axis.size)], "!=": [(0, first), (after, axis.size)]}
    return CodeSet(tuple((low, high - 1) for low, high in parts[symbol] if low < high), missing=False)


def _first_code(axis: Grid, met: Callable[[float], bool], near: float) -> int:
    if met(axis.low):
        return 0
    if not met(axis.high):
        return axis.size
    code = min(max(round(near * axis.scale / axis.step) - axis.origin, 0), axis.size - 1)
    while met(axis.value(code - 1)):
        code -= 1
    while not met(axis.value(code)):
        code += 1
    return code
