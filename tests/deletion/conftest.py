"""A ward, a release of it that passed a lenient gate, and what forgetting one of its patients makes of it."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ehrsynth.deletion.job import forget
from ehrsynth.evaluation.suite import evaluate
from ehrsynth.release.job import release
from ehrsynth.release.policy import load_policy
from ehrsynth.schema import BooleanColumn, CategoryColumn, IdentifierColumn, IntegerColumn, Schema

SEED, KEY = 20_261_125_009, bytes(range(32))
PATIENTS = 2_400
FEW, MANY = 1, 12


@pytest.fixture(scope="session")
def schema():
    return Schema(
        name="ward",
        citation="Made up for a test",
        columns=(
            IdentifierColumn(name="id", pattern="P#####", roles=("patient_key",), source="public"),
            IntegerColumn(name="age", minimum=18, maximum=90, source="public"),
            CategoryColumn(name="sex", values=("F", "M"), source="public"),
            IntegerColumn(name="sbp", minimum=60, maximum=240, missing=True, source="public"),
            BooleanColumn(name="died", roles=("outcome",), source="public"),
        ),
    )


@pytest.fixture(scope="session")
def patients():
    rng = np.random.default_rng(11)
    age = rng.integers(40, 90, PATIENTS)
    sbp = (100 + age / 2 + rng.normal(0, 15, PATIENTS)).clip(60, 240).round()
    return pd.DataFrame(
        {
            "id": [f"P{n:05d}" for n in range(PATIENTS)],
            "age": age,
            "sex": rng.choice(["F", "M"], PATIENTS),
            "sbp": pd.array(np.where(rng.random(PATIENTS) < 0.1, np.nan, sbp), dtype="Int64"),
            "died": rng.random(PATIENTS) < age / 140,
        }
    )


@pytest.fixture(scope="session")
def data(tmp_path_factory, patients):
    path = tmp_path_factory.mktemp("data") / "ward.csv"
    patients.to_csv(path, index=False)
    return path


@pytest.fixture(scope="session")
def lenient():
    """The default policy, but for limits that no attack on so few patients could keep."""
    policy = load_policy()
    names = (
        "risk_upper_end",
        "identity_disclosure",
        "membership",
        "membership_surest",
        "copied_rows_above_holdout",
    )
    return policy.model_copy(
        update={name: getattr(policy, name).model_copy(update={"value": 0.95}) for name in names}
    )


@pytest.fixture(scope="session")
def measured():
    """Holds the evaluation of the first release."""
    return {}


@pytest.fixture(autouse=True)
def measured_once(monkeypatch, released, measured):
    """The evaluation, which is not what is tried here, is made once; a new gate looks at it each time."""
    monkeypatch.setattr("ehrsynth.release.steps.evaluate", lambda *_, **__: measured["evaluation"])


@pytest.fixture
def measured_anew(measured_once, monkeypatch):
    """The evaluation as it is."""
    monkeypatch.setattr("ehrsynth.release.steps.evaluate", evaluate)


@pytest.fixture(scope="session")
def released(tmp_path_factory, data, schema, lenient, measured) -> Path:
    def kept(*tables, **settings):
        measured["evaluation"] = evaluate(*tables, **settings)
        return measured["evaluation"]

    out = tmp_path_factory.mktemp("released") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ehrsynth.release.steps.evaluate", kept)
        made = release(
            data,
            schema,
            out,
            generator="independent",
            settings={"counts": True},
            seed=SEED,
            key=KEY,
            policy=lenient,
            rows=600,
            evaluated_rows=120,
        )
    assert made.decision.released
    return out


def copied(folder: Path, place: Path) -> Path:
    return Path(shutil.copytree(folder, place))


def listed(place: Path, keys: list[str]) -> Path:
    place.write_text("\n".join(keys) + "\n")
    return place


@pytest.fixture(scope="session")
def one_forgotten(tmp_path_factory, released, data, measured):
    """The old release, the new one, and what came of forgetting one patient."""
    place = tmp_path_factory.mktemp("one")
    old = copied(released, place / "old")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ehrsynth.release.steps.evaluate", lambda *_, **__: measured["evaluation"])
        made = forget(old, listed(place / "ids.txt", ["P00006"]), data, place / "new")
    return old, made
