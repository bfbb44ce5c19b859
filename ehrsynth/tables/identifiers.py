"""Searches a table for the 18 classes of identifiers that HIPAA's Safe Harbor removes (45 CFR 164.514(b)(2)).

Three kinds of evidence: what a column is called (in several languages), how its words are written, and
whether each patient has a word of their own. A finding names a column and a count, never a value. The search
is a net and no proof: free text and rare combinations are for people to judge.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ehrsynth.schema import (
    BooleanColumn,
    Column,
    DateColumn,
    DatetimeColumn,
    IdentifierColumn,
    IntegerColumn,
    LeftOut,
    Schema,
)
from ehrsynth.tables.evidence import NUMBER, Evidence, evidence, few
from ehrsynth.tables.guess_moments import guess_durations, guess_moments
from ehrsynth.tables.guess_numbers import guess_numbers
from ehrsynth.tables.guess_words import guess_identifiers, guess_text
from ehrsynth.tables.times import DAYS_A_YEAR
from ehrsynth.tables.typed import words_of_frame
from ehrsynth.tables.vocabulary import meanings, tokens

OLDEST_AGE = 89
# How many of a unit are in a year: 90 times as many stand for the oldest. Words without accents; what is not
# among them counts as years, since an age that is gathered in vain harms less than one that is told.
_IN_A_YEAR = {
    word: count
    for words, count in (
        ("months month mo mon monate monat mois meses mes mesi mese maanden miesiace", 12.0),
        ("weeks week wk wks wochen woche semaines semanas settimane weken tygodnie", DAYS_A_YEAR / 7),
        ("days day d tage tag jours jour dias dia giorni dagen dni", DAYS_A_YEAR),
        ("hours hour h hr hrs stunden heures horas ore uren", DAYS_A_YEAR * 24),
        ("minutes minute min", DAYS_A_YEAR * 1_440),
        ("seconds second s sec", DAYS_A_YEAR * 86_400),
    )
    for word in words.split()
}
_LONG_ENOUGH = 3  # letters of a unit in a column's name: "d" and "h" there mean something else
DAYS_FROM = "days from "  # the unit of a date that became days from an index date
HIPAA_CLASSES = (
    "names",
    "geographic subdivisions",
    "dates",
    "telephone numbers",
    "fax numbers",
    "email addresses",
    "social security numbers",
    "medical record numbers",
    "health plan numbers",
    "account numbers",
    "certificate or licence numbers",
    "vehicle identifiers",
    "device identifiers",
    "web addresses",
    "IP addresses",
    "biometric identifiers",
    "photographs",
    "other unique codes",
)
_REMOVE = "leave the column out of the schema (left_out)"
_REMEDIES = {
    "geographic subdivisions": "generalise: ZIP codes to three digits, the rest to states; or leave it out",
    "dates": "generalise: years, or days from an index date; ages above 89 to 90",
    "medical record numbers": "declare it as kind identifier: never learnt, made anew",
    "other unique codes": "declare it as kind identifier (never learnt, made anew), or leave it out",
}
# Words of column names, without accents. In a class of numbers the name alone is not enough: a
# device can be "pacemaker"; only if most patients have a word of their own is it a number.
_NAMED = {
    "names": "name firstname lastname surname forename fullname vorname nachname familienname nom prenom"
    " nombre apellido apellidos cognome sobrenome naam achternaam imie nazwisko initials",
    "geographic subdivisions": "zip zipcode postal postcode plz postleitzahl cap cep street address city town"
    " county strasse adresse stadt wohnort ort rue ville calle direccion ciudad indirizzo citta rua"
    " endereco cidade straat adres stad ulica miasto latitude longitude lat lon lng"
    " district precinct neighbourhood",
    "telephone numbers": "phone telephone tel telefon telefono telefone telefoon mobile handy cellphone",
    "fax numbers": "fax telefax",
    "email addresses": "email mail correo",
    "social security numbers": "ssn socialsecurity nhs nir pesel cpf bsn sozialversicherungsnummer",
    "photographs": "photo photograph picture portrait foto image bild",
    "web addresses": "url website homepage webpage",
    "IP addresses": "ipaddress ipaddr",
}
_NUMBERED = {
    "medical record numbers": "mrn medicalrecord recordnumber chart krankenakte dossier",
    "health plan numbers": "beneficiary policy member insurance versicherung krankenkasse mutuelle seguro",
    "account numbers": "account iban konto compte cuenta conto",
    "certificate or licence numbers": "license licence certificate passport fuhrerschein permis pasaporte",
    "vehicle identifiers": "vin vehicle plate kennzeichen immatriculation matricula",
    "device identifiers": "device serial imei udi gerat implant",
    "biometric identifiers": "fingerprint biometric voiceprint retina faceid",
}
_DATE_NAMES = re.compile(r"(?:\w*date|\w*datum|fecha|dob|geburt\w*|naissance|nacimiento|birthday)")
_THINGS_WITH_NAMES = frozenset(
    {"drug", "test", "file", "site", "hospital", "variable", "event", "product", "study", "code", "med"}
)
_WRITTEN = {
    "email addresses": re.compile(r"[\w.+-]+@[\w-]+\.[\w.-]+"),
    "web addresses": re.compile(r"(?:https?://|www\.)\S+", re.IGNORECASE),
    "social security numbers": re.compile(r"(?<![\d-])\d{3}-\d{2}-\d{4}(?![\d-])"),
    "IP addresses": re.compile(
        r"(?<![\d.])(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?![\d.])"
    ),
    "telephone numbers": re.compile(
        r"(?<![\d.-])(?:\+\d{1,3}[ .-]?)?(?:\(\d{2,5}\)|\d{2,5})[ ./-]\d{3,4}[ .-]?\d{3,5}(?![\d.-])"
    ),
    "vehicle identifiers": re.compile(r"(?<!\w)(?=[A-Z]*\d)(?=\d*[A-Z])[A-HJ-NPR-Z0-9]{17}(?!\w)"),
    "photographs": re.compile(r"\.(?:jpe?g|png|tiff?|bmp|heic|dcm)$", re.IGNORECASE),
    "geographic subdivisions": re.compile(
        r"(?i)\d+\s+\w[\w .]*\b(?:street|st|avenue|ave|road|rd|lane|boulevard|blvd)\b"
        r"|stra(?:ss|\xdf)e \d+|\b(?:rue|calle) \w+"
    ),
}
_COUNTED_TWICE = 0.5


@dataclass(frozen=True, slots=True)
class Finding:
    """One suspicion about one column.

    Attributes
    ----------
    column
        The column's name.
    hipaa_class
        One of `HIPAA_CLASSES`.
    count
        Rows concerned, exactly: for the hospital's own eyes. `str(finding)` says "fewer than 11" for 1 to 10.
    why
        The evidence, without a value.
    remedy
        What to do.
    """

    column: str
    hipaa_class: str
    count: int
    why: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.column}: {self.hipaa_class} ({few(self.count)} rows): {self.why}. {self.remedy}"


def scan(table: pd.DataFrame, schema: Schema | None = None) -> list[Finding]:
    """Search a table for identifiers.

    Parameters
    ----------
    table
        Raw words (`ehrsynth.tables.read_raw`) or a checked table.
    schema
        If given, columns that it leaves out or declares as identifiers (made anew, never learnt) are not
        looked at, nor those that it does not name.

    Returns
    -------
    list
        Findings in the table's order of columns; several for one column are possible. Empty is no proof.
    """
    words, _ = words_of_frame(table)
    declared: dict[str, Column | None] = dict.fromkeys(words)
    if schema is not None:
        declared = {c.name: c for c in schema.learnt if c.name in words}
    return [
        finding
        for name, column in declared.items()
        for finding in _column_findings(evidence(name, pd.Series(words[name], dtype=object)), column)
    ]


def _column_findings(found: Evidence, column: Column | None) -> list[Finding]:
    if len(found.words) < 2 or isinstance(column, BooleanColumn):  # noqa: PLR2004 - a constant tells nobody apart
        return []
    dates = _dates(found, column)
    if dates:
        return dates
    findings = {f.hipaa_class: f for f in (*_by_name(found), *_written(found), *_old_ages(found, column))}
    if not findings:
        return _unique(found)
    return list(findings.values())


def _finding(found: Evidence, hipaa_class: str, count: int, why: str) -> Finding:
    return Finding(found.name, hipaa_class, count, why, _REMEDIES.get(hipaa_class, _REMOVE))


def _rows(found: Evidence, holds: Callable[[str], object]) -> int:
    return int(found.counts[np.array([bool(holds(w)) for w in found.words], np.bool_)].sum())


def _dates(found: Evidence, column: Column | None) -> list[Finding]:
    if isinstance(column, DateColumn | DatetimeColumn):
        return [_finding(found, "dates", found.present, "dates finer than a year")]
    if guess_durations(found) is not None:
        return []
    guess = guess_moments(found)
    if guess is not None:
        several = isinstance(guess.column, LeftOut)
        why = "written like dates, in several formats" if several else "written like dates finer than a year"
        return [_finding(found, "dates", found.present, why)]
    if isinstance(column, IntegerColumn) and column.unit.startswith(DAYS_FROM):
        return []  # an interval, as `generalise` makes it
    named = any(_DATE_NAMES.fullmatch(t) for t in tokens(found.name))
    if named and not all(re.fullmatch(r"(?:1[89]|20)\d\d(?:\.0)?", w) for w in found.words):
        return [_finding(found, "dates", found.present, "named like a date, and finer than a year")]
    return []


def _by_name(found: Evidence) -> list[Finding]:
    words = {*tokens(found.name), "".join(tokens(found.name))}
    findings = []
    for hipaa_class, vocabulary in (*_NAMED.items(), *_NUMBERED.items()):
        hit = words & set(vocabulary.split())
        number_class = hipaa_class in _NUMBERED
        if not hit or (number_class and len(found.words) < _COUNTED_TWICE * found.present):
            continue
        if hipaa_class == "names" and words & _THINGS_WITH_NAMES:
            continue
        if hipaa_class == "geographic subdivisions" and _is_coarse_zip(found):
            continue
        findings.append(_finding(found, hipaa_class, found.present, "the column's name"))
    return findings


def _is_coarse_zip(found: Evidence) -> bool:
    return all(len(w) <= 3 for w in found.words) and any(c.isdigit() for c in found.words[0])  # noqa: PLR2004


def _written(found: Evidence) -> list[Finding]:
    # A number with a point is no telephone number.
    words = found.without([w for w in found.words if NUMBER.fullmatch(w)])
    findings = []
    for hipaa_class, pattern in _WRITTEN.items():
        count = _rows(words, pattern.search)
        if count:
            findings.append(_finding(found, hipaa_class, count, "how the words are written"))
    return findings


def _old_ages(found: Evidence, column: Column | None) -> list[Finding]:
    oldest = oldest_told(found.name, column)
    if oldest is None:
        return []

    def is_old(word: str) -> bool:
        return bool(NUMBER.fullmatch(word)) and float(word) > oldest

    count = _rows(found, is_old)
    if not count:
        return []
    return [_finding(found, "dates", count, f"ages above {OLDEST_AGE} years, not gathered in {oldest:,}")]


def oldest_told(name: str, column: Column | None = None) -> int | None:
    """The value that stands for an age of 90 and above, in the column's unit; None for what is no age.

    The unit is the column's own, or that of its name (``age_months``); years where neither says one that is
    known.
    """
    if "age" not in meanings(name):
        return None
    unit = tokens(getattr(column, "unit", ""))
    words = unit or [word for word in tokens(name) if len(word) >= _LONG_ENOUGH]
    in_a_year = next((_IN_A_YEAR[word] for word in words if word in _IN_A_YEAR), 1.0)
    return int((OLDEST_AGE + 1) * in_a_year)


def _unique(found: Evidence) -> list[Finding]:
    guess = guess_numbers(found) or guess_identifiers(found)
    if guess is not None and isinstance(guess.column, IdentifierColumn):
        return [_finding(found, "other unique codes", found.present, "each patient has their own")]
    text = guess_text(found) if guess is None else None
    if text is not None:
        return [_finding(found, "other unique codes", found.present, "free text, or nearly a word a patient")]
    return []
