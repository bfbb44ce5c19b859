"""One safe little language for conditions, implications and formulas.

::

    age >= 80 and sex == "F" and not missing(sbp) and stype in ("LACS", "PACS")
    60 <= age < 80                     a chain: both comparisons
    weight / (height / 100) * 2 > 25   + - * / with the usual precedence
    `blood pressure` != 0              backticks around odd names (a backtick inside is doubled)
    round(bmi, 1), min(a, b), max(a, b), abs(x), floor(x), ceil(x)

From weakest to strongest: ``or``, ``and``, ``not``, comparisons and ``in``, ``+ -``, ``* /``, unary ``-``.
Text stands in "double" or 'single' quotes; a backslash before a quote or a backslash takes it as it is.

An expression is parsed into frozen nodes and computed column by column with NumPy: nothing is evaluated
as Python. Truth has three values, as in SQL (Kleene 1938): a comparison with a missing value is neither
true nor false, and ``missing(x)`` asks for it. This module knows no schema; see `ehrsynth.schema.binding`.
"""

from ehrsynth.expressions.computing import compute, truth
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
    quoted,
    text_literal,
    walk,
)
from ehrsynth.expressions.parsing import parse

__all__ = [
    "AbstractNode",
    "Arithmetic",
    "Call",
    "Comparison",
    "Expression",
    "Junction",
    "Membership",
    "Missing",
    "Name",
    "Negative",
    "Not",
    "Number",
    "Text",
    "Truth",
    "compute",
    "error_at",
    "parse",
    "quoted",
    "text_literal",
    "truth",
    "walk",
]
