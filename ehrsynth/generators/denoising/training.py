"""Teaching a network to remove noise, with patients held out to say when to stop.

The loss of a word is the cross-entropy of the word before the noise, the loss of a number the squared error
of its velocity (Salimans and Ho 2022, "Progressive Distillation for Fast Sampling of Diffusion Models",
ICLR), which is steady at all times. TabDDPM's own losses weigh the times otherwise.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ehrsynth.errors import RequestError
from ehrsynth.generators.denoising.cells import Encoded
from ehrsynth.generators.denoising.network import Denoiser
from ehrsynth.generators.denoising.noise import Noise, kept
from ehrsynth.progress import Progress
from ehrsynth.randomness import torch_generator

_HELD_OUT, _FEWEST_HELD_OUT = 0.1, 20
_LOOKS = 40  # at the patients held out, during training
_IN_VAIN = 10  # looks without a better one
_WARM_UP = 100
_LARGEST_GRADIENT = 1.0
_NEAREST = 3e-7  # to 0 and 1: five standard deviations
_MOST_HELD_OUT = 2_000
_REPEATS = 4  # noises for each patient held out


@dataclass(frozen=True, slots=True)
class Training:
    """How a network is trained: at most `epochs` passes and at most `steps` steps."""

    epochs: int
    steps: int
    batch: int
    rate: float
    averaging: float


@dataclass(frozen=True, slots=True, eq=False)
class Patients:
    """Words (int64), and where each number's stretch of 0 to 1 begins and how wide it is (float32)."""

    words: Tensor
    start: Tensor
    width: Tensor

    @classmethod
    def of(cls, encoded: Encoded, device: torch.device) -> "Patients":
        """Encoded patients on a device."""
        numbers = (torch.from_numpy(x).float().to(device) for x in (encoded.start, encoded.width))
        return cls(torch.from_numpy(encoded.words).to(device), *numbers)

    def __len__(self) -> int:
        return len(self.words)

    def at(self, rows: Tensor) -> "Patients":
        """Some of them."""
        return Patients(self.words[rows], self.start[rows], self.width[rows])

    def scores(self, noise: Noise) -> Tensor:
        """Normal scores, each drawn anew within its stretch."""
        places = self.start + self.width * noise.uniform(*self.start.shape)
        found: Tensor = torch.special.ndtri(places.clamp(_NEAREST, 1 - _NEAREST))
        return found


def losses(network: Denoiser, patients: Patients, noise: Noise) -> Tensor:
    """The loss of each patient at a time of its own (n): a sum over the columns."""
    n = len(patients)
    # One time in each of n equal stretches: less noise in the sum than independent times.
    time = (torch.arange(n, device=patients.words.device) + noise.uniform(n)) / n
    left, scores = kept(time), patients.scores(noise)
    words = noise.fade_words(patients.words, left)
    numbers, added = noise.fade_numbers(scores, left)
    logits, velocity = network(words, numbers, time)
    total = torch.zeros(n, device=time.device)
    if words.shape[1]:
        log_chance = logits.log_softmax(dim=-1)
        total = total - log_chance.gather(-1, patients.words[..., None]).squeeze(-1).sum(1)
    wanted = left.sqrt()[:, None] * added - (1 - left).sqrt()[:, None] * scores
    errors: Tensor = ((velocity - wanted) ** 2).sum(1)
    return total.add(errors)


def train(
    network: Denoiser,
    patients: Patients,
    training: Training,
    *,
    generator: torch.Generator,
    progress: Progress,
) -> dict[str, Tensor]:
    """Train in place; gives the averaged weights that did best on the patients held out.

    Raises
    ------
    RequestError
        If the loss is no longer a number.
    """
    taught, held_out = _parted(patients, generator)
    noise, batch = Noise(network.sizes, generator), min(training.batch, len(taught))
    steps = min(training.steps, training.epochs * math.ceil(len(taught) / batch))
    optimiser = torch.optim.AdamW(network.parameters(), lr=training.rate, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _pace(step, steps))
    averaged = _weights(network)
    best, least, in_vain = averaged, math.inf, 0
    for step in range(1, steps + 1):
        rows = torch.randint(len(taught), (batch,), generator=generator).to(taught.words.device)
        loss = losses(network, taught.at(rows), noise).mean()
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), _LARGEST_GRADIENT)
        optimiser.step()
        schedule.step()
        # A young average forgets faster.
        _average(averaged, network, min(training.averaging, step / (9 + step)))
        if step % max(1, steps // _LOOKS) and step < steps:
            continue
        progress(step / steps, f"step {step} of {steps}")
        judged = _judged(network, averaged, held_out, generator.initial_seed())
        if not math.isfinite(judged):
            message = f"training diverged by step {step} of {steps}: set a lower rate"
            raise RequestError(message)
        if judged < least:
            best, least, in_vain = {k: w.clone() for k, w in averaged.items()}, judged, 0
        elif (in_vain := in_vain + 1) >= _IN_VAIN:
            break
    progress(1.0, "trained")
    return best


def _parted(patients: Patients, generator: torch.Generator) -> tuple[Patients, Patients]:
    """Those who teach and those held out; of few patients all do both."""
    n = len(patients)
    order = torch.randperm(n, generator=generator).to(patients.words.device)
    away = int(n * _HELD_OUT)
    if away < _FEWEST_HELD_OUT:
        return patients, patients
    return patients.at(order[away:]), patients.at(order[:away])


def _pace(step: int, steps: int) -> float:
    """The learning rate as a share of its highest: up in a straight line, down along a cosine."""
    return min(1.0, (step + 1) / _WARM_UP) * (0.5 + 0.5 * math.cos(math.pi * min(step / steps, 1.0)))


def _weights(network: Denoiser) -> dict[str, Tensor]:
    return {name: weight.detach().clone() for name, weight in network.named_parameters()}


def _average(averaged: dict[str, Tensor], network: Denoiser, keep: float) -> None:
    with torch.no_grad():
        for name, weight in network.named_parameters():
            averaged[name].lerp_(weight, 1 - keep)


def _judged(network: Denoiser, weights: dict[str, Tensor], held_out: Patients, seed: int) -> float:
    """The mean loss of weights on patients held out, with the same noise each time."""
    noise = Noise(network.sizes, torch_generator(seed, "held out"))
    with torch.inference_mode():
        rows = torch.arange(min(len(held_out), _MOST_HELD_OUT)).repeat(_REPEATS)
        patients = held_out.at(rows.to(held_out.words.device))
        own = _weights(network)
        network.load_state_dict(weights)
        found = float(losses(network, patients, noise).mean())
        network.load_state_dict(own)
    return found
