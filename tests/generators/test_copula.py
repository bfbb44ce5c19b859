"""The Gaussian copula: SDV's fit, our sampling, conditions inside the copula."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ehrsynth.errors import MissingPackage, ModelError, SamplingExhausted
from ehrsynth.generators.base import Parts
from ehrsynth.generators.copula import Copula, FittedCopula
from ehrsynth.schema import Schema
from ehrsynth.tables.values import from_values

pytest.importorskip("sdv", reason="pip install 'ehrsynth[sdv]'")

SCHEMA = Schema(
    name="ward",
    columns=(
        {"name": "sex", "kind": "category", "values": ("F", "M", "X")},
        {"name": "height", "kind": "number", "minimum": 100, "maximum": 220, "decimals": 1},
        {"name": "weight", "kind": "number", "minimum": 20, "maximum": 250, "decimals": 1, "missing": True},
        {"name": "visits", "kind": "integer", "minimum": 0, "maximum": 1_000},
    ),
)


def table(n: int = 1_500) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    male = rng.integers(0, 2, n)
    height = (np.where(male, 178.0, 164.0) + rng.normal(0, 6, n)).round(1)
    weight = (height - 100 + rng.normal(0, 5, n)).round(1)
    values = {
        "sex": male.astype(float),
        "height": height,
        "weight": np.where(rng.random(n) < 0.25, np.nan, weight),
        "visits": np.where(rng.random(n) < 0.5, 0.0, rng.integers(50, 500, n)),
    }
    return from_values(values, SCHEMA)


@pytest.fixture(scope="module")
def model() -> FittedCopula:
    fitted = Copula().fit(table(), SCHEMA, seed=1)
    assert isinstance(fitted, FittedCopula)
    return fitted


def test_shares_relations_and_heaps(model: FittedCopula) -> None:
    made, real = model.sample(5_000, seed=2).table, table()
    assert made["weight"].isna().mean() == pytest.approx(0.25, abs=0.03)
    assert (made["visits"] == 0).mean() == pytest.approx(0.5, abs=0.03)
    assert made["height"].mean() == pytest.approx(real["height"].mean(), abs=1)
    assert made["height"].std() == pytest.approx(real["height"].std(), rel=0.1)
    for a, b in (("height", "weight"),):
        kept = [frame[[a, b]].dropna().corr().iloc[0, 1] for frame in (made, real)]
        assert kept[0] == pytest.approx(kept[1], abs=0.15)


@pytest.mark.parametrize(
    "where", ["height > 180", 'sex == "F"', "missing(weight)", "visits == 0", "visits > 300"]
)
def test_one_column_is_drawn_inside_and_not_by_luck(model: FittedCopula, where: str) -> None:
    sample = model.sample(500, where=where, seed=3)
    assert sample.acceptance > 0.4
    assert sample.effective_sample_size == pytest.approx(500, rel=0.01)


def test_conditioning_agrees_with_choosing_among_free_rows(model: FittedCopula) -> None:
    where = 'height > 175 and sex == "F" and weight < 75'
    sample = model.sample(1_000, where=where, seed=3)
    free = model.sample(60_000, seed=4).table
    kept = free[(free["height"] > 175) & (free["sex"] == "F") & (free["weight"] < 75).fillna(False)]
    assert sample.probability == pytest.approx(len(kept) / len(free), rel=0.25)
    assert sample.table["weight"].mean() == pytest.approx(kept["weight"].mean(), abs=1)
    assert sample.table["height"].mean() == pytest.approx(kept["height"].mean(), abs=1)
    assert 0 < sample.effective_sample_size <= 1_000


def test_a_far_tail_needs_no_luck(model: FittedCopula) -> None:
    sample = model.sample(200, where="height > 190 and weight > 80", seed=3)
    assert sample.probability < 0.05
    assert sample.acceptance > 0.1


def test_a_word_that_nobody_has_ends_at_once(model: FittedCopula) -> None:
    with pytest.raises(SamplingExhausted, match="no probability"):
        model.sample(5, where='sex == "X"', seed=1)


@pytest.mark.parametrize("family", ["gamma", "norm", "truncnorm", "uniform"])
def test_other_families(family: str) -> None:
    fitted = Copula(distribution=family).fit(table(300), SCHEMA, seed=1)
    assert len(fitted.sample(50, seed=1).table) == 50


def test_only_known_distributions_are_rebuilt(model: FittedCopula) -> None:
    parts = model.parts()
    for names in (["os.system"] * len(model.axes), ["rv_continuous"] * len(model.axes), ["beta"]):
        with pytest.raises(ModelError):
            FittedCopula.from_parts(SCHEMA, model.recipe, Parts({"distributions": names}, parts.arrays))


def test_sdv_says_and_writes_nothing(tmp_path: Path) -> None:
    code = (
        "import numpy as np, pandas as pd\n"
        "from ehrsynth.generators._sdv_package import fit_gaussian_copula\n"
        "frame = pd.DataFrame({'w0': list('0101'), 'n0': [1.0, 2.0, 3.0, 5.0]})\n"
        "fit_gaussian_copula(frame, ['w0'], distribution='beta', seed=1)\n"
    )
    environment = {k: v for k, v in os.environ.items() if k != "XDG_DATA_HOME"} | {"HOME": str(tmp_path)}
    run = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment,
        check=False,
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
    assert not [f for f in tmp_path.rglob("*") if f.is_file()]


def test_without_the_package_the_command_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("sdv", "sdv.logging", "sdv.metadata", "sdv.single_table"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingPackage, match=r"pip install 'ehrsynth\[sdv\]'"):
        Copula().fit(table(100), SCHEMA, seed=1)
