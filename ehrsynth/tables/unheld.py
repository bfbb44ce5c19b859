"""Leaves out listed values that nobody holds, where the list was read off the data.

After patients were forgotten, such a value may tell of them: while they were in the table a rare one was
merged, and it would now be listed again, by name.
"""

from collections.abc import Sequence
from typing import Any

import pandas as pd
from pydantic import ValidationError

from ehrsynth.expressions import Text, parse, walk
from ehrsynth.schema import CategoryColumn, CodeColumn, Constraint, FixedCombination, Implication, Schema


def without_unheld(table: pd.DataFrame, schema: Schema) -> tuple[pd.DataFrame, Schema]:
    """A table as `ehrsynth.tables.read_table` gives it, and its schema, listing only what patients hold.

    Lists of a public source stay, as do values that a rule of a public source names, and a list of which
    nobody holds anything. A rule that names what has gone goes too.
    """
    public = _named_in_public(schema.constraints)
    found = {c.name: _held(table[c.name], public) for c in schema.learnt if _read_off(c)}
    lists = {name: held for name, held in found.items() if held is not None}
    if not lists:
        return table, schema
    columns = tuple(_cut(c, lists[c.name]) if c.name in lists else c for c in schema.columns)
    bare = schema.changed(columns=columns, constraints=())
    rules = [_cut_rule(rule, lists) for rule in schema.constraints]
    kept = tuple(rule for rule in rules if _fits(rule, bare))
    shorter = {n: table[n].cat.set_categories(list(held)) for n, held in lists.items()}
    result = table.assign(**shorter)
    result.attrs = dict(table.attrs)
    return result, bare.changed(constraints=kept)


def _read_off(column: Any) -> bool:
    return isinstance(column, CategoryColumn | CodeColumn) and column.source_of("values") == "data"


def _held(values: "pd.Series[Any]", public: frozenset[str]) -> tuple[str, ...] | None:
    """The values to keep, in order; None where the list stays as it is."""
    counts = values.value_counts()
    held = tuple(str(word) for word in values.cat.categories if counts[word] or word in public)
    return held if counts.any() and len(held) < len(counts) else None


def _named_in_public(rules: Sequence[Constraint]) -> frozenset[str]:
    sides = [
        side
        for rule in rules
        if isinstance(rule, Implication) and rule.source == "public"
        for side in (rule.if_, rule.then)
    ]
    nodes = [node for side in sides for node in walk(parse(side).root)]
    return frozenset(node.value for node in nodes if isinstance(node, Text))


def _cut(column: Any, held: Sequence[str]) -> Any:
    fields: dict[str, Any] = {"values": held}
    if isinstance(column, CategoryColumn):
        fields["labels"] = {word: label for word, label in column.labels.items() if word in held}
    return type(column)(**column.model_dump() | fields)


def _cut_rule(rule: Constraint, lists: dict[str, tuple[str, ...]]) -> Constraint:
    if not isinstance(rule, FixedCombination):
        return rule
    rows = tuple(
        row
        for row in rule.values
        if all(
            word is None or word in lists.get(name, (word,))
            for name, word in zip(rule.columns, row, strict=True)
        )
    )
    return FixedCombination(**rule.model_dump() | {"values": rows}) if rows else rule


def _fits(rule: Constraint, bare: Schema) -> bool:
    try:
        bare.changed(constraints=(rule,))
    except (ValidationError, ValueError):
        return False
    return True
