"""Guesses about columns of words: yes and no, identifiers, hierarchical codes, free text, categories."""

import re
from typing import Any, Literal

import numpy as np

from ehrsynth.schema import BooleanColumn, CategoryColumn, CodeColumn, IdentifierColumn, LeftOut
from ehrsynth.tables.evidence import FEW, NUMBER, Evidence, Guess, code_reason, shared
from ehrsynth.tables.guess_numbers import FEWEST_NUMBERS, MOST_STRAY, id_pattern
from ehrsynth.tables.parsing import THOUSANDS
from ehrsynth.tables.vocabulary import names_an_identifier, names_codes

_TRUTHS = {
    "y": "n", "yes": "no", "true": "false", "t": "f", "1": "0", "1.0": "0.0", "ja": "nein", "j": "n",
    "oui": "non", "o": "n", "si": "no", "sí": "no", "s": "n", "sim": "não", "tak": "nie", "vrai": "faux",
    "wahr": "falsch",
}  # fmt: skip
_SYSTEMS: tuple[tuple[Literal["ICD-9", "ICD-10", "ATC"], re.Pattern[str]], ...] = (
    ("ATC", re.compile(r"[A-DGHJ-NPRSV]\d\d[A-Z]{2}(?:\d\d)?", re.ASCII)),
    ("ICD-10", re.compile(r"[A-Z]\d[0-9A-Z](?:\.?[0-9A-Z]{1,4})?", re.ASCII)),
    ("ICD-9", re.compile(r"(?:\d{3}|V\d\d|E\d{3})(?:\.?\d{1,2})?", re.ASCII)),
)
_MOST = 0.95
_SMALL_TABLE = 20
_FEWEST_CODES = 5
_LONG = 40
_ONE_WORD = 1.1
_RANGE = re.compile(
    r"(?:(under|less than|up to|<=?|≤)|(over|more than|>=?|≥))?\W{0,3}(\d[\d,.]*)\s*(.*)", re.IGNORECASE
)
_RANGE_TAIL = re.compile(
    r"(?:k|%)?\s*(?:(?:-|\u2013|to|bis|a)\s*\W?\d[\d,.]*\s*\w{0,6}|\+|or (?:older|more|less|younger)"
    r"|and (?:over|older|under)|years?|k)?",
    re.IGNORECASE,
)
_GROUPED = re.compile(r"[+-]?(?:\d+|\d{1,3}(?:([.,' \u00a0])\d{3})(?:\1\d{3})*)(?:[.,]\d+)?", re.ASCII)
_PRESSURE = re.compile(r"\d{2,3} ?/ ?\d{2,3}", re.ASCII)
_SCALES = (
    "none mild moderate severe", "never rarely sometimes often always", "low medium high", "low normal high",
    "low moderate high", "poor fair good excellent", "poor fair good very_good excellent",
    "small medium large",    "no borderline yes", "absent trace small moderate large",
)  # fmt: skip


def guess_booleans(found: Evidence) -> Guess | None:
    """Yes or no, if the words are one such pair, in any case; a third word makes it a category."""
    folded = {w.casefold() for w in found.words}
    truth = next((t for t, f in _TRUTHS.items() if folded == {t, f}), None)
    if truth is None:
        return None
    yes, no = (_usual(found, word) for word in (truth, _TRUTHS[truth]))
    reason = f"two words: {yes!r} is taken as true"
    column = BooleanColumn(true=yes, false=no, **shared(found))
    return Guess(column, (*code_reason(found.codes), reason)) if _spellings(found, yes, no) else None


def _usual(found: Evidence, folded: str) -> str:
    places = [i for i, w in enumerate(found.words) if w.casefold() == folded]
    return found.words[max(places, key=lambda i: (found.counts[i], found.words[i]))]


def _spellings(found: Evidence, yes: str, no: str) -> bool:
    known = {f(w) for f in (str.upper, str.title, str.lower, str) for w in (yes, no)}
    return set(found.words) <= known


def guess_identifiers(found: Evidence) -> Guess | None:
    """An identifier, if no word stands twice and it is no number (or its name says so)."""
    if not found.unique or len(found.words) < 2:  # noqa: PLR2004 - one word may be anything
        return None
    named = names_an_identifier(found.name)
    if not named and (
        len(found.words) < _SMALL_TABLE or _mean_words(found) > _ONE_WORD or _mean_length(found) > _LONG
    ):
        return None
    if not named and all(map(NUMBER.fullmatch, found.words)) and "." in "".join(found.words):
        return None
    reason = "no word stands twice" + (", and named like an identifier" if named else "")
    column = IdentifierColumn(pattern=id_pattern(found.words), **shared(found))
    return Guess(column, (*code_reason(found.codes), reason))


def guess_codes(found: Evidence) -> Guess | None:
    """A hierarchical code, if most words are written like ICD-9, ICD-10 or ATC."""
    if len(found.words) < _FEWEST_CODES:
        return None
    words = [w.upper() for w in found.words]
    named = names_codes(found.name)
    for system, pattern in _SYSTEMS:
        if sum(bool(pattern.fullmatch(w)) for w in words) < _MOST * len(words):
            continue
        # Plain numbers are ICD-9 only if something else says so.
        if not named and (system == "ICD-9" and not any(w[0] in "VE" for w in words)):
            continue
        if not named and len({w[:2] for w in words}) < 3:  # noqa: PLR2004 - bed A01 to bed A20
            continue
        column = CodeColumn(values=_sorted(found), system=system, **shared(found))
        return Guess(
            column, (*code_reason(found.codes), f"most words are written like {system}", *_rare(found))
        )
    return None


def guess_unread_numbers(found: Evidence) -> Guess | None:
    """Left out, if a person reads every word as a number and a computer does not: 1.234,56 or 120/80.

    Without this the costs of a stay would be taken for an identifier, because no two are alike.
    """
    for pattern, reason in (
        (_GROUPED, "numbers with thousands separators or decimal commas: write 1234.56"),
        (_PRESSURE, "two numbers in one word, like a blood pressure: write two columns"),
    ):
        fitting = [w for w in found.words if pattern.fullmatch(w)]
        few_others = len(found.words) - len(fitting) <= MOST_STRAY and len(fitting) >= FEWEST_NUMBERS
        # Digits alone (with leading zeros: other numbers were read before) are names.
        if few_others and not all(w.isdigit() for w in fitting):
            return Guess(LeftOut(name=found.name, reason=reason))
    return None


def guess_thousands(found: Evidence) -> Guess | None:
    """Left out, if every point stands between thousands, in a file that writes decimal commas elsewhere.

    6.413 is six thousand there, and 861 beside it is not: read as decimals, their order would be lost.
    """
    pointed = [word for word in found.words if "." in word]
    if found.commas or not pointed or not all(map(THOUSANDS.fullmatch, pointed)):
        return None
    reason = "points between thousands, in a file with decimal commas: write the digits alone"
    return Guess(LeftOut(name=found.name, reason=reason))


def guess_text(found: Evidence) -> Guess | None:
    """Left out, if the words are sentences, or so various that nearly each patient has their own."""
    distinct, present = len(found.words), found.present
    length, words = _mean_length(found), _mean_words(found)
    sentences = length > _LONG and distinct > 0.2 * present
    remarks = distinct >= 50 and distinct > 0.3 * present and words >= 1.4  # noqa: PLR2004
    if (sentences and distinct > 1) or remarks:
        return Guess(
            LeftOut(name=found.name, reason="free text: long or various words, seldom twice the same")
        )
    if distinct >= 50 and distinct > 0.9 * present:  # noqa: PLR2004
        reason = "nearly every patient has a word of their own: a name, an address or a mixture"
        return Guess(LeftOut(name=found.name, reason=reason))
    return None


def guess_categories(found: Evidence) -> Guess:
    """A category of all its words, ordered if they are ranges or a known scale."""
    values, ordered = _ordered(found)
    reasons = [
        *code_reason(found.codes),
        f"{_counted(len(values), 'value')}, read off the data",
        *_rare(found),
    ]
    if ordered:
        reasons.append("they look ordered from least to most")
    numbers = sum(bool(NUMBER.fullmatch(w)) for w in found.words)
    if 0 < numbers < len(values) and numbers > len(values) / 2:
        reasons.append(
            f"{numbers:,} of the values are numbers and the others not: clean it if it is a measurement"
        )
    if len({w.casefold() for w in values}) < len(values):
        reasons.append("some values differ in upper and lower case only")
    fields: dict[str, Any] = shared(found)
    return Guess(CategoryColumn(values=values, ordered=ordered, **fields), tuple(reasons))


def _rare(found: Evidence) -> tuple[str, ...]:
    rare = int((found.counts < FEW).sum())
    if not rare:
        return ()
    what = f"of them, {rare:,} held by fewer than {FEW} patients each"
    return (f"{what}: merge them, or declare what is possible",)


def _ordered(found: Evidence) -> tuple[tuple[str, ...], bool]:
    folded = {w.casefold().replace(" ", "_"): w for w in found.words}
    for scale in _SCALES:
        steps = scale.split()
        if len(folded) >= 3 and set(folded) <= set(steps) and len(folded) == len(found.words):  # noqa: PLR2004
            return tuple(folded[s] for s in steps if s in folded), True
    keys = [_range_key(w) for w in found.words]
    if len(keys) >= 3 and all(keys) and len(set(keys)) == len(keys):  # noqa: PLR2004
        pairs = sorted((k, w) for k, w in zip(keys, found.words, strict=True) if k)
        return tuple(w for _, w in pairs), True
    return _sorted(found), False


def _range_key(word: str) -> tuple[float, int] | None:
    """Where a word like 60-64, "80 or older" or "<5" stands in order; None for others and plain numbers."""
    match = _RANGE.fullmatch(word)
    if match is None or NUMBER.fullmatch(word) or not _RANGE_TAIL.fullmatch(match[4]):
        return None
    digits = match[3].replace(",", "").rstrip(".")
    upper = re.search(r"\d[\d,.]*", match[4])
    if not NUMBER.fullmatch(digits) or (upper and _falls(digits, upper[0])):
        return None
    place = (
        -1
        if match[1] or "less" in match[4] or "younger" in match[4] or "under" in match[4]
        else 1
        if match[2]
        else 0
    )
    return float(digits), place


def _falls(low: str, high: str) -> bool:
    """Whether 718-7 is no range: its second number is below its first."""
    high = high.replace(",", "").rstrip(".")
    return bool(NUMBER.fullmatch(high)) and float(high) < float(low)


def _sorted(found: Evidence) -> tuple[str, ...]:
    # By words and never by frequency, which would say more than a schema must.
    if all(map(NUMBER.fullmatch, found.words)):
        return tuple(sorted(found.words, key=lambda w: (float(w), w)))
    return tuple(sorted(found.words))


def _counted(count: int, word: str) -> str:
    return f"{count:,} {word}" if count == 1 else f"{count:,} {word}s"


def _mean_length(found: Evidence) -> float:
    return float(np.mean([len(w) for w in found.words]))


def _mean_words(found: Evidence) -> float:
    return float(np.mean([len(w.split()) for w in found.words]))
