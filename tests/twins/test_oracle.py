"""X- and DR-learners against those of econml (0.17), which runs in an environment of its own."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from ehrsynth.evaluation.matrix import Matrix
from ehrsynth.schema import NumberColumn
from ehrsynth.twins.effects import Candidates, Part, Setting, learn_part

_LEARNT, _TREATED = 1_000, 0.4
_LINEAR = Candidates(bases=("linear",), crossed=("linear",), robust=("linear",))
# Ridges as ours, on covariates standardised in each arm; the chance of the treatment is its share.
_ECONML = """
import json, sys
import numpy as np
from econml.dr import DRLearner
from econml.metalearners import XLearner
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

given = np.load(sys.argv[1])
ridge = lambda: make_pipeline(StandardScaler(), RidgeCV(np.logspace(-2, 4, 13)))
share = DummyClassifier(strategy="prior")
crossed = XLearner(models=ridge(), propensity_model=share)
crossed.fit(given["y"], given["arm"], X=given["x"])
boosted = GradientBoostingRegressor(random_state=1)
robust = DRLearner(
    model_propensity=share, model_regression=boosted, model_final=ridge(), cv=3, random_state=1
)
robust.fit(given["y"], given["arm"], X=given["x"])
found = {"X": crossed.effect(given["new"]), "DR": robust.effect(given["new"])}
print(json.dumps({name: effect.ravel().tolist() for name, effect in found.items()}))
"""


def rows(values: np.ndarray) -> Matrix:
    columns = [NumberColumn(name=f"x{k}", minimum=-9, maximum=9, decimals=6) for k in range(values.shape[1])]
    return Matrix(tuple(columns), values)


@pytest.fixture(scope="module")
def effects(peers_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, np.ndarray]]:
    """Of patients whom nobody saw: the true effects, ours, and econml's."""
    python = peers_dir / "econml" / "bin" / "python"
    if not python.is_file():
        pytest.skip("needs econml: scripts/benchmark/environments/make DIR econml")
    rng = np.random.default_rng(6)
    x, new = rng.normal(size=(_LEARNT, 4)), rng.normal(size=(500, 4))
    arm = (rng.permutation(_LEARNT) < _TREATED * _LEARNT).astype(np.int64)
    y = x @ [1.0, -0.5, 0.0, 0.3] + arm * (1 + x[:, 0]) + 0.5 * x[:, 1] ** 2 + rng.normal(size=_LEARNT)
    file = tmp_path_factory.mktemp("oracle") / "study.npz"
    np.savez(file, x=x, y=y, arm=arm, new=new)
    said = subprocess.run([python, "-c", _ECONML, file], check=True, capture_output=True, text=True).stdout
    setting = Setting(2, (1 - _TREATED, _TREATED), True, 0.01, _LINEAR, None)
    model = learn_part(Part(rows(x), arm, y, np.ones(_LEARNT)), setting, levels=0, seed=1)
    ours = {name: model.effects[f"{name} linear"](rows(new))[:, 0] for name in ("X", "DR")}
    theirs = {name: np.array(effect) for name, effect in json.loads(said.splitlines()[-1]).items()}
    return {name: {"true": 1 + new[:, 0], "ours": ours[name], "theirs": theirs[name]} for name in ours}


def test_the_x_learner_is_econmls(effects: dict[str, dict[str, np.ndarray]]) -> None:
    found = effects["X"]
    assert found["ours"] == pytest.approx(found["theirs"], abs=1e-6)


def test_the_dr_learner_is_as_near_the_truth_as_econmls(effects: dict[str, dict[str, np.ndarray]]) -> None:
    """Other outcome models are behind it: it cannot be equal."""
    found = effects["DR"]
    ours, theirs = (np.sqrt(np.mean((found[who] - found["true"]) ** 2)) for who in ("ours", "theirs"))
    assert ours < 1.25 * theirs
    assert np.corrcoef(found["ours"], found["theirs"])[0, 1] > 0.95
