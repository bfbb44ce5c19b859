"""How many answers are needed, what was achieved, and whether raters agree: known answers and held levels."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ehrsynth.errors import DataError, NotEnoughData
from ehrsynth.imaging.turing import Answers, Key, judge, read_answers, turing_page
from ehrsynth.imaging.turing.answers import answers_needed, read_key
from ehrsynth.statistics import clopper_pearson


def rater(name, key, *, right, rng):
    truth = np.array(key.real)
    correct = rng.random(len(truth)) < right
    return Answers(name, np.where(correct, truth, ~truth), rng.integers(1, 6, len(truth)))


KEY = Key("t", tuple(bool(k % 2) for k in range(160)))


@pytest.mark.parametrize("margin", [0.08, 0.1, 0.15, 0.2])
def test_the_needed_answers_have_the_power_they_claim(margin):
    n = answers_needed(margin)
    rng = np.random.default_rng(0)

    def shown(n):
        right = rng.binomial(n, 0.5, 4_000)
        ends = {k: clopper_pearson(int(k), n, level=0.9) for k in np.unique(right)}
        return np.mean([ends[k].low >= 0.5 - margin and ends[k].high <= 0.5 + margin for k in right])

    assert shown(n) > 0.88
    assert shown(round(0.8 * n)) < 0.9


def test_coins_are_equivalent_and_experts_are_not():
    rng = np.random.default_rng(1)
    coins = [rater(f"r{k}", KEY, right=0.5, rng=rng) for k in range(4)]
    found = judge(coins, KEY)
    assert found.answers == 640
    assert found.equivalent
    assert found.achieved <= 0.1
    assert abs(found.kappa.value) < 0.1
    experts = [rater(f"r{k}", KEY, right=0.85, rng=rng) for k in range(2)]
    told = judge(experts, KEY)
    assert not told.equivalent
    assert told.auroc.low > 0.5
    assert told.kappa.value > 0.3


def test_few_answers_show_nothing_however_even_they_are():
    found = judge(
        [rater("a", Key("t", (True, False) * 5), right=0.5, rng=np.random.default_rng(0))],
        Key("t", (True, False) * 5),
    )
    assert not found.equivalent
    assert found.kappa is None
    assert found.needed > 200


def test_raters_who_answer_alike_are_not_twice_as_many():
    """Two raters with the same answers: the interval is that of the images, not of twice as many."""
    one = rater("a", KEY, right=0.5, rng=np.random.default_rng(2))
    two = Answers("b", one.real, one.confidence)
    alone, both = judge([one], KEY).accuracy, judge([one, two], KEY).accuracy
    assert both.high - both.low > 0.9 * (alone.high - alone.low)
    assert judge([one, two], KEY).kappa.value == pytest.approx(1)


@given(seed=st.integers(0, 1_000))
def test_kappa_of_fleiss_is_its_formula(seed):
    rng = np.random.default_rng(seed)
    raters = [rater(str(k), KEY, right=rng.uniform(0.3, 0.9), rng=rng) for k in range(3)]
    called = np.stack([r.real for r in raters])
    agreed = np.mean([(called[a] == called[b]).mean() for a in range(3) for b in range(3) if a != b])
    share = called.mean()
    expected = share**2 + (1 - share) ** 2
    assert judge(raters, KEY).kappa.value == pytest.approx((agreed - expected) / (1 - expected))


def test_answers_are_read_back_and_what_is_wrong_is_said(tmp_path):
    key = Key("t", (True, False))
    good = {"format": 1, "test": "t", "rater": "a", "answers": [{"answer": "real", "confidence": 4}] * 2}
    file = tmp_path / "a.json"

    def write(**changed):
        file.write_text(json.dumps(good | changed))
        return file

    assert read_answers(write(), key).real.tolist() == [True, True]
    for changed, says in [
        ({"test": "other"}, "another page"),
        ({"answers": good["answers"][:1]}, "another page"),
        (
            {"answers": [{"answer": "real", "confidence": 4}, {"answer": None, "confidence": 3}]},
            "1 of 2 answers",
        ),
        (
            {"answers": [{"answer": "real", "confidence": 9}, {"answer": "real", "confidence": True}]},
            "2 of 2 answers",
        ),
        ({"format": 9}, "no answers"),
    ]:
        with pytest.raises(DataError, match=says):
            read_answers(write(**changed), key)
    file.write_text("no json")
    with pytest.raises(DataError, match="no JSON"):
        read_answers(file, key)
    (tmp_path / "k.json").write_text(json.dumps(key.as_json()))
    assert read_key(tmp_path / "k.json") == key
    with pytest.raises(DataError, match="no key"):
        read_key(file)
    with pytest.raises(DataError, match="same rater"):
        judge([read_answers(write(), key)] * 2, key)
    with pytest.raises(DataError, match="no answers"):
        judge([], key)


def test_the_page_does_not_tell_which_is_real():
    rng = np.random.default_rng(0)
    real, made = (rng.integers(0, 255, (6, 30, 30, 3), dtype=np.uint8) for _ in range(2))
    page, key = turing_page(real, made, title="cells <b>", needed=281, seed=1)
    assert sum(key.real) == 6
    assert key.real != tuple(sorted(key.real, reverse=True))
    assert "cells &lt;b&gt;" in page
    again, _ = turing_page(made, real, title="cells <b>", needed=281, seed=1)
    assert len(page) == pytest.approx(len(again), rel=0.01)
    assert "true" not in page.split("const IMAGES")[1].split("const TEST")[0]
    with pytest.raises(NotEnoughData, match="as many of each"):
        turing_page(real, made[:4], title="", needed=1, seed=1)
