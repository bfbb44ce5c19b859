"""The network that sees noisy words and numbers and says what was there before the noise."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ehrsynth.randomness import global_seed

TIME = 64  # length of the embedding of time
_FASTEST = 1_000.0


class Denoiser(nn.Module):
    """A residual network over all columns of a patient at once, told the time.

    Parameters
    ----------
    sizes
        How many words each word column has.
    numbers
        How many numbers there are.
    width, depth
        Of the residual blocks.
    """

    def __init__(self, sizes: Sequence[int], numbers: int, *, width: int, depth: int) -> None:
        super().__init__()
        starts = torch.tensor([0, *sizes[:-1]] if sizes else [], dtype=torch.int64).cumsum(0)
        self.sizes: Tensor
        self.starts: Tensor
        self.spread: Tensor
        self.register_buffer("sizes", torch.tensor(list(sizes), dtype=torch.int64), persistent=False)
        self.register_buffer("starts", starts, persistent=False)
        self.register_buffer("spread", _spread(sizes), persistent=False)
        self.n_words, self.n_numbers = sum(sizes), numbers
        self.words = nn.EmbeddingBag(max(self.n_words, 1), width, mode="sum")
        self.numbers = nn.Linear(numbers, width) if numbers else None
        self.time = nn.Sequential(nn.Linear(TIME, width), nn.SiLU(), nn.Linear(width, width))
        self.blocks = nn.ModuleList(_block(width) for _ in range(depth))
        self.out = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, self.n_words + numbers))
        with torch.no_grad():
            self.words.weight.mul_(max(len(sizes), 1) ** -0.5)

    def forward(self, words: Tensor, numbers: Tensor, time: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of the words before the noise, and the velocity of the numbers.

        Parameters
        ----------
        words, numbers, time
            int64 n x word columns, float32 n x numbers, float32 n from 0 (no noise) to 1 (nothing else).

        Returns
        -------
        logits, velocity
            n x word columns x most words (minus infinity where a column has no such word); n x numbers.
        """
        state: Tensor = self.time(embed_time(time))
        if words.shape[1]:
            state = state + self.words(words + self.starts)
        if self.numbers is not None:
            state = state + self.numbers(numbers)
        for block in self.blocks:
            state = state + block(state)
        found = self.out(state)
        return self._logits(found[:, : self.n_words]), found[:, self.n_words :]

    def _logits(self, flat: Tensor) -> Tensor:
        # One logit for each word, spread to a rectangle whose unused corner is ruled out.
        padded = torch.cat([flat, flat.new_full((len(flat), 1), -torch.inf)], dim=1)
        return padded[:, self.spread.flatten()].reshape(len(flat), *self.spread.shape)


def _spread(sizes: Sequence[int]) -> Tensor:
    most, total, start = max(sizes, default=0), sum(sizes), 0
    places = torch.full((len(sizes), most), total, dtype=torch.int64)
    for row, size in enumerate(sizes):
        places[row, :size] = torch.arange(start, start + size)
        start += size
    return places


def _block(width: int) -> nn.Module:
    return nn.Sequential(
        nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.SiLU(), nn.Linear(2 * width, width)
    )


def embed_time(time: Tensor) -> Tensor:
    """Sines and cosines of the time at frequencies from 1 to 1,000: n x `TIME`."""
    steps = torch.arange(TIME // 2, dtype=time.dtype, device=time.device) / (TIME // 2 - 1)
    angles = time[:, None] * _FASTEST**steps
    return torch.cat([angles.sin(), angles.cos()], dim=1)


def new_denoiser(sizes: Sequence[int], numbers: int, *, width: int, depth: int, seed: int) -> Denoiser:
    """A network with random weights; torch's layers take them from the global state, which is put back."""
    with global_seed(seed):
        return Denoiser(sizes, numbers, width=width, depth=depth)
