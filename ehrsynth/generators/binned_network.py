"""What dp-tvae and dp-ctgan share: a network that turns noise into bins of every column.

Columns are cut into bins by noisy counts (see `graphical.bins`), so that nothing of the encoding was fitted
to patients; a bin is drawn from the network's chances, and a value inside it from the noisy counts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from ehrsynth.conditions import Condition
from ehrsynth.dp.accounting import multiplier_for
from ehrsynth.dp.descent import Descent
from ehrsynth.dp.events import Event, Gaussian, SampledGaussian
from ehrsynth.dp.ledger import Ledger
from ehrsynth.errors import ModelError
from ehrsynth.generators.base import AbstractFitted, AbstractGenerator, Draw, Parts, PrivacySpent
from ehrsynth.generators.graphical.bins import Binned
from ehrsynth.generators.graphical.fitted import bins_of_parts, fitting_together, modelled, parts_of_bins
from ehrsynth.generators.graphical.measuring import Ones, bin_rows, measure_ones, multiplier_of
from ehrsynth.generators.private import AbstractPrivateGenerator, Till
from ehrsynth.generators.rejection import collect
from ehrsynth.generators.ties import ties
from ehrsynth.progress import Progress
from ehrsynth.randomness import global_seed, numpy_generator
from ehrsynth.schema import Schema

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]

WEIGHT = "network."
_BEGIN = 4.0  # where the search for the noise begins
_LEAST_SHARE = 1e-6
_AVERAGING = 0.98


class Decoder(nn.Module):
    """Noise in, scores of all columns' bins out; before it has learnt anything, those of the noisy shares."""

    def __init__(self, columns: Sequence[Binned], *, noise: int, width: int) -> None:
        super().__init__()
        shares = [np.bincount(c.bins[0], c.states.share, minlength=c.size) for c in columns]
        self.first = nn.Linear(noise, width)
        self.last = nn.Linear(width, sum(c.size for c in columns))
        with torch.no_grad():
            self.last.weight.mul_(0.1)
            self.last.bias.copy_(torch.from_numpy(np.log(np.maximum(np.concatenate(shares), _LEAST_SHARE))))

    def forward(self, noise: Tensor) -> Tensor:
        """Scores, n x bins of all columns."""
        found: Tensor = self.last(nn.functional.silu(self.first(noise)))
        return found


def new_decoder(columns: Sequence[Binned], *, noise: int, width: int, seed: int) -> Decoder:
    """A decoder with random weights; torch's global state is put back."""
    with global_seed(seed):
        return Decoder(columns, noise=noise, width=width)


def spans(columns: Sequence[Binned]) -> list[slice]:
    """Where each column's bins stand among all."""
    ends = np.cumsum([0, *(c.size for c in columns)])
    return [slice(int(a), int(b)) for a, b in pairwise(ends)]


def one_hot(bins: Tensor, columns: Sequence[Binned]) -> Tensor:
    """Rows of bins (n x columns) as n x bins of all columns, 0 and 1."""
    return torch.cat(
        [nn.functional.one_hot(bins[:, k], c.size).float() for k, c in enumerate(columns)], dim=1
    )


@dataclass(frozen=True, eq=False)
class FittedBinnedNetwork(AbstractFitted):
    """A decoder with the bins that it speaks of. Conditions are met by drawing and checking, boundedly."""

    columns: tuple[Binned, ...]
    weights: Mapping[str, NDArray[Any]]
    spent: PrivacySpent

    @property
    def privacy(self) -> PrivacySpent:
        """The guarantee."""
        return self.spent

    @cached_property
    def _network(self) -> Decoder:
        settings = self.recipe.model_dump()
        network = new_decoder(self.columns, noise=settings["embedding_dim"], width=settings["width"], seed=0)
        network.load_state_dict({name: torch.from_numpy(np.array(w)) for name, w in self.weights.items()})
        return network

    def _draw(self, n: int, condition: Condition | None, seed: int, progress: Progress) -> Draw:
        rng = numpy_generator(seed, self.recipe.name, "sample")
        found = collect(self, self._rows, n, condition, rng=rng, progress=progress)
        return Draw(found.codes, float(n), found.acceptance, 1.0 if condition is None else found.met)

    def _rows(self, n: int, rng: np.random.Generator) -> Codes:
        codes = np.full((n, len(self.schema.learnt)), -1, np.int64)
        if not self.columns:
            return codes
        noise = rng.standard_normal((n, self._network.first.in_features)).astype(np.float32)
        with torch.inference_mode():
            scores = self._network(torch.from_numpy(noise)).double()
        if not bool(torch.isfinite(scores).all()):
            message = "the network's weights give no chances: the model is damaged"
            raise ModelError(message)
        tied = ties(self.schema)
        for place, column, span in zip(modelled(self.schema), self.columns, spans(self.columns), strict=True):
            # Of columns that are present together one says for all whether they are missing.
            follows = tied[place] >= 0 and len(column.states) > 1
            there = np.where(follows & column.states.is_missing, 0.0, 1.0)
            chances = scores[:, span].softmax(dim=1).numpy() * (column.chances @ there)
            state = _chosen(column.chances[_chosen(chances, rng)] * there, rng)
            codes[:, place] = column.states.draw(state, None, rng)
        return codes

    def parts(self) -> Parts:
        """States and bins, and the decoder's weights."""
        weights = {WEIGHT + name: array for name, array in self.weights.items()}
        return Parts({"spent": self.spent.as_json()}, parts_of_bins(self.columns) | weights)

    @classmethod
    def from_parts(cls, schema: Schema, recipe: AbstractGenerator, parts: Parts) -> Self:
        """Rebuild from `parts`."""
        weights = {n.removeprefix(WEIGHT): a for n, a in parts.arrays.items() if n.startswith(WEIGHT)}
        with fitting_together():
            columns = bins_of_parts(schema, parts.arrays)
            fitted = cls(schema, recipe, columns, weights, PrivacySpent.from_json(parts.values["spent"]))
            if columns:
                _ = fitted._network  # weights of another shape are found now
        return fitted


def _chosen(chances: Floats, rng: np.random.Generator) -> Codes:
    steps = chances.cumsum(axis=1)
    at = (rng.random(len(chances))[:, None] * steps[:, -1:] >= steps).sum(axis=1)
    return np.asarray(np.minimum(at, chances.shape[1] - 1), np.int64)


class AbstractBinnedRecipe(AbstractPrivateGenerator):
    """What the recipes of both networks share."""

    ones_share: float = Field(default=0.2, gt=0, lt=1, description="of the budget, for single columns")
    steps: int = Field(default=600, ge=1, le=100_000, description="private steps")
    batch_size: int = Field(default=1_000, ge=1, le=1_000_000, description="patients expected in a step")
    clip: float = Field(default=1.0, gt=0, description="largest gradient of a patient")
    learning_rate: float = Field(default=2e-3, gt=0, le=1, description="of Adam")
    embedding_dim: int = Field(default=16, ge=1, le=4096, description="length of the noise vector")
    width: int = Field(default=128, ge=1, le=8192, description="width of the networks")


@dataclass(frozen=True, eq=False)
class Begun:
    """Single columns measured, a ledger with a plan for the rest, and the descent that fits the budget."""

    ledger: Ledger[Codes]
    ones: Ones
    descent: Descent


def begin(recipe: AbstractBinnedRecipe, till: Till, schema: Schema) -> Begun:
    """Split the budget, measure single columns, and find the noise that the steps need."""
    row, columns = till.budget.for_a_row, max(len(modelled(schema)), 1)
    rho = recipe.ones_share * till.budget.rho
    ones = Gaussian(multiplier_of(rho / columns), columns)
    rate = min(1.0, recipe.batch_size / till.rows)
    multiplier = multiplier_for([ones], SampledGaussian(rate, _BEGIN, recipe.steps), row.epsilon, row.delta)
    plan: list[Event] = [ones, SampledGaussian(rate, multiplier, recipe.steps)]
    ledger = till.ledger("PRV and PLD", plan=plan)
    measured = measure_ones(ledger, schema, rho, till.stream, finer=ones.multiplier)
    descent = Descent(rate, recipe.steps, multiplier, recipe.clip, rate * till.rows, recipe.learning_rate)
    return Begun(ledger, measured, descent)


def prepared(schema: Schema, columns: Sequence[Binned], rows: Codes) -> Tensor:
    """Raw rows as bins: for private descent only."""
    return torch.from_numpy(bin_rows(rows, schema, columns))


class Averaged:
    """The running mean of a module's weights."""

    def __init__(self, module: nn.Module) -> None:
        self._module = module
        self.weights = {name: weight.detach().clone() for name, weight in module.named_parameters()}

    def add(self, step: int) -> None:
        """Take in the weights after a step."""
        keep = min(_AVERAGING, (1 + step) / (10 + step))
        with torch.no_grad():
            for name, weight in self._module.named_parameters():
                self.weights[name].lerp_(weight, 1 - keep)

    def arrays(self, prefix: str = "") -> dict[str, NDArray[Any]]:
        """The mean weights whose names begin so, without the beginning."""
        return {
            name.removeprefix(prefix): weight.numpy()
            for name, weight in self.weights.items()
            if name.startswith(prefix)
        }
