"""The types of the expression language: names checked, literals turned into numbers, node by node."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ehrsynth.errors import ExpressionError
from ehrsynth.expressions import (
    AbstractNode,
    Arithmetic,
    Call,
    Comparison,
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
from ehrsynth.schema.columns import CategoryColumn, IdentifierColumn, LearntColumn
from ehrsynth.schema.meanings import (
    STEP,
    Meaning,
    known_words,
    meaning_of,
    number_meant,
    same_unit,
    unknown_word,
)

if TYPE_CHECKING:  # schema.py asks ehrsynth.schema.binding about its constraints
    from ehrsynth.schema.schema import Schema

Bound = tuple[AbstractNode, Meaning]


@dataclass(frozen=True, slots=True)
class Binder:
    """Binds the nodes of one expression; see `ehrsynth.schema.binding.bind`."""

    text: str
    schema: "Schema"

    def error(self, node: AbstractNode, problem: str) -> ExpressionError:
        """An error that points at a node."""
        return error_at(self.text, node, problem)

    def truth(self, node: AbstractNode) -> AbstractNode:
        """A node that is true or false, bound."""
        match node:
            case Junction():
                return replace(node, operands=tuple(map(self.truth, node.operands)))
            case Not():
                return replace(node, operand=self.truth(node.operand))
            case Comparison():
                return self._comparison(node)
            case Membership():
                return self._membership(node)
            case Missing() | Truth() | Name():
                return self._atom(node)
        raise self.error(node, "expected something true or false, such as a comparison")

    def _atom(self, node: Missing | Truth | Name) -> AbstractNode:
        if isinstance(node, Missing):
            self._column(node.name)
        if isinstance(node, Name) and (meaning := meaning_of(self._column(node))).family != "boolean":
            raise self.error(node, f"{meaning} is not true or false by itself: compare it with a value")
        return node

    def _column(self, node: Name) -> LearntColumn:
        names = tuple(c.name for c in self.schema.learnt)
        if node.name not in self.schema.names:
            raise self.error(node, unknown_word("column", node.name, names))
        column = self.schema.column(node.name)
        if isinstance(column, IdentifierColumn):
            raise self.error(
                node, f"column {node.name!r} is an identifier: it is made anew and cannot be asked for"
            )
        return column

    # ---- values ----

    def value(self, node: AbstractNode) -> Bound:
        """A node that is a value, bound, and what it means."""
        match node:
            case Number() | Text() | Truth():
                return node, Meaning("number" if isinstance(node, Number) else "literal")
            case Name():
                return node, meaning_of(self._column(node))
            case Negative():
                operand, meaning = self._number(node.operand)
                return replace(node, operand=operand), meaning
            case Arithmetic():
                return self._sum(node) if node.operators[0] in {"+", "-"} else self._product(node)
            case Call():
                return self._call(node)
        raise self.error(node, "expected a value, not something true or false")

    def _number(self, node: AbstractNode) -> Bound:
        bound, meaning = self.value(node)
        if meaning.family not in {"number", "boolean"}:
            raise self.error(node, f"expected a number, not {meaning}")
        return bound, Meaning("number", meaning.unit)

    def _literal(self, node: Number | Text | Truth, beside: Meaning) -> Bound:
        if beside.family == "number" and isinstance(node, Number):
            return node, Meaning("number")
        if beside.family == "number":
            word = self._word(node)
            hint = f"; the column of that name is `{word}`, in backticks" if word in self.schema.names else ""
            raise self.error(node, f"{word!r} stands beside {beside}: that takes digits without quotes{hint}")
        try:
            value = number_meant(beside, self._word(node))
        except ValueError as error:
            raise self.error(node, str(error)) from None
        return Number(node.start, node.length, value), replace(beside, column=None)

    def _word(self, node: Number | Text | Truth) -> str:
        # A category written without quotes, 2 for "2", is taken by its letters.
        return node.value if isinstance(node, Text) else self.text[node.start : node.end]

    def _beside(self, nodes: tuple[AbstractNode, ...]) -> tuple[list[Bound], Meaning]:
        """Values that stand side by side, and what those of them mean that are no literals."""
        pairs = [self.value(node) for node in nodes]
        known = [m for n, m in pairs if m.family != "literal" and not isinstance(n, Number)]
        others = [m for m in known if m.family != "number"]
        return pairs, (others or known or [Meaning("number")])[0]

    def _comparison(self, node: Comparison) -> Comparison:
        bound = self._compared(node.operands)
        ordering = next((o for o in node.operators if o not in {"==", "!="}), None)
        meaning = next((m for _, m in bound if m.column), bound[0][1])
        ordered = isinstance(meaning.column, CategoryColumn) and meaning.column.ordered
        if ordering and meaning.family in {"word", "boolean"} and not ordered:
            raise self.error(node, f"{meaning} has no order: {ordering!r} cannot compare it")
        return replace(node, operands=tuple(n for n, _ in bound))

    def _compared(self, nodes: tuple[AbstractNode, ...]) -> list[Bound]:
        pairs, beside = self._beside(nodes)
        for place, (node, meaning) in enumerate(pairs):
            if isinstance(node, Number | Text | Truth):
                pairs[place] = self._literal(node, beside)
            elif not _comparable(meaning, beside):
                raise self.error(node, f"{meaning} does not compare with {beside}")
        return pairs

    def _membership(self, node: Membership) -> Membership:
        bound = [n for n, _ in self._compared((node.item, *node.choices))]
        return replace(node, item=bound[0], choices=tuple(bound[1:]))

    def _product(self, node: Arithmetic) -> Bound:
        factors = tuple(self._number(operand)[0] for operand in node.operands)
        return replace(node, operands=factors), Meaning("number")

    def _sum(self, node: Arithmetic) -> Bound:
        pairs, beside = self._beside(node.operands)
        for place, (part, _) in enumerate(pairs):
            if isinstance(part, Text | Truth):
                pairs[place] = self._literal(part, beside)
        total = pairs[0][1]
        for symbol, (part, meaning) in zip(node.operators, pairs[1:], strict=True):
            total = self._added(total, symbol, part, meaning)
        return replace(node, operands=tuple(n for n, _ in pairs)), replace(total, column=None)

    def _added(self, left: Meaning, symbol: str, node: AbstractNode, right: Meaning) -> Meaning:
        families = (_as_number(left), _as_number(right))
        step = STEP.get(left.family, "")
        if families == ("number", "number") and same_unit(left.unit, right.unit):
            return Meaning("number", left.unit or right.unit)
        if symbol == "-" and step and left.family == right.family:
            return Meaning("number", step)
        if step and families[1] == "number" and same_unit(step, right.unit):
            return left
        if symbol == "+" and families[0] == "number" and same_unit(STEP.get(right.family, "-"), left.unit):
            return right
        raise self.error(node, f"{left} {symbol} {right} has no meaning")

    def _call(self, node: Call) -> Bound:
        if node.function in {"min", "max"}:
            bound = self._compared(node.arguments)
            meaning = bound[0][1]
            if meaning.family in {"word", "boolean"}:
                raise self.error(node, f"{node.function} takes numbers or dates, not {meaning}")
            unit = next((m.unit for _, m in bound if m.unit), "")
            return replace(node, arguments=tuple(n for n, _ in bound)), Meaning(meaning.family, unit)
        first, meaning = self._number(node.arguments[0])
        return replace(node, arguments=(first, *node.arguments[1:])), meaning


def _as_number(meaning: Meaning) -> str:
    return "number" if meaning.family == "boolean" else meaning.family


def _comparable(one: Meaning, other: Meaning) -> bool:
    if one.family == other.family == "word":
        return known_words(one.column) == known_words(other.column)
    return one.family == other.family and same_unit(one.unit, other.unit)
