"""The parts of private training, each held against what it must be: gradients, noise, and who takes part.

An audit from outside sees large faults; these see the small ones. Each check runs the code that training
runs.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from scipy import stats
from torch import Tensor, nn

from ehrsynth.dp import descent as training
from ehrsynth.dp.descent import Descent
from ehrsynth.dp.noise import NoiseStream
from ehrsynth.randomness import global_seed

SURE = 1e-4  # how often a sound part may fail each check
_CLOSE = 1e-4
_ROWS, _INPUTS, _WIDTH = 12, 5, 4


@dataclass(frozen=True, slots=True)
class Finding:
    """One part: what was looked at, whether it holds, and the numbers behind that."""

    name: str
    holds: bool
    detail: str


class _Probe(nn.Module):
    """Every kind of layer that private generators use."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Linear(_INPUTS, _WIDTH), nn.LayerNorm(_WIDTH)
        self.last = nn.Linear(_WIDTH, 2)

    def forward(self, rows: Tensor) -> Tensor:
        found: Tensor = self.last(torch.tanh(self.norm(self.first(rows))))
        return found


def _probe() -> tuple[_Probe, Tensor]:
    with global_seed(0):
        return _Probe(), 3 * torch.randn(_ROWS, _INPUTS)


def _loss(module: nn.Module, rows: Tensor, generator: torch.Generator) -> Tensor:  # noqa: ARG001 - a loss's shape
    found: Tensor = (module(rows) ** 2).sum(dim=1) * rows.abs().sum(dim=1)
    return found


def _no_loss(module: nn.Module, rows: Tensor, generator: torch.Generator) -> Tensor:  # noqa: ARG001
    found: Tensor = 0.0 * module(rows).sum(dim=1)
    return found


def gradients() -> Finding:
    """The clipped sum equals a loop over single rows, and no row adds more than the largest norm allowed."""
    module, rows = _probe()
    clip, generator = 0.5, torch.Generator()
    wanted = [torch.zeros_like(p) for p in module.parameters()]
    for place in range(len(rows)):
        own = torch.autograd.grad(
            _loss(module, rows[place : place + 1], generator).sum(), list(module.parameters())
        )
        share = min(1.0, clip / _norm(own))
        wanted = [held + share * g for held, g in zip(wanted, own, strict=True)]
    sampled = training.per_sample(module, clip)
    found = training.clipped_sum(sampled, _loss, rows, generator, together=5)
    alone = (
        training.clipped_sum(sampled, _loss, rows[place : place + 1], generator, together=5)
        for place in range(len(rows))
    )
    largest = max(map(_norm, alone))
    error = max(float((a - b).abs().max()) for a, b in zip(found, wanted, strict=True))
    sampled.remove_hooks()
    holds = error < _CLOSE and largest <= clip * (1 + _CLOSE)
    return Finding(
        "gradients of single patients",
        holds,
        f"differ by {error:.1e} from a loop of single rows; the largest norm is {largest:.4f}"
        f" of {clip} allowed",
    )


def _norm(gradients: Iterable[Tensor]) -> float:
    return math.sqrt(sum(float((g**2).sum()) for g in gradients))


def noise() -> Finding:
    """Where no row has a gradient, a step's gradient is noise of the promised variance: a chi-square band."""
    module, rows = _probe()
    descent = Descent(rate=0.5, steps=1, multiplier=2.5, clip=0.4, expected=7.0, learning_rate=1.0)
    sampled, stream = training.per_sample(module, descent.clip), NoiseStream(1, "soundness")
    steps = [training.private_gradient(sampled, _no_loss, rows, descent, stream=stream) for _ in range(60)]
    sampled.remove_hooks()
    drawn = torch.cat([part.flatten() for step in steps for part in step]).double().numpy()
    promised = descent.multiplier * descent.clip / descent.expected
    squares = float((drawn**2).sum()) / promised**2
    low, high = stats.chi2.ppf([SURE / 2, 1 - SURE / 2], len(drawn))
    return Finding(
        "noise of a step",
        bool(low <= squares <= high),
        f"{squares / len(drawn):.3f} of the promised variance; chance allows {low / len(drawn):.3f} to "
        f"{high / len(drawn):.3f}",
    )


def sampling() -> Finding:
    """Each patient takes part on their own: the sizes of steps, and everybody's counts, are binomial."""
    n, rate, steps = 200, 0.2, 400
    stream, held, sizes = NoiseStream(2, "soundness"), np.zeros(n), np.zeros(steps)
    for step in range(steps):
        chosen = training.participants(n, rate, stream).numpy()
        np.add.at(held, chosen, 1)
        sizes[step] = len(chosen)
    # Sizes that do not vary tell fixed batches; counts that do not tell shuffles that go through everybody.
    holds, said = True, []
    for name, seen, tosses in (("sizes", sizes, n), ("counts", held, steps)):
        squares = float(((seen - tosses * rate) ** 2).sum()) / (tosses * rate * (1 - rate))
        low, high = stats.chi2.ppf([SURE / 2, 1 - SURE / 2], len(seen))
        holds &= bool(low <= squares <= high)
        said.append(f"{name} vary {squares / len(seen):.2f} times as much as a binomial's")
    return Finding("who takes part in a step", holds, "; ".join(said))


def empty_steps() -> Finding:
    """A step that nobody takes part in has its noise like any other."""
    module, rows = _probe()
    descent = Descent(rate=1e-12, steps=1, multiplier=1.0, clip=1.0, expected=3.0, learning_rate=1.0)
    sampled = training.per_sample(module, descent.clip)
    found = training.private_gradient(sampled, _loss, rows, descent, stream=NoiseStream(3, "soundness"))
    sampled.remove_hooks()
    holds = all(bool((part != 0).all()) for part in found)
    return Finding("steps without anybody", holds, "take their noise" if holds else "have no noise")


def soundness() -> tuple[Finding, ...]:
    """All checks of private training."""
    return gradients(), noise(), sampling(), empty_steps()
