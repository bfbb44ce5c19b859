"""What an expression assigns, when all it says is which values some columns have."""

import math

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
    Truth,
)


def assignments(expression: Expression) -> dict[str, float]:
    """The columns and values of an expression such as ``missing(x) and y == 3``, bound to a schema.

    Returns
    -------
    dict
        Values in expression space, NaN for missing. Empty if the expression says anything else (a range, an
        `or`) or two things about one column: then no one assignment makes it true.
    """
    found: dict[str, float] = {}
    for part in _conjuncts(expression.root):
        assigned = _assignment(part)
        if assigned is None or assigned[0] in found:
            return {}
        found[assigned[0]] = assigned[1]
    return found


def _conjuncts(node: AbstractNode) -> list[AbstractNode]:
    if isinstance(node, Junction) and set(node.operators) == {"and"}:
        return [part for operand in node.operands for part in _conjuncts(operand)]
    return [node]


def _assignment(node: AbstractNode) -> tuple[str, float] | None:
    match node:
        case Missing(name=Name(name=name)):
            return name, math.nan
        case Name(name=name):
            return name, 1.0
        case Not(operand=Name(name=name)):
            return name, 0.0
        case (
            Comparison(operators=("==",), operands=(Name(name=name), Number() | Truth() as constant))
            | Comparison(operators=("==",), operands=(Number() | Truth() as constant, Name(name=name)))
            | Membership(negated=False, item=Name(name=name), choices=(Number() | Truth() as constant,))
        ):
            return name, float(constant.value)
    return None
