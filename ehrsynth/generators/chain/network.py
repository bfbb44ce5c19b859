"""One network for every conditional: any column's states given the states of any other columns.

Order-agnostic training of masked inputs (Uria, Murray and Larochelle 2014, "A Deep and Tractable Density
Estimator", ICML; Hoogeboom et al. 2022, "Autoregressive Diffusion Models", ICLR). Coarse, then fine: a
column's states fall into cells (`cells`); one head gives the cell, another the state within the cell. Both
start from the column's own shares, so that an untrained network draws each column by itself.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ehrsynth.errors import ModelError
from ehrsynth.generators.chain.states import UNKNOWN, States
from ehrsynth.randomness import global_seed

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]

BOTTLENECK = 48  # between the network and the many states
# A little of the column's own distribution in every conditional, so that what is possible is never ruled out.
_FLOOR = 0.0002
_LEAST_SHARE = 1e-6
_TWO = 2


@dataclass(frozen=True, eq=False)
class Coded:
    """A column to the network: its states, the cell of each, and whether the states have an order.

    Unless `told_apart`, the states of a cell keep their own shares whatever the other columns say.
    """

    states: States
    cell: Codes
    ordered: bool
    told_apart: bool = True

    @cached_property
    def cells(self) -> int:
        """Number of cells."""
        return int(self.cell.max()) + 1

    @cached_property
    def has_fine(self) -> bool:
        """Whether the network tells the states of some cell apart."""
        return self.told_apart and self.has_several

    @cached_property
    def has_several(self) -> bool:
        """Whether some cell holds several states."""
        return self.cells < len(self.states)

    @cached_property
    def cell_share(self) -> Floats:
        """The share of each cell."""
        return np.asarray(np.bincount(self.cell, self.states.share, minlength=self.cells), np.float64)

    @cached_property
    def share_within(self) -> Floats:
        """The share of each state in its cell."""
        held = self.cell_share[self.cell]
        alike = 1 / np.bincount(self.cell)[self.cell]
        return np.where(held > 0, self.states.share / np.maximum(held, 1e-300), alike)

    @cached_property
    def scalars(self) -> NDArray[np.float32]:
        """Where each state lies in its column and in its cell, -1 to 1 (states x 2); 0 without an order."""
        found = np.zeros((len(self.states), _TWO), np.float32)
        if self.ordered and self.has_several:
            place, present = self.states.place, ~self.states.is_missing
            found[present, 0] = 2 * place[present] - 1
            for number in range(self.cells):
                mine = np.flatnonzero((self.cell == number) & present)
                found[mine, 1] = np.linspace(-1, 1, len(mine)) if len(mine) > 1 else 0.0
        return found


class Network(nn.Module):
    """The weights: known cells and places in, scores of all columns' cells and states out.

    Parameters
    ----------
    columns
        What is fixed of each column.
    width, depth
        Of the residual blocks.
    """

    def __init__(self, columns: Sequence[Coded], *, width: int, depth: int) -> None:
        super().__init__()
        inputs = sum(c.cells for c in columns) + _TWO * len(columns)
        self.first = nn.Linear(inputs, width)
        self.blocks = nn.ModuleList(_block(width) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.coarse = _head(width, [c.cell_share for c in columns])
        states = [c.states.share for c in columns if c.has_fine]
        self.squeeze = nn.Linear(width, BOTTLENECK) if states else None
        self.fine = _head(BOTTLENECK, states) if states else None

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Scores of all columns' cells (n x cells), and of the states of columns whose cells hold several."""
        hidden = self.first(inputs)
        for block in self.blocks:
            hidden = hidden + block(hidden)
        hidden = self.norm(hidden)
        if self.squeeze is None or self.fine is None:
            return self.coarse(hidden), hidden[..., :0]
        return self.coarse(hidden), self.fine(torch.nn.functional.silu(self.squeeze(hidden)))


def _block(width: int) -> nn.Module:
    return nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))


def _fine_states(column: Coded) -> int:
    return len(column.states) if column.has_fine else 0


def _head(width: int, shares: Sequence[Floats]) -> nn.Linear:
    """A layer that gives the logarithm of the shares before anything is learnt."""
    together = np.concatenate(shares)
    head = nn.Linear(width, len(together))
    with torch.no_grad():
        head.weight.zero_()
        head.bias.copy_(torch.from_numpy(np.log(np.maximum(together, _LEAST_SHARE))))
    return head


def new_network(columns: Sequence[Coded], *, width: int, depth: int, seed: int) -> Network:
    """A network with random weights; torch's layers take them from the global state, which is put back."""
    with global_seed(seed):
        return Network(columns, width=width, depth=depth)


@dataclass(frozen=True, eq=False)
class Wiring:
    """Where each column's cells and states stand among a network's inputs and outputs, as tensors."""

    columns: tuple[Coded, ...]

    @cached_property
    def cell_start(self) -> Codes:
        """Where each column's cells begin; one more for the end."""
        return np.append(0, np.cumsum([c.cells for c in self.columns]))

    @cached_property
    def state_start(self) -> Codes:
        """Where each column's states begin among the fine outputs; one more for the end."""
        return np.append(0, np.cumsum([_fine_states(c) for c in self.columns]))

    @cached_property
    def _tables(self) -> list[tuple[Tensor, Tensor]]:
        return [(torch.from_numpy(c.cell), torch.from_numpy(c.scalars)) for c in self.columns]

    def inputs(self, states: Tensor, known: Tensor) -> Tensor:
        """What the network sees of rows.

        Parameters
        ----------
        states, known
            int64 and bool, n x columns; states that are not known are not looked at.
        """
        n, cells = len(states), int(self.cell_start[-1])
        seen = torch.zeros((n, cells + 1 + _TWO * len(self.columns)))
        for place, (cell, scalars) in enumerate(self._tables):
            state = states[:, place].clamp(min=0)
            at = torch.where(known[:, place], cell[state] + int(self.cell_start[place]), cells)
            seen.scatter_(1, at[:, None], 1.0)
            first = cells + 1 + _TWO * place
            seen[:, first : first + _TWO] = scalars[state] * known[:, place, None]
        return torch.cat([seen[:, :cells], seen[:, cells + 1 :]], dim=1)

    def cell_scores(self, coarse: Tensor, place: int) -> Tensor:
        """A column's part of the first output of a network."""
        return coarse[..., int(self.cell_start[place]) : int(self.cell_start[place + 1])]

    def state_scores(self, fine: Tensor, place: int) -> Tensor:
        """A column's part of the second output of a network."""
        return fine[..., int(self.state_start[place]) : int(self.state_start[place + 1])]


@dataclass(frozen=True, eq=False)
class AnyOrder:
    """A trained network with what is fixed of its columns."""

    columns: tuple[Coded, ...]
    network: Network
    wiring: Wiring = field(init=False)

    def __post_init__(self) -> None:
        """Keep the wiring beside the columns that it is made of."""
        object.__setattr__(self, "wiring", Wiring(self.columns))

    def probabilities(self, states: Codes, place: int) -> Floats:
        """The conditional of one column: n x its states, rows add up to 1.

        Parameters
        ----------
        states
            n x columns; `UNKNOWN` where a column is not known. The column asked for is not looked at.

        Raises
        ------
        ModelError
            If the weights give no probabilities.
        """
        column, given = self.columns[place], torch.from_numpy(states)
        known = given != UNKNOWN
        known[:, place] = False
        with torch.inference_mode():
            coarse, fine = self.network(self.wiring.inputs(given, known))
            cells = self.wiring.cell_scores(coarse, place).double().softmax(dim=1).numpy()
            found = cells[:, column.cell]
            if column.has_fine:
                found = found * self._within(self.wiring.state_scores(fine, place), column)
            elif column.has_several:
                found = found * column.share_within
        if not np.isfinite(found).all():
            message = "the network's weights give no probabilities: the model is damaged"
            raise ModelError(message)
        return np.asarray((1 - _FLOOR) * found + _FLOOR * column.states.share)

    @staticmethod
    def _within(scores: Tensor, column: Coded) -> Floats:
        """The probability of each state given its cell."""
        odds = (scores - scores.max(dim=1, keepdim=True).values).double().exp().numpy() + 1e-30
        total = np.zeros((len(odds), column.cells))
        for number in range(column.cells):
            total[:, number] = odds[:, column.cell == number].sum(axis=1)
        return np.asarray(odds / total[:, column.cell])

    def weights(self) -> dict[str, NDArray[Any]]:
        """The network's weights as named arrays."""
        return {name: weight.detach().numpy() for name, weight in self.network.named_parameters()}

    @classmethod
    def of_weights(
        cls, columns: Sequence[Coded], weights: Mapping[str, NDArray[Any]], *, width: int, depth: int
    ) -> Self:
        """The network that `weights` came from; a RuntimeError if the weights have another shape."""
        network = new_network(columns, width=width, depth=depth, seed=0)
        network.load_state_dict({name: torch.from_numpy(np.array(w)) for name, w in weights.items()})
        return cls(tuple(columns), network)
