"""A ward of made-up patients, large enough for the gate, and two releases of it: one passed, one blocked."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ehrsynth.release.job import release
from ehrsynth.release.policy import load_policy
from ehrsynth.schema import (
    BooleanColumn,
    CategoryColumn,
    IdentifierColumn,
    IntegerColumn,
    NumberColumn,
    Schema,
)

SEED, KEY = 20_261_122_003, bytes(range(32))
PATIENTS = 2_600


@pytest.fixture(scope="session")
def schema():
    return Schema(
        name="ward",
        title="A made-up ward",
        columns=(
            IdentifierColumn(name="id", pattern="P#####", roles=("patient_key",)),
            IntegerColumn(name="age", minimum=18, maximum=110, unit="years"),
            CategoryColumn(name="sex", values=("F", "M")),
            CategoryColumn(name="ward", values=("north", "south", "west", "quarantine")),
            NumberColumn(
                name="sbp",
                minimum=60.0,
                maximum=240.0,
                decimals=1,
                missing=True,
                missing_codes=("cuff of Mr Huber",),
                unit="mmHg",
            ),
            NumberColumn(name="weight", minimum=30.0, maximum=180.0, decimals=1, unit="kg"),
            BooleanColumn(name="died", roles=("outcome",)),
        ),
        citation="Made up for a test",
    )


@pytest.fixture(scope="session")
def patients():
    rng = np.random.default_rng(11)
    age = rng.integers(40, 97, PATIENTS)
    sbp = (100 + age / 2 + rng.normal(0, 15, PATIENTS)).clip(60, 240).round(1)
    ward = rng.choice(["north", "south", "west"], PATIENTS).astype(object)
    ward[:5] = "quarantine"
    return pd.DataFrame(
        {
            "id": [f"P{n:05d}" for n in range(PATIENTS)],
            "age": age,
            "sex": rng.choice(["F", "M"], PATIENTS),
            "ward": ward,
            "sbp": np.where(rng.random(PATIENTS) < 0.1, np.nan, sbp),
            "weight": rng.normal(75, 12, PATIENTS).clip(30, 180).round(1),
            # About one in two: a rarer death leaves too wide an interval for the risk of its inference.
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
    names = ("risk_upper_end", "identity_disclosure", "membership", "membership_surest")
    return policy.model_copy(
        update={name: getattr(policy, name).model_copy(update={"value": 0.9}) for name in names}
    )


@pytest.fixture(scope="session")
def released(tmp_path_factory, data, schema, lenient):
    out = tmp_path_factory.mktemp("released") / "out"
    return release(
        data, schema, out, generator="independent", seed=SEED, key=KEY, policy=lenient, command="the-command"
    )


@pytest.fixture(scope="session")
def blocked(tmp_path_factory, patients, schema, lenient):
    out = tmp_path_factory.mktemp("blocked") / "out"
    return release(
        patients.head(700).assign(ward="north"),
        schema,
        out,
        generator="independent",
        seed=SEED,
        policy=lenient,
        copies=2,
    )


@pytest.fixture
def copy(released, tmp_path) -> Path:
    """A release to spoil."""
    import shutil

    return Path(shutil.copytree(released.folder, tmp_path / "release"))
