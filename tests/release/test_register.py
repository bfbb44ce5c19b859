"""The register of a data set: epsilon adds up over everything that was learnt, up to the hospital's cap."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from ehrsynth.dp.accounting import epsilon_of_rho, multiplier_for, pld, rdp, rho_of_epsilon
from ehrsynth.dp.budget import Budget
from ehrsynth.dp.events import Exponential, Gaussian, SampledGaussian, gathered
from ehrsynth.errors import BudgetExceeded, OutputError, RequestError
from ehrsynth.generators.base import PrivacySpent
from ehrsynth.release import register
from ehrsynth.release.books import Books, owing
from ehrsynth.release.looks import marks_of
from ehrsynth.release.policy import load_policy
from ehrsynth.release.register import (
    Entry,
    add,
    check_cap,
    earlier_tables,
    entries,
    likeness,
    place_of,
    total,
)
from ehrsynth.schema import IntegerColumn, Schema

DELTA = 1e-5


def spent(*events, epsilon: float = 1.0, delta: float = DELTA, rows: int = 1, void: str = "") -> PrivacySpent:
    return PrivacySpent(epsilon, delta, "zCDP", {}, tuple(e.as_json() for e in events), rows, void)


def entry(*events, **more) -> Entry:
    return Entry.now("release", Path("out"), None, spent(*events, **more))


def gaussian(epsilon: float) -> Gaussian:
    return Gaussian(1 / math.sqrt(2 * rho_of_epsilon(epsilon, DELTA)))


def test_nothing_costs_nothing_and_one_fit_what_it_said() -> None:
    assert total((), DELTA).epsilon == 0
    assert total([entry(gaussian(0.7), epsilon=0.7)], DELTA).epsilon == 0.7


def test_counts_add_up_in_zcdp_and_no_worse_than_by_epsilon() -> None:
    one = gaussian(1.0)
    found = total([entry(one)] * 4, DELTA)
    assert found.fits == 4
    assert found.epsilon == pytest.approx(epsilon_of_rho(4 * one.rho, DELTA))
    assert 1.0 < found.epsilon < 4.0


def test_sampled_noise_adds_up_by_the_larger_of_two_accountants() -> None:
    events = (SampledGaussian(0.05, 1.5, 100),)
    found = total([entry(*events), entry(*events)], DELTA)
    assert found.epsilon >= pld(gathered([*events, *events]), DELTA)


def test_what_no_accountant_knows_together_is_added_by_renyi() -> None:
    mixed = [entry(SampledGaussian(0.05, 1.5, 100)), entry(Exponential(0.2, 5))]
    assert max(total([one, one], DELTA).epsilon for one in mixed) < total([*mixed, *mixed], DELTA).epsilon


def test_patients_with_several_rows_pay_for_all_of_them_at_the_same_delta() -> None:
    one = gaussian(1.0)
    found = total([entry(one, rows=2), entry(one, rows=3)], DELTA)
    assert found.epsilon == pytest.approx(epsilon_of_rho((4 + 9) * one.rho, DELTA))
    assert found.delta == DELTA


@pytest.mark.parametrize("rows", [2, 4])
def test_sampled_noise_on_several_rows_is_turned_into_a_patients_at_one_delta(rows: int) -> None:
    row = Budget(1.0, DELTA, rows).for_a_row
    multiplier = multiplier_for([], SampledGaussian(0.05, 4.0, 100), row.epsilon, row.delta)
    event = SampledGaussian(0.05, multiplier, 100)
    three = total([entry(event, rows=rows)] * 3, DELTA)
    assert three.delta == DELTA
    assert 1.0 < three.epsilon < 3.0
    # Group privacy by hand: all rows of a patient, at what a row's epsilon leaves of delta for a row.
    each = Budget(three.epsilon, DELTA, rows).for_a_row
    assert rdp([event.repeated(300)], each.delta) == pytest.approx(each.epsilon, rel=1e-4)


def test_noise_of_no_use_on_several_rows_passes_every_cap() -> None:
    loud = entry(SampledGaussian(1.0, 0.1, 100), rows=5)
    assert total([loud, loud], DELTA).epsilon == math.inf
    with pytest.raises(BudgetExceeded, match="would be inf"):
        check_cap([loud], loud, DELTA, 1e9)


def test_deltas_that_only_add_up_may_not_pass_that_of_one_release() -> None:
    unknown = entry(epsilon=0.5)  # no mechanism: epsilons and deltas add up
    found = total([unknown, unknown], DELTA)
    assert (found.epsilon, found.delta) == (1.0, 2 * DELTA)
    assert check_cap([], unknown, DELTA, 10.0).epsilon == 0.5
    with pytest.raises(BudgetExceeded, match=r"delta .* would be 2e-05 \(2 fits\), and at most 1e-05"):
        check_cap([unknown], unknown, DELTA, 10.0)


def test_a_table_without_a_guarantee_is_entered_beside_private_ones(tmp_path) -> None:
    book = tmp_path / "register.json"
    for _ in range(2):
        add(book, "ward", entry(SampledGaussian(0.05, 1.5, 100)), delta=DELTA, cap=10)
    add(book, "ward", Entry.now("release", tmp_path, tmp_path / "t", None), delta=1.0, cap=10)
    assert len(entries(book, "ward")) == 3


def test_a_guarantee_that_does_not_hold_is_none() -> None:
    assert entry(gaussian(1.0), void="the seed is known").spent is None


def test_the_cap_refuses_and_then_nothing_is_written(tmp_path) -> None:
    book = tmp_path / "register.json"
    for _ in range(2):
        add(book, "ward", entry(gaussian(1.0)), delta=DELTA, cap=1.6)
    before = book.read_bytes()
    with pytest.raises(BudgetExceeded, match=r"3 fits.*cap is 1\.6"):
        add(book, "ward", entry(gaussian(1.0)), delta=DELTA, cap=1.6)
    assert book.read_bytes() == before
    assert add(book, "another", entry(gaussian(1.0)), delta=DELTA, cap=1.6).fits == 1
    assert len(entries(book, "ward")) == 2


def test_the_cap_itself_may_be_reached() -> None:
    assert check_cap([], entry(gaussian(1.0)), DELTA, 1.0).epsilon == 1.0


def test_the_register_stands_beside_what_is_written_unless_named(tmp_path) -> None:
    assert place_of(tmp_path / "out", None) == tmp_path / register.NAME
    assert place_of(tmp_path / "out", tmp_path / "book") == tmp_path / "book"


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"format": 1, "data": {"ward": [{"a": 1}]}}'])
def test_a_damaged_register_is_never_begun_anew(tmp_path, text) -> None:
    book = tmp_path / "register.json"
    book.write_text(text)
    with pytest.raises(RequestError, match="damaged"):
        add(book, "ward", entry(gaussian(1.0)), delta=DELTA, cap=10)
    assert book.read_text() == text


def test_a_later_format_is_refused(tmp_path) -> None:
    book = tmp_path / "register.json"
    book.write_text(json.dumps({"format": 2, "data": {}}))
    with pytest.raises(RequestError, match="format 2"):
        entries(book, "ward")


def test_only_one_writes_at_a_time(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(register, "_WAIT", 0.0)
    (tmp_path / ".register.json.lock").touch()
    with pytest.raises(OutputError, match=r"lock is there"):
        add(tmp_path / "register.json", "ward", entry(gaussian(1.0)), delta=DELTA, cap=10)
    assert not (tmp_path / "register.json").exists()


def test_a_table_that_is_gone_stops_the_next(tmp_path) -> None:
    book, table = tmp_path / "register.json", tmp_path / "out" / "share" / "synthetic.parquet"
    table.parent.mkdir(parents=True)
    table.touch()
    add(book, "ward", Entry.now("release", tmp_path / "out", table, None), delta=1.0, cap=10)
    assert earlier_tables(book, "ward") == (table,)
    table.unlink()
    with pytest.raises(RequestError, match="1 of 1 earlier tables"):
        earlier_tables(book, "ward")


def test_a_tree_that_was_moved_as_a_whole_is_found(tmp_path) -> None:
    old, new = tmp_path / "old", tmp_path / "archive"
    tables = [old / name / "share" / "synthetic.parquet" for name in ("first", "second")]
    for table in tables:
        table.parent.mkdir(parents=True)
        table.touch()
        add(
            old / "register.json",
            "ward",
            Entry.now("release", table.parents[1], table, None),
            delta=1.0,
            cap=10,
        )
    old.rename(new)
    moved = tuple(new / table.relative_to(old) for table in tables)
    assert earlier_tables(new / "register.json", "ward") == moved
    # Another release that was made where the moved one stands is not taken for it.
    add(new / "register.json", "ward", Entry.now("release", new / "first", moved[0], None), delta=1.0, cap=10)
    with pytest.raises(RequestError, match="1 of 3 earlier tables"):
        earlier_tables(new / "register.json", "ward")


def test_an_equal_schema_under_another_name_is_the_same_data_set(tmp_path) -> None:
    book = tmp_path / "register.json"
    columns = (IntegerColumn(name="age", minimum=0, maximum=99),)
    ward = Schema(name="ward", title="A ward", columns=columns)
    renamed, other = ward.changed(name="new", title="A new one"), ward.changed(rows_per_patient=2)
    assert likeness(ward) == likeness(renamed) != likeness(other)
    paid = replace(entry(gaussian(1.0)), schema=likeness(ward))
    for _ in range(2):
        add(book, "ward", paid, delta=DELTA, cap=1.6)
    assert len(entries(book, "new", likeness(renamed))) == 2
    assert entries(book, "new") == entries(book, "new", likeness(other)) == ()
    with pytest.raises(BudgetExceeded, match="3 fits"):
        add(book, "new", replace(paid, schema=likeness(renamed)), delta=DELTA, cap=1.6)
    # Entries of a version that did not know the schema are alike to nothing but their name.
    add(book, "old", entry(gaussian(1.0)), delta=DELTA, cap=1.6)
    assert entries(book, "new") == ()


def test_data_sets_hang_together_over_names_schemas_and_tables(tmp_path) -> None:
    book = tmp_path / "register.json"
    one = replace(entry(gaussian(1.0)), schema="a" * 64)
    add(book, "ward", one, delta=DELTA, cap=10)
    add(book, "new", one, delta=DELTA, cap=10)  # an equal schema
    widened = replace(one, schema="b" * 64)
    found = add(book, "new", widened, delta=DELTA, cap=10)  # the same name: all three are of one data set
    assert found.fits == 3
    assert len(entries(book, "newer", "b" * 64)) == 3
    assert entries(book, "newer", "c" * 64) == ()


def test_the_same_table_under_another_name_and_other_bounds_is_the_same_data_set(tmp_path) -> None:
    book = tmp_path / "register.json"
    ward = Schema(name="ward", columns=(IntegerColumn(name="age", minimum=0, maximum=99),))
    wider = Schema(name="new", columns=(IntegerColumn(name="age", minimum=0, maximum=120),))
    table, other = (pd.DataFrame({"age": ages}).astype("Int64") for ages in ([40, 50, 60], [40, 50, 61]))
    paid = entry(gaussian(1.0))
    add(book, "ward", paid, delta=DELTA, cap=1.6, marking=marks_of(table, ward).kept)
    same, another = marks_of(table.iloc[::-1], wider).kept, marks_of(other, wider).kept
    assert len(entries(book, "new", likeness(wider), same)) == 1
    assert entries(book, "new", likeness(wider), another) == ()
    add(book, "another", paid, delta=DELTA, cap=1.6, marking=another)
    with pytest.raises(BudgetExceeded, match="2 fits"):
        add(book, "new", paid, delta=DELTA, cap=1.2, marking=same)
    assert "new" not in json.loads(book.read_text())["data"]


def test_what_breaks_off_has_been_paid(tmp_path) -> None:
    ward = Schema(
        name="ward",
        citation="A protocol",
        rows={"value": 100, "citation": "A protocol"},
        columns=(IntegerColumn(name="age", minimum=0, maximum=99),),
    )
    books = Books(tmp_path / "register.json", ward, load_policy())

    class Learnt:
        privacy = spent(gaussian(1.0))

    with pytest.raises(KeyboardInterrupt), owing(books, tmp_path / "out", Learnt()):
        raise KeyboardInterrupt
    (kept,) = entries(books.register, "ward")
    assert (kept.what, kept.spent["epsilon"]) == ("blocked", 1.0)
    with owing(books, tmp_path / "out", Learnt()):
        pass
    assert len(entries(books.register, "ward")) == 1


def test_a_new_register_says_what_is_not_in_it(tmp_path) -> None:
    ward = Schema(name="ward", columns=(IntegerColumn(name="age", minimum=0, maximum=99),))
    book = tmp_path / "register.json"
    books = Books(book, ward, load_policy())
    said = f"new register begun at {book}: epsilon that was spent elsewhere is not in it"
    assert books.begun(private=True) == said
    assert books.begun(private=False).startswith(f"new register begun at {book}: tries and tables elsewhere")
    add(book, "another", entry(gaussian(1.0)), delta=DELTA, cap=10)
    assert "holds nothing of 'ward' yet" in books.begun(private=True)
    assert books.begun(private=False) == ""
    add(book, "ward", entry(gaussian(1.0)), delta=DELTA, cap=10)
    assert books.begun(private=True) == ""
