"""The till: nothing is given out unpaid, the budget is never passed, and the account can be replayed."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ehrsynth.dp.accounting import spent
from ehrsynth.dp.budget import Budget, check_public, checked_delta, public_rows
from ehrsynth.dp.events import Event, Exponential, Gaussian, SampledGaussian, event_from
from ehrsynth.dp.ledger import Ledger, watched
from ehrsynth.errors import BudgetExceeded, RequestError, SchemaError
from ehrsynth.schema import Schema

BUDGET = Budget(1.0, 1e-6)


class Rows:
    """Counts how often it is read."""

    def __init__(self) -> None:
        self.reads = 0

    def __call__(self) -> str:
        self.reads += 1
        return "rows"


def opened(ledger: Ledger[str], event: Event) -> bool:
    try:
        ledger.open(event)
    except BudgetExceeded:
        return False
    return True


@settings(max_examples=60)
@given(
    noises=st.lists(st.floats(2, 60), min_size=1, max_size=60),
    epsilon=st.floats(0.1, 5),
    delta=st.sampled_from([1e-4, 1e-7]),
    k=st.integers(1, 3),
)
def test_adaptive_noise_never_passes_the_budget(noises, epsilon, delta, k) -> None:
    ledger = Ledger(Rows(), Budget(epsilon, delta, k), accountant="zCDP")
    paid = []
    for place, noise in enumerate(noises):
        event = Gaussian(noise) if place % 2 else Exponential(min(1.0, 3 / noise))
        if opened(ledger, event):
            paid.append(event)
    account = ledger.close()
    assert account.epsilon <= epsilon * (1 + 1e-6)
    assert sum(event.times for event in account.events) == len(paid)
    if k == 1:
        assert account.epsilon == spent(paid, delta, "zCDP").epsilon


def test_a_refused_step_costs_nothing_and_reads_nothing() -> None:
    rows = Rows()
    ledger = Ledger(rows, BUDGET, accountant="zCDP")
    with pytest.raises(BudgetExceeded, match="was not taken"):
        ledger.open(Gaussian(0.5))
    assert rows.reads == 0
    assert ledger.close().epsilon == 0


def test_rows_are_read_once_and_only_when_paid() -> None:
    rows = Rows()
    ledger = Ledger(rows, BUDGET, accountant="zCDP")
    assert ledger.rho_left == pytest.approx(BUDGET.rho)
    assert ledger.open(Gaussian(50.0)) == ledger.open(Exponential(0.01)) == "rows"
    assert rows.reads == 1
    assert ledger.rho_left == pytest.approx(BUDGET.rho - 1 / 5_000 - 1e-4 / 8)


def test_rows_that_cannot_be_read_cost_nothing() -> None:
    def damaged() -> str:
        raise RequestError("the file is damaged")

    ledger = Ledger(damaged, BUDGET, accountant="zCDP")
    with pytest.raises(RequestError, match="damaged"):
        ledger.open(Gaussian(50.0))
    assert ledger.events == ()


def test_whoever_watches_sees_every_ledger_of_the_block() -> None:
    with watched() as seen:
        inside = Ledger(Rows(), BUDGET, accountant="zCDP")
    Ledger(Rows(), BUDGET, accountant="zCDP")
    assert seen == [inside]


def test_a_closed_ledger_stays_closed() -> None:
    ledger = Ledger(Rows(), BUDGET, accountant="zCDP")
    ledger.close()
    with pytest.raises(RequestError, match="closed"):
        ledger.open(Gaussian(50.0))


def test_training_stops_before_the_step_that_would_overspend() -> None:
    plan = [Gaussian(40.0, 3), SampledGaussian(0.1, 3.0, 40)]
    allowed = spent(plan, 1e-5, "PRV and PLD").epsilon + 1e-3
    ledger = Ledger(Rows(), Budget(allowed, 1e-5), accountant="PRV and PLD", plan=plan)
    ledger.open(Gaussian(40.0, 3))
    taken = 0
    while taken < 200 and opened(ledger, SampledGaussian(0.1, 3.0)):
        taken += 1
    account = ledger.close()
    assert 40 <= taken < 60
    assert account.epsilon <= allowed
    assert {"PRV", "PLD", "RDP"} == set(account.by)
    assert account.epsilon == max(account.by["PRV"], account.by["PLD"])


def test_a_plan_beyond_the_budget_is_refused_before_anything_is_read() -> None:
    with pytest.raises(BudgetExceeded):
        Ledger(Rows(), BUDGET, accountant="PRV and PLD", plan=[SampledGaussian(0.5, 0.6, 100)])


def test_the_account_replays() -> None:
    ledger = Ledger(Rows(), BUDGET, accountant="zCDP")
    for noise in (60.0, 80.0, 60.0):
        ledger.open(Gaussian(noise))
    account = ledger.close()
    again = [event_from(event.as_json()) for event in account.events]
    assert spent(again, account.delta, "zCDP").epsilon == account.epsilon
    assert account.by["RDP"] == pytest.approx(account.epsilon, rel=0.02)


def test_several_rows_of_a_patient_cost_more() -> None:
    one, three = Budget(1.0, 1e-6), Budget(1.0, 1e-6, 3)
    assert three.rho == pytest.approx(one.rho / 9)
    row = three.for_a_row
    assert row.epsilon == pytest.approx(1 / 3)
    assert row.delta < 1e-6 / 3
    ledger = Ledger(Rows(), three, accountant="zCDP")
    ledger.open(Gaussian(1 / (2 * three.rho) ** 0.5))
    assert ledger.close().epsilon == pytest.approx(1.0, rel=1e-6)


@pytest.mark.parametrize(("epsilon", "delta"), [(0, 1e-6), (-1, 1e-6), (float("inf"), 1e-6), (1, 0), (1, 1)])
def test_a_budget_is_a_number(epsilon, delta) -> None:
    with pytest.raises(RequestError):
        Budget(epsilon, delta)


def test_delta_follows_the_public_rows() -> None:
    assert checked_delta(None, 1_000) == 1e-4
    assert checked_delta(1e-5, 1_000) == 1e-5
    with pytest.raises(RequestError, match=r"0.001 is too large for 1,000 patients.*at most 0.0001"):
        checked_delta(1e-3, 1_000)


COLUMNS = (
    {"name": "age", "kind": "integer", "minimum": 0, "maximum": 110, "source": "public"},
    {"name": "sex", "kind": "category", "values": ("F", "M"), "source": "public"},
)


def test_every_guessed_item_is_listed_at_once() -> None:
    guessed = ({**COLUMNS[0], "item_sources": {"maximum": "data"}}, {**COLUMNS[1], "source": "data"})
    rule = {"kind": "implication", "if": "age < 5", "then": 'sex == "F"'}
    schema = Schema(
        name="t", citation="c", columns=guessed, constraints=(rule,), rows={"value": 9, "source": "data"}
    )
    with pytest.raises(SchemaError) as error:
        check_public(schema)
    assert set(error.value.problems) >= {
        "age: maximum",
        "sex: values",
        "sex: kind",
        "constraint 1: implication",
        "rows",
    }
    assert "age: minimum" not in error.value.problems


def test_the_number_of_patients_must_be_public() -> None:
    schema = Schema(name="t", citation="c", columns=COLUMNS)
    check_public(schema)
    with pytest.raises(RequestError, match="--public-rows"):
        public_rows(schema)
    assert public_rows(schema.changed(rows={"value": 500})) == 500
