"""Delimited text (CSV and its kin) as words: encoding, delimiter, header, rows.

Every cell stays the word that it was. Equal words of a column share one object, so that a large table of
few categories takes 8 bytes a cell.
"""

import codecs
import csv
import gzip
import io
import re
import zlib
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ehrsynth.errors import DataError, NotEnoughData

_GZIP = b"\x1f\x8b"
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16: its mark begins with UTF-16's
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_USUAL = ",;\t|"
DELIMITERS = f"{_USUAL}^~\x1f: "
_SAMPLE = 1 << 16
_SAMPLE_ROWS = 100
# Rows are turned into columns while they are still in the processor's cache: larger blocks take longer.
_CELLS_AT_ONCE = 2_000
_WORDS_REMEMBERED = 1 << 16
_VALUE_LIKE = re.compile(r"\s*|[+-]?[\d.,]+|\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}.*", re.ASCII)

Words = NDArray[Any]


class Dialect(NamedTuple):
    """How a file is written."""

    encoding: str
    delimiter: str


def read_delimited(
    path: Path, *, delimiter: str | None, encoding: str | None, expected: Collection[str] = ()
) -> tuple[pd.DataFrame, Dialect]:
    """All cells of a delimited file as words, and how the file is written.

    Parameters
    ----------
    delimiter, encoding
        Found out when None.
    expected
        Names that the header probably holds: they settle which delimiter it is, and only they, never what
        may be a patient's value in a file without a header, are repeated in a message.

    Raises
    ------
    DataError
        If the file is empty, damaged, has repeated or empty names, or rows of another length than the header.
    NotEnoughData
        If the file has a header and no rows.
    """
    with _readable(path):
        encoding = encoding or _find_encoding(path)
        with _text(path, encoding) as file:
            sample = file.read(_SAMPLE)
        if not sample.strip("\ufeff\0 \t\r\n"):
            raise DataError(f"{path.name} is empty: give a file with a header and one row per patient")
        _refuse_nul(path, encoding)
        first = sample.split("\n", 1)[0].strip()
        declared = first[4:] if re.fullmatch(r"sep=\W", first) else None  # Excel's own first line
        delimiter = delimiter or declared or _find_delimiter(sample, expected)
        with _text(path, encoding) as file:
            if declared:
                file.readline()
            rows = csv.reader(file, delimiter=delimiter, skipinitialspace=True, strict=True)
            header = next((row for row in rows if row), [])
            columns = _columns(path, rows, len(header))
    return _frame(path, header, columns, expected), Dialect(encoding, delimiter)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    # What these errors quote may be a patient's value (a UnicodeDecodeError holds the bytes): only their
    # kind leaves this block.
    problem = ""
    try:
        yield
    except UnicodeError:
        problem = "holds bytes that are not text in its encoding: save it as UTF-8"
    except LookupError:
        problem = (
            "was to be read in an encoding that Python does not know: utf-8, utf-16 and cp1252 are common"
        )
    except (EOFError, zlib.error, gzip.BadGzipFile):
        problem = "is damaged: it does not unpack"
    except csv.Error:
        problem = "has quotes that do not close, or a field of more than 131,072 characters: write it anew"
    if problem:
        raise DataError(f"{path.name} {problem}")


@contextmanager
def _text(path: Path, encoding: str) -> Iterator[IO[str]]:
    with _bytes(path) as raw, io.TextIOWrapper(raw, encoding=encoding, newline="") as file:
        yield file


def _bytes(path: Path) -> io.BufferedReader:
    with path.open("rb") as file:
        packed = file.read(2) == _GZIP
    return io.BufferedReader(gzip.GzipFile(path)) if packed else path.open("rb")


def _find_encoding(path: Path) -> str:
    with _bytes(path) as file:
        head = file.read(1024)
    for mark, encoding in _BOMS:
        if head.startswith(mark):
            return encoding
    zeros = [head[side::2].count(0) / max(1, len(head) // 2) for side in (0, 1)]
    if max(zeros) > 0.4:  # noqa: PLR2004 - Latin letters in UTF-16 are every second byte zero
        return "utf-16-be" if zeros[0] > zeros[1] else "utf-16-le"
    return next((e for e in ("utf-8", "cp1252") if _decodes(path, e)), "latin-1")


def _decodes(path: Path, encoding: str) -> bool:
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        with _bytes(path) as file:
            while block := file.read(1 << 20):
                decoder.decode(block)
            decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _refuse_nul(path: Path, encoding: str) -> None:
    """No text holds the character 0: a disk or a transfer wrote it, and the words around it are not whole."""
    if "\0".encode(encoding, errors="ignore") != b"\0":
        return  # wider characters have zero bytes of their own
    with _bytes(path) as file:
        found = sum(block.count(b"\0") for block in iter(lambda: file.read(1 << 20), b""))
    if found:
        raise DataError(f"{path.name} holds {found:,} NUL characters, so it is damaged: write it anew")


class _Score(NamedTuple):
    """How well a delimiter fits, most telling first: a larger tuple fits better."""

    named: int
    clean: bool
    even: float
    width: int


def _find_delimiter(sample: str, expected: Collection[str]) -> str:
    scores = {delimiter: _score(sample, delimiter, set(expected)) for delimiter in DELIMITERS}
    usual = max(_USUAL, key=lambda delimiter: scores[delimiter])  # the first of equals
    if scores[usual].width > 1 or scores[usual].named:
        return usual
    # A blank or a colon also stands inside of words and times: only where every row agrees.
    rare = [d for d in DELIMITERS if scores[d].even == 1.0 and scores[d].clean and scores[d].width > 1]
    return max(rare, key=lambda delimiter: scores[delimiter], default=_USUAL[0])


def _score(sample: str, delimiter: str, expected: set[str]) -> _Score:
    text, cut = io.StringIO(sample, newline=""), len(sample) == _SAMPLE
    rows: list[list[str]] = []
    # As strict as the reading will be: quotes that break are no sign of this delimiter.
    reader = csv.reader(text, delimiter=delimiter, skipinitialspace=True, strict=True)
    try:
        rows.extend(islice(reader, _SAMPLE_ROWS))  # those before an error stay
    except csv.Error:
        ends_in_a_field = cut and not text.read(1)
        if not ends_in_a_field:
            return _Score(0, clean=False, even=0.0, width=0)
    rows = [row for row in rows if row]
    if not rows:
        return _Score(0, clean=False, even=0.0, width=0)
    if cut and 1 < len(rows) < _SAMPLE_ROWS:
        rows = rows[:-1]  # the sample ends within a row
    named = len(expected & {*rows[0], *(name.strip() for name in rows[0])})
    width, agreeing = Counter(map(len, rows)).most_common(1)[0]
    if width == 1:
        return _Score(named, clean=False, even=0.0, width=0)
    # A stray quote inside a field shows that the row was cut at the wrong place.
    clean = not any(field.count('"') % 2 for row in rows for field in row)
    return _Score(named, clean, agreeing / len(rows), width)


def _columns(path: Path, rows: Iterator[list[str]], width: int) -> list[Words]:
    memos: list[dict[str, str]] = [{} for _ in range(width)]
    found: list[list[str]] = [[] for _ in range(width)]
    ragged = total = 0
    height = 1 + _CELLS_AT_ONCE // max(1, width)
    while chunk := list(islice(rows, height)):
        filled = [row for row in chunk if row]
        total += len(filled)
        ragged += sum(len(row) != width for row in filled)
        if ragged or not filled:
            continue
        for column, memo, words in zip(found, memos, zip(*filled, strict=True), strict=True):
            column.extend(map(memo.setdefault, words, words))  # one object for equal words
            if len(memo) > _WORDS_REMEMBERED:
                memo.clear()
    if ragged:
        raise DataError(
            f"{path.name}: {ragged:,} of {total:,} rows have more or fewer fields than the header's {width}:"
            " put fields that hold the delimiter or a line break in quotes"
        )
    if not total:
        raise NotEnoughData(f"{path.name} has a header and no rows: give at least one patient")
    return [np.array(column, dtype=object) for column in found]


def _frame(path: Path, header: list[str], columns: list[Words], expected: Collection[str]) -> pd.DataFrame:
    pairs = [(n, c) for n, c in zip(header, columns, strict=True) if n or any(map(str.strip, c))]
    names = [name for name, _ in pairs]
    problems = header_problems(names, expected)
    if problems:
        raise DataError(f"{path.name} has a header that cannot be used", problems)
    return pd.DataFrame(dict(pairs), columns=names)


def header_problems(names: list[str], expected: Collection[str] = ()) -> list[str]:
    """What is wrong with a table's names: repeated or empty ones.

    A first line that looks like a row of values is not repeated in the problem: it may be a patient.
    """
    unnamed = [str(place) for place, name in enumerate(names, 1) if not name]
    problems = []
    if unnamed:
        where = ", ".join(unnamed[:10]) + (", ..." if len(unnamed) > 10 else "")  # noqa: PLR2004
        problems.append(
            f"{len(unnamed)} column(s) with values have no name (place {where} in the header):"
            " name them, or remove them"
        )
    twice = {name: count for name, count in Counter(names).items() if count > 1 and name}
    like_values = sum(bool(_VALUE_LIKE.fullmatch(name)) for name in names) > len(names) / 4
    if like_values and not set(names) & set(expected):
        found = f"{len(twice)} names stand more than once" if twice else ""
        hint = "the first line looks like a row of values: write a line of column names above it"
        return [*problems, f"{found}; {hint}"] if twice else problems
    return [
        *problems,
        *(
            f"column {name!r} stands {count} times: rename or remove all but one"
            for name, count in twice.items()
        ),
    ]
