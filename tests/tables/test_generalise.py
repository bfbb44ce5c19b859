"""Coarser tables, and schemas that match them."""

import datetime as dt
import sys

import numpy as np
import pandas as pd
import pytest

from ehrsynth.errors import ReleaseBlocked, RequestError
from ehrsynth.schema import (
    CategoryColumn,
    CodeColumn,
    DateColumn,
    DatetimeColumn,
    FixedCombination,
    Formula,
    Implication,
    Inequality,
    IntegerColumn,
    NumberColumn,
    Schema,
)
from ehrsynth.tables.bundled import bundled
from ehrsynth.tables.constraints import satisfied
from ehrsynth.tables.generalise import generalise
from ehrsynth.tables.origin import is_synthetic, mark_synthetic
from ehrsynth.tables.reading import read_table, table_from_frame
from ehrsynth.tables.values import to_values

PUBLIC = {"source": "public", "citation": "the calendar"}
START, END = dt.date(2018, 1, 1), dt.date(2022, 12, 31)


def coarse(frame, *columns, constraints=(), **options):
    schema = Schema(name="t", columns=columns, constraints=constraints)
    table, new, actions = generalise(table_from_frame(frame, schema), schema, **options)
    assert satisfied(to_values(table, new), new).all()
    assert len(table) == len(frame)
    return table, new, actions


def category(name="c", *, ordered=False, missing=False, **counts):
    frame = pd.DataFrame({name: [w for w, n in counts.items() for _ in range(n)]})
    return frame, CategoryColumn(name=name, values=tuple(counts), ordered=ordered, missing=missing)


def test_nothing_to_do_changes_nothing():
    frame, column = category(a=20, b=30)
    schema = Schema(name="t", columns=(column,))
    table = table_from_frame(frame, schema)
    same, same_schema, actions = generalise(table, schema)
    assert same is table
    assert same_schema is schema
    assert actions == ()


@pytest.mark.parametrize(
    ("name", "unit", "oldest"),
    [
        ("age", "Jahre", 90),
        ("age", "Years", 90),
        ("age", "yrs.", 90),
        ("edad", "años", 90),
        ("Patientenalter", "", 90),
        ("age", "whatever", 90),
        ("Aufnahmealter", "Monate", 1080),
        ("age", "completed weeks", 4696),
        ("age", "minutes", 47_336_400),
    ],
)
def test_ages_are_gathered_however_their_unit_is_written(name, unit, oldest):
    frame = pd.DataFrame({name: [oldest // 3, oldest - 1, oldest + 1, oldest + 7]})
    column = IntegerColumn(name=name, minimum=0, maximum=2 * oldest, unit=unit)
    table, schema, actions = coarse(frame, column)
    assert table[name].max() == oldest
    assert schema.column(name).maximum == oldest
    assert any("became" in action for action in actions)


def test_a_birth_never_becomes_days():
    frame = pd.DataFrame({"birth_date": ["1924-02-01", "1950-07-09"], "admission": ["2022-09-01"] * 2})
    born = DateColumn(name="birth_date", minimum=dt.date(1900, 1, 1), maximum=END, **PUBLIC)
    seen = DateColumn(name="admission", minimum=START, maximum=END, **PUBLIC)
    table, schema, _ = coarse(frame, born, seen, index_date="admission")
    assert schema.column("birth_date").unit == "year"
    assert table["birth_date"].tolist() == [2022 - 90, 1950]
    with pytest.raises(RequestError, match="age to the day"):
        coarse(frame, born, seen, index_date="birth_date")


@pytest.mark.parametrize("unit", ["years", "Jahr", ""])
def test_birth_years_are_gathered_by_who_may_have_been_seen(unit):
    """A bound far ahead says nothing of when patients were seen."""
    frame = pd.DataFrame({"birth_year": [1910, 1950, 1990], "next_visit": ["2021-05-01"] * 3})
    year = IntegerColumn(name="birth_year", minimum=1900, maximum=2020, unit=unit)
    visit = DateColumn(name="next_visit", minimum=START, maximum=dt.date(2099, 12, 31), **PUBLIC)
    table, _, _ = coarse(frame, year, visit)
    earliest = dt.datetime.now(dt.UTC).year - 90
    assert table["birth_year"].tolist() == [earliest, 1950, 1990]


def test_ages_above_89_become_90():
    frame = pd.DataFrame({"age": [30, 89, 90, 95, 101, None]})
    column = IntegerColumn(name="age", minimum=0, maximum=120, missing=True)
    table, schema, actions = coarse(frame, column)
    assert table["age"].tolist()[:5] == [30, 89, 90, 90, 90]
    assert table["age"].isna().sum() == 1
    assert schema.column("age").maximum == 90
    assert "90 and above" in schema.column("age").description
    assert actions == ("age: ages above 90 became 90 (fewer than 11 patients)",)


def test_decimal_ages_and_ages_in_days():
    frame = pd.DataFrame({"age": [30.5, 101.25], "age_days": [400, 9000]})
    columns = (
        NumberColumn(name="age", minimum=0, maximum=120, decimals=2),
        IntegerColumn(name="age_days", minimum=0, maximum=40_000),
    )
    table, _, _ = coarse(frame, *columns)
    assert table["age"].tolist() == [30.5, 90.0]
    assert table["age_days"].tolist() == [400, 9000]


def visits():
    days = [START + dt.timedelta(days=20 * i) for i in range(30)]
    frame = pd.DataFrame(
        {
            "entry": [d.isoformat() for d in days],
            "discharge": [f"{d + dt.timedelta(days=i % 7)}T12:30:00" for i, d in enumerate(days)],
        }
    )
    frame.loc[3, "discharge"] = None
    low, high = (dt.datetime.combine(day, dt.time()) for day in (START, END))
    columns = (
        DateColumn(name="entry", minimum=START, maximum=END, **PUBLIC),
        DatetimeColumn(name="discharge", minimum=low, maximum=high, missing=True, **PUBLIC),
    )
    return frame, columns


def test_dates_become_years():
    frame, columns = visits()
    columns = (
        columns[0].model_copy(update={"format": "%Y-%m-%d"}),
        *columns[1:],
        columns[1].model_copy(update={"name": "seen"}),
    )
    frame["seen"] = frame["discharge"]
    rules = (
        Inequality(low="discharge", high="seen"),
        Implication(if_='entry > "2019-01-01"', then='discharge > "2019-01-01"'),
    )
    table, schema, actions = coarse(frame, *columns, constraints=rules)
    assert table["entry"].iloc[0] == 2018
    assert table["discharge"].isna().tolist() == frame["discharge"].isna().tolist()
    assert (schema.column("entry").minimum, schema.column("entry").maximum) == (2018, 2022)
    assert schema.constraints == rules[:1]
    assert any("1 rules" in a or "1 rule" in a for a in actions)


def test_a_rule_that_only_asks_whether_a_date_is_missing_is_kept():
    frame, columns = visits()
    rules = (
        Implication(if_="missing(discharge)", then='entry >= "2018-01-01"'),
        Implication(if_="not missing(entry)", then="not missing(entry) or missing(discharge)"),
    )
    _, schema, _ = coarse(frame, *columns, constraints=rules)
    assert schema.constraints == rules[1:]


def test_dates_become_days_from_an_index():
    frame, columns = visits()
    table, schema, _ = coarse(frame, *columns, index_date="entry")
    assert table["discharge"].dropna().tolist() == [i % 7 for i in range(30) if i != 3]
    assert schema.column("discharge").unit == "days from entry"
    assert table["entry"].iloc[0] == 2018
    with pytest.raises(RequestError, match="entrie"):
        coarse(frame, *columns, index_date="entrie")


def test_zip_codes_keep_three_digits():
    words = ["10115"] * 20 + ["10119"] * 20 + ["02134-1234"] * 15
    values = ("10115", "10119", "02134-1234")
    table, schema, actions = coarse(pd.DataFrame({"ZIP": words}), CategoryColumn(name="ZIP", values=values))
    assert schema.column("ZIP").values == ("101", "021")
    assert table["ZIP"].value_counts().to_dict() == {"101": 40, "021": 15}
    assert "three digits" in actions[0]
    number = IntegerColumn(name="zip", minimum=0, maximum=99_999)
    table, schema, _ = coarse(pd.DataFrame({"zip": [2134] * 15 + [10115] * 15}), number)
    assert table["zip"].tolist() == ["021"] * 15 + ["101"] * 15


def test_rare_categories_become_other():
    frame, column = category(a=40, b=3, c=9, d=30)
    table, schema, actions = coarse(frame, column)
    assert schema.column("c").values == ("a", "d", "other")
    assert table["c"].value_counts().to_dict() == {"a": 40, "d": 30, "other": 12}
    assert schema.column("c").source_of("values") == "data"
    assert "fewer than 11" in actions[0]


def test_a_declared_other_is_used_and_filled_up_to_eleven():
    frame, column = category(a=40, OTH=2, b=3, c=15)
    table, schema, _ = coarse(frame, column)
    assert schema.column("c").values == ("a", "OTH")
    assert table["c"].value_counts().to_dict() == {"a": 40, "OTH": 20}


def test_a_rare_unknown_becomes_missing_where_many_are():
    frame, column = category(N=400, Y=40, U=4, missing=True)
    frame = pd.concat([frame, pd.DataFrame({"c": [None] * 8})], ignore_index=True)
    table, schema, actions = coarse(frame, column)
    assert schema.column("c").values == ("N", "Y")
    assert table["c"].isna().sum() == 12
    assert "made missing" in actions[0]


def test_values_that_nobody_holds_stay_declared():
    frame, column = category(a=40, b=0, c=30, d=12, e=2, f=9)
    _, schema, _ = coarse(frame, column)
    assert schema.column("c").values == ("a", "b", "c", "d", "other")


def test_ordered_categories_join_their_neighbour():
    frame, column = category(low=40, mid=5, high=30, top=2, ordered=True)
    table, schema, _ = coarse(frame, column)
    assert schema.column("c").ordered
    assert schema.column("c").values == ("low", "high")
    assert table["c"].value_counts().to_dict() == {"low": 40, "high": 37}


def test_codes_join_their_ancestors():
    words = ["I21.1"] * 6 + ["I21.2"] * 7 + ["I63.9"] * 40
    column = CodeColumn(name="icd", values=("I21.1", "I21.2", "I63.9"), system="ICD-10")
    table, _, _ = coarse(pd.DataFrame({"icd": words}), column)
    assert table["icd"].value_counts().to_dict() == {"I63.9": 40, "I21": 13}


def test_too_few_patients_block():
    frame, column = category(a=4, b=3, missing=True)
    schema = Schema(name="t", columns=(column, CategoryColumn(name="d", values=("x", "y"), missing=True)))
    table = table_from_frame(frame.assign(d=None), schema)
    with pytest.raises(ReleaseBlocked, match="'c'") as caught:
        generalise(table, schema)
    assert "'d'" not in str(caught.value)


def test_rules_follow_the_words_or_go():
    frame = pd.DataFrame({"c": ["a"] * 40 + ["b"] * 3 + ["e"] * 9, "n": ["1"] * 40 + ["2"] * 3 + ["3"] * 9})
    columns = (
        CategoryColumn(name="c", values=("a", "b", "e")),
        CategoryColumn(name="n", values=("1", "2", "3")),
    )
    pairs = FixedCombination(columns=("c", "n"), values=(("a", "1"), ("b", "2"), ("e", "3")))
    gone = Implication(if_='c == "b"', then='n == "2"')
    kept = Implication(if_='c == "a"', then='n == "1"')
    _, schema, _ = coarse(frame, *columns, constraints=(pairs, gone, kept))
    assert schema.constraints[0].values == (("a", "1"), ("other", "other"))
    assert schema.constraints[1:] == (kept,)


@pytest.mark.parametrize("seed", range(20))
def test_no_rare_category_is_ever_left(seed):
    rng = np.random.default_rng(seed)
    counts = {f"v{i}": int(n) for i, n in enumerate(rng.choice([0, 1, 3, 10, 11, 50], size=8))}
    frame, column = category(ordered=bool(seed % 2), **counts)
    if 0 < len(frame) < 11:
        pytest.skip("blocked: tested above")
    table, schema, _ = coarse(frame, column)
    held = table["c"].value_counts()
    assert not ((held > 0) & (held < 11)).any()
    assert held.sum() == len(frame)
    assert set(schema.column("c").values) <= {*counts, "other"}


def test_the_mark_of_synthetic_tables_stays():
    frame = pd.DataFrame({"age": [95] * 12})
    schema = Schema(name="t", columns=(IntegerColumn(name="age", minimum=0, maximum=120),))
    table = mark_synthetic(table_from_frame(frame, schema))
    assert is_synthetic(generalise(table, schema)[0])


@pytest.mark.parametrize("name", ["ist", "support2"])
def test_bundled_tables_keep_most_rules(name):
    found = bundled(name)
    table, schema, actions = generalise(read_table(found.path, found.schema), found.schema)
    assert satisfied(to_values(table, schema), schema).all()
    assert len(schema.constraints) >= len(found.schema.constraints) - 4
    assert any("90" in action for action in actions)


def test_a_guessed_bound_has_eleven_patients_behind_it_and_a_public_one_stays():
    rng = np.random.default_rng(0)
    income = [*rng.normal(30_000, 5_000, 299).round(2), 98_765_432.1]
    frame = pd.DataFrame({"income": income})
    guessed = NumberColumn(name="income", minimum=0, maximum=100_000_000, decimals=2)
    table, schema, actions = coarse(frame, guessed)
    assert schema.column("income").maximum <= 60_000
    assert (table["income"] == schema.column("income").maximum).sum() < 11
    assert "98" not in actions[0]
    fixed = NumberColumn(name="income", minimum=0, maximum=100_000_000, decimals=2, **PUBLIC)
    assert coarse(frame, fixed)[2] == ()


def test_a_birth_year_does_not_tell_an_age_above_89():
    years = [*range(1900, 2000)] * 3
    frame = pd.DataFrame(
        {
            "dob": [f"{y}-06-01" for y in years],
            "year_of_birth": years,
            "seen": ["2020-03-01"] * len(years),
        }
    )
    table, schema, actions = coarse(
        frame,
        DateColumn(name="dob", minimum=dt.date(1890, 1, 1), maximum=END, **PUBLIC),
        IntegerColumn(name="year_of_birth", minimum=1890, maximum=2022, **PUBLIC),
        DateColumn(name="seen", minimum=START, maximum=dt.date(2020, 12, 31), **PUBLIC),
    )
    for name in ("dob", "year_of_birth"):
        assert table[name].min() == schema.column(name).minimum == 1930
        assert any(name in action and "birth years" in action for action in actions)
    assert table["seen"].unique().tolist() == [2020]


def measured(n=600):
    rng = np.random.default_rng(4)
    height, weight = rng.normal(170, 9, n).round(), rng.normal(75, 14, n).round(1)
    first, second = (rng.dirichlet((6, 3, 1), n).T[:2] * 100).round(1)
    weight[::9] = np.nan
    columns = {
        "height": height,
        "weight": weight,
        "bmi": (weight / height**2 * 10_000).round(1),
        "neutro": first,
        "lympho": second,
        "mono": (100 - first - second).round(1),
    }
    known = {name: (np.nanmin(values), np.nanmax(values)) for name, values in columns.items()}
    declared = [
        NumberColumn(name=name, minimum=low, maximum=high, decimals=1, missing=name in {"weight", "bmi"})
        for name, (low, high) in known.items()
    ]
    rules = (
        Formula(column="bmi", equals="weight / (height * height) * 10000"),
        Formula(column="mono", equals="100 - neutro - lympho"),
    )
    return pd.DataFrame(columns), declared, rules


def test_formulas_stay_true_when_bounds_are_drawn_in():
    frame, declared, rules = measured()
    table, schema, actions = coarse(frame, *declared, constraints=rules)
    assert schema.constraints == rules
    for name in frame:
        column, values = schema.column(name), table[name].astype(float)
        assert column.minimum > frame[name].min() or name == "mono"
        assert column.maximum < frame[name].max()
        assert values.dropna().between(column.minimum, column.maximum).all()
        assert values.isna().equals(frame[name].isna())
        assert values.corr(frame[name]) > 0.98
        unchanged = (values == frame[name]) | frame[name].isna()
        assert unchanged.mean() > 0.8
    assert any("so that its formula holds" in action for action in actions)
    assert not any("taken out" in action for action in actions)


def test_a_last_digit_that_was_rounded_up_at_a_half_stays():
    frame = pd.DataFrame({"a": np.arange(1.0, 201), "b": np.ceil(np.arange(1.0, 201) / 2)})
    columns = [IntegerColumn(name=n, minimum=0, maximum=300) for n in "ab"]
    table, schema, _ = coarse(frame, *columns, constraints=(Formula(column="b", equals="a / 2"),))
    assert len(schema.constraints) == 1
    middle = frame["a"].between(20, 180)
    assert (table["b"][middle] == frame["b"][middle]).all()


def test_inputs_of_public_bounds_are_moved_too_where_a_formula_asks_for_it():
    frame, declared, rules = measured()
    wide = [
        NumberColumn(name=n, minimum=0, maximum=300, decimals=1, missing=n == "weight", **PUBLIC)
        for n in ("height", "weight")
    ]
    table, schema, _ = coarse(frame, *wide, *declared[2:], constraints=rules)
    assert schema.constraints == rules
    assert schema.column("bmi").maximum < frame["bmi"].max()
    assert ((table["weight"] != frame["weight"]) & frame["weight"].notna()).sum() in range(1, 30)


@pytest.mark.parametrize("gap", ["weight", "bmi"])
def test_nobody_gets_or_loses_a_computed_value_when_bounds_are_drawn_in(gap):
    """A BMI may be written down without a weight, or not be written down beside one."""
    frame, declared, rules = measured()
    whole = frame["weight"].notna()
    frame, declared = frame[whole].reset_index(drop=True), [replace_missing(c, gap) for c in declared]
    frame.loc[::3, gap] = np.nan
    table, schema, actions = coarse(frame, *declared, constraints=rules)
    assert schema.constraints == rules
    for name in frame:
        assert table[name].isna().equals(frame[name].isna())
    assert table["bmi"].dropna().between(schema.column("bmi").minimum, schema.column("bmi").maximum).all()
    assert any("where an input is missing" in action for action in actions) == (gap == "weight")


def replace_missing(column, gap):
    return column.model_copy(update={"missing": column.name == gap})


def test_what_is_computed_from_an_age_tells_none_above_89():
    rng = np.random.default_rng(5)
    age = rng.integers(70, 105, 500)
    frame = pd.DataFrame({"age": age, "months": 12 * age})
    columns = (
        IntegerColumn(name="age", minimum=18, maximum=110),
        IntegerColumn(name="months", minimum=200, maximum=1400, **PUBLIC),
    )
    table, schema, _ = coarse(frame, *columns, constraints=(Formula(column="months", equals="age * 12"),))
    assert len(schema.constraints) == 1
    assert table["months"].max() == 12 * 90


def test_an_age_does_not_follow_a_birth_year_that_stands_for_earlier_ones():
    """Born in 1930 and seen in 2000 is 70, whatever the birth year became for those seen in 2024."""
    born, seen = np.repeat([1930, 1960, 1980], 40), np.tile([2000, 2024], 60)
    frame = pd.DataFrame({"birth_year": born, "visit": seen, "old": seen - born})
    columns = (
        IntegerColumn(name="birth_year", minimum=1900, maximum=2024, **PUBLIC),
        IntegerColumn(name="visit", minimum=2000, maximum=2024, **PUBLIC),
        IntegerColumn(name="old", minimum=0, maximum=110, **PUBLIC),
    )
    rule = Formula(column="old", equals="visit - birth_year")
    table, schema, _ = coarse(frame, *columns, constraints=(rule,))
    assert table["birth_year"].min() > 1930
    assert (table["old"] == frame["old"]).all()
    assert not schema.constraints


def test_bounds_that_stay_are_not_said_to_be_drawn_in():
    frame, declared, rules = measured()
    frame["both"] = frame["height"] + frame["weight"]
    both = NumberColumn(name="both", minimum=0, maximum=400, decimals=1, missing=True, **PUBLIC)
    rules = (rules[0], Formula(column="both", equals="height + weight"))
    names = ["height", "weight", "bmi", "both"]
    _, schema, actions = coarse(frame[names], *declared[:3], both, constraints=rules)
    assert (schema.column("both").minimum, schema.column("both").maximum) == (0, 400)
    (said,) = (action for action in actions if action.startswith("both"))
    assert "bounds 0 and 400 stay, and height, weight drawn towards the middle" in said


def test_no_result_tells_an_age_where_its_formula_is_lost(monkeypatch) -> None:
    module = sys.modules["ehrsynth.tables.generalise"]  # the package exports a function of its name
    monkeypatch.setattr(module, "draw_in_computed", lambda *_: None)
    age = np.tile(np.arange(20, 101), 10)
    frame = pd.DataFrame({"age": age, "months": 12 * age})
    columns = (
        IntegerColumn(name="age", minimum=18, maximum=110, **PUBLIC),
        IntegerColumn(name="months", minimum=200, maximum=1400, **PUBLIC),
    )
    table, _, _ = coarse(frame, *columns, constraints=(Formula(column="months", equals="age * 12"),))
    assert table["months"].max() == 12 * 90


@pytest.mark.parametrize(
    ("name", "unit", "oldest"),
    [
        ("age_months", "", 1_080),
        ("age", "months", 1_080),
        ("Alter in Monate", "", 1_080),
        ("age", "days", 32_872),
    ],
)
def test_an_age_in_another_unit_tells_none_above_89_either(name, unit, oldest):
    ages = (np.linspace(20, 104, 400) * oldest / 90).round().astype(np.int64)
    column = IntegerColumn(name=name, minimum=0, maximum=2 * oldest, unit=unit, **PUBLIC)
    table, schema, actions = coarse(pd.DataFrame({name: ages}), column)
    assert table[name].max() == schema.column(name).maximum == oldest
    assert any(action.startswith(f"{name}: ages above {oldest} became {oldest}") for action in actions)
    assert (table[name][ages <= oldest] == ages[ages <= oldest]).all()
