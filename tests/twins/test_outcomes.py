"""What an outcome is, and what its value is where something is missing."""

import numpy as np
import pytest

from ehrsynth.errors import RequestError
from ehrsynth.twins.outcomes import follow_up, horizon_outcome, outcome_of, values_of
from trials import TRIAL, trial


def test_kinds_follow_from_the_schema() -> None:
    assert outcome_of("score", TRIAL).kind == "numeric"
    assert outcome_of("poor", TRIAL).kind == "binary"
    assert outcome_of("stage", TRIAL).kind == "ordinal"
    assert outcome_of("stage", TRIAL).levels == ("I", "II", "III")
    assert outcome_of("dead = event == 'death'", TRIAL).kind == "binary"


def test_an_expression_is_known_where_missing_values_do_not_matter() -> None:
    table = trial(50).table
    table["poor"] = table["poor"].mask(np.arange(50) < 10)
    either = outcome_of('bad = poor == true or stage == "III"', TRIAL)
    found = values_of(either, table, TRIAL)
    worst = (table["stage"] == "III").to_numpy()
    assert np.isnan(found[:10][~worst[:10]]).all()
    assert (found[:10][worst[:10]] == 1).all()
    assert not np.isnan(found[10:][table["poor"].notna().to_numpy()[10:]]).any()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("scor", "Did you mean 'score'"),
        ("age", "role outcome"),
        ("old = age > 70", "role outcome"),
        ("bad = stage > 3 +", "expected|bad|stage"),
    ],
)
def test_what_is_no_outcome(text: str, problem: str) -> None:
    with pytest.raises(RequestError, match=problem):
        outcome_of(text, TRIAL)


def test_a_list_without_an_order_has_no_average() -> None:
    schema = TRIAL.changed(
        columns=tuple(
            c.model_copy(update={"roles": ("outcome",)}) if c.name == "ward" else c for c in TRIAL.columns
        )
    )
    with pytest.raises(RequestError, match="without an order"):
        outcome_of("ward", schema)
    assert outcome_of('in_a = ward == "a"', schema).kind == "binary"


def test_a_horizon_needs_a_cause_where_events_compete() -> None:
    with pytest.raises(RequestError, match=r"compete.*death"):
        horizon_outcome(90, "", "ipcw", schema=TRIAL)
    with pytest.raises(RequestError, match="without event"):
        horizon_outcome(90, "censored", "ipcw", schema=TRIAL)
    with pytest.raises(RequestError, match="above 0"):
        horizon_outcome(0, "death", "ipcw", schema=TRIAL)
    found = horizon_outcome(90, "relapse", "pseudo", schema=TRIAL)
    assert (found.cause, found.causes, found.name) == (2, 2, "event relapse within 90 days")


def test_follow_up_is_read_as_codes() -> None:
    table = trial(30).table
    time, event = follow_up(horizon_outcome(90, "death", "ipcw", schema=TRIAL), table, TRIAL)
    assert (time == table["day"].to_numpy(float)).all()
    assert (event == table["event"].cat.codes).all()
