"""From text to nodes, by precedence climbing."""

import math
import re
from dataclasses import dataclass
from typing import NoReturn

from ehrsynth.errors import ExpressionError, unknown
from ehrsynth.expressions.nodes import (
    KEYWORDS,
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

LONGEST = 10_000
DEEPEST = 100
MOST_DIGITS = 15
# How few and how many arguments; None is any number.
FUNCTIONS: dict[str, tuple[int, int | None]] = {
    "abs": (1, 1),
    "ceil": (1, 1),
    "floor": (1, 1),
    "max": (2, None),
    "min": (2, None),
    "round": (1, 2),
}
_ALWAYS_TRUTH = (Comparison, Junction, Membership, Missing, Not)
_NEVER_TRUTH = (Number, Text, Negative, Arithmetic, Call)

_TOKEN = re.compile(
    r"""\s*(?:
    (?P<number>(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)
    |(?P<word>[^\W\d]\w*)
    |(?P<name>`(?:[^`]|``)+`)
    |(?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
    |(?P<operator>==|!=|<=|>=|[<>+\-*/(),])
    |(?P<end>\Z))""",
    re.VERBOSE | re.DOTALL,
)
_HINTS = {
    "=": "write == to compare",
    "&": "write 'and'",
    "|": "write 'or'",
    "!": "write 'not', or != to compare",
    "≤": "write <=",
    "≥": "write >=",
    "≠": "write !=",
    "\N{MINUS SIGN}": "write the minus of the keyboard: -",
    "\N{MULTIPLICATION SIGN}": "write *",
    "“": 'write straight quotes: "',
    "”": 'write straight quotes: "',
    '"': "this quote is never closed",
    "'": "this quote is never closed",
    "[": "a list stands in (round brackets), and a name with such characters in backticks",
    "`": "this name is empty or its backtick is never closed",
}
_OR, _AND, _NOT, _COMPARISON, _SUM, _PRODUCT, _MINUS = range(1, 8)
_LEVELS = {"or": _OR, "and": _AND, "in": _COMPARISON, "not": _COMPARISON, "+": _SUM, "-": _SUM}
_LEVELS |= dict.fromkeys(("==", "!=", "<", "<=", ">", ">="), _COMPARISON) | {"*": _PRODUCT, "/": _PRODUCT}


def parse(text: str) -> Expression:
    """Read an expression.

    Raises
    ------
    ExpressionError
        If it does not parse, has more than 10,000 characters or is nested deeper than 100; the message
        points at the word.
    """
    if len(text) > LONGEST:
        problem = f"the expression has {len(text)} characters; at most {LONGEST} are read"
        raise ExpressionError(problem, f"{text[:40]} ...", 0)
    return Expression(text, _Parser(text).whole())


@dataclass(frozen=True, slots=True)
class _Token(AbstractNode):
    kind: str
    text: str


class _Parser:
    """Precedence climbing: few Python frames a level, so that deep nesting meets our limit first."""

    def __init__(self, text: str) -> None:
        self._text, self._place, self._depth = text, 0, 0
        self._tokens: list[_Token] = []
        offset = 0
        while not (self._tokens and self._tokens[-1].kind == "end"):
            found = _TOKEN.match(text, offset)
            if found is None:
                self._unreadable(offset)
            kind = str(found.lastgroup)
            start, offset = found.span(kind)
            self._tokens.append(_Token(start, max(offset - start, 1), kind, found[kind]))

    def _unreadable(self, offset: int) -> NoReturn:
        rest = self._text[offset:].lstrip()
        hint = _HINTS.get(rest[0], "put a name with such characters into backticks")
        at = AbstractNode(len(self._text) - len(rest), 1)
        self._fail(at, f"{rest[0]!r} cannot stand here: {hint}")

    def _fail(self, node: AbstractNode, problem: str) -> NoReturn:
        raise error_at(self._text, node, problem)

    @property
    def _next(self) -> _Token:
        return self._tokens[self._place]

    def _take(self) -> _Token:
        token = self._next
        self._place += token.kind != "end"
        return token

    def _at(self, symbol: str) -> bool:
        return self._next.kind in {"operator", "word"} and self._next.text == symbol

    def _expect(self, symbol: str, why: str) -> _Token:
        if not self._at(symbol):
            self._unexpected(f"expected {symbol!r} {why}")
        return self._take()

    def _unexpected(self, expected: str) -> NoReturn:
        token = self._next
        if token.kind == "end":
            self._fail(token, f"the expression ends too early: {expected}")
        small, hint = token.text.lower(), ""
        if token.text != small and small in KEYWORDS:
            hint = f"; write {small!r} in small letters"
        elif token.kind == "word":
            hint = "; a name of several words, or one that means something here, is put into backticks"
        self._fail(token, f"{token.text!r} cannot stand here: {expected}{hint}")

    def whole(self) -> AbstractNode:
        if self._next.kind == "end":
            self._fail(self._next, "the expression is empty")
        root = self._expression(_OR)
        if self._next.kind != "end":
            self._unexpected("expected an operator such as 'and' or '=='")
        return root

    def _expression(self, floor: int) -> AbstractNode:
        self._depth += 1
        if self._depth > DEEPEST:
            self._fail(self._next, f"the expression is nested deeper than {DEEPEST}")
        left = self._prefix()
        while (level := self._level()) >= floor:
            left = self._membership(left) if self._at("in") or self._at("not") else self._chain(left, level)
        self._depth -= 1
        return left

    def _level(self) -> int:
        return _LEVELS.get(self._next.text, 0) if self._next.kind in {"operator", "word"} else 0

    def _chain(self, left: AbstractNode, level: int) -> AbstractNode:
        operators, operands = [], [left]
        while self._level() == level and not (self._at("in") or self._at("not")):
            operators.append(self._take().text)
            operands.append(self._expression(level + 1))
        kind = {_OR: Junction, _AND: Junction, _COMPARISON: Comparison}.get(level, Arithmetic)
        for operand in operands:
            self._check(operand, truth=kind is Junction, beside=operators[0])
        start = left.start
        return kind(start, operands[-1].end - start, tuple(operators), tuple(operands))

    def _check(self, node: AbstractNode, *, truth: bool, beside: str) -> None:
        if truth and isinstance(node, _NEVER_TRUTH):
            self._fail(node, f"{beside!r} needs something true or false here, such as a comparison")
        if not truth and isinstance(node, _ALWAYS_TRUTH):
            self._fail(node, f"{beside!r} needs a value here, not something true or false")

    def _membership(self, item: AbstractNode) -> AbstractNode:
        negated = self._at("not")
        if negated:
            self._take()
        self._expect("in", "after 'not'")
        self._check(item, truth=False, beside="in")
        self._expect("(", "after 'in'")
        choices = [self._literal()]
        while self._at(","):
            self._take()
            choices.append(self._literal())
        closing = self._expect(")", "at the end of the list")
        return Membership(item.start, closing.end - item.start, item, tuple(choices), negated)

    def _literal(self) -> AbstractNode:
        before = self._next
        node = self._expression(_MINUS)
        if not isinstance(node, Number | Text | Truth):
            self._fail(before, "a list holds numbers, quoted words, true or false")
        return node

    def _prefix(self) -> AbstractNode:
        token = self._next
        if token.kind in {"end", "operator"} and token.text not in {"-", "("}:
            self._unexpected("expected a column, a number or a quoted word")
        self._take()
        match token.kind:
            case "number":
                return self._number(token)
            case "text":
                return Text(token.start, token.length, re.sub(r"\\([\"'\\])", r"\1", token.text[1:-1]))
            case "name":
                return Name(token.start, token.length, token.text[1:-1].replace("``", "`"))
            case "word":
                return self._word(token)
        return self._minus(token) if token.text == "-" else self._group()

    def _number(self, token: _Token) -> Number:
        if not math.isfinite(float(token.text)):
            self._fail(token, "this number is too large")
        return Number(token.start, token.length, float(token.text))

    def _group(self) -> AbstractNode:
        inner = self._expression(_OR)
        self._expect(")", "to close the bracket")
        return inner

    def _minus(self, token: _Token) -> AbstractNode:
        operand = self._expression(_MINUS)
        self._check(operand, truth=False, beside="-")
        length = operand.end - token.start
        if isinstance(operand, Number):
            return Number(token.start, length, -operand.value)
        return Negative(token.start, length, operand)

    def _word(self, token: _Token) -> AbstractNode:
        if token.text == "not":
            operand = self._expression(_COMPARISON)
            self._check(operand, truth=True, beside="not")
            return Not(token.start, operand.end - token.start, operand)
        if token.text in {"true", "false"}:
            return Truth(token.start, token.length, token.text == "true")
        if token.text in KEYWORDS:
            self._place -= 1
            self._unexpected("expected a column, a number or a quoted word")
        return self._call(token) if self._at("(") else Name(token.start, token.length, token.text)

    def _call(self, token: _Token) -> AbstractNode:
        if token.text not in {*FUNCTIONS, "missing"}:
            said = unknown("function", token.text, [*FUNCTIONS, "missing"])
            self._fail(token, f"{said} A column's name with brackets in it is put into backticks.")
        self._take()
        arguments = [self._expression(_OR)]
        while self._at(","):
            self._take()
            arguments.append(self._expression(_OR))
        length = self._expect(")", f"at the end of {token.text}").end - token.start
        if token.text == "missing":
            if len(arguments) != 1 or not isinstance(arguments[0], Name):
                self._fail(arguments[0], "missing(...) takes the name of one column")
            return Missing(token.start, length, arguments[0])
        call = Call(token.start, length, token.text, tuple(arguments))
        self._check_call(call, token)
        return call

    def _check_call(self, call: Call, token: _Token) -> None:
        fewest, most = FUNCTIONS[call.function]
        if not fewest <= len(call.arguments) <= (most or len(call.arguments)):
            allowed = f"{fewest} or more" if most is None else " or ".join(map(str, range(fewest, most + 1)))
            self._fail(token, f"{call.function} takes {allowed} values, not {len(call.arguments)}")
        for argument in call.arguments:
            self._check(argument, truth=False, beside=call.function)
        digits = call.arguments[1] if call.function == "round" and len(call.arguments) > 1 else None
        if digits and not (
            isinstance(digits, Number) and digits.value in range(-MOST_DIGITS, MOST_DIGITS + 1)
        ):
            self._fail(digits, f"round takes a whole number of digits, at most {MOST_DIGITS}")
