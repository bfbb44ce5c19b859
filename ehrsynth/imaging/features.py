"""Frozen features: what a network that was taught on ImageNet sees in an image, 1,280 numbers."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ehrsynth.imaging.image_set import Pixels
from ehrsynth.imaging.networks.lite0 import FEATURES
from ehrsynth.imaging.networks.weights import lite0

Floats = NDArray[np.float32]
SMALLEST_SIDE = 56  # pixels that the network needs
_BATCH = 64


def feature_side(size: int) -> int:
    """The side at which images of `size` pixels are looked at: their own, 64 at least."""
    return max(size, 64)


def features(pixels: Pixels, *, side: int) -> Floats:
    """Features of images (n x height x width x 1 or 3, 0 to 255), n x 1280, 0 to 6.

    Parameters
    ----------
    side
        Pixels a side that images are brought to, at least `SMALLEST_SIDE`.
    """
    found = np.empty((len(pixels), FEATURES), np.float32)
    network = lite0()
    with torch.inference_mode():
        for start in range(0, len(pixels), _BATCH):
            batch = as_colour(to_tensor(pixels[start : start + _BATCH]), side)
            found[start : start + _BATCH] = network.features(batch).numpy()
    return found


def directions(found: Floats) -> Floats:
    """Features of length 1: sharpness and brightness change their length more than their direction."""
    long: Floats = found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-6)
    return long


def to_tensor(pixels: Pixels) -> Tensor:
    """N x height x width x channels, 0 to 255, to n x channels x height x width in float32."""
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))).float()


def to_pixels(images: Tensor) -> Pixels:
    """Back, from 0 to 255."""
    whole = images.clamp(0, 255).round().to(torch.uint8)
    return np.ascontiguousarray(whole.numpy().transpose(0, 2, 3, 1))


def resized(images: Tensor, side: int) -> Tensor:
    """The same images, `side` pixels a side."""
    if images.shape[-2:] == (side, side):
        return images
    return functional.interpolate(
        images, size=(side, side), mode="bilinear", antialias=True, align_corners=False
    )


def as_colour(images: Tensor, side: int) -> Tensor:
    """Three channels at one side, in the order of memory that convolutions are quickest in."""
    coloured = images.expand(-1, 3, -1, -1) if images.shape[1] == 1 else images
    return resized(coloured, side).contiguous(memory_format=torch.channels_last)
