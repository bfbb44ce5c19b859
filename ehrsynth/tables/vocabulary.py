"""What column names say, in several languages: roles, identifiers, and what must not leave a hospital.

Names are weak evidence: whatever is concluded from one is written down as a guess for a person to check.
"""

import re
import unicodedata
from functools import cache

from ehrsynth.schema import Role

_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_COMPOUND_AGE = re.compile(r"[a-z]{4,}alter")
_NO_AGE = re.compile(r"(?:verw|erh|zeit|mittel|fold|beh)alter$")
_SEPARATORS = re.compile(r"[\W_]+")

# English, German, French, Spanish, Italian, Portuguese, Dutch, Polish; without accents.
MEANINGS: dict[str, str] = {
    "age": "age alter edad eta idade leeftijd wiek alder ikae",
    "sex": "sex gender geschlecht sexe sexo sesso genero geslacht plec kon kjonn sukupuoli",
    "race": "race ethnicity ethnic ethnie etnia rasse raza raca ethnicite ethnizitat",
    "country": "country nation land pays pais paese kraj nationality nationalitat",
    "site": "site hospital center centre clinic facility krankenhaus zentrum klinik hopital centro ziekenhuis"
    " szpital ospedale",
    "treatment": "treatment treat trt arm rx allocation intervention therapy behandlung therapie traitement"
    " tratamiento trattamento tratamento behandeling leczenie",
    "death": "death dead died deceased mortality expired hospdead tod gestorben verstorben deces mort muerte"
    " fallecido morte decesso obito overleden zgon",
    "outcome": "outcome target class label disease heartdisease readmitted endpoint ergebnis resultat"
    " resultado esito uitkomst",
    "event": "event status ereignis evenement evento",
    "censoring": "censored censor censoring uncensored cens zensiert zensierung censure censurado censurato",
    "time": "time followup futime etime survtime tte zeit temps tiempo tempo tijd czas",
    "row": "rownames rowname rowid",
    "income": "income salary wage einkommen revenu ingreso ingresos reddito inkomen",
    "sensitive": "hiv aids pregnancy pregnant psychiatric addiction abuse sti",
    "id": "id ident identifier identifiant identificador identificatie uuid guid key kennung"
    " fallnummer fallnr",
    "patient": "patient patientid pid subject subjid usubjid participant person proband paciente paziente pat"
    " subjectid personid patno patientennummer patientennr patientenid patnr",
}
_ROLES: dict[str, tuple[Role, ...]] = {
    "age": ("protected", "quasi_identifier"),
    "sex": ("protected", "quasi_identifier"),
    "race": ("protected", "quasi_identifier"),
    "country": ("quasi_identifier",),
    "site": ("site", "quasi_identifier"),
    "treatment": ("treatment",),
    "death": ("outcome",),
    "outcome": ("outcome",),
    "event": ("event",),
    "time": ("time",),
    "income": ("sensitive",),
    "sensitive": ("sensitive",),
}
_SURVIVAL = frozenset({"followup", "follow", "survival", "surv", "event", "death", "to", "censor"})
_NUMBERED = frozenset({"no", "nr", "num", "number", "nummer", "numero", "numer", "code"})
_CODES = frozenset(
    {"icd", "icd9", "icd10", "diag", "diagnosis", "diagnose", "dx", "atc", "drg", "msdrg", "snomed", "loinc"}
)
_COUNTED = frozenset(
    [
        "count",
        "counts",
        "n",
        "num",
        "number",
        "no",
        "nb",
        "total",
        "sum",
        "days",
        "date",
        "year",
        "years",
        "months",
        "time",
        "since",
        "score",
        "anzahl",
    ]
)
_YEARS = frozenset(["date", "year", "yr", "day", "annee", "jour", "ano", "fecha", "data", "anno", "dat"])
_BY_WORD = {word: meaning for meaning, words in MEANINGS.items() for word in words.split()}


@cache
def tokens(name: str) -> tuple[str, ...]:
    """The words of a column name, in lower case and without accents.

    >>> tokens("PatientID"), tokens("date_of_birth"), tokens("Âge (années)")
    (('patient', 'id'), ('date', 'of', 'birth'), ('age', 'annees'))
    """
    plain = unicodedata.normalize("NFKD", name)
    plain = "".join(c for c in plain if not unicodedata.combining(c))
    words = (w for part in _SEPARATORS.split(plain) for w in _CAMEL.split(part))
    return tuple(w.casefold() for w in words if w)


def meanings(name: str) -> tuple[str, ...]:
    """What the words of a name stand for, keys of `MEANINGS`, in the name's order and each once.

    >>> meanings("patient_sex"), meanings("Aufnahmealter"), meanings("Schalter")
    (('patient', 'sex'), ('age',), ())
    """
    words = [_plain_age(word) for word in (*tokens(name), "".join(tokens(name)))]
    return tuple(dict.fromkeys(_BY_WORD[w] for w in words if w in _BY_WORD))


def _plain_age(word: str) -> str:
    """German writes an age in one word: Patientenalter, Aufnahmealter."""
    return "alter" if _COMPOUND_AGE.fullmatch(word) and not _NO_AGE.search(word) else word


def roles(name: str) -> tuple[Role, ...]:
    """The roles that a name suggests; none for most names."""
    found = [role for meaning in meanings(name) for role in _ROLES.get(meaning, ())]
    if names_censoring(name) and "event" in found:  # whether 1 is an event or its absence, no name tells
        found.remove("event")
    if "time" in found and not _is_follow_up(tokens(name)):
        found.remove("time")
    return tuple(dict.fromkeys(found))


def names_censoring(name: str) -> bool:
    """Whether the name says that the column tells whose follow-up ended without an event, or who had one.

    >>> [names_censoring(n) for n in ("censored", "cens_os", "status")]
    [True, True, False]
    """
    return "censoring" in meanings(name)


def _is_follow_up(words: tuple[str, ...]) -> bool:
    """Whether time stands alone, or with a word of survival: sleep time is none."""
    return len("".join(words)) <= len("survtime") or bool(_SURVIVAL & set(words))


def names_an_identifier(name: str) -> bool:
    """Whether the name says that the column tells patients (or visits, or samples) apart.

    >>> [names_an_identifier(n) for n in ("id", "PatientID", "mrn", "hospital_id", "acid", "num.co")]
    [True, True, True, False, False, False]
    """
    words, found = tokens(name), meanings(name)
    if names_a_site(name):
        return False
    if {"mrn", "ssn", "nhs", "uuid", "guid"} & set(words) or "".join(words) in {"pid", "subjid", "usubjid"}:
        return True
    numbered = bool(_NUMBERED & set(words))
    return bool({"id", "row"} & set(found)) or ("patient" in found and (numbered or len(words) == 1))


def names_codes(name: str) -> bool:
    """Whether a column's name says that it holds diagnoses, drugs or groups of cases.

    >>> [names_codes(n) for n in ("main_dx", "ICD10Code", "drg", "diagnosis_age")]
    [True, True, True, False]
    """
    words = tokens(name)
    if "age" in meanings(name) or _COUNTED & set(words):
        return False
    return bool(_CODES & set(words)) or any(w.startswith(("icd", "atc")) for w in words)


def names_a_birth(name: str) -> bool:
    """Whether the name is that of a date or year of birth.

    >>> [names_a_birth(n) for n in ("dob", "YearOfBirth", "Geburtsjahr", "birth weight", "year")]
    [True, True, True, False, False]
    """
    words = tokens(name)
    dated = bool(_YEARS & set(words)) or any(w.endswith(("datum", "jahr", "tag")) for w in words)
    born = any(w.startswith(("birth", "geb", "naiss", "nacim", "nascit", "nascim")) for w in words)
    return bool({"dob", "yob", "birthday", "birthdate", "birthyear"} & set(words)) or (born and dated)


def names_a_site(name: str) -> bool:
    """Whether the name is that of a hospital's number or code."""
    words = tokens(name)
    return "".join(words) in {"hospnum", "hospid", "siteno", "centerno"} or (
        "site" in meanings(name) and bool((_NUMBERED | {"id"}) & set(words))
    )
