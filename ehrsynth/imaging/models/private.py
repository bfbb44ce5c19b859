"""A variational autoencoder for images under differential privacy.

The unit is the patient, who is added or removed. A row of the ledger is a patient with all of their images:
in a step that a patient takes part in, one of their images is drawn, changed at random and put into the loss,
and the gradient is clipped. Whatever that image is, one patient moves the sum by `clip` at most; so the
accountants' sampled Gaussian holds as it is, for a patient of one image and for a patient of a hundred. No
bound on the images of a patient is needed, none is refused or cut, and there is no price of a group to pay.

Classes are the patient's data like the pixels. How many images a class has is a secret, so no step may be
drawn from one class alone: its rate would tell. Networks for each class could be paid for in parallel only if
no patient had images in two classes. Instead they are taught together, as one module with one gradient for
each patient: the class of the drawn image says whose network it falls to, and all of it is clipped at once.
So a patient in several classes pays once for each step, as any other. A class is drawn as often as it is
frequent: a rare one is learnt worse than without a guarantee, where classes are drawn alike.

Nothing else looks at patients: no places in the latent space are kept, no held-out images choose, nothing
stops early, and pixels are scaled by a constant.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from ehrsynth.dp.accounting import multiplier_for
from ehrsynth.dp.budget import Budget, checked_delta
from ehrsynth.dp.descent import Descent, descend
from ehrsynth.dp.events import SampledGaussian
from ehrsynth.dp.ledger import Ledger
from ehrsynth.dp.noise import NoiseStream
from ehrsynth.errors import RequestError
from ehrsynth.generators.binned_network import Averaged
from ehrsynth.generators.private import SEEDED, receipt
from ehrsynth.imaging.features import to_tensor
from ehrsynth.imaging.models.training import Training, evidence
from ehrsynth.imaging.models.vae import FittedVAE, ImageVAE, at_working_side, new_network
from ehrsynth.imaging.networks.vae import VariationalAutoencoder, working_side
from ehrsynth.imaging.patient_images import PatientImages, PublicImages
from ehrsynth.imaging.transforms import augmented
from ehrsynth.progress import Progress, part, silent

_BEGIN = 4.0  # where the search for the noise begins
_TOGETHER = 64  # patients whose gradients are in memory at a time


def fit_private(
    read: Callable[[], PatientImages],
    recipe: ImageVAE,
    public: PublicImages,
    *,
    seed: int | None = None,
    progress: Progress | None = None,
) -> FittedVAE:
    """Learn images within the recipe's epsilon.

    Parameters
    ----------
    read
        Gives the images; called by the ledger, once the first step has been paid.
    seed
        None: noise that nobody can foretell. A seed makes fits equal and voids the guarantee, and the model
        says so.

    Raises
    ------
    RequestError
        If the recipe has no epsilon, asks for what has no private form, or training diverges; or if delta is
        too large for the public number of patients.
    DataError
        What `read` raises.
    """
    descent = descent_of(recipe, public)
    budget = Budget(_epsilon(recipe), checked_delta(recipe.delta, public.patients))
    plan = [descent.event.repeated(descent.steps)]
    ledger = Ledger(read, budget, accountant="PRV and PLD", plan=plan)
    stream, void = NoiseStream(seed, recipe.kind, "noise"), "" if seed is None else SEEDED
    networks = _taught(recipe, public, ledger, descent, stream, progress or silent)
    spent = receipt(ledger.close(), budget, void)
    return FittedVAE(
        recipe, public.classes, public.size, public.channels, networks, (), (), None, guarantee=spent
    )


def descent_of(recipe: ImageVAE, public: PublicImages) -> Descent:
    """All of a private training's settings: of the recipe and public numbers, before anybody is looked at.

    Raises
    ------
    RequestError
        If the recipe has no epsilon, asks for what has no private form, or delta is too large.
    """
    steps = recipe.shared_steps + recipe.own_steps
    if not steps:
        raise RequestError("a private model of no steps has learnt nothing: set shared_steps or own_steps")
    if recipe.features:
        raise RequestError("the distance in frozen features has no private form: set features to 0")
    delta = checked_delta(recipe.delta, public.patients)
    rate = min(1.0, recipe.batch / public.patients)
    multiplier = multiplier_for([], SampledGaussian(rate, _BEGIN, steps), _epsilon(recipe), delta)
    return Descent(
        rate, steps, multiplier, recipe.clip, rate * public.patients, recipe.rate, together=_TOGETHER
    )


def _epsilon(recipe: ImageVAE) -> float:
    if recipe.epsilon is None:
        raise RequestError(f"{recipe.kind} was asked for no epsilon")
    return recipe.epsilon


def _taught(
    recipe: ImageVAE,
    public: PublicImages,
    ledger: Ledger[PatientImages],
    descent: Descent,
    stream: NoiseStream,
    progress: Progress,
) -> tuple[VariationalAutoencoder, ...]:
    """A network for each class; of a conditional model the same one several times."""
    side, classes = working_side(min(public.size, recipe.side)), len(public.classes)
    conditional = recipe.kind == "conditional_vae"
    own = 0 if conditional else recipe.own_steps
    seed = int(stream.words(1)[0] >> np.uint64(1))

    def new() -> VariationalAutoencoder:
        told = classes if conditional else 0
        return new_network(recipe, channels=public.channels, side=side, classes=told, seed=seed)

    shared = replace(descent, steps=descent.steps - own)
    share = shared.steps / descent.steps
    first = PrivateLesson(recipe.training(shared.steps, own=False), side)
    module = Networks([new()], told=conditional)
    first.teach(module, ledger, descent=shared, stream=stream, progress=part(progress, 0.0, share))
    if conditional:
        return (module.only.eval(),) * classes
    each = [new() for _ in range(classes)]
    for network in each:
        network.load_state_dict(module.only.state_dict())
    apart = replace(descent, steps=own, learning_rate=descent.learning_rate / 2)
    second = PrivateLesson(recipe.training(own, own=True), side)
    rest = part(progress, share, 1.0)
    second.teach(Networks(each, told=False), ledger, descent=apart, stream=stream, progress=rest)
    return tuple(network.eval() for network in each)


class Networks(nn.Module):
    """One network for all classes, or one for each, as a module whose loss belongs to single images.

    Parameters
    ----------
    told
        Whether the network is told the class.
    """

    def __init__(self, networks: Sequence[VariationalAutoencoder], *, told: bool) -> None:
        super().__init__()
        self.networks, self._told = nn.ModuleList(networks), told

    @property
    def only(self) -> VariationalAutoencoder:
        """The first network."""
        first = self.networks[0]
        if not isinstance(first, VariationalAutoencoder):
            message = "these are no autoencoders"
            raise TypeError(message)
        return first

    def forward(self, images: Tensor, labels: Tensor, how: tuple[Training, float, torch.Generator]) -> Tensor:
        """The loss of each image (n); of a network of another class it takes nothing."""
        training, weight, generator = how
        told = labels if self._told else None
        losses = [
            evidence(network, images, told, training, weight=weight, generator=generator)[0]  # type: ignore[arg-type]
            for network in self.networks
        ]
        if len(losses) == 1:
            return losses[0]
        own = labels[:, None] == torch.arange(len(losses))
        return torch.where(own, torch.stack(losses, dim=1), 0.0).sum(dim=1)


class PrivateLesson:
    """What one part of a private training is about: how it is taught, at which side, and how far it is."""

    def __init__(self, training: Training, side: int) -> None:
        self._training, self._side, self._step = training, side, 0
        self._images, self._labels = torch.empty(0), torch.empty(0, dtype=torch.int64)

    def teach(
        self,
        module: Networks,
        ledger: Ledger[PatientImages],
        *,
        descent: Descent,
        stream: NoiseStream,
        progress: Progress,
    ) -> None:
        """Teach in place; the weights become the mean of those on the way."""
        averaged = Averaged(module)

        def after(step: int) -> None:
            averaged.add(step)
            self._step = step + 1

        descend(
            ledger,
            module,
            self.loss,
            descent=descent,
            stream=stream,
            prepare=self.prepare,
            progress=progress,
            after=after,
        )
        module.load_state_dict(averaged.weights)

    def prepare(self, raw: PatientImages) -> Tensor:
        """A row for each patient: where their images begin, and how many they are (n x 2)."""
        self._images = (
            at_working_side(to_tensor(raw.pixels) / 255, self._side) if len(raw) else torch.empty(0)
        )
        self._labels = torch.from_numpy(raw.labels)
        return torch.from_numpy(np.stack([raw.first, raw.count], axis=1))

    def loss(self, module: nn.Module, rows: Tensor, generator: torch.Generator) -> Tensor:
        """The loss of each patient: of one of their images, drawn and changed at random."""
        at = rows[:, 0] + (torch.rand(len(rows), generator=generator) * rows[:, 1]).long()
        images = augmented(self._images[at], self._training.augmentation, generator)
        warm = max(1.0, self._training.warm_up * self._training.steps)
        weight = self._training.beta * min(1.0, self._step / warm)
        found: Tensor = module(images, self._labels[at], (self._training, weight, generator))
        return found
