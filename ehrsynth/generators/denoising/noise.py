"""How noise is added to words and numbers over time 0 to 1, and one step back when the start is known.

Numbers: Gaussian diffusion that keeps the variance (Ho et al. 2020, "Denoising Diffusion Probabilistic
Models", NeurIPS). Words: multinomial diffusion, a word is kept or replaced by any (Hoogeboom et al. 2021,
"Argmax Flows and Multinomial Diffusion", NeurIPS). Both fade along one cosine (Nichol and Dhariwal 2021,
"Improved Denoising Diffusion Probabilistic Models", ICML).
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

_OFFSET = 0.008  # Nichol and Dhariwal's s: the first step is not too small
_LEAST = 1e-5
_TINY = 1e-20


def kept(time: Tensor) -> Tensor:
    """The share of the signal's variance that is left at a time: 1 at 0, nearly 0 at 1."""
    angle = (time + _OFFSET) / (1 + _OFFSET) * math.pi / 2
    first = math.cos(_OFFSET / (1 + _OFFSET) * math.pi / 2)
    return ((angle.cos() / first) ** 2).clamp(_LEAST, 1.0)


@dataclass(frozen=True, slots=True, eq=False)
class Noise:
    """Draws for words of so many values in each column, from one generator on the CPU."""

    sizes: Tensor
    generator: torch.Generator

    def uniform(self, *shape: int) -> Tensor:
        """Numbers from 0 to 1, on the device of the sizes."""
        return torch.rand(*shape, generator=self.generator).to(self.sizes.device)

    def normal(self, *shape: int) -> Tensor:
        """Standard normal numbers."""
        return torch.randn(*shape, generator=self.generator).to(self.sizes.device)

    def any_words(self, n: int) -> Tensor:
        """Any word in each of n rows and all columns."""
        found = (self.uniform(n, len(self.sizes)) * self.sizes).long()
        return torch.minimum(found, self.sizes - 1)

    def fade_words(self, words: Tensor, left: Tensor) -> Tensor:
        """Each word kept with probability `left` (n), else any word."""
        keep = self.uniform(*words.shape) < left[:, None]
        return torch.where(keep, words, self.any_words(len(words)))

    def fade_numbers(self, numbers: Tensor, left: Tensor) -> tuple[Tensor, Tensor]:
        """Numbers of which a share `left` (n) of the variance is left, and the noise in them."""
        noise = self.normal(*numbers.shape)
        return left.sqrt()[:, None] * numbers + (1 - left).sqrt()[:, None] * noise, noise

    def words_before(self, words: Tensor, first: Tensor, now: float, before: float) -> Tensor:
        """Words a step earlier, given the first words: a draw from the posterior, in logs.

        Parameters
        ----------
        now, before
            What is `kept` now and a step earlier.
        """
        if before >= 1:
            return first
        most, sizes = int(self.sizes.max()), self.sizes[None, :, None].float()
        every = torch.arange(most, device=words.device)
        step = now / before
        come = torch.where(every == words[..., None], *_logs(step, sizes))
        gone = torch.where(every == first[..., None], *_logs(before, sizes))
        return choose(self, (come + gone).masked_fill(every >= sizes, -torch.inf))

    def numbers_before(self, numbers: Tensor, first: Tensor, now: float, before: float) -> Tensor:
        """Numbers a step earlier, given the first numbers: a draw from the posterior."""
        if before >= 1:
            return first
        step = now / before
        mean = before**0.5 * (1 - step) / (1 - now) * first + step**0.5 * (1 - before) / (1 - now) * numbers
        spread = math.sqrt((1 - before) / (1 - now) * (1 - step))
        return torch.add(mean, self.normal(*numbers.shape), alpha=spread)


def _logs(left: float, sizes: Tensor) -> tuple[Tensor, Tensor]:
    """The log probability that a word stays, and that it becomes one certain other word."""
    other = (1 - left) / sizes
    return (left + other + _TINY).log(), (other + _TINY).log()


def choose(noise: Noise, logits: Tensor) -> Tensor:
    """A draw from the softmax over the last axis: the largest of the logits plus Gumbel noise."""
    waits = torch.empty(logits.shape).exponential_(generator=noise.generator).to(logits.device)
    chosen: Tensor = (logits - (waits + _TINY).log()).argmax(dim=-1)
    return chosen
