"""The largest gap is that of lifelines' curves, also where causes compete; a planted delay is found."""

import numpy as np
import pandas as pd
import pytest

from ehrsynth.evaluation.fidelity.survival_curves import survival_curves
from ehrsynth.evaluation.protocol import protocol
from ehrsynth.schema import BooleanColumn, CategoryColumn, NumberColumn, Schema
from ehrsynth.tables.values import from_values

CAUSES = ("home", "death", "transfer")
TIME = NumberColumn(name="days", minimum=0, maximum=999, decimals=6, roles=("time",))
SEX = CategoryColumn(name="sex", values=("F", "M"), roles=("protected",))
COMPETING = Schema(
    name="competing",
    columns=(TIME, CategoryColumn(name="end", values=("none", *CAUSES), roles=("event",)), SEX),
)
ONE = Schema(name="one", columns=(TIME, BooleanColumn(name="end", roles=("event",)), SEX))


def followed(n: int, seed: int, schema: Schema, *, delay: float = 1.0) -> pd.DataFrame:
    """Patients with exponential times, one in four without event; women's times are stretched by `delay`."""
    rng = np.random.default_rng(seed)
    women = rng.random(n) < 0.5
    time = np.round(rng.exponential(20, n) * np.where(women, delay, 1.0), 6).clip(0, 900)
    end = rng.integers(0, len(CAUSES) + 1, n) if schema is COMPETING else rng.random(n) < 0.75
    return from_values({"days": time, "end": end * 1.0, "sex": np.where(women, 0.0, 1.0)}, schema)


def arrays(table: pd.DataFrame, schema: Schema) -> tuple[np.ndarray, np.ndarray]:
    column = schema.column("end")
    codes = table["end"].cat.codes if schema is COMPETING else table["end"].astype(int)
    assert column.name == "end"
    return table["days"].to_numpy(np.float64), codes.to_numpy()


def shared_times(tables: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    times = np.unique(np.concatenate([time for time, _ in tables]))
    enough = [[(time >= t).sum() >= protocol().at_risk for t in times] for time, _ in tables]
    return times[np.logical_and(*enough)]


def test_kaplan_meier_gap_is_that_of_lifelines() -> None:
    lifelines = pytest.importorskip("lifelines")
    real, made = followed(150, 1, ONE), followed(160, 2, ONE, delay=2)
    score = survival_curves(real, real, made, ONE, seed=0)
    tables = [arrays(t, ONE) for t in (real, made)]
    times = shared_times(tables)
    curves = [
        lifelines.KaplanMeierFitter().fit(*t).survival_function_at_times(times).to_numpy() for t in tables
    ]
    assert score.details["method"] == "Kaplan-Meier"
    assert score.details["without_event"] == "false"
    assert score.value == pytest.approx(np.abs(curves[0] - curves[1]).max(), abs=1e-9)
    assert score.reference == 0


def test_aalen_johansen_gap_is_that_of_lifelines_where_causes_compete() -> None:
    lifelines = pytest.importorskip("lifelines")
    real, made = followed(150, 1, COMPETING), followed(160, 2, COMPETING, delay=2)
    score = survival_curves(real, real, made, COMPETING, seed=0)
    tables = [arrays(t, COMPETING) for t in (real, made)]
    times = shared_times(tables)
    gaps = []
    for cause in range(1, len(CAUSES) + 1):
        shares = []
        for time, code in tables:
            fitter = lifelines.AalenJohansenFitter(calculate_variance=False)
            curve = fitter.fit(time, code, event_of_interest=cause).cumulative_density_.iloc[:, 0]
            shares.append(curve.reindex(times, method="ffill").fillna(0).to_numpy())
        gaps.append(np.abs(shares[0] - shares[1]).max())
    assert score.details["method"] == "Aalen-Johansen"
    assert score.value == pytest.approx(max(gaps), abs=1e-9)


def test_a_cause_taken_for_another_is_seen_though_survival_is_the_same() -> None:
    real = followed(300, 1, COMPETING)
    swap = {"death": "transfer", "transfer": "death"}
    few = real["end"].isin(["death"]) & (np.arange(300) % 2 == 0)
    end = real["end"].astype(object).where(~few, real["end"].astype(object).map(lambda e: swap.get(e, e)))
    made = real.assign(end=pd.Categorical(end, real["end"].cat.categories)).astype(real.dtypes)
    assert survival_curves(real, real, real, COMPETING, seed=0).value == 0
    assert survival_curves(real, real, made, COMPETING, seed=0).value > 0.05


def test_a_delay_in_one_group_is_shown_there() -> None:
    real, fresh = followed(400, 1, ONE), followed(400, 2, ONE)
    score = survival_curves(fresh, real, followed(400, 3, ONE, delay=4), ONE, seed=0)
    groups = {g["group"]: g for g in score.details["groups"]["measured"]}
    # Four times slower: exp(-t / 4s) - exp(-t / s) is at most 0.47; fewer than all have the event.
    assert groups["sex: F"]["low"] > 0.25 > groups["sex: F"]["reference"]
    assert groups["sex: M"]["low"] < groups["sex: M"]["reference"] + 0.1
    assert groups["sex: M"]["value"] < 0.5 * groups["sex: F"]["value"]


@pytest.mark.parametrize(("schema", "names"), [(ONE, ["without event"]), (COMPETING, list(CAUSES))])
def test_the_drawn_curves_are_the_curves_at_a_few_shared_times(schema: Schema, names: list[str]) -> None:
    lifelines = pytest.importorskip("lifelines")
    real, made = followed(150, 1, schema), followed(160, 2, schema, delay=2)
    drawn = survival_curves(real, real, made, schema, seed=0).details["curves"]
    tables = [arrays(t, schema) for t in (real, made)]
    shared = shared_times(tables)
    assert [line["name"] for line in drawn["lines"]] == names
    assert set(drawn["times"]) <= set(shared)
    assert drawn["times"][0] == shared[0]
    assert drawn["times"][-1] == shared[-1]
    assert 60 <= len(drawn["times"]) <= 120
    for side, (time, cause) in zip(("real", "synthetic"), tables, strict=True):
        km = lifelines.KaplanMeierFitter().fit(time, cause > 0)
        free = km.survival_function_at_times(drawn["times"]).to_numpy()
        total = np.sum([line[side] for line in drawn["lines"]], axis=0)
        assert total == pytest.approx(free if schema is ONE else 1 - free, abs=1e-9)


def test_the_synthetic_curves_alone_say_nothing_of_real_patients() -> None:
    made = followed(160, 2, ONE)
    alone = [
        survival_curves(real, real, made, ONE, seed=0).details["curves_of_synthetic_alone"]
        for real in (followed(150, 1, ONE), followed(90, 3, ONE, delay=3))
    ]
    assert alone[0] == alone[1]
    assert set(alone[0]["lines"][0]) == {"name", "synthetic"}
