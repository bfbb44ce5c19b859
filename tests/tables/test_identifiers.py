"""The search for identifiers, class by class."""

import datetime as dt

import pandas as pd
import pytest

from ehrsynth.schema import CategoryColumn, DateColumn, IdentifierColumn, IntegerColumn, LeftOut, Schema
from ehrsynth.tables.bundled import bundled
from ehrsynth.tables.identifiers import HIPAA_CLASSES, scan
from ehrsynth.tables.reading import read_raw, read_table

N = 40
DAYS = [(dt.date(2020, 1, 3) + dt.timedelta(days=13 * i)).isoformat() for i in range(N)]
PHONES = [f"0{30 + i} 555 {1000 + i}" for i in range(N)]
CASES = [
    ("names", "Nachname", [f"Name{i % 30}" for i in range(N)]),
    ("names", "last_name", [f"Name{i % 30}" for i in range(N)]),
    ("geographic subdivisions", "PLZ", [str(10115 + i % 20) for i in range(N)]),
    ("geographic subdivisions", "home", [f"{i} Long Road" for i in range(N)]),
    ("geographic subdivisions", "ville", ["Lyon", "Nice"] * (N // 2)),
    ("dates", "admitted", DAYS),
    ("dates", "RDATE", ["lis-95", "gru-95"] * (N // 2)),
    ("dates", "age", ["71", "92"] * (N // 2)),
    ("telephone numbers", "contact", PHONES),
    ("fax numbers", "fax", PHONES),
    ("email addresses", "contact", [f"p{i}@example.org" for i in range(N)]),
    ("email addresses", "remark", ["fine"] * (N - 1) + ["write to a.b@example.org"]),
    ("social security numbers", "number", [f"123-45-{6000 + i}" for i in range(N)]),
    ("medical record numbers", "MRN", [str(90_000 + 17 * i) for i in range(N)]),
    ("health plan numbers", "insurance_no", [f"K{i}-{i * 31}" for i in range(N)]),
    ("account numbers", "IBAN", [f"DE{i:020d}" for i in range(N)]),
    ("certificate or licence numbers", "passport", [f"C{i * 7919:07d}" for i in range(N)]),
    ("vehicle identifiers", "car", [f"WVWZZZ1JZ3W{100000 + i}" for i in range(N)]),
    ("device identifiers", "device_serial", [f"SN-{i * 97}" for i in range(N)]),
    ("web addresses", "page", [f"https://example.org/{i}" for i in range(N)]),
    ("IP addresses", "host", [f"192.168.1.{i}" for i in range(N)]),
    ("biometric identifiers", "fingerprint", [f"{i * 7919:x}q" for i in range(N)]),
    ("photographs", "scan", [f"face_{i}.jpg" for i in range(N)]),
    ("other unique codes", "sample", [f"S{i * 31:05d}" for i in range(N)]),
]


def found_in(name, words):
    return {f.hipaa_class for f in scan(pd.DataFrame({name: words}))}


@pytest.mark.parametrize(("hipaa_class", "name", "words"), CASES)
def test_each_class_is_found(hipaa_class, name, words):
    assert hipaa_class in found_in(name, words)


def test_the_cases_cover_all_classes():
    assert {case[0] for case in CASES} == set(HIPAA_CLASSES)
    assert len(HIPAA_CLASSES) == 18


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("age", [str(20 + i) for i in range(N)]),
        ("age_days", [str(1000 + i * 7) for i in range(N)]),
        ("creatinine", [f"{0.5 + i / 17:.7f}" for i in range(N)]),
        ("cost", [str(10_000 + 1_313 * (i * 7 % N)) for i in range(N)]),
        ("year_of_admission", ["1999", "2004"] * (N // 2)),
        ("zip3", ["101", "021"] * (N // 2)),
        ("drug_name", ["aspirin", "heparin"] * (N // 2)),
        ("device", ["pacemaker", "stent"] * (N // 2)),
        ("phone", ["", ""] * (N // 2)),
        ("icd", ["I21.3", "I63.9"] * (N // 2)),
        ("time", ["07:30", "23:10"] * (N // 2)),
        ("stage", ["1.2.3", "2.0.1"] * (N // 2)),
    ],
)
def test_measurements_and_categories_are_left_alone(name, words):
    assert found_in(name, words) == set()


def test_findings_hold_no_value_and_say_no_small_count():
    finding = scan(pd.DataFrame({"remark": ["fine"] * (N - 1) + ["write to a.b@example.org"]}))[0]
    assert finding.count == 1
    assert "fewer than 11" in str(finding)
    assert "example" not in str(finding)
    assert finding.remedy


def test_a_schema_narrows_the_search():
    raw = pd.DataFrame(
        {"mrn": [str(9000 + i) for i in range(N)], "note": ["x"] * N, "day": DAYS, "w": ["a", "b"] * 20}
    )
    low, high = dt.date(2020, 1, 1), dt.date(2022, 1, 1)
    schema = Schema(
        name="t",
        columns=(
            IdentifierColumn(name="mrn"),
            DateColumn(name="day", minimum=low, maximum=high),
            CategoryColumn(name="w", values=("a", "b")),
        ),
        left_out=(LeftOut(name="note"),),
    )
    assert [(f.column, f.hipaa_class) for f in scan(raw, schema)] == [("day", "dates")]


def test_an_age_in_days_by_its_unit():
    schema = Schema(name="t", columns=(IntegerColumn(name="age", minimum=0, maximum=200, unit="days"),))
    assert scan(pd.DataFrame({"age": [str(100 + i) for i in range(N)]}), schema) == []


def test_the_stroke_trial_has_old_patients_and_months():
    trial = bundled("ist")
    found = scan(read_raw(trial.path), trial.schema)
    assert [(f.column, f.hipaa_class) for f in found] == [("AGE", "dates"), ("RDATE", "dates")]


def test_checked_tables_are_searched_too():
    found = bundled("support2")
    table = read_table(found.path, found.schema)
    assert [(f.column, f.hipaa_class) for f in scan(table, found.schema)] == [("age", "dates")]
