"""A target population: margins as a person writes them, and what they mean for one table.

A file has a margin for each column, or for whatever its cells select::

    SEX: {F: 52, M: 48}
    AGE: {"< 60": 20, "60 <= AGE < 75": 40, ">= 75": 40}
    RSBP: {mean: 148, sd: 25}
    women by age: {'SEX == "F" and AGE < 75': 30, 'SEX == "F" and AGE >= 75': 25, 'SEX == "M"': 45}

A cell is one of the column's words, `missing`, a comparison (the column may be left out of it), or any
`where` expression. Shares may be shares, per cent or counts: they are divided by their sum. In CSV the same
is three columns: margin, cell, share.
"""

import csv
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from ehrsynth.errors import EhrSynthError, RequestError, unknown
from ehrsynth.expressions import quoted, text_literal, truth
from ehrsynth.rebalance.raking import Margin, Moment, Shares
from ehrsynth.schema import BooleanColumn, CategoryColumn, CodeColumn, LearntColumn, Schema
from ehrsynth.schema.binding import bind
from ehrsynth.schema.meanings import known_words

Floats = NDArray[np.float64]
Written = Mapping[str, Mapping[str, float]]
MOMENTS = {"mean", "sd"}
_NUMBER = re.compile(r"-?\d+(\.\d+)?")
_FEW_WORDS = 30
_WORD = re.compile(r"\w+")
_COMPARISONS = ("<", ">", "==", "!=")
_HEADER = ["margin", "cell", "share"]


def read_population(path: Path | str) -> dict[str, dict[str, float]]:
    """Read the margins of a target population from a YAML or CSV file; nothing is checked against a table.

    Raises
    ------
    RequestError
        If the file cannot be read or does not hold margins of cells with numbers.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
        found = (
            _rows(text)
            if path.suffix.lower() == ".csv"
            else _mapping(yaml.compose(text, Loader=yaml.BaseLoader))
        )
    except (OSError, UnicodeDecodeError, yaml.YAMLError, csv.Error) as error:
        raise RequestError(
            f"{path.name} cannot be read as a target population: {type(error).__name__}"
        ) from None
    return checked(found, path.name)


def _rows(text: str) -> dict[str, dict[str, str]]:
    lines = list(csv.reader(text.splitlines()))
    if not lines or [word.strip().lower() for word in lines[0]] != _HEADER:
        raise RequestError(f"the CSV of a target population begins with the line {','.join(_HEADER)}")
    found: dict[str, dict[str, str]] = {}
    for number, line in enumerate(lines[1:], 2):
        if not any(line):
            continue
        if len(line) != len(_HEADER):
            raise RequestError(f"line {number} of the target population has {len(line)} fields; it needs 3")
        margin, cell, share = (word.strip() for word in line)
        if cell in found.setdefault(margin, {}):
            raise RequestError(f"line {number} of the target population: {margin}: {cell} stands there twice")
        found[margin][cell] = share
    return found


def _mapping(node: yaml.Node | None) -> Any:
    """Nested mappings of words: NO is Norway and no truth value; what stands there twice is an error."""
    if not isinstance(node, yaml.MappingNode):
        return node.value if isinstance(node, yaml.ScalarNode) else None
    keys = [str(key.value) for key, _ in node.value]
    twice = sorted(key for key, count in Counter(keys).items() if count > 1)
    if twice:
        raise RequestError(f"the target population says things twice: {', '.join(twice)}")
    return {key: _mapping(value) for key, (_, value) in zip(keys, node.value, strict=True)}


def checked(found: Any, what: str = "the target population") -> dict[str, dict[str, float]]:
    """Margins with numbers.

    Raises
    ------
    RequestError
        Lists all that is wrong with them at once.
    """
    shape = isinstance(found, Mapping) and found and all(isinstance(m, Mapping) and m for m in found.values())
    if not shape:
        raise RequestError(f"{what} holds no margins: write for instance SEX: {{F: 52, M: 48}}")
    problems: list[str] = []
    margins: dict[str, dict[str, float]] = {}
    for name, cells in found.items():
        margins[str(name)] = {
            str(cell): _number(str(name), cell, share, problems) for cell, share in cells.items()
        }
        problems += _margin_problems(str(name), margins[str(name)])
    if problems:
        raise RequestError("\n  - ".join([f"{what} cannot be used", *problems]))
    return margins


def _number(margin: str, cell: object, share: object, problems: list[str]) -> float:
    try:
        number = float(str(share).removesuffix("%"))
    except ValueError:
        number = float("nan")
    if not np.isfinite(number):
        problems.append(f"{margin}: {cell}: {share!r} is no number")
    return number


def _margin_problems(name: str, cells: Mapping[str, float]) -> list[str]:
    if set(cells) & MOMENTS:
        strange = sorted(set(cells) - MOMENTS)
        found = [f"{name}: mean and sd stand alone, not beside {', '.join(strange)}"] if strange else []
        if "mean" not in cells:
            found.append(f"{name}: sd needs the mean beside it")
        return found + ([f"{name}: sd is above 0"] if cells.get("sd", 1.0) <= 0 else [])
    found = [f"{name}: {cell}: a share is 0 or more" for cell, share in cells.items() if share < 0]
    return found or ([] if sum(cells.values()) > 0 else [f"{name}: the shares are all 0"])


def margins_of(written: Written, values: Mapping[str, Floats], schema: Schema) -> list[Margin]:
    """What the margins mean for one table.

    Raises
    ------
    RequestError
        If a margin names no column or cell of the schema, cells overlap, or patients are in no cell; all
        problems are listed.
    """
    found: list[Margin] = []
    problems: list[str] = []
    for name, cells in written.items():
        try:
            found += _margin(name, cells, values, schema)
        except EhrSynthError as error:
            problems.append(f"{name}: {error}")
    if problems:
        raise RequestError("\n  - ".join(["the target population does not fit the table", *problems]))
    return found


def _margin(
    name: str, cells: Mapping[str, float], values: Mapping[str, Floats], schema: Schema
) -> list[Margin]:
    column = next((c for c in schema.learnt if c.name == name), None)
    if set(cells) & MOMENTS:
        return _moments(name, column, cells, values)
    rows = len(next(iter(values.values()), ()))
    cell, labels = np.full(rows, -1, np.int64), tuple(cells)
    for place, label in enumerate(labels):
        mask = truth(bind(where_of(label, column), schema, expects="truth"), values) == 1
        twice = int((mask & (cell >= 0)).sum())
        if twice:
            raise RequestError(
                f"{twice} patients are in the cell {label!r} and in another one: cells do not overlap"
            )
        cell[mask] = place
    nowhere = int((cell < 0).sum())
    if nowhere:
        raise RequestError(
            f"{nowhere} of {rows} patients are in no cell: add cells for them, for instance missing"
        )
    shares = np.array([cells[label] for label in labels])
    return [Shares(name, cell, labels, shares / shares.sum())]


def _moments(
    name: str, column: LearntColumn | None, cells: Mapping[str, float], values: Mapping[str, Floats]
) -> list[Margin]:
    if column is None or isinstance(column, CategoryColumn | CodeColumn | BooleanColumn):
        raise RequestError("mean and sd are of a column with numbers")
    found: list[Margin] = [Moment(f"{name}: mean", values[name], cells["mean"])]
    if "sd" in cells:
        squares = (values[name] - cells["mean"]) ** 2
        found.append(Moment(f"{name}: variance", squares, cells["sd"] ** 2))
    return found


def where_of(cell: str, column: LearntColumn | None) -> str:
    """The expression behind one cell: a word of the column, `missing`, a comparison, or an expression.

    Raises
    ------
    RequestError
        If the cell is one word, and none of the column's.
    """
    text = cell.strip()
    if column is None:
        return text
    name = quoted(column.name)
    if text in known_words(column):
        if isinstance(column, BooleanColumn):
            return name if known_words(column)[text] else f"not {name}"
        return f"{name} == {text_literal(text)}"
    if text == "missing":
        return f"missing({name})"
    if text.startswith(_COMPARISONS):
        return f"{name} {text}"
    if isinstance(column, CategoryColumn | CodeColumn) and _WORD.fullmatch(text):
        # A single word is meant as a value: as an expression it would be an unknown column.
        few = len(known_words(column)) <= _FEW_WORDS
        raise RequestError(
            unknown("value", text, tuple(known_words(column)) if few else ("those of the schema",))
        )
    return f"{name} == {text}" if _NUMBER.fullmatch(text) else text
