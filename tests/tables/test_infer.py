"""What `schema infer` proposes, on small tables with known answers and on real ones."""

import datetime as dt
import io
import re

import numpy as np
import pandas as pd
import pytest

from ehrsynth.errors import DataError
from ehrsynth.schema import IdentifierColumn, IntegerColumn, LeftOut, PresentTogether, Schema
from ehrsynth.tables.bundled import bundled, names
from ehrsynth.tables.infer import infer_schema
from ehrsynth.tables.reading import read_raw, read_table, table_from_frame

N = 60


def guessed(words, name="x", **others):
    """The column proposed for a list of words, next to a plain one."""
    schema, comments = infer_schema(
        pd.DataFrame({name: words, "plain": ["a", "b"] * (len(words) // 2), **others}), name="t"
    )
    left = {c.name: c for c in schema.left_out}
    return (left[name] if name in left else schema.column(name)), comments.get(name, "")


def repeated(*words):
    return [words[i % len(words)] for i in range(N)]


@pytest.mark.parametrize(
    ("words", "true", "false"),
    [
        (repeated("Y", "N"), "Y", "N"),
        (repeated("yes", "no", ""), "yes", "no"),
        (repeated("0", "1"), "1", "0"),
        (repeated("TRUE", "FALSE"), "TRUE", "FALSE"),
        (repeated("ja", "nein"), "ja", "nein"),
    ],
)
def test_boolean_words(words, true, false):
    column, comment = guessed(words)
    assert (column.kind, column.true, column.false) == ("boolean", true, false)
    assert column.missing == ("" in words)
    assert comment


def test_a_third_word_makes_a_category():
    column, _ = guessed(repeated("Y", "N", "U"))
    assert (column.kind, column.values) == ("category", ("N", "U", "Y"))


def test_numbers_keep_their_digits_and_hide_their_extremes():
    column, _ = guessed([f"{v / 100:.2f}" for v in range(137, 137 + N)])
    assert (column.kind, column.decimals) == ("number", 2)
    assert column.minimum < 1.37
    assert column.maximum > (137 + N - 1) / 100


def test_whole_floats_are_integers():
    column, _ = guessed(repeated("11.0", "12.0", "", "40.0"))
    assert (column.kind, column.minimum <= 11, column.maximum >= 40, column.missing) == (
        "integer",
        True,
        True,
        True,
    )


def test_few_distinct_integers_stay_integers():
    column, comment = guessed(repeated("1", "2", "3", "4"))
    assert (column.kind, column.minimum, column.maximum) == ("integer", 1, 4)
    assert "codes" in comment


@pytest.mark.parametrize("code", ["-9", "-99", "999"])
def test_a_number_of_nines_beyond_a_gap_means_missing(code):
    column, comment = guessed(repeated("10", "20", "31", code, "44"))
    assert column.missing_codes == (code,)
    assert column.missing
    assert column.minimum >= 0
    assert column.maximum < 100
    assert code in comment


@pytest.mark.parametrize(
    ("words", "why"), [(["98", "99", "97", "96"], "no gap"), (["-40", "-9", "12", "30"], "inside")]
)
def test_a_number_of_nines_among_others_is_a_number(words, why):
    column, _ = guessed(repeated(*words))
    assert column.missing_codes == (), why


def test_words_that_mean_missing():
    column, _ = guessed(repeated("1.5", "NA", "?", "2.5", "unknown", "inf"))
    assert column.kind == "number"
    assert set(column.missing_codes) == {"NA", "?", "unknown", "inf"}
    column, _ = guessed(repeated("mild", "none", "unknown", "n/a"))
    assert column.missing_codes == ("n/a",)
    assert "none" in column.values


@pytest.mark.parametrize(
    ("form", "expected"),
    [("%Y-%m-%d", "%Y-%m-%d"), ("%d.%m.%Y", "%d.%m.%Y"), ("%d-%b-%Y", "%d-%b-%Y"), ("%Y%m%d", "%Y%m%d")],
)
def test_dates_by_format(form, expected):
    days = [dt.date(2019, 3, 1) + dt.timedelta(days=11 * i) for i in range(N)]
    column, _ = guessed([d.strftime(form) for d in days], "admission_date")
    assert (column.kind, column.format) == ("date", expected)
    assert (column.minimum, column.maximum) == (dt.date(2019, 1, 1), dt.date(2020, 12, 31))


def test_day_and_month_are_told_apart_by_values_above_twelve():
    late = [dt.date(2020, 5, 13) + dt.timedelta(days=i) for i in range(N)]
    assert guessed([d.strftime("%m/%d/%Y") for d in late])[0].format == "%m/%d/%Y"
    assert guessed([d.strftime("%d/%m/%Y") for d in late])[0].format == "%d/%m/%Y"


def test_ambiguous_dates_say_so_and_follow_the_other_columns():
    early = [dt.date(2020, 1 + i % 12, 1 + i % 11) for i in range(N)]
    words = [d.strftime("%m/%d/%Y") for d in early]
    column, comment = guessed(words)
    assert column.format == "%d/%m/%Y"
    assert "exchanged" in comment
    clear = [dt.date(2020, 5, 13 + i % 15).strftime("%m/%d/%Y") for i in range(N)]
    assert guessed(words, clear=clear)[0].format == "%m/%d/%Y"


def test_datetimes_and_times_of_day():
    moments = [dt.datetime(2020, 1, 1, 8, 30) + dt.timedelta(hours=7 * i) for i in range(N)]  # noqa: DTZ001
    column, _ = guessed([m.strftime("%Y-%m-%d %H:%M") for m in moments])
    assert (column.kind, column.format) == ("datetime", "%Y-%m-%d %H:%M")
    column, _ = guessed(repeated("7:45", "08:10", "23:59"))
    assert (column.kind, column.format, column.unit) == ("duration", "HH:MM", "minutes")


def test_mixed_date_formats_are_left_out():
    column, _ = guessed(repeated("2020-01-31", "31.01.2020", "2020-02-14"))
    assert isinstance(column, LeftOut)
    assert "2 formats" in column.reason


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("patient_id", [str(1000 + 7 * i) for i in range(N)]),
        ("row", [str(i + 1) for i in range(N)]),
        ("sample", [f"S{i:04d}" for i in range(N)]),
        ("accession", [str(30_000_000 + 991 * i * i) for i in range(N)]),
        ("key", [f"{i:08x}-ab" for i in range(N)]),
    ],
)
def test_identifiers(name, words):
    column, _ = guessed(words, name)
    assert isinstance(column, IdentifierColumn)
    assert "patient_key" in column.roles


def test_an_identifier_keeps_the_letters_of_its_pattern():
    assert guessed([f"P{i:05d}" for i in range(N)], "pid")[0].pattern == "P#####"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("age", [str(20 + i) for i in range(N)]),
        ("platelets", [str(150_000 + 1_013 * (i * 7 % N)) for i in range(N)]),
        ("day", [str(i + 1) for i in range(N)]),
        ("cost", [f"{i * 1.37 + 10:.2f}" for i in range(N)]),
        ("crp", repeated("5", "12", "88")),
    ],
)
def test_numbers_are_never_identifiers(name, words):
    assert guessed(words, name)[0].kind in {"integer", "number"}


@pytest.mark.parametrize("name", ["patient_id", "Patientennummer", "subject"])
def test_patients_with_several_rows_are_refused_by_their_key(name, tmp_path):
    path = tmp_path / "visits.csv"
    pd.DataFrame({name: [f"P{i // 3:03d}" for i in range(N)], "x": range(N)}).to_csv(path, index=False)
    schema, comments = infer_schema(path, name="t")
    assert schema.patient_key == name
    assert "several rows" in comments[name]
    with pytest.raises(DataError, match="does not fit") as refused:
        read_table(path, schema)
    assert any("share 20 patient keys" in problem for problem in refused.value.problems)


def test_a_repeated_number_is_never_an_identifier():
    column, _ = guessed([str(i // 2) for i in range(N)], "record_id")
    assert isinstance(column, LeftOut)
    assert "repeat" in column.reason


@pytest.mark.parametrize("blank", [False, True])
@pytest.mark.parametrize("form", ["P{:04d}", "{}"])
def test_visits_do_not_pass_for_patients_whatever_their_numbers_look_like(form, blank):
    keys = [form.format(100000 + i // 2) for i in range(N)]
    if blank:
        keys[3] = ""
    words = {"PatientID": keys, "Fallnummer": [f"F{i:05d}" for i in range(N)], "age": ["60", "70"] * (N // 2)}
    schema, comments = infer_schema(pd.DataFrame(words), name="t")
    assert schema.patient_key == "PatientID"
    assert "patients have several rows" in comments["PatientID"]
    with pytest.raises(DataError, match="PatientID"):
        table_from_frame(pd.DataFrame(words), schema)


def test_points_between_thousands_are_no_decimals(tmp_path):
    costs = ["6.413", "861", "2.980", "1.200.000"]
    rows = [f"{costs[i % 4]};{20 + i % 9},{i % 10}" for i in range(40)]
    file = tmp_path / "excel.csv"
    file.write_text("Kosten;BMI\n" + "\n".join(rows) + "\n")
    schema, _ = infer_schema(file, name="t")
    assert [left.name for left in schema.left_out] == ["Kosten"]
    assert "thousands" in schema.left_out[0].reason
    file.write_text("Kosten;Name\n" + "\n".join(row.split(";")[0] + ";a" for row in rows) + "\n")
    whole = Schema(name="t", columns=[IntegerColumn(name="Kosten", minimum=0, maximum=2_000_000)])
    with pytest.raises(DataError, match="between thousands"):
        read_table(file, whole)


def test_years_of_two_digits_are_left_out_where_the_century_is_in_doubt():
    born, _ = guessed(repeated("21.01.41", "03.12.75", "30.06.99"), "geburtsdatum")
    assert isinstance(born, LeftOut)
    assert "two digits" in born.reason
    ahead, _ = guessed(repeated("21.01.41", "03.12.22"), "kontrolle")
    assert isinstance(ahead, LeftOut)
    seen, why = guessed(repeated("26.05.22", "03.12.21"), "aufnahmedatum")
    assert seen.kind == "date"
    assert "19.., the others for 20.." in why


@pytest.mark.parametrize(
    ("system", "name", "words"),
    [
        ("ICD-10", "main", ["I21.3", "I63.9", "E11", "J18.9", "C50.1", "N17"]),
        ("ICD-9", "diag_1", ["250.01", "410", "428", "786", "V45", "599"]),
        ("ICD-9", "icd9", ["250", "410", "428", "786", "401", "599"]),
        ("ATC", "medication", ["C09AA05", "B01AC06", "N02BE01", "A10BA02", "C07AB02", "R03AC02"]),
    ],
)
def test_hierarchical_codes(system, name, words):
    column, _ = guessed(repeated(*words), name)
    assert (column.kind, column.system) == ("code", system)


def test_leading_zeros_are_words():
    column, _ = guessed(repeated("00501", "10115", "02134"))
    assert (column.kind, column.values) == ("category", ("00501", "02134", "10115"))


def test_free_text_is_left_out():
    notes = [f"patient {i} was seen in clinic, no complaints, returns in {i} weeks" for i in range(N)]
    assert isinstance(guessed(notes)[0], LeftOut)


def test_five_thousand_values_stay_a_category():
    words = [f"v{i % 5000}" for i in range(12_000)]
    column, comment = guessed(words)
    assert len(column.values) == 5000
    assert "fewer than 11" in comment


def test_ranges_and_scales_are_ordered():
    column, _ = guessed(repeated("80 or older", "18-24", "25-79"))
    assert (column.values, column.ordered) == (("18-24", "25-79", "80 or older"), True)
    column, _ = guessed(repeated("severe", "mild", "moderate"))
    assert (column.values, column.ordered) == (("mild", "moderate", "severe"), True)


def test_constant_and_empty_columns():
    assert guessed(["7"] * N)[0].size == 1
    assert guessed(["DE"] * N)[0].values == ("DE",)
    for nothing in ([""] * N, repeated("", "NA")):
        column, _ = guessed(nothing)
        assert isinstance(column, LeftOut)
        assert "empty" in column.reason


def test_no_usable_column_is_an_error():
    with pytest.raises(DataError, match="no column"):
        infer_schema(pd.DataFrame({"x": ["", ""]}), name="t")
    with pytest.raises(DataError, match="without rows"):
        infer_schema(pd.DataFrame({"x": []}), name="t")


def test_roles_in_several_languages():
    frame = pd.DataFrame(
        {
            "Alter": [str(30 + i % 50) for i in range(N)],
            "Geschlecht": repeated("m", "w"),
            "pays": repeated("FR", "BE", "CH"),
            "tratamiento": repeated("A", "B"),
            "DEATH_EVENT": repeated("0", "1"),
            "SleepTime": [str(4 + i % 9) for i in range(N)],
        }
    )
    schema, comments = infer_schema(frame, name="t")
    assert "quasi_identifier" in schema.column("Alter").roles
    assert "protected" in schema.column("Geschlecht").roles
    assert schema.column("pays").roles == ("quasi_identifier",)
    assert schema.column("tratamiento").roles == ("treatment",)
    assert "outcome" in schema.column("DEATH_EVENT").roles
    assert schema.column("SleepTime").roles == ()
    assert "roles guessed" in comments["Alter"]


@pytest.mark.parametrize("name", ["censored", "cens_os", "Zensierung", "uncensored"])
def test_whether_one_means_censored_is_asked_and_never_guessed(name):
    """A survival curve of the censoring itself is a wrong number that nobody sees."""
    frame = pd.DataFrame({name: ["0", "1"] * 30, "died_event": ["0", "1"] * 30})
    schema, comments = infer_schema(frame, name="t")
    assert schema.column(name).roles == ()
    assert "which word stands for an event" in comments[name]
    assert "event" in schema.column("died_event").roles


def test_cheap_rules_are_proposed():
    start = [dt.date(2020, 1, 1) + dt.timedelta(days=5 * i) for i in range(N)]
    frame = pd.DataFrame(
        {
            "admitted": [str(d) for d in start],
            "discharged": [str(d + dt.timedelta(days=i % 9)) for i, d in enumerate(start)],
            "lab_a": ["" if i % 5 == 0 else str(i % 17) for i in range(N)],
            "lab_b": ["" if i % 5 == 0 else str(i % 13) for i in range(N)],
        }
    )
    schema, _ = infer_schema(frame, name="t")
    kinds = {c.kind: c for c in schema.constraints}
    assert kinds["present_together"].columns == ("lab_a", "lab_b")
    assert (kinds["inequality"].low, kinds["inequality"].high) == ("admitted", "discharged")
    assert len(schema.constraints) == 2


def test_present_together_waits_for_late_missing_codes():
    words = repeated("10", "20", "31", "-9", "44", "")
    other = ["" if w in {"-9", ""} else "1" if i % 2 else "2" for i, w in enumerate(words)]
    schema, _ = infer_schema(pd.DataFrame({"a": words, "b": other}), name="t")
    assert [c.columns for c in schema.constraints if isinstance(c, PresentTogether)] == [("a", "b")]


def test_everything_is_stamped_data_and_nothing_counts_few_patients():
    frame = pd.DataFrame({"x": ["rare"] * 3 + ["common"] * 57, "y": [str(i % 30) for i in range(N)]})
    schema, comments = infer_schema(frame, name="t")
    assert all(c.source == "data" for c in schema.columns)
    assert "check every item" in schema.description
    assert not re.search(r"\b3\b", comments["x"])


def test_odd_names_and_many_columns():
    odd = ["blood pressure", 'say "x"', "select", "\N{PILL}", "a,b"]
    wide = {
        **dict.fromkeys(odd, repeated("1", "2", "5")),
        **{f"c{i}": repeated("1.5", "2.5", "") for i in range(495)},
    }
    schema, _ = infer_schema(pd.DataFrame(wide), name="t")
    assert len(schema.names) == 500


@pytest.mark.parametrize("seed", range(5))
def test_long_floats_can_be_read_back(seed):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"x": rng.normal(scale=10.0**seed, size=N), "y": rng.random(N) / 1000})
    schema, _ = infer_schema(frame, name="t")
    read = table_from_frame(frame, schema)
    assert np.allclose(read["x"], frame["x"], rtol=1e-9)


def test_a_frame_with_types_of_its_own():
    frame = pd.DataFrame(
        {
            "when": pd.date_range("2020-01-01", periods=N, freq="D"),
            "flag": [True, False] * (N // 2),
            "score": pd.array([1, None, 3] * (N // 3), dtype="Int64"),
            "word": pd.Categorical(repeated("a", "b", "c")),
        }
    )
    schema, _ = infer_schema(frame, name="t")
    assert [c.kind for c in schema.columns] == ["date", "boolean", "integer", "category"]
    assert len(table_from_frame(frame, schema)) == N


def test_decimal_commas_of_a_semicolon_file(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("x;y\n" + "\n".join(f"{i},5;{i % 3}" for i in range(N)))
    schema, _ = infer_schema(path, name="t")
    assert schema.column("x").kind == "number"
    assert read_table(path, schema)["x"].iloc[3] == 3.5


@pytest.mark.parametrize("code", ["k.A.", "n.a.", "."])
def test_a_missing_code_with_a_point_leaves_commas_decimal(code, tmp_path):
    path = tmp_path / "t.csv"
    words = [code if i % 5 == 0 else f"{i},5" for i in range(N)]
    path.write_text("x;y\n" + "\n".join(f"{word};{i % 3}" for i, word in enumerate(words)))
    schema, _ = infer_schema(path, name="t")
    assert schema.column("x").kind == "number"
    table = read_table(path, schema)
    assert table["x"].iloc[3] == 3.5
    assert table["x"].isna().sum() == N / 5


@pytest.mark.parametrize("name", names())
def test_bundled_tables_fit_what_is_inferred_from_them(name):
    path = bundled(name).path
    schema, comments = infer_schema(path, name=name)
    assert len(read_table(path, schema)) > 9_000
    assert set(comments) >= set(schema.names)
    assert not [c for c in schema.columns if isinstance(c, IdentifierColumn)]


@pytest.mark.parametrize(
    "file",
    [
        "adult.csv.gz",
        "brfss2020_heart.csv.gz",
        "ckd.csv.gz",
        "colon.csv.gz",
        "heart_disease_uci.csv.gz",
        "heart_failure.csv.gz",
        "hypothyroid.csv.gz",
        "acic2016/x.csv.gz",
        "lalonde/nswdemo.csv",
        "lalonde/nswpsid1.csv",
    ],
)
def test_public_tables_fit_what_is_inferred_from_them(file, request):
    folder = request.config.getoption("--data", default=None)
    if folder is None:
        pytest.skip("needs public tables that are not bundled: give their folder with --data DIR")
    path = folder / file
    schema, _ = infer_schema(path, name="t")
    assert len(read_table(path, schema)) > 100


def test_a_proposal_survives_its_own_file(tmp_path):
    from ehrsynth.schema.yaml_files import load_schema, save_schema

    raw = read_raw(io_csv(tmp_path))
    schema, comments = infer_schema(raw, name="t")
    save_schema(schema, tmp_path / "s.yaml", comments=comments)
    assert load_schema(tmp_path / "s.yaml") == Schema(**schema.model_dump())
    assert comments["b"].split(";")[0] in (tmp_path / "s.yaml").read_text()


def io_csv(folder):
    buffer = io.StringIO()
    pd.DataFrame({"a": range(20, 80), "b": repeated("x", "y", "z")}).to_csv(buffer, index=False)
    (folder / "t.csv").write_text(buffer.getvalue())
    return folder / "t.csv"


WORDS = """
0 1 -9 -99 NA ? none None unknown 1.5 2,5 1e5 1E-3 inf -inf .5 5. +3 00012 2020-01-31 31/01/2020 9999-12-31
é 2020-13-40 12:30 7:05:09 25:61 Y n yes No A01 I21.3 250.01 V45 18-24 <5 >90 5% 9007199254740993 1e400 1e-400
2020-05 2020-01-01T10:00:00Z P1D PT3H # -- 0x1F true -0 0.30000000000000004 20200131 01-Feb-99 Infinity
"""
POOL = WORDS.split()


@pytest.mark.parametrize("seed", range(25))
def test_whatever_is_in_a_table_what_is_inferred_fits_it(seed, tmp_path):
    rng = np.random.default_rng(seed)
    rows = int(rng.choice([1, 2, 12, 80]))
    names = ("id", "age", "date", "x", "icd", "zip")
    words = {n: rng.choice(rng.choice(POOL, size=int(rng.integers(1, 9))), size=rows) for n in names}
    path = tmp_path / "t.csv"
    pd.DataFrame({**words, "z": [str(i % 3 + 1) for i in range(rows)]}).to_csv(path, index=False)
    schema, _ = infer_schema(path, name="t")
    assert len(read_table(path, schema)) == rows


def test_a_detection_limit_among_numbers_is_a_missing_code_and_no_category_of_numbers():
    column, comment = guessed([*(f"{v / 10:.1f}" for v in range(5, 45)), *["<0.5"] * 20])
    assert (column.kind, column.decimals, column.missing_codes) == ("number", 1, ("<0.5",))
    assert "detection limit" in comment
    column, _ = guessed([*(str(v) for v in range(101, 141)), *["ICU"] * 20], "bed")
    assert column.kind == "category"


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ([f"{i}.{i * 7 % 1000:03d},{i % 100:02d}" for i in range(1, N + 1)], "thousands"),
        ([f"{40 + i},5" for i in range(N - 1)] + ["NC"], "decimal commas"),
        ([f"{90 + i}/{50 + i}" for i in range(N)], "two numbers"),
    ],
)
def test_numbers_that_only_a_person_reads_are_no_identifier_and_no_category(words, reason):
    column, _ = guessed(words)
    assert isinstance(column, LeftOut)
    assert reason in column.reason


def test_codes_with_a_dash_are_no_range():
    column, _ = guessed(repeated("2345-7", "718-7", "4548-4"))
    assert not column.ordered
    column, _ = guessed(repeated("18-39", "40-64", "65-79"))
    assert column.ordered


def test_few_numbers_named_as_codes_are_a_category():
    column, _ = guessed(repeated("39", "65", "190", "871"), "drg")
    assert (column.kind, column.values) == ("category", ("39", "65", "190", "871"))
    column, _ = guessed(repeated("3", "5", "7", "9"), "days_to_diagnosis")
    assert column.kind == "integer"


def test_lines_of_delimiters_at_the_end_are_no_patients(tmp_path):
    path = tmp_path / "sheet.csv"
    path.write_text("id,sex\r\n" + "".join(f"A{i},{'FM'[i % 2]}\r\n" for i in range(30)) + ",\r\n,\r\n\r\n")
    schema, _ = infer_schema(path, name="t")
    assert not schema.column("sex").missing
    assert len(read_table(path, schema)) == 30


def test_day_numbers_of_a_spreadsheet_are_told():
    days = [str(44_000 + 11 * i) for i in range(N)]
    _, comment = guessed(days, "admission")
    assert "as numbers they would leave to the day" in comment
    for others in ([str(44_000 + 300 * i) for i in range(N)], [str(200 + i) for i in range(N)]):
        assert "spreadsheets" not in guessed(others, "leukocytes")[1]


def test_the_codes_of_covid_are_icd_10_too():
    column, _ = guessed(repeated("U07.1", "U09.9", "U10.9", "J12.8", "I21.4", "U99.0"), "main_icd")
    assert (column.kind, column.system) == ("code", "ICD-10")
