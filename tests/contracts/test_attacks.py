"""One suite over every registered attack: what `ehrsynth.evaluation.base.Risk` promises."""

import json
import random
from dataclasses import asdict, replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import rankdata

from cohort import COHORT, WIDE, cohort, shuffled_columns, wide_cohort
from ehrsynth.evaluation.base import Evidence, Risk
from ehrsynth.evaluation.matrix import Floats
from ehrsynth.evaluation.privacy import linear_reconstruction, singling_out
from ehrsynth.evaluation.protocol import protocol
from ehrsynth.registry import known, resolve
from ehrsynth.schema import CategoryColumn, NumberColumn, Schema
from ehrsynth.statistics import auroc
from ehrsynth.tables.values import from_values

PLANTED = 987.6
MEMBERS, OTHERS = cohort(300, 1), cohort(300, 2)
CONTROL = OTHERS[:150].reset_index(drop=True), OTHERS[150:].reset_index(drop=True)
FRESH = cohort(300, 3)
# They look for what many copies do to a model or a density, not for the copy: they see less of it.
INDIRECT = {"classifier_odds", "density_ratio", "linear_reconstruction", "mahalanobis"}
# A copy names its patient only as far as the known traits set that patient apart.
BOUNDED = {"identity_disclosure"}
LESS = INDIRECT | BOUNDED
# The level at which copies of 40 of 400 patients are found by permutation, over the tables of all seeds.
FOUND = 0.01
# It looks for patients who stretch one common covariance: 40 of 400 do where there are many columns.
NEEDS_WIDTH = {"mahalanobis"}
# Whole rows are met again by chance so rarely that one table of 400 is enough.
ONE_TABLE = {"exact_match", "linkability"}
attacks = pytest.mark.parametrize("name", known("attack"))
direct = pytest.mark.parametrize("name", sorted(set(known("attack")) - LESS))
steady = pytest.mark.parametrize("name", sorted(set(known("attack")) - INDIRECT))


@pytest.fixture(autouse=True)
def _fewer_queries(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """A fifth of the descriptions, except where their number is what finds a copy; a third of the counts."""
    usual = protocol()
    fewer = usual.model_copy(
        update={"attacks": usual.attacks.model_copy(update={"queries": 400, "counts": 500})}
    )
    monkeypatch.setattr(linear_reconstruction, "protocol", lambda: fewer)
    if "power" not in request.node.name:
        monkeypatch.setattr(singling_out, "protocol", lambda: fewer)


def run(
    name: str, made: pd.DataFrame, *, members: pd.DataFrame = MEMBERS, schema: Schema = COHORT, seed: int = 5
) -> Risk:
    risk: Risk = resolve("attack", name)(members, *CONTROL, made, schema, seed=seed)
    return risk


def signed(risk: Risk) -> float:
    """The excess, not cut at 0, also where it does not count as measured."""
    return max(v["excess"]["value"] for v in risk.details["variants"] if v["excess"])


@attacks
def test_it_returns_what_it_promises(name: str) -> None:
    risk = run(name, MEMBERS)
    assert risk.name == name
    assert risk.reason == ""
    assert 0 <= risk.low <= risk.value <= risk.high <= 1
    assert 0 <= risk.control <= 1
    assert risk.baseline is None or 0 <= risk.baseline <= 1
    assert risk.n_attacks >= 1
    assert risk.n_control >= 1


@direct
def test_copies_of_members_are_a_high_risk(name: str) -> None:
    risk = run(name, MEMBERS)
    assert risk.low > 0.7
    assert risk.baseline is None or risk.attack > risk.baseline


@attacks
def test_a_fresh_sample_of_patients_is_none(name: str) -> None:
    risks = [run(name, cohort(300, 100 + seed), seed=seed) for seed in range(5)]
    # Each variant has its own 95 % interval, which lies above 0 once in 40 times.
    tried = [v["excess"]["low"] > 0 for r in risks for v in r.details["variants"] if v["excess"]]
    assert sum(tried) <= 1 + len(tried) // 10
    assert np.mean([signed(r) for r in risks]) < 0.15


@attacks
def test_copies_of_the_control_are_no_risk_to_members(name: str) -> None:
    risk = run(name, OTHERS)
    assert risk.value is None or risk.value == 0


@steady
def test_more_copies_are_more_risk(name: str) -> None:
    shares = (0.0, 0.3, 0.6, 1.0)
    found = []
    for share in shares:
        k = int(share * 300)
        found.append(
            signed(run(name, pd.concat([MEMBERS[:k], FRESH[k:]], ignore_index=True).astype(FRESH.dtypes)))
        )
    assert found[0] < 0.2
    assert found[1] < found[2] < found[3]


@attacks
def test_columns_without_association_are_no_risk(name: str) -> None:
    """Where nothing leaks, a lower end lies above 0 once in 40 times: two of four would be once in 280."""
    found = []
    for seed in range(4):
        members, others, fresh = (cohort(300, 20 + 3 * seed + side) for side in range(3))
        made = shuffled_columns(fresh, 300, seed)
        found.append(resolve("attack", name)(members, others[:150], others[150:], made, COHORT, seed=seed))
    assert sum(risk.value is not None and risk.low > 0 for risk in found) <= 1


@attacks
def test_neither_the_order_of_rows_nor_of_columns_matters(name: str) -> None:
    for made in (MEMBERS, FRESH):
        first = run(name, made)
        turned = [t.sample(frac=1, random_state=3).reset_index(drop=True) for t in (made, MEMBERS)]
        assert run(name, turned[0], members=turned[1]) == first
    names = list(COHORT.names[::-1])
    plain = COHORT.changed(columns=tuple(COHORT.column(n) for n in names))
    tables = [t[names] for t in (MEMBERS, *CONTROL, FRESH)]
    moved = resolve("attack", name)(*tables, plain, seed=5)
    assert (moved.value, moved.attack, moved.control) == (first.value, first.attack, first.control)


@attacks
def test_the_sign_and_scale_of_a_number_do_not_matter(name: str) -> None:
    """Standardised and negative laboratory values once gave another package a fake success."""

    def flipped(table: pd.DataFrame) -> pd.DataFrame:
        return table.assign(lab=-table["lab"], marker=1000 - table["marker"])

    plain = run(name, FRESH)
    tables = [flipped(t) for t in (MEMBERS, *CONTROL, FRESH)]
    mirrored: Risk = resolve("attack", name)(*tables, COHORT, seed=5)
    assert signed(mirrored) == pytest.approx(signed(plain), abs=0.12)
    if name not in LESS:
        copied: Risk = resolve("attack", name)(tables[0], tables[1], tables[2], tables[0], COHORT, seed=5)
        assert copied.low > 0.7


@attacks
def test_equal_seeds_equal_results_and_global_random_state_is_untouched(name: str) -> None:
    import torch

    def state() -> list[object]:
        return [
            random.getstate(),
            repr(np.random.get_state()),  # noqa: NPY002 - what must not change
            torch.random.get_rng_state().tolist(),
        ]

    before = state()
    assert run(name, FRESH) == run(name, FRESH)
    assert state() == before


@attacks
def test_details_are_json_and_hold_no_patients_value(name: str) -> None:
    members = MEMBERS.copy()
    members.loc[0, "marker"] = PLANTED
    members.loc[0, "id"] = "WXYZ0001"
    text = json.dumps(asdict(replace(run(name, members, members=members), evidence=())), allow_nan=False)
    assert str(PLANTED) not in text
    assert "WXYZ0001" not in text


@attacks
@pytest.mark.parametrize("rows", [0, 1, 5])
def test_tiny_tables_give_a_number_or_a_reason(name: str, rows: int) -> None:
    few = MEMBERS[:rows]
    for tables in (
        (few, few, few, few),
        (MEMBERS, CONTROL[0][:rows], CONTROL[1][:rows], MEMBERS),
        (MEMBERS, *CONTROL, few),
    ):
        risk: Risk = resolve("attack", name)(*tables, COHORT, seed=0)
        assert (risk.value is None) == bool(risk.reason)
        assert risk.value is not None or "not measurable here" in risk.reason
        json.dumps(asdict(replace(risk, evidence=())), allow_nan=False)


@attacks
def test_columns_all_missing_or_of_one_level_are_borne(name: str) -> None:
    flat = {"lab": np.nan, "stay": 3.0}
    members, made = MEMBERS.assign(**flat), FRESH.assign(**flat)
    control = [t.assign(**flat) for t in CONTROL]
    for table, leaks in ((members, True), (made, False)):
        risk: Risk = resolve("attack", name)(members, *control, table, COHORT, seed=0)
        if leaks and name not in LESS:
            assert risk.low > 0.5
        if not leaks:
            assert risk.value is None or risk.low < 0.1


@attacks
@pytest.mark.parametrize("kind", ["category", "number", "one column"])
def test_tables_of_one_kind_are_borne(name: str, kind: str) -> None:
    width = 1 if kind == "one column" else 10
    columns = tuple(
        NumberColumn(name=f"n{i}", minimum=-9, maximum=9, decimals=2)
        if kind == "number"
        else CategoryColumn(name=f"c{i}", values=tuple("abcd"))
        for i in range(width)
    )
    schema = Schema(name=kind, columns=columns)

    def draw(seed: int) -> pd.DataFrame:
        rng = np.random.default_rng(seed)
        cells = (
            np.round(rng.uniform(-9, 9, (200, width)), 2)
            if kind == "number"
            else rng.integers(0, 4, (200, width))
        )
        return from_values({c.name: cells[:, i].astype(float) for i, c in enumerate(columns)}, schema)

    members, one, two, fresh = (draw(seed) for seed in range(4))
    leak: Risk = resolve("attack", name)(members, one, two, members, schema, seed=0)
    calm: Risk = resolve("attack", name)(members, one, two, fresh, schema, seed=0)
    if kind != "one column" and name not in LESS:
        assert leak.low > 0.5
    assert calm.value is None or calm.low < 0.1


def strength(risk: Risk) -> float:
    """The best that the evidence says: members' mean success less non-members', or AUROC less a half."""
    found = []
    for told in risk.evidence:
        unseen = [told.non_members, *([] if told.reference is None else [told.reference])]
        members, others = (side[~np.isnan(side)] for side in (told.members, np.concatenate(unseen)))
        labels = np.repeat([1, 0], [len(members), len(others)])
        found.append(
            auroc(labels, np.concatenate([members, others])) - 0.5
            if told.graded
            else members.mean() - others.mean()
        )
    return max(found)


def chance(seen: list[tuple[Evidence, ...]], permutations: int = 999) -> float:
    """How often shuffled labels tell members apart as well as the true ones, by the most telling variant.

    `seen` holds the evidence of several tables; labels are shuffled within each. Of graded evidence the ranks
    count, whose mean is the AUROC; each variant counts in its own standard deviations under chance.
    """
    rng = np.random.default_rng(0)
    variants: dict[str, Floats] = {}
    for every in seen:
        for told in every:
            unseen = [told.non_members, *([] if told.reference is None else [told.reference])]
            values = np.concatenate([told.members, *unseen])
            label = np.arange(len(values)) < len(told.members)
            label, values = label[~np.isnan(values)], values[~np.isnan(values)]
            values = rankdata(values) / len(values) if told.graded else values
            # The first is the true one.
            labels = np.vstack([label, rng.permuted(np.tile(label, (permutations, 1)), axis=1)])
            found = labels @ values / label.sum() - ~labels @ values / max(1, (~label).sum())
            variants[told.variant] = variants.get(told.variant, 0.0) + found
    spread = [found[1:].std() for found in variants.values()]
    told = [f / s for f, s in zip(variants.values(), spread, strict=True) if s > 0]
    best = np.max(told, axis=0)
    return float(np.mean(best >= best[0]))


@attacks
def test_power_one_five_and_ten_percent_of_planted_copies_are_found_the_more_the_surer(name: str) -> None:
    """In expectation over seeds: the same fresh table, some of its rows overwritten with members."""
    seeds = {"classifier_odds": 6, "linear_reconstruction": 12, "membership_disclosure": 12}.get(
        name, 24 if name in LESS else 6
    )
    draw, schema = (wide_cohort, WIDE) if name in NEEDS_WIDTH else (cohort, COHORT)
    found, none, most = [], [], []
    for seed in range(seeds):
        members, others, made = (draw(400, seed + 1000 * side) for side in (1, 2, 3))
        row = []
        for copies in (0, 4, 20, 40):
            leaky = pd.concat([members[:copies], made[copies:]], ignore_index=True).astype(made.dtypes)
            attack = resolve("attack", name)
            risk = attack(members, others[:200], others[200:], leaky, schema, seed=seed)
            row.append(strength(risk))
            if copies in {0, 40}:
                (most if copies else none).append(risk.evidence)
        found.append(row)
    mean = np.mean(found, axis=0)
    assert mean[0] < mean[1] < mean[2] < mean[3]
    assert chance(none) > FOUND
    assert chance(most) < FOUND
    if name in ONE_TABLE:
        assert max(chance([one]) for one in most) < FOUND


@attacks
def test_evidence_stands_in_the_order_of_the_rows_given(name: str) -> None:
    plain = run(name, FRESH)
    assert plain.evidence
    turned = np.random.default_rng(0).permutation(len(MEMBERS))
    moved = run(name, FRESH, members=MEMBERS.iloc[turned].reset_index(drop=True))
    for one, other in zip(plain.evidence, moved.evidence, strict=True):
        assert (one.attack, one.variant, one.graded) == (name, other.variant, other.graded)
        assert len(one.members) == len(MEMBERS)
        assert len(one.non_members) == len(CONTROL[0])
        assert one.reference is None or len(one.reference) == len(CONTROL[1])
        np.testing.assert_array_equal(one.members[turned], other.members)
        if not one.graded:
            assert np.nanmin(one.members) >= 0
            assert np.nanmax(one.members) <= 1
