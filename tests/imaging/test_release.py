"""What may leave: a guarantee that holds and is within the policy's cap, or a name that answers for it."""

from dataclasses import replace

import numpy as np
import pytest

from ehrsynth.errors import DataError, ReleaseBlocked
from ehrsynth.generators.base import PrivacySpent
from ehrsynth.imaging.release import Sharing, check_sharing, read_synthetic, write_images
from ehrsynth.imaging.synthetic import NO_PARENTS, SyntheticImages

HOLDS = PrivacySpent(2.0, 1e-5, "PRV and PLD")
SHARED = Sharing(shared=True, epsilon_cap=10)


def test_a_guarantee_within_the_cap_may_leave() -> None:
    check_sharing(SHARED, HOLDS, "")


@pytest.mark.parametrize(
    ("guarantee", "says"),
    [
        (None, "no formal guarantee"),
        (replace(HOLDS, void="the seed is known"), "the seed is known"),
        (replace(HOLDS, epsilon=11.0), "epsilon 11, above the policy's 10"),
    ],
)
def test_anything_less_stays_unless_somebody_answers_for_it(guarantee, says) -> None:
    with pytest.raises(ReleaseBlocked, match=says):
        check_sharing(SHARED, guarantee, "")
    check_sharing(replace(SHARED, override="board, protocol 12"), guarantee, "")
    check_sharing(replace(SHARED, allowed_without_guarantee=True), guarantee, "")
    check_sharing(Sharing(), guarantee, "")


def test_images_of_a_private_model_carry_no_origin_and_stand_in_no_study(tmp_path) -> None:
    pixels = np.zeros((2, 28, 28, 1), np.uint8)
    made = SyntheticImages(pixels, np.array([0, 1]), (NO_PARENTS,) * 2, frozenset(), np.full(2, np.nan))
    write_images(made, ("a", "b"), tmp_path / "s.npz", sharing=Sharing(), facts={})
    with np.load(tmp_path / "s.npz") as kept:
        assert set(kept.files) == {"images", "labels", "classes", "origin"}
    with pytest.raises(DataError, match="private model"):
        read_synthetic(tmp_path / "s.npz")
