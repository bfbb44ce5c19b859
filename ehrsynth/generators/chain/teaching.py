"""Teaching the any-order network: hide some columns of each patient and learn to tell them from the rest.

Half of the patients in a step hide what comes late in the chain's order, which is how rows are drawn; the
others hide columns in a random order, which is what conditions and completions ask for. Patients held out
say when to stop.
"""

import copy
import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version

import torch
from torch import Tensor

from ehrsynth.engine import kept
from ehrsynth.errors import RequestError
from ehrsynth.generators.chain.course import Course
from ehrsynth.generators.chain.network import AnyOrder, Wiring
from ehrsynth.generators.chain.together import shared_among, team
from ehrsynth.progress import Progress
from ehrsynth.randomness import torch_generator

_HELD_OUT, _FEWEST_HELD_OUT, _MOST_HELD_OUT = 0.1, 20, 4_000
_LOOKS, _IN_VAIN = 40, 10
_FEWEST, _STEPS_AN_EPOCH = 32, 40  # patients in a step; a small table is cut into so many steps
_WARM_UP = 100
_DECAY = 1e-3
_AVERAGING = 0.995
_FEWEST_STEPS = 300
_HASHED_TOGETHER = 100_000


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
    # Zero, and yet of the network: where all hidden columns have one value there is a gradient, of zero.
    total = 0.0 * (coarse.sum(dim=1) + fine.sum(dim=1))
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

    Where several processes were started together, each works on its part of every step. What is learnt is
    kept at each look at the patients held out, so that a killed run goes on from there.

    Parameters
    ----------
    states
        n x columns, any whole numbers; it may lie on a disk, since a step reads its patients alone.

    Raises
    ------
    RequestError
        If the loss is no longer a number.
    """
    if all(len(column.states) == 1 for column in model.columns):
        progress(1.0, "nothing to learn")
        return
    us, keep = team(), kept()
    taught, held_out = _parted(len(states), generator)
    batch = max(1, min(teaching.batch, max(_FEWEST, len(taught) // _STEPS_AN_EPOCH), len(taught)))
    steps = max(_FEWEST_STEPS, teaching.epochs * math.ceil(len(taught) / batch))
    course = Course(model.network, generator, teaching.rate, _DECAY)
    name = _name(states, order, teaching, generator) if keep is not None else ""
    if (earlier := us.handed_out(keep.get(name) if keep is not None else None)) is not None:
        course.restore(earlier)
    learner = AnyOrder(model.columns, shared_among(model.network, us))  # type: ignore[arg-type]
    judges = states[held_out].long()
    while course.step < steps and course.in_vain < _IN_VAIN:
        step = course.step + 1
        rows = taught[torch.randint(len(taught), (batch,), generator=generator)]
        known = us.own(hidden(batch, order, generator))
        # Parts may differ by a patient: each counts as much as in one process.
        loss = losses(learner, states[us.own(rows)].long(), known).sum() / batch * us.size
        course.take(loss, pace=_pace(course.step, steps), averaging=min(_AVERAGING, step / (9 + step)))
        if step % max(1, steps // _LOOKS) and step < steps:
            continue
        progress(step / steps, f"step {step} of {steps}")
        judged = us.agreed(_judged(model, course.averaged, judges, order, generator.initial_seed()))
        if not math.isfinite(judged):
            raise RequestError(f"training diverged by step {step} of {steps}: set a lower rate")
        course.judge(judged)
        if keep is not None:
            keep.put(name, course.pack())
    model.network.cpu().load_state_dict(course.best)
    progress(1.0, "trained")


def _name(states: Tensor, order: Sequence[int], teaching: Teaching, generator: torch.Generator) -> str:
    """What the course depends on, as the name that it is kept under."""
    said = f"{version('ehrsynth')} {list(order)} {teaching} {generator.initial_seed()} {tuple(states.shape)}"
    found = hashlib.sha256(said.encode())
    for start in range(0, len(states), _HASHED_TOGETHER):
        found.update(states[start : start + _HASHED_TOGETHER].to(torch.int64).numpy().tobytes())
    return f"network-{found.hexdigest()[:16]}"


def _parted(patients: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Those who teach and those held out, by their places; of few patients all do both."""
    order, away = torch.randperm(patients, generator=generator), int(patients * _HELD_OUT)
    if away < _FEWEST_HELD_OUT:
        everyone = torch.arange(patients)
        return everyone, everyone
    away = min(away, _MOST_HELD_OUT)
    return order[away:], order[:away]


def _pace(step: int, steps: int) -> float:
    """The learning rate as a share of its highest: up in a straight line, down along a cosine."""
    return min(1.0, (step + 1) / _WARM_UP) * (0.5 + 0.5 * math.cos(math.pi * min(step / steps, 1.0)))


def _judged(
    model: AnyOrder, weights: dict[str, Tensor], held_out: Tensor, order: Sequence[int], seed: int
) -> float:
    """The mean loss of weights on patients held out, with the same columns hidden each time."""
    looked_at = copy.deepcopy(model.network).cpu()
    looked_at.load_state_dict(weights)
    known = hidden(len(held_out), order, torch_generator(seed, "held out"))
    with torch.no_grad():
        return float(losses(AnyOrder(model.columns, looked_at), held_out, known).mean())
