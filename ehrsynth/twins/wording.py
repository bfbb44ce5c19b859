"""Small words that messages and reports share."""

from collections.abc import Sequence

_FEW = 8


def listed(names: Sequence[str]) -> str:
    """Names in a row, quoted; of many the first eight.

    >>> listed(["age", "sex"])
    "'age', 'sex'"
    """
    shown = ", ".join(repr(name) for name in names[:_FEW])
    return f"{shown} and {len(names) - _FEW} more" if len(names) > _FEW else shown
