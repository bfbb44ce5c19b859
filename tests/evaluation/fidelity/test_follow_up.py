"""The curves are those of lifelines; a planted delay is found at its size."""

import numpy as np
import pytest

from ehrsynth.evaluation.fidelity.follow_up import curves


def test_kaplan_meier_and_aalen_johansen_are_those_of_lifelines() -> None:
    lifelines = pytest.importorskip("lifelines")
    rng = np.random.default_rng(0)
    time, cause = np.round(rng.exponential(10, 200), 6), rng.integers(0, 3, 200)
    times, places = np.unique(time, return_inverse=True)
    ours = curves(places, cause, np.ones((1, 200)), (2, len(times)))
    km = lifelines.KaplanMeierFitter().fit(time, cause > 0)
    assert ours.survival[0] == pytest.approx(km.survival_function_at_times(times).to_numpy(), abs=1e-9)
    aj = lifelines.AalenJohansenFitter(calculate_variance=False).fit(time, cause, event_of_interest=2)
    assert ours.incidence[0, 1] == pytest.approx(aj.cumulative_density_.loc[times].to_numpy()[:, 0], abs=1e-9)
    assert ours.survival[0] + ours.incidence[0].sum(axis=0) == pytest.approx(1)
