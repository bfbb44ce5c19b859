"""Both arms from one private model: an arm's values are mixed as patients get them, and are asked for."""

import numpy as np
import pytest

from ehrsynth.errors import RequestError
from ehrsynth.generators.recipes import recipe
from ehrsynth.twins.private import private_cohort, private_schema
from ehrsynth.twins.question import Request, ask
from trials import TRIAL, trial

REQUEST = Request(arms={"none": ("none",), "any": ("low", "high")}, outcomes=("score", "poor"))


@pytest.fixture(scope="module")
def learnt():
    """Without noise, so that what the model should know is known."""
    schema = private_schema(REQUEST, TRIAL)
    table = trial(1_500, 92, arms=3, effect=8.0).table
    return recipe("autoregressive", {"rounds": 60}).fit(table[list(schema.names)], schema, seed=1)


def test_outcomes_follow_the_arm_and_values_are_mixed_as_patients_get_them(learnt) -> None:
    question = ask(REQUEST, learnt.schema)
    found = private_cohort(learnt, question, 150, draws=40, level=0.9, seed=3)
    score = found.outcomes[0]
    gap = score.means[:, 1].mean() - score.means[:, 0].mean()
    assert gap == pytest.approx(12.0, abs=2.0)  # half of them 8, half 16
    spread = score.draws.std(axis=2).mean(axis=0)
    assert spread[1] > 1.5 * spread[0]  # two doses in one arm
    assert set(np.unique(found.outcomes[1].draws)) <= {0.0, 1.0}


def test_equal_seeds_give_equal_twins_and_a_population_is_kept(learnt) -> None:
    question = ask(Request(arms=REQUEST.arms, outcomes=("score",), where="age >= 70"), learnt.schema)
    one, two, other = (
        private_cohort(learnt, question, 30, draws=3, level=0.9, seed=seed) for seed in (1, 1, 2)
    )
    assert (one.patients.frame["age"] >= 70).all()
    assert one.outcomes[0].twins.frame.equals(two.outcomes[0].twins.frame)
    assert not one.outcomes[0].twins.frame.equals(other.outcomes[0].twins.frame)


def test_a_model_that_cannot_complete_is_refused(learnt) -> None:
    table = trial(100, 93, arms=3).table
    model = recipe("independent").fit(table[list(learnt.schema.names)], learnt.schema, seed=1)
    with pytest.raises(RequestError, match="does not know the density"):
        private_cohort(model, ask(REQUEST, learnt.schema), 5, draws=2, level=0.9, seed=1)
