"""Where a classifier looks: class activation maps, and whether two arms look at the same place."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ehrsynth.imaging.features import as_colour, to_tensor
from ehrsynth.imaging.heads import LinearHead
from ehrsynth.imaging.image_set import Pixels, Whole
from ehrsynth.imaging.networks.weights import lite0

Floats = NDArray[np.float64]
SIDE = 224  # pixels: the last maps are 7 x 7
IMAGES = 24


def frozen_maps(pixels: Pixels) -> NDArray[np.float32]:
    """The feature network's last maps, n x 1280 x 7 x 7."""
    with torch.inference_mode():
        return np.asarray(lite0().maps(as_colour(to_tensor(pixels), SIDE)).numpy())


def head_attention(maps: NDArray[np.float32], head: LinearHead, labels: Whole) -> Floats:
    """Where a linear head sees each image's class: n x places, at least 0.

    For a linear head on mean maps Grad-CAM (Selvaraju et al. 2017, arXiv 1610.02391) is the maps weighted by
    the class's own weights (Zhou et al. 2016).
    """
    flat = maps.reshape(*maps.shape[:2], -1).astype(np.float64)
    return np.asarray(np.maximum(np.einsum("nkp,nk->np", flat, head.weights.T[labels]), 0.0))


def network_attention(network: nn.Module, layer: nn.Module, images: Tensor, labels: Whole) -> Floats:
    """Grad-CAM of a network at one layer: n x places, at least 0."""
    kept: list[Tensor] = []

    def keep(_module: nn.Module, _given: tuple[Tensor, ...], out: Tensor) -> None:
        out.retain_grad()
        kept.append(out)

    handle = layer.register_forward_hook(keep)
    try:
        network.zero_grad()
        scores = network(images)
        scores[torch.arange(len(labels)), torch.from_numpy(labels)].sum().backward()
    finally:
        handle.remove()
    maps, slopes = kept[0].detach(), kept[0].grad
    if slopes is None:
        message = "the layer takes no part in the scores"
        raise ValueError(message)
    weights = slopes.mean(dim=(2, 3), keepdim=True)
    return np.asarray(torch.relu((weights * maps).sum(dim=1)).flatten(1).numpy(), dtype=np.float64)


def agreement(first: Floats, second: Floats) -> float:
    """The mean correlation of two classifiers' maps, -1 to 1, higher is more alike."""
    found = []
    for a, b in zip(first, second, strict=True):
        if a.std() > 0 and b.std() > 0:
            found.append(float(np.corrcoef(a, b)[0, 1]))
    return float(np.mean(found)) if found else float("nan")
