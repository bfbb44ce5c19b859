"""Changes keep shape and range, and do what they say."""

import pytest
import torch

from ehrsynth.imaging.transforms import (
    CORRUPTIONS,
    FLIPS_AND_ROTATIONS,
    NOTHING,
    Augmentation,
    augmented,
    corrupted,
    turned,
)


@pytest.fixture
def images():
    return torch.rand(6, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def fresh():
    return torch.Generator().manual_seed(1)


@pytest.mark.parametrize("how", [FLIPS_AND_ROTATIONS, Augmentation(flop=True, degrees=180)])
def test_shape_and_range_are_kept_and_the_seed_decides(images, how):
    made = augmented(images, how, fresh())
    assert made.shape == images.shape
    assert 0 <= float(made.min()) <= float(made.max()) <= 1
    assert torch.equal(made, augmented(images, how, fresh()))
    assert not torch.allclose(made, images)


def test_no_change_is_no_change(images):
    assert torch.allclose(augmented(images, NOTHING, fresh()), images, atol=1e-5)


def test_mirrored_is_mirrored_and_four_quarter_turns_are_none(images):
    assert torch.allclose(turned(images, 0.0, mirrored=True), images.flip(3), atol=1e-5)
    assert torch.allclose(turned(images, 180.0), images.flip(2).flip(3), atol=1e-4)
    quarter = images
    for _ in range(4):
        quarter = turned(quarter, 90.0)
    assert torch.allclose(quarter, images, atol=1e-3)


def test_half_of_the_images_are_mirrored():
    images = torch.zeros(400, 1, 28, 28)
    images[..., :14] = 1.0
    made = augmented(images, Augmentation(degrees=0, shift=0, zoom=0, light=0), fresh())
    share = float((made[:, 0, 0, 0] < 0.5).float().mean())
    assert 0.4 < share < 0.6


@pytest.mark.parametrize("how", CORRUPTIONS)
def test_corruptions_change_images_within_their_range(images, how):
    made = corrupted(images, how, fresh())
    assert made.shape == images.shape
    assert 0 <= float(made.min()) <= float(made.max()) <= 1
    assert not torch.allclose(made, images)


def test_a_blur_takes_detail_and_keeps_light(images):
    made = corrupted(images, "blur", fresh())
    assert float(made.var()) < 0.5 * float(images.var())
    assert float((made.mean() - images.mean()).abs()) < 0.02
