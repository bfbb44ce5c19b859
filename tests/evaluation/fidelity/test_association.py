"""Each measure is that of scipy, sdmetrics or its formula, to nine digits; planted ties are found."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from cohort import COHORT, cohort, shuffled_columns
from ehrsynth.evaluation.fidelity.association import association
from ehrsynth.schema import CategoryColumn, NumberColumn, Schema
from ehrsynth.tables.values import from_values, to_values

REAL, MADE = cohort(400, 1), cohort(300, 2)
SCORE = association(REAL, REAL, MADE, COHORT, seed=0)
VALUES = to_values(REAL, COHORT)


def pair(first: str, second: str, measure: str) -> tuple[float, float]:
    names = {first, second}
    found = [
        p for p in SCORE.details["pairs"] if {p["first"], p["second"]} == names and p["measure"] == measure
    ]
    assert len(found) == 1
    return found[0]["real"], found[0]["synthetic"]


def known(*names: str) -> list[np.ndarray]:
    complete = ~np.isnan(np.stack([VALUES[n] for n in names])).any(axis=0)
    return [VALUES[n][complete] for n in names]


@pytest.mark.parametrize("names", [("age", "marker"), ("lab", "age"), ("stage", "stay"), ("admitted", "lab")])
def test_pearson_is_that_of_scipy_over_patients_with_both_values(names: tuple[str, str]) -> None:
    assert pair(*names, "pearson")[0] == pytest.approx(stats.pearsonr(*known(*names))[0], abs=1e-9)


@pytest.mark.parametrize("names", [("age", "marker"), ("stage", "stay"), ("marker", "stay")])
def test_spearman_is_that_of_scipy(names: tuple[str, str]) -> None:
    assert pair(*names, "spearman")[0] == pytest.approx(stats.spearmanr(*known(*names))[0], abs=1e-9)


def test_spearman_with_gaps_keeps_the_ranks_among_all_known_values() -> None:
    lab = VALUES["lab"]
    both = ~np.isnan(lab)
    ranks = stats.rankdata(VALUES["age"])[both], stats.rankdata(lab[both])
    assert pair("age", "lab", "spearman")[0] == pytest.approx(stats.pearsonr(*ranks)[0], abs=1e-9)


@pytest.mark.parametrize("measure", ["Pearson", "Spearman"])
def test_correlations_are_those_of_sdmetrics(measure: str) -> None:
    similarity = pytest.importorskip("sdmetrics.column_pairs").CorrelationSimilarity
    names = ["age", "marker"]
    real, made = (t[names].astype(np.float64) for t in (REAL, MADE))
    theirs = similarity.compute_breakdown(real, made, coefficient=measure)
    ours = pair(*names, measure.lower())
    assert ours == pytest.approx((theirs["real"], theirs["synthetic"]), abs=1e-9)
    assert 1 - abs(ours[0] - ours[1]) / 2 == pytest.approx(theirs["score"], abs=1e-9)


def test_cramers_v_is_bergsmas() -> None:
    a, b = known("region", "died")
    counts = pd.crosstab(a, b).to_numpy()
    n, (rows, columns) = counts.sum(), counts.shape
    chi = stats.chi2_contingency(counts, correction=False)[0]
    phi = max(0.0, chi / n - (rows - 1) * (columns - 1) / (n - 1))
    sides = [k - (k - 1) ** 2 / (n - 1) for k in (rows, columns)]
    expected = np.sqrt(phi / (min(sides) - 1))
    assert pair("region", "died", "cramers_v")[0] == pytest.approx(expected, abs=1e-9)


def test_the_correlation_ratio_is_that_of_an_analysis_of_variance() -> None:
    group, number = known("died", "marker")
    parts = [number[group == g] for g in np.unique(group)]
    f, (between, within) = stats.f_oneway(*parts)[0], (len(parts) - 1, len(number) - len(parts))
    eta = f * between / (f * between + within)
    corrected = 1 - (1 - eta) * (len(number) - 1) / within
    assert pair("died", "marker", "correlation_ratio")[0] == pytest.approx(np.sqrt(corrected), abs=1e-9)


def test_the_score_is_the_mean_error_over_pairs_with_half_for_each_correlation() -> None:
    halves = {"pearson": 0.5, "spearman": 0.5}
    weights, errors = [], []
    for p in SCORE.details["pairs"]:
        assert p["real"] is not None
        assert p["synthetic"] is not None
        weights.append(halves.get(p["measure"], 1.0))
        errors.append(abs(p["real"] - p["synthetic"]))
    assert SCORE.value == pytest.approx(np.average(errors, weights=weights), abs=1e-12)
    assert SCORE.reference == pytest.approx(0, abs=1e-12)
    assert sum(weights) == 11 * 10 / 2


def test_columns_that_copy_each_other_are_tied_fully_and_losing_it_costs_all() -> None:
    schema = Schema(
        name="ties",
        columns=(
            CategoryColumn(name="a", values=("x", "y")),
            CategoryColumn(name="b", values=("x", "y")),
            NumberColumn(name="n", minimum=-9, maximum=9, decimals=0),
        ),
    )
    a = np.tile([0.0, 0.0, 1.0, 1.0], 100)
    tied = from_values({"a": a, "b": a, "n": 2 * a}, schema)
    loose = from_values({"a": a, "b": np.tile([0.0, 1.0], 200), "n": np.tile([0.0, 2.0], 200)}, schema)
    lost = association(tied, tied, loose, schema, seed=0)
    values = {(p["first"], p["second"]): (p["real"], p["synthetic"]) for p in lost.details["pairs"]}
    assert values["a", "b"] == pytest.approx((1, 0))
    assert values["a", "n"] == pytest.approx((1, 0))
    assert values["b", "n"] == pytest.approx((1, 1))
    assert lost.value == pytest.approx(2 / 3)


def test_good_single_columns_earn_nothing() -> None:
    lost = association(REAL, cohort(400, 3), shuffled_columns(REAL, 400, 4), COHORT, seed=0)
    assert lost.low > lost.reference
    assert (
        lost.details["measures"]["spearman"]["error"] > 3 * lost.details["measures"]["spearman"]["reference"]
    )
