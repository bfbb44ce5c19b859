"""What the rules decide is decided, not learnt."""

import numpy as np

from ehrsynth.conditions import CodeSet
from ehrsynth.generators.ties import FREE, RECOMPUTED, lead, settle, ties
from ehrsynth.schema import Schema


def column(name: str, *, missing: bool = True) -> dict[str, object]:
    return {"name": name, "kind": "integer", "minimum": 0, "maximum": 100, "missing": missing}


SCHEMA = Schema(
    name="ward",
    columns=(column("a"), column("b"), column("c"), column("d"), column("sum"), column("e", missing=False)),
    constraints=(
        {"kind": "present_together", "columns": ("a", "b")},
        {"kind": "present_together", "columns": ("d", "b")},
        {"kind": "formula", "column": "sum", "equals": "a + b"},
        {"kind": "formula", "column": "e", "equals": "c + 1"},
    ),
)
ALL, NONE = CodeSet(((0, 100),), missing=False), CodeSet((), missing=True)


def test_one_column_leads_and_a_formula_is_recomputed() -> None:
    # `e` may not be missing though `c` may: it is learnt.
    assert ties(SCHEMA) == (FREE, 0, FREE, 0, RECOMPUTED, FREE)


def test_rows_are_settled() -> None:
    rows = np.array([[1, 2, 3, 4, 0, 9], [-1, 2, 3, 4, 0, 9]])
    assert settle(rows, SCHEMA).tolist() == [[1, 2, 3, 4, 3, 9], [-1, -1, 3, -1, -1, 9]]


def test_conditions_are_asked_of_the_leader() -> None:
    assert lead({1: NONE}, SCHEMA) == {0: NONE}
    assert lead({3: CodeSet(((5, 9),), missing=False)}, SCHEMA) == {
        0: ALL,
        3: CodeSet(((5, 9),), missing=False),
    }
    assert lead({4: ALL}, SCHEMA) == {}
    assert lead({3: CodeSet(((5, 9),), missing=True)}, SCHEMA) == {}
    both = lead({0: CodeSet(((0, 50),), missing=True), 1: ALL}, SCHEMA)
    assert both[0] == CodeSet(((0, 50),), missing=False)
