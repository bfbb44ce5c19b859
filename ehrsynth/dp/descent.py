"""Gradient descent under differential privacy (Abadi et al. 2016), over opacus' per-sample gradients.

What is easy to get wrong, and how it is here: every patient takes part in a step by an own coin (Poisson
sampling, as the accountants assume); rate, number of steps and the divisor are public and do not depend on
how many patients there are; a step that nobody takes part in is still taken with its noise; nothing stops
early or chooses among results by looking at patients; the noise of each step comes from a generator whose
whole state is drawn anew from a cryptographic stream, and not from the one that the loss draws from.
"""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from ehrsynth.dp.events import SampledGaussian
from ehrsynth.dp.ledger import Ledger
from ehrsynth.dp.noise import NoiseStream
from ehrsynth.errors import MissingPackage, RequestError
from ehrsynth.progress import Progress

Rows = TypeVar("Rows")
Loss = Callable[[nn.Module, Tensor, torch.Generator], Tensor]

_FORBIDDEN = (nn.modules.batchnorm._BatchNorm, nn.Dropout)  # noqa: SLF001 - there is no other name for it


@dataclass(frozen=True, slots=True)
class Descent:
    """The settings of a private training, all of them public.

    Parameters
    ----------
    rate
        Probability of each patient to take part in a step.
    steps
        How many steps are taken: no more, no fewer.
    multiplier
        Standard deviation of the noise in units of `clip`.
    clip
        Largest norm of one patient's gradient.
    expected
        What the noisy sum is divided by: patients expected in a step, by public knowledge.
    learning_rate
        Of Adam.
    together
        Patients whose gradients are computed at one time; it changes nothing but memory.
    """

    rate: float
    steps: int
    multiplier: float
    clip: float
    expected: float
    learning_rate: float
    together: int = 512

    @property
    def event(self) -> SampledGaussian:
        """One step, for the ledger."""
        return SampledGaussian(self.rate, self.multiplier)


def descend(  # noqa: PLR0913 - what a private training is made of
    ledger: Ledger[Rows],
    module: nn.Module,
    loss: Loss,
    *,
    descent: Descent,
    stream: NoiseStream,
    prepare: Callable[[Rows], Tensor],
    progress: Progress,
    public_loss: Callable[[nn.Module, torch.Generator], Tensor] | None = None,
    after: Callable[[int], None] | None = None,
) -> None:
    """Train a module in place.

    Parameters
    ----------
    loss
        Called with the module, prepared rows and a generator; gives one number for each row, which depends on
        that row alone.
    prepare
        Raw rows as a tensor, row by row: one for each patient, whatever the ledger gives out.
    public_loss
        A loss without patients in it: its gradient is added as it is.
    after
        Called after each step with its number.

    Raises
    ------
    BudgetExceeded
        If the ledger refuses a step; the steps before stand.
    RequestError
        If the module mixes patients, or its weights are no numbers at the end, which the noise allows to say.
    """
    check_module(module)
    sampled = per_sample(module, descent.clip)
    optimiser = torch.optim.Adam(module.parameters(), lr=descent.learning_rate)
    rows: Tensor | None = None
    for step in range(descent.steps):
        raw = ledger.open(descent.event)
        rows = prepare(raw) if rows is None else rows
        for parameter, gradient in zip(
            module.parameters(), private_gradient(sampled, loss, rows, descent, stream=stream), strict=True
        ):
            parameter.grad = gradient
        if public_loss is not None:
            _add_public(module, sampled, public_loss, stream.torch_generator())
        optimiser.step()
        if after is not None:
            after(step)
        progress((step + 1) / descent.steps, f"step {step + 1} of {descent.steps}")
    sampled.remove_hooks()
    if not all(bool(torch.isfinite(p).all()) for p in module.parameters()):
        raise RequestError("private training diverged: set a lower learning rate")


def private_gradient(
    sampled: Any, loss: Loss, rows: Tensor, descent: Descent, *, stream: NoiseStream
) -> list[Tensor]:
    """One step's gradient: of a Poisson sample, each row clipped, summed, with noise, over the divisor."""
    chosen = participants(len(rows), descent.rate, stream)
    total = clipped_sum(sampled, loss, rows[chosen], stream.torch_generator(), together=descent.together)
    normal, spread = stream.normal_generator(), noise_deviation(descent)
    return [
        (part + torch.from_numpy(normal.normal(0.0, spread, part.shape)).to(part)) / descent.expected
        for part in total
    ]


def noise_deviation(descent: Descent) -> float:
    """The standard deviation of the noise on the sum of clipped gradients."""
    return descent.multiplier * descent.clip


def participants(n: int, rate: float, stream: NoiseStream) -> Tensor:
    """Who takes part in a step: each of n patients on their own, with probability `rate`."""
    return torch.from_numpy(np.flatnonzero(stream.uniform(n) < rate))


def check_module(module: nn.Module) -> None:
    """Raise if layers mix patients or hold what is not differentiated.

    Raises
    ------
    RequestError
        Names the layers.
    """
    wrong = sorted({type(part).__name__ for part in module.modules() if isinstance(part, _FORBIDDEN)})
    if wrong:
        raise RequestError(
            f"{', '.join(wrong)} cannot be trained privately: one patient's gradient must be theirs"
        )


def per_sample(module: nn.Module, clip: float) -> Any:
    """The module with opacus' hooks, which say each sample's gradient norm.

    Raises
    ------
    MissingPackage
        If opacus is not installed.
    """
    try:
        from opacus.grad_sample import GradSampleModuleFastGradientClipping
    except ImportError as error:
        raise MissingPackage("differential privacy", "dp") from error
    return GradSampleModuleFastGradientClipping(
        module, loss_reduction="sum", max_grad_norm=clip, use_ghost_clipping=True
    )


def clipped_sum(
    sampled: Any, loss: Loss, rows: Tensor, generator: torch.Generator, *, together: int
) -> list[Tensor]:
    """The sum over rows of each row's gradient, clipped; zeros where there is no row.

    A gradient that is no number adds nothing.
    """
    parameters = list(sampled.parameters())
    total = [torch.zeros_like(parameter) for parameter in parameters]
    with _without_remarks():
        for part in _parts(rows, together):
            _add_clipped(sampled, loss, part, generator, total)
    return total


@contextmanager
def _without_remarks() -> Iterator[None]:
    """Inputs are data and need no gradient; torch remarks on it at each of opacus' hooks."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Full backward hook is firing")
        yield


def _add_clipped(
    sampled: Any, loss: Loss, part: Tensor, generator: torch.Generator, total: list[Tensor]
) -> None:
    parameters = list(sampled.parameters())
    before = generator.get_state()
    losses, share = _losses(sampled, loss, part, generator)
    lost = share == 0
    if bool(lost.any()):
        # Nothing times infinity is no number: another row stands in, and what others draw stays the same.
        for other in part[~lost]:
            generator.set_state(before)
            losses, found = _losses(sampled, loss, _with_stand_in(part, lost, other), generator)
            if bool((found > 0).all()):
                break
        else:
            return
    sampled.disable_hooks()
    torch.autograd.backward((losses * share).sum())
    for place, parameter in enumerate(parameters):
        if parameter.grad is not None:
            total[place] += parameter.grad


def _losses(sampled: Any, loss: Loss, part: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """The loss of each row, and what its gradient is multiplied by (see `clipping`)."""
    for parameter in sampled.parameters():
        parameter.grad = None
    sampled.enable_hooks()
    losses = loss(sampled, part, generator)
    torch.autograd.backward(losses.sum(), retain_graph=True)
    share = clipping(sampled, len(part))
    for parameter in sampled.parameters():
        parameter.grad = None
    return losses, share


def _with_stand_in(part: Tensor, lost: Tensor, other: Tensor) -> Tensor:
    rows = part.clone()
    rows[lost] = other
    return rows


def clipping(sampled: Any, n: int) -> Tensor:
    """What each row's gradient is multiplied by, so that no norm is above the largest allowed.

    It is 0 where a gradient has no finite norm: an error would tell of one patient.

    Raises
    ------
    RequestError
        If the norms are not those of these rows: a layer took no part in the loss.
    """
    norms = [getattr(parameter, "_norm_sample", None) for parameter in sampled.trainable_parameters]
    if any(norm is None or len(norm) != n for norm in norms):
        raise RequestError("every layer must take part in every row's loss, or its gradient is not clipped")
    finite = torch.isfinite(sampled.get_norm_sample().detach())
    found: Tensor = torch.where(finite, sampled.get_clipping_coef().detach(), 0.0)
    for parameter in sampled.trainable_parameters:
        del parameter._norm_sample  # noqa: SLF001 - so that an old norm is never taken for a new one
    return found


def _parts(rows: Tensor, together: int) -> Iterator[Tensor]:
    for start in range(0, len(rows), together):
        yield rows[start : start + together]


def _add_public(
    module: nn.Module,
    sampled: Any,
    public_loss: Callable[[nn.Module, torch.Generator], Tensor],
    generator: torch.Generator,
) -> None:
    parameters = list(module.parameters())
    sampled.disable_hooks()
    with _without_remarks():
        gradients = torch.autograd.grad(public_loss(module, generator), parameters, allow_unused=True)
    for parameter, more in zip(parameters, gradients, strict=True):
        if more is not None and parameter.grad is not None:
            parameter.grad += more
    sampled.enable_hooks()
