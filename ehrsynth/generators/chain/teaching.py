"""Teaching the any-order network: hide some columns of each patient and learn to tell them from the rest.

Half of the patients in a step hide what comes late in the chain's order, which is how rows are drawn; the
others hide columns in a random order, which is what conditions and completions ask for. Patients held out
say when to stop.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ehrsynth.errors import RequestError
from ehrsynth.generators.chain.network import AnyOrder, Wiring
from ehrsynth.progress import Progress
from ehrsynth.randomness import torch_generator

_HELD_OUT, _FEWEST_HELD_OUT, _MOST_HELD_OUT = 0.1, 20, 4_000
_LOOKS, _IN_VAIN = 40, 10
_FEWEST, _STEPS_AN_EPOCH = 32, 40  # patients in a step; a small table is cut into so many steps
_WARM_UP = 100
_LARGEST_GRADIENT = 1.0
_DECAY = 1e-3
_AVERAGING = 0.995
_FEWEST_STEPS = 300


@dataclass(frozen=True, slots=True)
class Teaching:
    """How a network is taught: at most `epochs` passes and `batch` patients in a step."""

    epochs: int
    batch: int
    rate: float


def hidden(n: int, order: Sequence[int], generator: torch.Generator) -> Tensor:
    """Which columns of n patients are known, n x columns: uniformly many, none to all but one."""
    columns = len(order)
    by_order = torch.empty(columns)
    by_order[torch.tensor(list(order))] = torch.arange(columns, dtype=torch.float32) / columns
    turns = torch.rand((n, columns), generator=generator)
    turns[: n // 2] = by_order
    rank = turns.argsort(dim=1).argsort(dim=1)
    known = torch.randint(columns, (n, 1), generator=generator)
    return rank < known


def losses(model: AnyOrder, states: Tensor, known: Tensor) -> Tensor:
    """The loss of each patient (n), in nats: the mean over the hidden columns, times all columns.

    Its expectation is an upper bound of minus the log probability of the patient (Hoogeboom et al. 2022,
    equation 3).
    """
    return scored(model.wiring, model.network(model.wiring.inputs(states, known)), states, known)


def scored(wiring: Wiring, scores: tuple[Tensor, Tensor], states: Tensor, known: Tensor) -> Tensor:
    """As `losses`, from what the network said."""
    coarse, fine = scores
    total = torch.zeros(len(states))
    for place, column in enumerate(wiring.columns):
        rows = torch.nonzero(~known[:, place]).squeeze(1)
        if column.cells > 1:
            cell = torch.from_numpy(column.cell)[states[rows, place]]
            found = wiring.cell_scores(coarse, place)[rows].log_softmax(dim=1)
            total = total.index_add(0, rows, -found.gather(1, cell[:, None]).squeeze(1))
        if column.has_fine:
            own = torch.from_numpy(column.cell)
            inside = own[None, :] == own[states[rows, place]][:, None]
            found = wiring.state_scores(fine, place)[rows].masked_fill(~inside, -torch.inf).log_softmax(dim=1)
            total = total.index_add(0, rows, -found.gather(1, states[rows, place][:, None]).squeeze(1))
    columns = known.shape[1]
    return total * columns / (columns - known.sum(dim=1))


def teach(
    model: AnyOrder,
    states: Tensor,
    order: Sequence[int],
    *,
    teaching: Teaching,
    generator: torch.Generator,
    progress: Progress,
) -> None:
    """Train in place; the averaged weights that did best on the patients held out stay.

    Raises
    ------
    RequestError
        If the loss is no longer a number.
    """
    if all(len(column.states) == 1 for column in model.columns):
        progress(1.0, "nothing to learn")
        return
    network = model.network
    taught, held_out = _parted(states, generator)
    batch = max(1, min(teaching.batch, max(_FEWEST, len(taught) // _STEPS_AN_EPOCH), len(taught)))
    steps = max(_FEWEST_STEPS, teaching.epochs * math.ceil(len(taught) / batch))
    optimiser = torch.optim.AdamW(network.parameters(), lr=teaching.rate, weight_decay=_DECAY)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _pace(step, steps))
    averaged = {name: weight.detach().clone() for name, weight in network.named_parameters()}
    best, least, in_vain = averaged, math.inf, 0
    for step in range(1, steps + 1):
        rows = torch.randint(len(taught), (batch,), generator=generator)
        loss = losses(model, taught[rows], hidden(batch, order, generator)).mean()
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), _LARGEST_GRADIENT)
        optimiser.step()
        schedule.step()
        keep = min(_AVERAGING, step / (9 + step))
        with torch.no_grad():
            for name, weight in network.named_parameters():
                averaged[name].lerp_(weight, 1 - keep)
        if step % max(1, steps // _LOOKS) and step < steps:
            continue
        progress(step / steps, f"step {step} of {steps}")
        judged = _judged(model, averaged, held_out, order, generator.initial_seed())
        if not math.isfinite(judged):
            raise RequestError(f"training diverged by step {step} of {steps}: set a lower rate")
        if judged < least:
            best, least, in_vain = {k: w.clone() for k, w in averaged.items()}, judged, 0
        elif (in_vain := in_vain + 1) >= _IN_VAIN:
            break
    network.load_state_dict(best)
    progress(1.0, "trained")


def _parted(states: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Those who teach and those held out; of few patients all do both."""
    order, away = torch.randperm(len(states), generator=generator), int(len(states) * _HELD_OUT)
    if away < _FEWEST_HELD_OUT:
        return states, states
    away = min(away, _MOST_HELD_OUT)
    return states[order[away:]], states[order[:away]]


def _pace(step: int, steps: int) -> float:
    """The learning rate as a share of its highest: up in a straight line, down along a cosine."""
    return min(1.0, (step + 1) / _WARM_UP) * (0.5 + 0.5 * math.cos(math.pi * min(step / steps, 1.0)))


def _judged(
    model: AnyOrder, weights: dict[str, Tensor], held_out: Tensor, order: Sequence[int], seed: int
) -> float:
    """The mean loss of weights on patients held out, with the same columns hidden each time."""
    own = {name: weight.detach().clone() for name, weight in model.network.named_parameters()}
    known = hidden(len(held_out), order, torch_generator(seed, "held out"))
    with torch.no_grad():
        model.network.load_state_dict(weights)
        found = float(losses(model, held_out, known).mean())
        model.network.load_state_dict(own)
    return found
