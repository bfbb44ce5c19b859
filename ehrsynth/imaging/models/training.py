"""Teaching a variational autoencoder with few images.

The loss of an image is the negative evidence lower bound: the squared error of its pixels, over twice a
variance of noise that the model need not explain, and the Kullback-Leibler term, whose weight goes up from
0 while the first part of the steps is made, so that the latent is used before it is made regular (Bowman et
al. 2016, arXiv 1511.06349). To it may be added how far the reconstruction is from the image in frozen
features, which keeps edges and textures that a squared error gives up (Hou et al. 2017, arXiv 1610.00291).
Every image is changed at random each time that it is seen: turned, shifted, mirrored, lit otherwise.
"""

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional

from ehrsynth.errors import RequestError
from ehrsynth.imaging.features import as_colour, feature_side
from ehrsynth.imaging.networks.vae import VariationalAutoencoder
from ehrsynth.imaging.networks.weights import lite0
from ehrsynth.imaging.transforms import FLIPS_AND_ROTATIONS, Augmentation, augmented
from ehrsynth.progress import Progress

_WARM_UP = 20  # steps until the learning rate is at its highest
_LARGEST_GRADIENT = 1.0
_DECAY = 1e-4
_SEEN_AT_MOST = 96  # pixels a side at which features are compared


@dataclass(frozen=True, slots=True)
class Training:
    """How a network is taught.

    Parameters
    ----------
    steps, batch, rate
        Steps of Adam, images in each, and the highest learning rate (it falls along a cosine).
    beta
        Weight of the Kullback-Leibler term; `warm_up` is the share of the steps on which it goes up.
    noise
        Standard deviation of what a pixel may miss, 1 is from black to white.
    features
        Weight of the distance in frozen features; 0 does without.
    """

    steps: int
    batch: int
    rate: float
    beta: float
    warm_up: float
    noise: float
    features: float
    augmentation: Augmentation = field(default=FLIPS_AND_ROTATIONS)


def evidence(
    network: VariationalAutoencoder,
    images: Tensor,
    labels: Tensor | None,
    training: Training,
    *,
    weight: float,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """The loss of each image (n), over its pixels, and the reconstructions; `weight`: of the KL term."""
    mean, log_variance = network.encode(images, labels)
    noise = torch.randn(mean.shape, generator=generator)
    made = network.decode(mean + noise * (0.5 * log_variance).exp(), labels)
    error = (made - images).square().flatten(1).sum(dim=1) / (2 * training.noise**2)
    divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(dim=1)
    return (error + weight * divergence) / images[0].numel(), made


def train(
    network: VariationalAutoencoder,
    images: Tensor,
    labels: Tensor | None,
    training: Training,
    *,
    generator: torch.Generator,
    progress: Progress,
) -> None:
    """Teach a network in place.

    Parameters
    ----------
    images
        n x channels x side x side, 0 to 1.
    labels
        n classes, drawn equally often however few images a class has; None: all images are drawn alike.

    Raises
    ------
    RequestError
        If the loss is no longer a number.
    """
    shares = _shares(len(images), labels)
    optimiser = torch.optim.AdamW(network.parameters(), lr=training.rate, weight_decay=_DECAY)
    for step in range(training.steps):
        for group in optimiser.param_groups:
            group["lr"] = training.rate * _pace(step, training.steps)
        rows = torch.multinomial(shares, training.batch, replacement=True, generator=generator)
        batch = augmented(images[rows], training.augmentation, generator)
        told = None if labels is None else labels[rows]
        weight = training.beta * min(1.0, step / max(1.0, training.warm_up * training.steps))
        losses, made = evidence(network, batch, told, training, weight=weight, generator=generator)
        loss = losses.mean()
        if training.features:
            loss = loss + training.features * feature_distance(made, batch)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), _LARGEST_GRADIENT)
        optimiser.step()
        if step % 20 == 0 or step + 1 == training.steps:
            progress((step + 1) / training.steps, f"step {step + 1} of {training.steps}")
            if not math.isfinite(float(loss.detach())):
                raise RequestError(f"training diverged by step {step + 1}: set a lower rate")


def _shares(n: int, labels: Tensor | None) -> Tensor:
    if labels is None:
        return torch.ones(n)
    counts = torch.bincount(labels).float()
    return 1 / counts[labels]


def _pace(step: int, steps: int) -> float:
    """The learning rate as a share of its highest: up in a straight line, down along a cosine."""
    return min(1.0, (step + 1) / _WARM_UP) * (0.5 + 0.5 * math.cos(math.pi * step / steps))


def feature_distance(made: Tensor, images: Tensor) -> Tensor:
    """One less the mean cosine of frozen features of reconstructions and images: 0 to 1, lower is closer."""
    side = min(feature_side(images.shape[-1]), _SEEN_AT_MOST)
    network = lite0()
    with torch.no_grad():
        wanted = functional.normalize(network.features(255 * as_colour(images, side)), dim=1)
    found = functional.normalize(network.features(255 * as_colour(made, side)), dim=1)
    return 1 - (found * wanted).sum(dim=1).mean()
