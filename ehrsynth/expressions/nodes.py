"""The parts of an expression, as frozen values."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from ehrsynth.errors import ExpressionError

KEYWORDS = {"and", "or", "not", "in", "true", "false"}


@dataclass(frozen=True, slots=True)
class AbstractNode:
    """A part of an expression; `start` and `length` say where it stands in the text."""

    start: int
    length: int

    @property
    def children(self) -> tuple["AbstractNode", ...]:
        """The parts of this part."""
        return ()

    @property
    def end(self) -> int:
        """The offset behind the part's last character."""
        return self.start + self.length


@dataclass(frozen=True, slots=True)
class Number(AbstractNode):
    """A number, its sign included; bound expressions hold words and dates as numbers too."""

    value: float


@dataclass(frozen=True, slots=True)
class Text(AbstractNode):
    """Something in quotes: a category, a date."""

    value: str


@dataclass(frozen=True, slots=True)
class Truth(AbstractNode):
    """``true`` or ``false``."""

    value: bool


@dataclass(frozen=True, slots=True)
class Name(AbstractNode):
    """A column."""

    name: str


@dataclass(frozen=True, slots=True)
class Missing(AbstractNode):
    """``missing(x)``: true or false, never unknown."""

    name: Name

    @property
    def children(self) -> tuple[AbstractNode, ...]:
        """The column."""
        return (self.name,)


@dataclass(frozen=True, slots=True)
class Negative(AbstractNode):
    """Unary minus."""

    operand: AbstractNode

    @property
    def children(self) -> tuple[AbstractNode, ...]:
        """The operand."""
        return (self.operand,)


@dataclass(frozen=True, slots=True)
class Not(AbstractNode):
    """True where the operand is false; unknown stays unknown."""

    operand: AbstractNode

    @property
    def children(self) -> tuple[AbstractNode, ...]:
        """The operand."""
        return (self.operand,)


@dataclass(frozen=True, slots=True)
class AbstractChain(AbstractNode):
    """Operands with an operator between each two, as they stand in the text."""

    operators: tuple[str, ...]
    operands: tuple[AbstractNode, ...]

    @property
    def children(self) -> tuple[AbstractNode, ...]:
        """The operands."""
        return self.operands


@dataclass(frozen=True, slots=True)
class Arithmetic(AbstractChain):
    """Operands joined by + and -, or by * and /, from left to right."""


@dataclass(frozen=True, slots=True)
class Comparison(AbstractChain):
    """Neighbours compared: ``60 <= age < 80`` is both comparisons at once."""


@dataclass(frozen=True, slots=True)
class Junction(AbstractChain):
    """Operands joined by ``and``, or by ``or``."""


@dataclass(frozen=True, slots=True)
class Membership(AbstractNode):
    """``item in (choices)``; `negated` for ``not in``."""

    item: AbstractNode
    choices: tuple[AbstractNode, ...]
    negated: bool

    @property
    def children(self) -> tuple[AbstractNode, ...]:
        """The item and its choices."""
        return (self.item, *self.choices)


@dataclass(frozen=True, slots=True)
class Call(AbstractNode):
    """A function of numbers."""

    function: str
    arguments: tuple[AbstractNode, ...]

    @property
    def children(self) -> tuple[AbstractNode, ...]:
        """The arguments."""
        return self.arguments


@dataclass(frozen=True, slots=True)
class Expression:
    """A parsed expression: the text as the user wrote it, and its tree."""

    text: str
    root: AbstractNode

    @property
    def columns(self) -> frozenset[str]:
        """The names of all columns in it."""
        return frozenset(node.name for node in walk(self.root) if isinstance(node, Name))


def walk(node: AbstractNode) -> Iterator[AbstractNode]:
    """A node and all nodes below it."""
    yield node
    for child in node.children:
        yield from walk(child)


def error_at(text: str, node: AbstractNode, problem: str) -> ExpressionError:
    """An error that points at a node of an expression."""
    # The caret stands under the word on one line only.
    return ExpressionError(problem, re.sub(r"\s", " ", text), node.start, node.length)


def quoted(name: str) -> str:
    """A column's name as an expression takes it: bare if it can be, else in backticks.

    >>> quoted("age"), quoted("blood pressure")
    ('age', '`blood pressure`')
    """
    bare = re.fullmatch(r"[^\W\d]\w*", name) and name not in KEYWORDS
    return name if bare else f"`{name.replace('`', '``')}`"


def text_literal(word: str) -> str:
    """A word as an expression takes it: in quotes.

    >>> text_literal("at home")
    '"at home"'
    """
    escaped = word.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
