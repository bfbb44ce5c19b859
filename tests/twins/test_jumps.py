"""Effects that jump: what held-out leaves show to be missed, and how often intervals hold a jump."""

from dataclasses import replace

import numpy as np
import pytest

from ehrsynth.twins.average import average, study_population
from ehrsynth.twins.effects import Candidates
from ehrsynth.twins.evidence import with_constant_effect
from ehrsynth.twins.fitting import Crosswise, fit_crosswise
from ehrsynth.twins.jump_rates import jump_rates, measured_jumps
from ehrsynth.twins.leaves import Leaves
from ehrsynth.twins.model import twin_model
from ehrsynth.twins.patients import Patients, covariates_of, patients_of
from ehrsynth.twins.question import Request, ask
from trials import TRIAL, TWO, Truth, trial

LINEAR = Candidates(bases=("linear",), crossed=(), robust=("linear",))
JUMP, OLD, N = 6.0, 65, 1_000
QUESTION = ask(Request(arms=TWO, outcomes=("score",), design="randomised"), TRIAL)


def jumping(seed: int, jump: float) -> Truth:
    """A trial whose effect is 2 points, and `jump` more from an age of 65 on."""
    made = trial(N, seed)
    old = (made.table["age"] >= OLD).to_numpy()
    table, means = made.table.copy(), made.means.copy()
    taken = (table["drug"] == "low").to_numpy()
    table["score"] = table["score"] + jump * (old & taken)
    means[:, 1] += jump * old
    return Truth(table, means, made.chances)


def fitted(made: Truth) -> tuple[Patients, Crosswise]:
    patients = patients_of(made.table, QUESTION)
    return patients, fit_crosswise(patients, QUESTION, "score", candidates=LINEAR, seed=1)


@pytest.fixture(scope="module")
def made() -> Truth:
    return jumping(31, JUMP)


@pytest.fixture(scope="module")
def learnt(made: Truth) -> tuple[Patients, Crosswise]:
    return fitted(made)


def test_leaves_show_the_size_of_a_jump_that_was_missed(
    made: Truth, learnt: tuple[Patients, Crosswise]
) -> None:
    patients, models = learnt
    flat = with_constant_effect(models)
    found = Leaves(flat, patients, 1, seed=3).variance(patients.covariates, flat.said.effects)
    missed = (made.means[:, 1] - made.means[:, 0] - flat.said.effects[:, 0]) ** 2
    assert found.mean() == pytest.approx(missed.mean(), rel=0.25)  # about 3 points either way
    near = np.abs(made.table["age"].to_numpy(float) - OLD) < 2
    assert found[~near].min() > 0.4 * missed.mean()


def test_leaves_show_little_where_nothing_was_missed() -> None:
    patients, models = fitted(jumping(32, 0.0))
    flat = with_constant_effect(models)
    found = Leaves(flat, patients, 1, seed=3).variance(patients.covariates, flat.said.effects)
    assert (found >= 0).all()
    assert found.mean() < 0.02 * (JUMP / 2) ** 2


def test_intervals_hold_a_jump_that_every_candidate_smooths(learnt: tuple[Patients, Crosswise]) -> None:
    patients, models = learnt
    everyone = study_population(patients, models.said.chances, np.ones(N, bool), "all")
    model = twin_model(models, patients, average(models, patients, everyone), everyone, seed=1)
    fresh = jumping(33, JUMP)
    rows = covariates_of(fresh.table, QUESTION.covariate_schema)
    true = fresh.means[:, 1] - fresh.means[:, 0]

    def held(unaware: bool) -> float:
        asked = replace(model, leaves=()) if unaware else model
        low, high = asked.predict(rows, level=0.9).effect_interval
        return float(np.mean((low[:, 0] <= true) & (true <= high[:, 0])))

    assert held(unaware=True) < 0.7
    assert held(unaware=False) > 0.86


def test_what_was_measured_is_said_with_its_numbers() -> None:
    known = jump_rates()
    assert known is not None
    said = measured_jumps()
    assert any(one.jumps for one in known.measured)
    assert f"in {sum(one.studies for one in known.measured)} simulated studies" in said
    for one in known.measured:
        assert f"{one.held:.0%}" in said
        assert one.least <= one.held
