"""On complete tables the numbers are imbalanced-learn's own, for the same seed and the same rows."""

import numpy as np
import pytest

from ehrsynth.errors import NotEnoughData
from ehrsynth.rebalance.plan import rows_of
from ehrsynth.rebalance.targets import wanted
from ehrsynth.rebalance.treating import treat
from ehrsynth.schema import Schema
from ehrsynth.tables.values import from_values, to_values
from minority import NUMBERS, numbers, plan_of_numbers

over = pytest.importorskip("imblearn.over_sampling")
combine = pytest.importorskip("imblearn.combine")
under = pytest.importorskip("imblearn.under_sampling")

TABLE = numbers(400, 80, seed=2)
PLAN = plan_of_numbers(TABLE)
ROWS = rows_of(TABLE, PLAN, NUMBERS)
MINE = ROWS.group == 1
X = np.stack([ROWS.values[f"x{i}"] for i in range(5)], axis=1)[MINE]
Y = ROWS.event[MINE].astype(int)
SEED = 7
# The column `group` is the same for all of a group: it adds 0 to every distance, and a flag to what is seen.
SEEN = np.column_stack([np.ones(len(X)), np.zeros(len(X)), X])
STRATEGY = dict(enumerate(wanted(TABLE, PLAN, NUMBERS, "up")[1].tolist()))
SAMPLERS = {
    "smote": over.SMOTE,
    "borderline_smote": over.BorderlineSMOTE,
    "svm_smote": over.SVMSMOTE,
    "adasyn": over.ADASYN,
    "kmeans_smote": over.KMeansSMOTE,
    "smote_tomek": combine.SMOTETomek,
    "smote_enn": combine.SMOTEENN,
}


def numbers_of(table, origin: str) -> np.ndarray:
    part = table[(table["_origin"] == origin) & (table["group"] == "b")]
    values = to_values(part.drop(columns="_origin"), NUMBERS)
    found = np.stack([values[f"x{i}"] for i in range(5)] + [values["event"]], axis=1)
    return found[np.lexsort(found.T[::-1])]


def in_order(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    found = np.column_stack([x, y])
    return found[np.lexsort(found.T[::-1])]


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.filterwarnings("ignore")
def test_made_patients_are_those_of_imbalanced_learn(name: str) -> None:
    sampler = SAMPLERS[name](sampling_strategy=STRATEGY, random_state=SEED)
    grown, labels = sampler.fit_resample(SEEN, Y)
    table = treat(name, TABLE, PLAN, NUMBERS, seed=SEED).table
    # What is real stays real, after cleaning too; what is made is equal but for the column's six decimals.
    real = {tuple(row) for row in X}
    made = np.array([tuple(row) not in real for row in grown[:, 2:]])
    ours = numbers_of(table, "synthetic")
    theirs = in_order(np.round(grown[made][:, 2:], 6), labels[made])
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).max() < 2e-6
    assert len(numbers_of(table, "real")) == (~made).sum()


def test_repeated_patients_are_those_of_imbalanced_learn() -> None:
    grown, labels = over.RandomOverSampler(sampling_strategy=STRATEGY, random_state=SEED).fit_resample(X, Y)
    table = treat("random_oversampling", TABLE, PLAN, NUMBERS, seed=SEED).table
    assert np.array_equal(numbers_of(table, "repeated"), in_order(grown[len(X) :], labels[len(X) :]))


def test_the_smoothed_bootstrap_is_that_of_imbalanced_learn() -> None:
    sampler = over.RandomOverSampler(sampling_strategy=STRATEGY, random_state=SEED, shrinkage=1.0)
    grown, labels = sampler.fit_resample(X, Y)
    table = treat("smoothed_bootstrap", TABLE, PLAN, NUMBERS, seed=SEED).table
    theirs = in_order(grown[len(X) :], labels[len(X) :])
    assert np.abs(numbers_of(table, "synthetic") - theirs).max() < 2e-6


@pytest.mark.parametrize(
    ("name", "sampler"),
    [("tomek_links", under.TomekLinks), ("repeated_enn", under.RepeatedEditedNearestNeighbours)],
)
def test_who_is_cleaned_away_is_whom_imbalanced_learn_cleans_away(name: str, sampler) -> None:
    kept = sampler().fit_resample(X, Y)
    table = treat(name, TABLE, PLAN, NUMBERS, seed=SEED).table
    assert np.array_equal(numbers_of(table, "real"), in_order(*kept))


MIXED = Schema(
    name="mixed",
    columns=(
        {"name": "event", "kind": "boolean"},
        {"name": "smoker", "kind": "boolean"},
        {"name": "ward", "kind": "category", "values": ("a", "b", "c")},
        {"name": "x", "kind": "number", "minimum": -9, "maximum": 9, "decimals": 6},
        {"name": "z", "kind": "number", "minimum": -9, "maximum": 9, "decimals": 6},
    ),
)


def mixed(n: int = 200) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(3)
    return {
        "event": (rng.random(n) < 0.25).astype(float),
        "smoker": (rng.random(n) < 0.4).astype(float),
        "ward": rng.choice([0.0, 1.0, 2.0], n),
        "x": rng.normal(size=n).round(6),
        "z": rng.normal(size=n).round(6),
    }


@pytest.mark.parametrize("name", ["smotenc", "smoten"])
def test_categories_are_those_of_imbalanced_learn(name: str) -> None:
    from ehrsynth.rebalance.wishes import Wishes, prepare

    values = mixed()
    columns = ("smoker", "ward") if name == "smoten" else ("smoker", "ward", "x", "z")
    schema = MIXED.subset(("event", *columns))
    wishes = Wishes(outcome="event", everyone=True, classes="equal")
    ready = prepare(from_values({n: values[n] for n in ("event", *columns)}, schema), schema, wishes)
    table = treat(name, ready.table, ready.plan, ready.schema, seed=SEED).table
    seen, y = np.stack([values[n] for n in columns], axis=1), values["event"].astype(int)
    sampler = over.SMOTEN if name == "smoten" else over.SMOTENC
    options = {"random_state": SEED} | ({} if name == "smoten" else {"categorical_features": [0, 1]})
    grown, _ = sampler(**options).fit_resample(seen, y)
    made = table[table["_origin"] == "synthetic"].drop(columns="_origin")
    ours = to_values(made, ready.schema)
    assert np.abs(np.stack([ours[n] for n in columns], axis=1) - grown[len(y) :]).max() < 1e-6
    assert (ours["event"] == 1).all()


def test_smotenc_says_which_of_the_family_to_take() -> None:
    from ehrsynth.errors import RequestError
    from ehrsynth.rebalance.wishes import Wishes, prepare

    values = mixed()
    for columns, other in ((("smoker", "ward"), "smoten"), (("x", "z"), "smote")):
        schema = MIXED.subset(("event", *columns))
        table = from_values({n: values[n] for n in ("event", *columns)}, schema)
        ready = prepare(table, schema, Wishes(outcome="event", everyone=True, classes="equal"))
        with pytest.raises(RequestError, match=f"use {other}$"):
            treat("smotenc", ready.table, ready.plan, ready.schema, seed=1)


def test_a_group_that_no_sampler_can_raise_is_told_in_counts() -> None:
    from ehrsynth.rebalance._imbalanced_package import oversampled

    with pytest.raises(NotEnoughData, match="1 patients with the event, 9 without"):
        oversampled(over.SMOTE(), X[:10], np.arange(10) == 3, {0: 9, 1: 20}, what="smote of 'b'", seed=1)
