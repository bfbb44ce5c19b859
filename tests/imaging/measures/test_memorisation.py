"""Planted copies are found, held-out images are not; and where the gate cannot see, it does not pass."""

import numpy as np
import pytest
from PIL import Image

from ehrsynth.errors import MissingPackage, NotEnoughData
from ehrsynth.imaging.measures.membership import detectable_auroc, membership
from ehrsynth.imaging.measures.memorisation import (
    MUST_BE_FOUND,
    Limits,
    Originals,
    compare,
    memorisation,
    planted_copies,
)
from ehrsynth.imaging.networks.weights import lite0
from pictures import tissue


@pytest.fixture(scope="module")
def sides():
    try:
        lite0()
    except MissingPackage as error:
        pytest.skip(str(error))
    pixels = tissue(150, 64, seed=3)
    return pixels[:60], pixels[60:]


@pytest.fixture(scope="module")
def gate(sides):
    train, holdout = sides
    return memorisation(train, holdout, holdout[:30], side=64, seed=0, also={"copies": train[:10]})


def test_all_kinds_of_planted_copies_are_found(gate):
    assert set(gate.planted) == set(MUST_BE_FOUND)
    assert min(gate.planted.values()) >= 0.95
    assert gate.by_kind["copies"].value == 1.0


def test_held_out_images_raise_no_alarm(gate):
    assert gate.false_alarms.low <= 0.01
    assert gate.copied.value <= 0.05
    assert gate.passed is True


def test_a_copied_set_does_not_pass(sides):
    train, holdout = sides
    made = np.concatenate([holdout[:20], planted_copies(train[:5])["mirrored"]])
    found = memorisation(train, holdout[20:], made, side=64, seed=0)
    assert found.passed is False
    assert found.copied.value >= 0.2
    assert {pair[0] for pair in found.closest[:5]} == set(range(20, 25))
    assert [pair[1] for pair in sorted(found.closest[:5])] == list(range(5))


def test_a_turn_that_leaves_black_corners_hides_nothing(sides):
    train, holdout = sides
    originals = Originals.of(train, side=64)
    limits = Limits.of(compare(originals, holdout))
    black = np.stack([np.asarray(Image.fromarray(p).rotate(10, Image.Resampling.BILINEAR)) for p in train])
    darker = (train * 0.9).astype(np.uint8)
    for copies in (black, darker, train[:, ::-1]):
        assert limits.passed(compare(originals, np.ascontiguousarray(copies))).mean() >= 0.95


def test_a_gate_that_is_blind_says_so(sides):
    train, _ = sides
    even = np.full_like(train[:30], 120)
    found = memorisation(even, tissue(30, 64, seed=9), even[:5] + 1, side=64, seed=0)
    assert found.passed is not True


def test_few_held_out_images_are_no_control(sides):
    train, holdout = sides
    with pytest.raises(NotEnoughData, match="20 held-out images"):
        memorisation(train, holdout[:19], holdout[:5], side=64, seed=0)


def test_membership_says_what_it_could_have_found():
    rng = np.random.default_rng(0)
    train, holdout = rng.normal(size=(60, 30)), rng.normal(size=(60, 30))
    copies = train + rng.normal(0, 0.1, train.shape)
    found = membership(train, holdout, copies, limit=0.545)
    assert found.auroc.low > 0.9
    assert found.passed is None
    assert found.detectable == detectable_auroc(60, 60)
    assert "so this is no pass" in found.reason


def test_membership_of_enough_images_passes_or_not():
    rng = np.random.default_rng(0)
    train, holdout, other = (rng.normal(size=(5_000, 8)) for _ in range(3))
    assert membership(train, holdout, other[:300], limit=0.545).passed is True
    assert membership(train, holdout, train[:300], limit=0.545).passed is False
    assert membership(train[:5], holdout, other, limit=0.545).auroc is None


def test_the_detectable_area_has_the_power_it_claims():
    rng = np.random.default_rng(0)
    n, wanted = 80, detectable_auroc(80, 80)
    shift = np.sqrt(2) * float(__import__("scipy.stats").stats.norm.ppf(wanted))
    null = [_auroc(rng.normal(size=n), rng.normal(size=n)) for _ in range(2_000)]
    limit = np.quantile(null, 0.95)
    found = np.mean([_auroc(rng.normal(shift, 1, n), rng.normal(size=n)) > limit for _ in range(1_000)])
    assert 0.86 < found < 0.94


def _auroc(one, other):
    return float((one[:, None] > other[None, :]).mean())
