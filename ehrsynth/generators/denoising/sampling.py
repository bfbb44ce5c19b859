"""Rows drawn by removing noise step by step, freely or inside a box of a condition.

At each step the network says what each cell was before the noise; a draw from that is the end, and the
step goes a little way towards it. Inside a box the draw is cut to the box's words and ranges, so that a
fixed value is simply put there; noise is then added again and the step repeated, so that the other columns
come to agree with it (RePaint: Lugmayr et al. 2022, "RePaint: Inpainting using Denoising Diffusion
Probabilistic Models", CVPR). Cells obey the box exactly; that the others follow it is an approximation.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from ehrsynth.generators.denoising.cells import Given
from ehrsynth.generators.denoising.network import Denoiser
from ehrsynth.generators.denoising.noise import Noise, choose, kept

_MOST_LOGITS = 4_000_000  # at one time: some 100 MB with all copies
_EDGE = 1e-6


@dataclass(frozen=True, slots=True)
class Steps:
    """How many steps from noise to rows, and how often each is done inside a condition."""

    steps: int
    repeats: int


@dataclass(frozen=True, slots=True, eq=False)
class _Bounds:
    """A box as tensors: the words ruled out (word columns x most words), the range of each number."""

    barred: Tensor
    low: Tensor
    high: Tensor
    bounded: Tensor


def draw_cells(
    network: Denoiser, n: int, given: Given | None, *, steps: Steps, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Draw n rows of words and normal scores; bounded by the number of steps."""
    noise = Noise(network.sizes, generator)
    bounds = None if given is None else _bounds(given, network)
    size = max(1, _MOST_LOGITS // max(1, network.spread.numel()))
    with torch.inference_mode():
        pieces = [
            _reverse(network, min(size, n - start), bounds, noise, steps) for start in range(0, n, size)
        ]
    return torch.cat([words for words, _ in pieces]).cpu(), torch.cat([x for _, x in pieces]).cpu()


def _bounds(given: Given, network: Denoiser) -> _Bounds:
    barred = torch.zeros(network.spread.shape, dtype=torch.bool)
    for row, allowed in zip(barred, given.words, strict=True):
        row[: len(allowed)] = ~torch.from_numpy(allowed)
    low, high = torch.from_numpy(given.low).float(), torch.from_numpy(given.high).float()
    bounded = low.isfinite() | high.isfinite()
    device = network.sizes.device
    return _Bounds(barred.to(device), low.to(device), high.to(device), bounded.to(device))


def _reverse(
    network: Denoiser, n: int, bounds: _Bounds | None, noise: Noise, steps: Steps
) -> tuple[Tensor, Tensor]:
    words, numbers = noise.any_words(n), noise.normal(n, network.n_numbers)
    times = torch.linspace(1, 0, steps.steps + 1)
    left = [float(share) for share in kept(times.double())]
    for step, time in enumerate(times[:-1]):
        now, before = left[step], left[step + 1]
        last = step + 1 == steps.steps
        for again in reversed(range(1 if bounds is None or last else steps.repeats)):
            first = _first(network, (words, numbers), time, now, bounds, noise)
            words = noise.words_before(words, first[0], now, before)
            numbers = noise.numbers_before(numbers, first[1], now, before)
            if again:
                share = torch.full((n,), now / before, device=words.device)
                words, numbers = noise.fade_words(words, share), noise.fade_numbers(numbers, share)[0]
    return words, numbers


def _first(
    network: Denoiser,
    noisy: tuple[Tensor, Tensor],
    time: Tensor,
    left: float,
    bounds: _Bounds | None,
    noise: Noise,
) -> tuple[Tensor, Tensor]:
    """What the cells were before the noise: a word drawn, a number expected (drawn where it is bounded)."""
    words, numbers = noisy
    logits, velocity = network(words, numbers, time.to(words.device).expand(len(words)))
    expected = left**0.5 * numbers - (1 - left) ** 0.5 * velocity
    if bounds is None:
        return choose(noise, logits), expected
    spread = (1 - left) ** 0.5
    below, above = ((edge - expected) / spread for edge in (bounds.low, bounds.high))
    start, stop = torch.special.ndtr(below), torch.special.ndtr(above)
    place = (start + noise.uniform(*start.shape) * (stop - start)).clamp(_EDGE, 1 - _EDGE)
    inside = (expected + spread * torch.special.ndtri(place)).clamp(bounds.low, bounds.high)
    drawn = torch.where(bounds.bounded, inside, expected)
    return choose(noise, logits.masked_fill(bounds.barred, -torch.inf)), drawn
