"""A small convolutional variational autoencoder (Kingma and Welling 2014, arXiv 1312.6114) for few images.

Strided convolutions down to maps of 4 to 6 pixels a side, a dense layer to a small latent, and the same way
up. The first and last step trade a pixel's neighbours for channels, which spares the dearest convolutions.
Group normalisation, and no batch normalisation, so that each image has a gradient of its own: the network can
be trained under differential privacy. With `classes` the label is told to encoder and decoder (Sohn et al.
2015, "Learning Structured Output Representation using Deep Conditional Generative Models").
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

SIDES = (32, 48, 64, 96, 128)
_WIDTHS = {32: (64, 128), 48: (64, 128), 64: (32, 64, 128), 96: (32, 64, 128), 128: (32, 64, 128, 128)}
_GROUPS = 8
_SHUFFLE = 2
_LOWEST, _HIGHEST = -8.0, 4.0  # log variances of the latent


def working_side(size: int) -> int:
    """The side that images of `size` pixels are worked on at: the next of `SIDES`, or the largest."""
    return next((side for side in SIDES if side >= size), SIDES[-1])


class _Step(nn.Module):
    """A convolution that halves or doubles the side, normalisation by groups, SiLU."""

    def __init__(self, before: int, after: int, *, up: bool) -> None:
        super().__init__()
        kind = nn.ConvTranspose2d if up else nn.Conv2d
        self.convolution = kind(before, after, kernel_size=4, stride=2, padding=1)
        self.norm = nn.GroupNorm(_GROUPS, after)

    def forward(self, x: Tensor) -> Tensor:
        return functional.silu(self.norm(self.convolution(x)))


class VariationalAutoencoder(nn.Module):
    """Images of `channels` x `side` x `side`, 0 to 1, through `latent` numbers.

    Parameters
    ----------
    side
        One of `SIDES`.
    latent
        How many numbers stand for an image.
    classes
        0, or how many classes the network is told apart.
    """

    def __init__(self, *, channels: int, side: int, latent: int, classes: int = 0) -> None:
        super().__init__()
        widths = list(_WIDTHS[side])
        self._base = side // (_SHUFFLE * 2 ** len(widths))
        self._top, self.latent, self.classes = widths[-1], latent, classes
        flat, shuffled = self._top * self._base**2, channels * _SHUFFLE**2
        before = [shuffled, *widths[:-1]]
        down = [_Step(a, b, up=False) for a, b in zip(before, widths, strict=True)]
        self.encoder = nn.Sequential(nn.PixelUnshuffle(_SHUFFLE), *down)
        self.to_latent = nn.Linear(flat + classes, 2 * latent)
        self.from_latent = nn.Linear(latent + classes, flat)
        backwards = widths[::-1]
        up = [_Step(a, b, up=True) for a, b in zip(backwards, [*backwards[1:], backwards[-1]], strict=True)]
        last = nn.Conv2d(backwards[-1], shuffled, kernel_size=3, padding=1)
        self.decoder = nn.Sequential(*up, last, nn.PixelShuffle(_SHUFFLE))

    def encode(self, images: Tensor, labels: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Mean and log variance of the latent of each image, n x latent each."""
        flat = self._told(self.encoder(2 * images - 1).flatten(1), labels)
        mean, log_variance = self.to_latent(flat).chunk(2, dim=1)
        return mean, log_variance.clamp(_LOWEST, _HIGHEST)

    def decode(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        """Images, 0 to 1, from latents (n x latent)."""
        maps = self.from_latent(self._told(latents, labels)).view(-1, self._top, self._base, self._base)
        images: Tensor = torch.sigmoid(self.decoder(maps))
        return images

    def _told(self, x: Tensor, labels: Tensor | None) -> Tensor:
        if not self.classes:
            return x
        if labels is None:
            message = "this network was made for several classes: it needs labels"
            raise ValueError(message)
        # By comparison, which may be mapped over single images; one_hot looks at values and may not.
        told = labels[:, None] == torch.arange(self.classes, device=labels.device)
        return torch.cat([x, told.to(x)], dim=1)
