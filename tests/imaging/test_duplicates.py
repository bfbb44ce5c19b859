"""Nearly the same is found, the same kind is not; groups join patients through their images."""

import io

import numpy as np
import pytest
from PIL import Image

from ehrsynth.imaging.duplicates import describe, grouped, similar_pairs
from pictures import tissue


def encoded(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=80)
    return np.asarray(Image.open(buffer))


@pytest.mark.parametrize(
    "change",
    [
        lambda p: p,
        encoded,
        lambda p: np.clip(p * 1.1, 0, 255).astype(np.uint8),
        lambda p: np.asarray(Image.fromarray(p).resize((48, 48)).resize((64, 64))),
    ],
)
def test_another_encoding_light_or_size_is_the_same_image(change):
    pixels = tissue(6, 64, seed=1)
    both = np.concatenate([pixels, np.stack([change(p) for p in pixels])])
    assert similar_pairs(describe(both)).tolist() == [[k, k + 6] for k in range(6)]


def test_images_of_one_kind_are_not_the_same():
    assert not len(similar_pairs(describe(tissue(60, 64, seed=2))))


def round_view(pixels):
    """The same behind the black surround of an endoscope."""
    size = pixels.shape[1]
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    seen = np.hypot(y, x) < 0.45 * size
    return (pixels * seen[..., None]).astype(np.uint8)


def test_a_black_surround_makes_nobody_alike_and_hides_nothing():
    pixels = round_view(tissue(40, 128, seed=4))
    assert not len(similar_pairs(describe(pixels)))
    again = round_view(np.clip(1.1 * tissue(40, 128, seed=4)[:20], 0, 255))
    pairs = similar_pairs(describe(np.concatenate([pixels, again])))
    assert [[k, k + 40] for k in range(20)] == pairs.tolist()


def test_even_images_are_like_nothing():
    assert not len(similar_pairs(describe(np.full((4, 32, 32, 1), 7, np.uint8))))


def test_groups_join_patients_and_follow_chains():
    pairs = np.array([[0, 2], [2, 4]])
    assert grouped([0, 0, 1, 2, 3, 4], pairs).tolist() == [0, 0, 0, 1, 0, 2]
    assert grouped([5, 7, 5], np.empty((0, 2), int)).tolist() == [0, 1, 0]
