"""Every exception that ehrsynth raises on purpose, as one tree.

::

    EhrSynthError                exit code 2 on the command line unless said otherwise
      RequestError               what was asked for cannot be done as asked
        ExpressionError          a `where` or constraint expression does not parse (carries the position)
        ConditionError           a condition that no patient can meet under the schema
      SchemaError                the schema file is wrong (lists every problem)
      DataError                  the table does not fit the schema (lists every violation)
        NotEnoughData            too few rows for this request (says how many are needed)
      ModelError                 a model folder is damaged, foreign or of another version
      MissingPackage             an optional package is not installed (gives the command)
      OutputError                the result could not be written (disk full, folder in use)
      Refused                    the work was done and the answer is no (exit code 3)
        SamplingExhausted        bounded sampling ended before enough valid rows were found
        BudgetExceeded           this step would overspend epsilon
        ReleaseBlocked           the gate said no (lists the failed checks)

A message says what was given, what is allowed and what to do. It names columns and counts, never a
patient's value.
"""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches


class EhrSynthError(Exception):
    """Base of all errors that ehrsynth raises on purpose."""

    exit_code = 2


class RequestError(EhrSynthError):
    """What was asked for cannot be done as asked."""


class ExpressionError(RequestError):
    """An expression does not parse.

    The message repeats the expression (which the user wrote, so it holds no data) with a caret under
    the word at `position`, a 0-based offset into the text.
    """

    def __init__(self, problem: str, text: str, position: int, length: int = 1) -> None:
        self.problem, self.text, self.position = problem, text, position
        pointer = " " * position + "^" * max(1, length)
        super().__init__(f"{problem}\n  {text}\n  {pointer}")


class ConditionError(RequestError):
    """A condition that no patient can meet under the schema."""


class _Problems(EhrSynthError):
    """An error that lists every problem at once, one line each."""

    def __init__(self, summary: str, problems: Iterable[str] = ()) -> None:
        self.summary = summary
        self.problems: tuple[str, ...] = tuple(problems)
        super().__init__("\n".join([summary, *(f"  - {problem}" for problem in self.problems)]))


class SchemaError(_Problems):
    """The schema file is wrong."""


class DataError(_Problems):
    """The table does not fit the schema."""


class NotEnoughData(DataError):
    """Too few rows for this request."""


class ModelError(EhrSynthError):
    """A model folder is damaged, foreign or of another version."""


class MissingPackage(EhrSynthError, ImportError):
    """An optional package is not installed."""

    def __init__(self, need: str, extra: str) -> None:
        super().__init__(f"{need} needs an optional package: pip install 'ehrsynth[{extra}]'")


class OutputError(EhrSynthError):
    """The result could not be written; nothing was left behind."""


class Refused(_Problems):
    """The work was done and the answer is no."""

    exit_code = 3


class SamplingExhausted(Refused):
    """Bounded sampling ended before enough valid rows were found."""


class BudgetExceeded(Refused):
    """The step would overspend epsilon."""


class ReleaseBlocked(Refused):
    """The gate said no."""


def unknown(what: str, given: str, known: Sequence[str]) -> str:
    """Say that a name is not known, what is, and what was probably meant.

    >>> unknown("generator", "ctgann", ["ctgan", "tvae"])
    "unknown generator 'ctgann'; known: ctgan, tvae. Did you mean 'ctgan'?"
    """
    text = f"unknown {what} {given!r}; known: {', '.join(sorted(known)) or 'none'}."
    near = get_close_matches(given, known, n=1)
    return f"{text} Did you mean {near[0]!r}?" if near else text
