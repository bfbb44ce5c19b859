"""How new images are drawn between, around or without training images."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from ehrsynth.errors import RequestError

Way = Literal["interpolation", "spherical", "posterior", "prior"]
LOW, HIGH = 0.25, 0.75


@dataclass(frozen=True, slots=True)
class Sampling:
    """How images are drawn.

    Parameters
    ----------
    way
        "interpolation" on the straight line between two training images of one class, "spherical" on the arc
        between them, "posterior" around one, "prior" from the model alone.
    low, high
        Between which weights a new image lies, 0 (the first parent) to 1 (the second). Near either end the
        decoder gives back a parent, so the default keeps away from both.
    neighbours
        The second parent is one of so many that lie nearest to the first, as in SMOTE; 0: any of the class.
    spread
        Standard deviations of the posterior that parents are drawn with; 0 takes their means.
    detail
        Share of the nearer parent's own detail, what its reconstruction misses, that is put back, 0 to 1.
    """

    way: Way = "interpolation"
    low: float = LOW
    high: float = HIGH
    neighbours: int = 5
    spread: float = 0.5
    detail: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what cannot be drawn."""
        if not 0 <= self.low <= self.high <= 1:
            raise RequestError(f"weights from {self.low:g} to {self.high:g}: they go up, from 0 to 1")
        if not 0 <= self.detail <= 1 or self.spread < 0 or self.neighbours < 0:
            raise RequestError("detail is 0 to 1, spread and neighbours at least 0")

    @property
    def has_parents(self) -> bool:
        """Whether an image descends from training images of its own."""
        return self.way != "prior"


class Posteriors(NamedTuple):
    """Where a class's training images lie: mean and log variance (m x latent) and which image each is of (m).

    An image may be there several times, as it was turned or lit otherwise.
    """

    mean: Tensor
    log_variance: Tensor
    owner: Tensor


class Drawn(NamedTuple):
    """Latents (n x latent), the places of both parents among the posteriors (n), and the weights (n)."""

    latents: Tensor
    first: Tensor
    second: Tensor
    weight: Tensor


def draw(posteriors: Posteriors, n: int, how: Sampling, generator: torch.Generator) -> Drawn:
    """Draw latents of one class.

    Raises
    ------
    RequestError
        If two parents are needed and the class has one image.
    """
    count, latent = posteriors.mean.shape
    first = torch.randint(count, (n,), generator=generator)
    if how.way == "prior":
        none = torch.full((n,), torch.nan)
        return Drawn(torch.randn((n, latent), generator=generator), first, first, none)
    start = _around(posteriors, first, how.spread, generator)
    if how.way == "posterior":
        return Drawn(start, first, first, torch.zeros(n))
    second = _partners(posteriors, first, how.neighbours, generator)
    end = _around(posteriors, second, how.spread, generator)
    weight = how.low + (how.high - how.low) * torch.rand(n, generator=generator)
    between = _arc if how.way == "spherical" else torch.lerp
    return Drawn(between(start, end, weight[:, None]), first, second, weight)


def _around(posteriors: Posteriors, rows: Tensor, spread: float, generator: torch.Generator) -> Tensor:
    mean = posteriors.mean[rows]
    noise = torch.randn(mean.shape, generator=generator)
    return mean + spread * noise * (0.5 * posteriors.log_variance[rows]).exp()


def _partners(posteriors: Posteriors, first: Tensor, neighbours: int, generator: torch.Generator) -> Tensor:
    """The second parents: of another image than the first, near to it if neighbours are asked for."""
    owner = posteriors.owner
    if len(torch.unique(owner)) < 2:  # noqa: PLR2004
        raise RequestError("a class of one image has nothing to interpolate between: draw from the posterior")
    used, place = torch.unique(first, return_inverse=True)
    distance = torch.cdist(posteriors.mean[used], posteriors.mean)
    distance[owner[used][:, None] == owner[None, :]] = torch.inf
    others = int(torch.isfinite(distance).sum(dim=1).min())
    among = min(neighbours, others) if neighbours else others
    nearest = distance.topk(among, largest=False).indices
    if not neighbours:
        # Images that are seen in fewer views than others have more partners: any of all is taken.
        chance = torch.isfinite(distance).float()
        return torch.multinomial(chance[place], 1, generator=generator).squeeze(1)
    pick = torch.randint(among, (len(first),), generator=generator)
    return nearest[place, pick]


def _arc(start: Tensor, end: Tensor, weight: Tensor) -> Tensor:
    """On the arc between two latents (Shoemake 1985, doi 10.1145/325165.325242); lengths go straight."""
    long, far = start.norm(dim=1, keepdim=True), end.norm(dim=1, keepdim=True)
    one, two = start / long.clamp_min(1e-6), end / far.clamp_min(1e-6)
    angle = torch.acos((one * two).sum(dim=1, keepdim=True).clamp(-1, 1))
    sine = angle.sin()
    straight = torch.lerp(one, two, weight)
    curved = (((1 - weight) * angle).sin() * one + (weight * angle).sin() * two) / sine.clamp_min(1e-6)
    direction = torch.where(sine < 1e-4, straight, curved)  # noqa: PLR2004 - nearly parallel: the arc is straight
    return direction * torch.lerp(long, far, weight)
