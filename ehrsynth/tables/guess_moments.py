"""Guesses about columns of dates, moments and lengths of time."""

import datetime as dt
import re
from collections.abc import Sequence

import numpy as np

from ehrsynth.schema import CategoryColumn, DateColumn, DatetimeColumn, DurationColumn, LeftOut
from ehrsynth.tables.evidence import NUMBER, Evidence, Guess, code_reason, shared
from ehrsynth.tables.guess_numbers import bounds
from ehrsynth.tables.parsing import parse_words
from ehrsynth.tables.vocabulary import names_a_birth, tokens

# In the order in which they are tried: of two that fit, the first is taken and the doubt is written down.
_DATES = (
    "%Y-%m-%d", "%Y/%m/%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y", "%d %b %Y",
    "%d-%b-%Y", "%d%b%Y", "%b %d, %Y", "%d %B %Y", "%B %d, %Y", "%d.%m.%y", "%d/%m/%y", "%m/%d/%y",
    "%d-%b-%y", "%Y%m%d",
)  # fmt: skip
_MONTHS = ("%Y-%m", "%Y/%m", "%m/%Y", "%b %Y", "%b-%Y", "%b-%y", "%B %Y")
_TIMES = (
    " %H:%M:%S",
    "T%H:%M:%S",
    " %H:%M",
    "T%H:%M",
    " %H:%M:%S.%f",
    "T%H:%M:%S.%f",
    " %I:%M %p",
    " %I:%M:%S %p",
)
_MONTH_FIRST = {"%m/%d/%Y", "%m-%d-%Y", "%m/%d/%y"}
_ZONES = (" %H:%M:%S%z", "T%H:%M:%S%z", "T%H:%M:%S.%f%z", " %H:%M:%S.%f%z")
_LOOKS_DATED = re.compile(r"(?=.*\d)[\w/.:, +-]{6,40}", re.ASCII)
_COMPACT = re.compile(r"(?:18|19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])", re.ASCII)
_CLOCK = re.compile(r"\d{1,4}:[0-5]\d", re.ASCII)
_CLOCK_SECONDS = re.compile(r"\d{1,4}:[0-5]\d:[0-5]\d", re.ASCII)
_ISO = re.compile(r"P(?=.)[\dWDTHMS.]+", re.ASCII)
_SAMPLE = 200
_MOST_MONTHS = 1_200
_FAR = {
    dt.date(1900, 1, 1),
    dt.date(1899, 12, 30),
    dt.date(9999, 12, 31),
    dt.date(2999, 12, 31),
    dt.date(1800, 1, 1),
}
_A_YEAR = dt.timedelta(days=366)
Moments = list[dt.datetime]


def guess_durations(found: Evidence) -> Guess | None:
    """A duration, if every word is written as one: 7:45, 07:45:30 or PT7H45M."""
    for pattern, form, unit in (
        (_CLOCK, "HH:MM", "minutes"),
        (_CLOCK_SECONDS, "HH:MM:SS", "seconds"),
        (_ISO, "ISO 8601", "seconds"),
    ):
        if found.words and all(map(pattern.fullmatch, found.words)):
            wide = DurationColumn(name=found.name, minimum=-1e12, maximum=1e12, unit=unit, format=form)
            parsed = parse_words(found.words, wide)
            if any(parsed.problems):
                return None
            low, high, why = bounds(parsed.values, found.counts, 0)
            a_day = {"minutes": 1_439, "seconds": 86_399}[unit]
            if low >= 0 and parsed.values.max() <= a_day and form != "ISO 8601":
                low, high, why = 0.0, float(a_day), ("within one day: a time of day, or a short duration",)
            column = DurationColumn(minimum=low, maximum=high, unit=unit, format=form, **shared(found))
            return Guess(column, (*code_reason(found.codes), *why))
    return None


def guess_moments(found: Evidence, order: str = "") -> Guess | None:
    """A date or datetime, if every word fits one format; left out if they fit several by turns.

    Parameters
    ----------
    order
        "month" or "day" when other columns of the file tell which comes first; else "".
    """
    found = found.without(found.doubtful())
    sample = found.words[:: max(1, len(found.words) // _SAMPLE)]
    if not _looks_dated(sample) or _only_digits_undated(found):
        return None
    months = _months(found, sample)
    if months is not None:
        return months
    candidates = [(form, moments) for form in _formats(sample) if (moments := _parsed(found.words, form))]
    if candidates:
        return _dated(found, candidates, order)
    return _undated(found, sample)


def fitting_orders(found: Evidence) -> str:
    """Which of "month" and "day" comes first, if the words of the column leave only one; else ""."""
    sample = found.words[:: max(1, len(found.words) // _SAMPLE)]
    if not _looks_dated(sample) or not any(c in sample[0] for c in "/-"):
        return ""
    fits = {f.split(" ")[0].split("T")[0] for f in _formats(sample) if _parsed(found.words, f)}
    if fits and fits <= _MONTH_FIRST:
        return "month"
    return "day" if fits & {"%d/%m/%Y", "%d-%m-%Y", "%d/%m/%y"} and not fits & _MONTH_FIRST else ""


def _looks_dated(sample: Sequence[str]) -> bool:
    """Whether a look at the letters does not rule dates out: trying every format takes long."""
    if not sample or not all(map(_LOOKS_DATED.fullmatch, sample)):
        return False
    numbers = all(map(NUMBER.fullmatch, sample))
    return not numbers or all(map(_COMPACT.fullmatch, sample))


def _only_digits_undated(found: Evidence) -> bool:
    """Eight digits are a date only if all are possible ones and the name says so, or there are many."""
    if not all(w.isdigit() for w in found.words):
        return False
    dated = all(map(_COMPACT.fullmatch, found.words))
    named = {"date", "dat", "datum", "fecha", "dob", "dt", "data"} & set(tokens(found.name))
    return not (dated and (named or len(found.words) >= 20))  # noqa: PLR2004 - twenty by chance: 1 in 10^30


def _formats(sample: Sequence[str]) -> list[str]:
    forms = [*_DATES, *(date + time for date in _DATES for time in _TIMES)]
    return [form for form in forms if _parsed(sample, form)]


def _parsed(words: Sequence[str], form: str) -> Moments:
    """Every word as a moment, or nothing if one does not fit."""
    moments = []
    for word in words:
        moment = _moment(word, form)
        if moment is None:
            return []
        moments.append(moment)
    return moments


def _moment(word: str, form: str) -> dt.datetime | None:
    # "%Y%m%d" would read 2020011 as well, and "%d/%m/%Y" the year 20.
    if form == "%Y%m%d" and not _COMPACT.fullmatch(word):
        return None
    try:
        return dt.datetime.strptime(word, form)  # noqa: DTZ007 - a column has no zone, or is left out
    except ValueError:
        return None


def _months(found: Evidence, sample: Sequence[str]) -> Guess | None:
    form = next((f for f in _MONTHS if _parsed(sample, f) and _parsed(found.words, f)), None)
    if form is None or len(found.words) > _MOST_MONTHS:
        return None
    order = np.argsort(np.array(_parsed(found.words, form), "datetime64[s]"))
    column = CategoryColumn(values=tuple(found.words[i] for i in order), ordered=True, **shared(found))
    return Guess(column, (*code_reason(found.codes), "months without a day: a category in the order of time"))


def _dated(found: Evidence, candidates: list[tuple[str, Moments]], order: str) -> Guess:
    month_first = [c for c in candidates if any(c[0].startswith(m) for m in _MONTH_FIRST)]
    doubt = bool(month_first) and len(month_first) < len(candidates)
    form, moments = month_first[0] if doubt and order == "month" else candidates[0]
    reasons = [f"every word fits {form}"]
    if doubt:
        why = "as in other columns of the file" if order else "nothing in the file tells"
        first = "the month" if (form, moments) in month_first else "the day"
        reasons.append(f"day and month could be exchanged: {first} is taken to come first, {why}")
    far = _far(moments)
    if far:
        codes = [w for w, m in zip(found.words, moments, strict=True) if m.date() in far]
        moments = [m for m in moments if m.date() not in far]
        found = found.without(codes)
    reasons.extend(code_reason(found.codes))
    if any(m.microsecond for m in moments):
        return Guess(
            LeftOut(name=found.name, reason="moments with fractions of a second: round them to seconds")
        )
    if "%y" in form:
        if names_a_birth(found.name) or max(moments).year > dt.datetime.now(dt.UTC).year:
            why = "years of two digits, of which nobody can tell the century: write all four"
            return Guess(LeftOut(name=found.name, reason=why))
        reasons.append("years of two digits: 69 to 99 are taken for 19.., the others for 20..")
    return Guess(_column(found, form, moments), (*reasons, "bounds are whole years"))


def _column(found: Evidence, form: str, moments: Moments) -> DateColumn | DatetimeColumn:
    first, last = min(moments).year, max(moments).year
    if all(m.time() == dt.time() for m in moments):
        low, high = dt.date(first, 1, 1), dt.date(last, 12, 31)
        return DateColumn(minimum=low, maximum=high, format=form, **shared(found))
    start, end = dt.datetime(first, 1, 1), dt.datetime(last, 12, 31, 23, 59, 59)  # noqa: DTZ001
    return DatetimeColumn(minimum=start, maximum=end, format=form, **shared(found))


def _far(moments: Moments) -> set[dt.date]:
    """Dates that stand for "none", if they are far from all others."""
    days = sorted({m.date() for m in moments})
    ends = {days[0]: days[1:2], days[-1]: days[-2:-1]}
    return {d for d, near in ends.items() if d in _FAR and near and abs(d - near[0]) > 20 * _A_YEAR}


def _undated(found: Evidence, sample: Sequence[str]) -> Guess | None:
    """Left out, if the words are dates all the same: of several formats, or with time zones."""
    if any(_parsed(sample, date + zone) for date in _DATES[:1] for zone in _ZONES):
        reason = "moments with a time zone: write them as local time without one"
        return Guess(LeftOut(name=found.name, reason=reason))
    forms = [*_DATES, *(date + time for date in _DATES for time in _TIMES)]
    fitting = [next((f for f in forms if _moment(w, f)), None) for w in sample]
    share = sum(f is not None for f in fitting) / len(fitting)
    if share < 0.9 or not any(f and f != "%Y%m%d" for f in fitting):  # noqa: PLR2004
        return None
    count = len({f for f in fitting if f})
    some = "" if share == 1 else ", and words that are no dates"
    reason = f"dates in {count} formats{some}: write all of them as YYYY-MM-DD"
    return Guess(LeftOut(name=found.name, reason=reason))
