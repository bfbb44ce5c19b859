"""The any-order network under differential privacy.

Noisy counts of single columns give the bins and the point where training starts: the network that knows each
column by itself. Private descent then teaches it the rest, and at the end the single columns are brought back
to the counts. A patient's loss is averaged over several choices
of hidden columns, which costs nothing (De et al. 2022, "Unlocking High-Accuracy Differentially Private Image
Classification through Scale").
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits
from torch import Tensor, nn

from ehrsynth.dp.accounting import multiplier_for
from ehrsynth.dp.descent import Descent, descend
from ehrsynth.dp.events import Gaussian, SampledGaussian
from ehrsynth.encoding import encoding
from ehrsynth.generators.base import PrivacySpent
from ehrsynth.generators.chain.network import AnyOrder, Coded, new_network
from ehrsynth.generators.chain.networks import chain_of, states_of
from ehrsynth.generators.chain.order import chain_order
from ehrsynth.generators.chain.particles import Chain
from ehrsynth.generators.chain.teaching import hidden, scored
from ehrsynth.generators.graphical.fitted import modelled
from ehrsynth.generators.graphical.measuring import Ones, measure_ones, multiplier_of
from ehrsynth.generators.private import Till
from ehrsynth.generators.public_states import public_states
from ehrsynth.progress import Progress, part
from ehrsynth.schema import Schema

Codes = NDArray[np.int64]

_AVERAGING = 0.98
_ROUNDS, _FREE_ROWS = 4, 10_000
_BEGIN = 4.0  # where the search for the noise begins


@dataclass(frozen=True, slots=True)
class PrivateTeaching:
    """The settings of a private training.

    Parameters
    ----------
    width, depth
        Of the network.
    ones_share
        Of the budget (in zCDP), for single columns.
    steps, patients
        How many steps, and how many patients are expected in each.
    clip, learning_rate
        See `ehrsynth.dp.descent.Descent`.
    masks
        Choices of hidden columns for each patient in a step.
    """

    width: int
    depth: int
    ones_share: float
    steps: int
    patients: int
    clip: float
    learning_rate: float
    masks: int


def learn_private_network(
    till: Till, schema: Schema, teaching: PrivateTeaching, progress: Progress
) -> tuple[Chain, PrivacySpent]:
    """Learn all columns by one network, within the till's budget."""
    row, columns = till.budget.for_a_row, max(len(modelled(schema)), 1)
    rho = teaching.ones_share * till.budget.rho
    ones_event = Gaussian(multiplier_of(rho / columns), columns)
    rate = min(1.0, teaching.patients / till.rows)
    first = SampledGaussian(rate, _BEGIN, teaching.steps)
    multiplier = multiplier_for([ones_event], first, row.epsilon, row.delta)
    steps = SampledGaussian(rate, multiplier, teaching.steps)
    ledger = till.ledger("PRV and PLD", plan=[ones_event, steps])
    ones = measure_ones(ledger, schema, rho, till.stream, finer=ones_event.multiplier)
    coded = _coded(schema, ones)
    seed = int(till.stream.words(1)[0] >> np.uint64(1))
    model = AnyOrder(coded, new_network(coded, width=teaching.width, depth=teaching.depth, seed=seed))
    order = chain_order(schema, [column.cells for column in coded])
    descent = Descent(
        rate, teaching.steps, multiplier, teaching.clip, rate * till.rows, teaching.learning_rate
    )
    averaged = {name: weight.detach().clone() for name, weight in model.network.named_parameters()}

    def loss(module: nn.Module, states: Tensor, generator: torch.Generator) -> Tensor:
        return _masked_losses(model, module, states, order, teaching.masks, generator)

    def average(step: int) -> None:
        keep = min(_AVERAGING, (1 + step) / (10 + step))
        with torch.no_grad():
            for name, weight in model.network.named_parameters():
                averaged[name].lerp_(weight, 1 - keep)

    with threadpool_limits(1):
        descend(
            ledger,
            model.network,
            loss,
            descent=descent,
            stream=till.stream,
            prepare=lambda rows: states_of(rows, coded),
            progress=part(progress, 0.1, 1.0),
            after=average,
        )
    model.network.load_state_dict(averaged)
    chain = chain_of(schema, model, order)
    with threadpool_limits(1):
        _hold_to_counts(model, chain, till.stream.numpy_generator())
    return chain, till.receipt(ledger.close())


def _hold_to_counts(model: AnyOrder, chain: Chain, rng: np.random.Generator) -> None:
    """Shift every column's scores until free rows have the shares that were counted at the start.

    Noise in the gradients makes the network forget what the counts say better. The counts are paid for and
    the rows are the network's own: nothing more is spent.
    """
    bias, slack = model.network.coarse.bias, 1 / _FREE_ROWS
    for _ in range(_ROUNDS):
        states = states_of(chain.draw(_FREE_ROWS, rng), model.columns).numpy()
        for place, column in enumerate(model.columns):
            drawn = np.bincount(column.cell[states[:, place]], minlength=column.cells) / _FREE_ROWS
            shift = np.log((column.cell_share + slack) / (drawn + slack)).clip(-1, 1)
            with torch.no_grad():
                model.wiring.cell_scores(bias, place).add_(torch.from_numpy(shift).float())


def _coded(schema: Schema, ones: Ones) -> tuple[Coded, ...]:
    """Every column with its bins as cells; within a cell the noisy shares stand. Formulas have one cell."""
    variables = {place: variable for variable, place in enumerate(modelled(schema))}
    found = []
    for place, column in enumerate(schema.learnt):
        ordered = encoding(column).numeric
        if place in variables:
            binned = ones.columns[variables[place]]
            found.append(Coded(binned.states, binned.bins[0], ordered, told_apart=False))
        else:
            states = public_states(column)
            found.append(Coded(states, np.zeros(len(states), np.int64), ordered, told_apart=False))
    return tuple(found)


def _masked_losses(
    model: AnyOrder,
    module: nn.Module,
    states: Tensor,
    order: list[int],
    masks: int,
    generator: torch.Generator,
) -> Tensor:
    """The loss of each patient, averaged over several choices of hidden columns."""
    n, wiring = len(states), model.wiring
    repeated = states.repeat(masks, 1)
    known = hidden(len(repeated), order, generator)
    inputs = wiring.inputs(repeated, known).reshape(masks, n, -1).transpose(0, 1)
    coarse, fine = module(inputs)
    flat = [scores.transpose(0, 1).reshape(masks * n, -1) for scores in (coarse, fine)]
    return scored(wiring, (flat[0], flat[1]), repeated, known).reshape(masks, n).mean(dim=0)
