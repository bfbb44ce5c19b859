"""From nodes and values to truth or numbers, whole columns at once."""

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ehrsynth.errors import unknown
from ehrsynth.expressions.nodes import (
    AbstractNode,
    Arithmetic,
    Call,
    Comparison,
    Expression,
    Junction,
    Membership,
    Missing,
    Name,
    Negative,
    Not,
    Number,
    Text,
    Truth,
    error_at,
)

Floats = NDArray[np.float64]
Truths = NDArray[np.int8]

COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_COMPUTE: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
}
_CALLS: dict[str, Callable[..., Any]] = {
    "abs": np.abs,
    "ceil": np.ceil,
    "floor": np.floor,
    "max": lambda *values: reduce(np.maximum, values),
    "min": lambda *values: reduce(np.minimum, values),
    "round": lambda value, digits=0.0: np.round(value, int(digits)),
}


def truth(expression: Expression, values: Mapping[str, Floats]) -> Truths:
    """Whether the expression holds, row by row.

    Parameters
    ----------
    values
        One float64 array for each column of the expression (more do no harm), NaN for missing.

    Returns
    -------
    array
        int8: 1 true, 0 unknown, -1 false.

    Raises
    ------
    ExpressionError
        If the expression is a number rather than true or false, a column has no values, or a quoted
        word is left that a schema must first turn into a number (`ehrsynth.schema.binding.bind`).
    """
    computation = _Computation(expression.text, values)
    with np.errstate(all="ignore"):
        return computation.whole(computation.truth(expression.root)).astype(np.int8)


def compute(expression: Expression, values: Mapping[str, Floats]) -> Floats:
    """The expression's number, row by row; NaN where an input is missing or a step is not finite.

    Parameters and errors are those of `truth`.
    """
    computation = _Computation(expression.text, values)
    with np.errstate(all="ignore"):
        return computation.whole(_finite(computation.number(expression.root))).astype(np.float64)


@dataclass(frozen=True, slots=True)
class _Computation:
    text: str
    values: Mapping[str, Floats]

    def whole(self, result: Any) -> NDArray[Any]:
        rows = len(next(iter(self.values.values()))) if self.values else 1
        return np.broadcast_to(result, (rows,))

    def truth(self, node: AbstractNode) -> Any:
        match node:
            case Junction(operators=operators, operands=operands):
                join = np.minimum if operators[0] == "and" else np.maximum
                return reduce(join, map(self.truth, operands))
            case Not(operand=operand):
                return -self.truth(operand)
            case Comparison():
                return self._compared(node)
            case Membership():
                return self._member(node)
            case Missing(name=name):
                return _truths(np.isnan(self._column(name)))
            case Name() | Truth():
                value = self.number(node)
                return np.where(np.isnan(value), np.int8(0), _truths(value != 0))
        raise error_at(self.text, node, "this is a number; something true or false is needed")

    def number(self, node: AbstractNode) -> Any:
        match node:
            case Number(value=value) | Truth(value=value):
                return np.float64(value)
            case Name():
                return self._column(node)
            case Negative(operand=operand):
                return -self.number(operand)
            case Arithmetic(operators=operators, operands=operands):
                total = self.number(operands[0])
                for symbol, operand in zip(operators, operands[1:], strict=True):
                    total = _finite(_COMPUTE[symbol](total, self.number(operand)))
                return total
            case Call(function=function, arguments=arguments):
                return _finite(_CALLS[function](*map(self.number, arguments)))
            case Text():
                raise error_at(self.text, node, "quoted words need a schema: bind the expression first")
        raise error_at(self.text, node, "this is true or false; a number is needed")

    def _column(self, name: Name) -> Floats:
        if name.name not in self.values:
            raise error_at(self.text, name, unknown("column", name.name, list(self.values)))
        return self.values[name.name]

    def _compared(self, node: Comparison) -> Any:
        numbers = [self.number(operand) for operand in node.operands]
        result: Any = np.int8(1)
        for symbol, left, right in zip(node.operators, numbers, numbers[1:], strict=False):
            absent = np.isnan(left) | np.isnan(right)
            here = np.where(absent, np.int8(0), _truths(COMPARE[symbol](left, right)))
            result = np.minimum(result, here)
        return result

    def _member(self, node: Membership) -> Any:
        item = self.number(node.item)
        found = _truths(np.isin(item, [self.number(choice) for choice in node.choices]))
        return np.where(np.isnan(item), np.int8(0), -found if node.negated else found)


def _truths(holds: Any) -> Any:
    return np.where(holds, np.int8(1), np.int8(-1))


def _finite(value: Any) -> Any:
    return np.where(np.isfinite(value), value, np.nan)
