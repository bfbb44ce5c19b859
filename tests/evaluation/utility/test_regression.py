"""The regressions are those of statsmodels and lifelines; separation and repeated columns do no harm."""

import numpy as np
import pandas as pd
import pytest

from ehrsynth.evaluation.utility.combining import combine
from ehrsynth.evaluation.utility.regression import fit, independent


def design(n: int = 400) -> tuple[np.ndarray, np.random.Generator]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, 3))
    x[:, 2] = x[:, 2] > 0
    return x, rng


def test_linear_and_logistic_are_those_of_statsmodels() -> None:
    sm = pytest.importorskip("statsmodels.api")
    x, rng = design()
    y = x @ [1.0, 0.5, -1.0] + rng.normal(size=len(x))
    dead = (y > 0) * 1.0
    for kind, theirs, target in (("linear", sm.OLS, y), ("logistic", sm.Logit, dead)):
        model = theirs(target, sm.add_constant(x)).fit(**({"disp": 0} if kind == "logistic" else {}))
        ours = fit(kind, x, target)
        assert ours.coefficients == pytest.approx(model.params[1:], abs=1e-7)
        assert ours.errors == pytest.approx(model.bse[1:], abs=1e-7)


def test_cox_with_ties_is_that_of_lifelines() -> None:
    lifelines = pytest.importorskip("lifelines")
    x, rng = design()
    time = np.ceil(rng.exponential(np.exp(-x @ [0.5, 0.0, -0.5])) * 10)
    event = (rng.random(len(x)) < 0.7) * 1.0
    frame = pd.DataFrame(np.column_stack([x, time, event]), columns=[*"abc", "t", "e"])
    theirs = lifelines.CoxPHFitter().fit(frame, "t", "e")
    ours = fit("cox", x, event, time)
    assert ours.coefficients == pytest.approx(theirs.params_.to_numpy(), abs=1e-5)
    assert ours.errors == pytest.approx(theirs.standard_errors_.to_numpy(), abs=1e-5)


def test_separation_is_unknown_and_repeats_are_found() -> None:
    x, _ = design()
    assert np.isnan(fit("logistic", x[:, [2]], x[:, 2]).coefficients).all()
    repeated = np.column_stack([x, x[:, 0] - 2 * x[:, 1], np.ones(len(x))])
    assert independent(repeated).tolist() == [True, True, True, False, False]


def test_copies_combine_as_raab_nowok_and_dibben_say() -> None:
    sizes = {"original_rows": 100, "synthetic_rows": 200}
    pooled = combine([[1.0], [3.0]], [[1.0], [1.0]], inference="population", **sizes)
    assert pooled.estimate.tolist() == [2.0]
    assert pooled.error == pytest.approx(np.sqrt(2 + 1 / 2))
    assert combine([1.0, 3.0], [1.0, 1.0], inference="original", **sizes).error == pytest.approx(np.sqrt(0.5))
