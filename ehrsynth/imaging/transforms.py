"""What an image may undergo without becoming another patient's: turns, shifts, size, light; or worse."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True, slots=True)
class Augmentation:
    """How far images are changed at random.

    Parameters
    ----------
    flip, flop
        Whether left and right, top and bottom, may change places, each in half of the images.
    degrees
        Largest turn either way; 180 where nothing is up.
    shift, zoom
        Largest shift and change of size, as shares of the side.
    light
        Largest change of brightness, as a share.
    """

    flip: bool = True
    flop: bool = False
    degrees: float = 10.0
    shift: float = 0.06
    zoom: float = 0.08
    light: float = 0.1


FLIPS_AND_ROTATIONS = Augmentation()
NOTHING = Augmentation(flip=False, degrees=0.0, shift=0.0, zoom=0.0, light=0.0)


def augmented(images: Tensor, how: Augmentation, generator: torch.Generator) -> Tensor:
    """Each image changed in its own way; the same shape and range (0 to 1), what is missing mirrored in."""
    n = len(images)

    def between(most: float) -> Tensor:
        return most * (2 * torch.rand(n, generator=generator) - 1)

    angle, zoom = between(how.degrees) * math.pi / 180, 1 + between(how.zoom)
    wide = zoom * _sides(n, generator, chosen=how.flip)
    tall = zoom * _sides(n, generator, chosen=how.flop)
    turned = warped(images, angle, (wide, tall), (between(how.shift), between(how.shift)))
    light = 1 + between(how.light)
    return (turned * light[:, None, None, None]).clamp(0, 1)


def _sides(n: int, generator: torch.Generator, *, chosen: bool) -> Tensor:
    """1 or -1: -1 in half of the images where mirroring is chosen."""
    coins = torch.rand(n, generator=generator) < 0.5  # noqa: PLR2004 - a fair coin
    return 1.0 - 2.0 * coins if chosen else torch.ones(n)


def warped(
    images: Tensor, angle: Tensor, scale: tuple[Tensor, Tensor], shift: tuple[Tensor, Tensor]
) -> Tensor:
    """Images turned by `angle` (radians), scaled across and down (negative: mirrored), and shifted.

    Parameters
    ----------
    scale
        Across and down: the size of the piece that is looked at, 1 is all.
    shift
        Across and down, 1 is half of the side.
    """
    wide, tall = scale
    across = torch.stack([wide * torch.cos(angle), -tall * torch.sin(angle), shift[0]], dim=1)
    down = torch.stack([wide * torch.sin(angle), tall * torch.cos(angle), shift[1]], dim=1)
    grid = functional.affine_grid(torch.stack([across, down], dim=1), list(images.shape), align_corners=False)
    return functional.grid_sample(
        images, grid, mode="bilinear", padding_mode="reflection", align_corners=False
    )


def turned(images: Tensor, degrees: float, *, mirrored: bool = False) -> Tensor:
    """All images turned by the same angle, mirrored first if asked."""
    n = len(images)
    angle, one, none = torch.full((n,), math.radians(degrees)), torch.ones(n), torch.zeros(n)
    return warped(images, angle, (-one if mirrored else one, one), (none, none))


CORRUPTIONS = ("blur", "noise", "colour shift")
_BLUR = 0.03  # standard deviation of the blur, as a share of the side
_NOISE = 0.08  # standard deviation of the noise, 1 is from black to white
_SHIFT = 0.12  # largest change of a channel's brightness


def corrupted(images: Tensor, how: str, generator: torch.Generator) -> Tensor:
    """Images as another device might have taken them (0 to 1): one of `CORRUPTIONS`."""
    if how == "blur":
        return _blurred(images, _BLUR * images.shape[-1])
    if how == "noise":
        noise = torch.randn(images.shape, generator=generator)
        return (images + _NOISE * noise).clamp(0, 1)
    n, channels = images.shape[:2]
    gain = 1 + _SHIFT * (2 * torch.rand((n, channels, 1, 1), generator=generator) - 1)
    return (images * gain).clamp(0, 1)


def _blurred(images: Tensor, deviation: float) -> Tensor:
    reach = max(1, math.ceil(3 * deviation))
    places = torch.arange(-reach, reach + 1, dtype=images.dtype)
    bell = torch.exp(-0.5 * (places / deviation) ** 2)
    bell = bell / bell.sum()
    channels = images.shape[1]
    padded = functional.pad(images, (reach, reach, reach, reach), mode="replicate")
    across = functional.conv2d(
        padded, bell.repeat(channels, 1, 1, 1).reshape(channels, 1, 1, -1), groups=channels
    )
    return functional.conv2d(
        across, bell.repeat(channels, 1, 1, 1).reshape(channels, 1, -1, 1), groups=channels
    )
