"""A variational autoencoder for each class, and one that is told the class: recipes, and what they become.

A class of a few dozen images alone teaches a blurred model. So all classes' images teach one network first,
and each class's own network starts from there and goes on with its own images: still one model for each
class, and all of it within the training fold.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from ehrsynth.errors import NotEnoughData, RequestError
from ehrsynth.generators.base import PrivacySpent
from ehrsynth.imaging.features import resized, to_pixels, to_tensor
from ehrsynth.imaging.folds import TrainFold
from ehrsynth.imaging.image_set import ImageSet, Pixels
from ehrsynth.imaging.models.sampling import Drawn, Posteriors, Sampling, draw
from ehrsynth.imaging.models.training import Training, train
from ehrsynth.imaging.networks.vae import VariationalAutoencoder, working_side
from ehrsynth.imaging.synthetic import NO_PARENTS, SyntheticImages, together
from ehrsynth.imaging.transforms import Augmentation, augmented
from ehrsynth.progress import Progress, part, silent
from ehrsynth.randomness import derived_seed, global_seed, torch_generator
from ehrsynth.schema.columns import Strict

Kind = Literal["class_wise_vae", "conditional_vae"]
_BATCH = 128


class ImageVAE(Strict):
    """A frozen recipe: all settings of a fit, and nothing that was learnt."""

    kind: Kind = "class_wise_vae"
    latent: int = Field(default=32, ge=2, le=512, description="numbers that stand for an image")
    shared_steps: int = Field(default=240, ge=0, le=100_000, description="steps with all classes' images")
    own_steps: int = Field(
        default=160, ge=0, le=100_000, description="further steps with a class's own images"
    )
    batch: int = Field(default=32, ge=2, le=4096, description="images in one step")
    rate: float = Field(default=2e-3, gt=0, le=1, description="highest learning rate")
    beta: float = Field(default=1.0, ge=0, le=100, description="weight of the Kullback-Leibler term")
    warm_up: float = Field(default=0.5, ge=0, le=1, description="share of the steps in which it goes up")
    noise: float = Field(default=0.1, gt=0, le=1, description="what a pixel may miss; 1 is black to white")
    features: float = Field(
        default=0.0, ge=0, le=100, description="weight of the distance in frozen features"
    )
    side: int = Field(default=64, ge=32, le=128, description="most pixels a side that networks work at")
    views: int = Field(default=6, ge=1, le=64, description="times each image stands in the latent space")
    flip: bool = Field(default=True, description="whether left and right may change places")
    flop: bool = Field(default=False, description="whether top and bottom may change places")
    degrees: float = Field(default=10.0, ge=0, le=180, description="largest turn")
    epsilon: float | None = Field(
        default=None, gt=0, le=1000, description="what one patient may change, the most; None: no guarantee"
    )
    delta: float | None = Field(
        default=None, gt=0, lt=1, description="chance of more; default and most: 1 / (10 x public patients)"
    )
    clip: float = Field(
        default=1.0, gt=0, description="largest gradient of a patient; with epsilon, batch is expected"
    )

    @property
    def augmentation(self) -> Augmentation:
        """How images are changed while they teach."""
        return Augmentation(flip=self.flip, flop=self.flop, degrees=self.degrees)

    def training(self, steps: int, *, own: bool) -> Training:
        """How one network is taught; a class's own steps go at half the rate."""
        return Training(
            steps=steps,
            batch=self.batch,
            rate=self.rate / 2 if own else self.rate,
            beta=self.beta,
            warm_up=0.0 if own else self.warm_up,
            noise=self.noise,
            features=self.features,
            augmentation=self.augmentation,
        )

    def fit(self, fold: TrainFold, *, seed: int, progress: Progress | None = None) -> "FittedVAE":
        """Learn the images of a training fold.

        Parameters
        ----------
        fold
            A training side; nothing else is accepted, so that no image that judges can teach.
        seed
            0 or larger; equal seeds give equal models on the same machine.

        Raises
        ------
        RequestError
            If it is no training fold, training diverges, or the recipe has an epsilon.
        NotEnoughData
            If a class has no image.
        """
        if not isinstance(fold, TrainFold):
            raise RequestError("images are learnt from a training fold alone: see ehrsynth.imaging.folds")
        if self.epsilon is not None or self.delta is not None:
            raise RequestError(f"{self.kind} with an epsilon learns through a ledger only: see fit_private")
        images = fold.images
        if (images.counts == 0).any():
            missing = [images.classes[i] for i in np.flatnonzero(images.counts == 0)]
            raise NotEnoughData(f"{self.kind} needs images of every class", [f"class {n!r}" for n in missing])
        return _fit(self, fold, seed, progress or silent)


@dataclass(frozen=True, slots=True, eq=False)
class FittedVAE:
    """A fitted model, which knows where each of its training images lies.

    Parameters
    ----------
    networks
        One for each class; of a conditional model the same one several times.
    posteriors
        For each class; empty where the model may not keep what belongs to single images.
    ids
        For each class the ids of its training images, which `Posteriors.owner` counts.
    views
        For each class the images as they were seen, which `Posteriors` counts: what a reconstruction misses
        of them is the detail that can be put back. None once the model was saved, which holds no image.
    guarantee
        Differential privacy for each patient, as a whole; None where there is none. A model with one holds
        no place, no id and no view of an image.
    """

    recipe: ImageVAE
    classes: tuple[str, ...]
    size: int
    channels: int
    networks: tuple[VariationalAutoencoder, ...]
    posteriors: tuple[Posteriors, ...]
    ids: tuple[tuple[str, ...], ...]
    views: tuple[Tensor, ...] | None
    guarantee: PrivacySpent | None = None

    @property
    def learnt_from(self) -> frozenset[str]:
        """Ids of all images that it was fitted on."""
        return frozenset(i for own in self.ids for i in own)

    def sample(
        self, counts: Mapping[int, int], how: Sampling, *, seed: int, progress: Progress | None = None
    ) -> SyntheticImages:
        """Draw images of some classes.

        Parameters
        ----------
        counts
            Class to how many, at least 1.

        Raises
        ------
        RequestError
            If a count is below 1, detail is asked of a saved model, or parents of one that keeps none.
        """
        if not counts or min(counts.values()) < 1:
            raise RequestError("at least one image of at least one class is drawn")
        if self.guarantee is not None and (how.has_parents or how.detail):
            raise RequestError(
                f"this model was learnt under differential privacy and keeps no image's place: {how.way} "
                "cannot be drawn, nor detail put back; draw from the prior"
            )
        if how.detail and self.views is None:
            raise RequestError(
                "a saved model keeps no detail of its training images: draw with detail 0, or give --data"
            )
        if how.has_parents and not any(len(p.mean) for p in self.posteriors):
            raise RequestError("this model keeps no training image's place: draw from the prior")
        made = [self._of_class(label, n, how, seed) for label, n in counts.items()]
        (progress or silent)(1.0, "images drawn")
        return together(made)

    def _of_class(self, label: int, n: int, how: Sampling, seed: int) -> SyntheticImages:
        generator = torch_generator(seed, self.recipe.kind, "sample", str(label), how.way)
        posteriors = self._posteriors(label)
        drawn = draw(posteriors, n, how, generator)
        # Whole images in floats are a hundred times their latents: they are made and packed a few at a time.
        pixels = np.concatenate(
            [
                self._pixels(label, latents, nearer, how.detail)
                for latents, nearer in zip(
                    torch.split(drawn.latents, _BATCH), torch.split(_nearer(drawn), _BATCH), strict=True
                )
            ]
        )
        if not how.has_parents:
            parents = (NO_PARENTS,) * n
        else:
            ids = self.ids[label]
            first, second = posteriors.owner[drawn.first].tolist(), posteriors.owner[drawn.second].tolist()
            parents = tuple((ids[a], ids[b]) for a, b in zip(first, second, strict=True))
        labels = np.full(n, label, dtype=np.int64)
        return SyntheticImages(pixels, labels, parents, self.learnt_from, drawn.weight.double().numpy())

    def _pixels(self, label: int, latents: Tensor, nearer: Tensor, detail: float) -> Pixels:
        images = resized(self.decode(latents, label), self.size)
        if detail and self.views is not None:
            images = images + detail * self._detail(label, nearer)
        return to_pixels(255 * images)

    def _detail(self, label: int, places: Tensor) -> Tensor:
        """What the reconstructions of some views miss, at the size of the images."""
        if self.views is None:
            message = "a saved model has no views"
            raise ValueError(message)
        back = resized(self.decode(self.posteriors[label].mean[places], label), self.size)
        return self.views[label][places].float() / 255 - back

    def _posteriors(self, label: int) -> Posteriors:
        if self.posteriors:
            return self.posteriors[label]
        latent = self.recipe.latent
        return Posteriors(torch.zeros(1, latent), torch.zeros(1, latent), torch.zeros(1, dtype=torch.int64))

    def encode(self, images: Tensor, label: int, owner: Tensor) -> Posteriors:
        """Where images of one class lie (0 to 1, at their own size); `owner` says which image each is of."""
        means, spreads = list[Tensor](), list[Tensor]()
        with torch.inference_mode():
            for piece in torch.split(images, _BATCH):
                worked = at_working_side(piece, self.recipe.side)
                mean, log_variance = self.networks[label].encode(worked, self._told(label, len(piece)))
                means.append(mean)
                spreads.append(log_variance)
        return Posteriors(torch.cat(means).clone(), torch.cat(spreads).clone(), owner)

    def decode(self, latents: Tensor, label: int) -> Tensor:
        """Images, 0 to 1 at the working side, of latents of one class."""
        return _in_batches(lambda x: self.networks[label].decode(x, self._told(label, len(x))), latents)

    def reconstruct(self, pixels: Pixels, label: int) -> Pixels:
        """Images of one class as the model gives them back."""
        worked = at_working_side(to_tensor(pixels) / 255, self.recipe.side)
        return to_pixels(255 * resized(self._back(worked, label), self.size))

    def _back(self, images: Tensor, label: int) -> Tensor:
        network = self.networks[label]

        def back(batch: Tensor) -> Tensor:
            told = self._told(label, len(batch))
            return network.decode(network.encode(batch, told)[0], told)

        return _in_batches(back, images)

    def _told(self, label: int, n: int) -> Tensor | None:
        return torch.full((n,), label) if self.recipe.kind == "conditional_vae" else None


def _nearer(drawn: Drawn) -> Tensor:
    return torch.where(drawn.weight <= 0.5, drawn.first, drawn.second)  # noqa: PLR2004 - half way


def at_working_side(images: Tensor, most: int) -> Tensor:
    """Images (0 to 1) as the networks take them: at the working side, at most `most`."""
    return resized(images, working_side(min(most, images.shape[-1])))


def _in_batches(work: Callable[[Tensor], Tensor], rows: Tensor) -> Tensor:
    with torch.inference_mode():
        return torch.cat([work(piece) for piece in torch.split(rows, _BATCH)])


def _fit(recipe: ImageVAE, fold: TrainFold, seed: int, progress: Progress) -> FittedVAE:
    images = fold.images
    worked = at_working_side(to_tensor(images.pixels) / 255, recipe.side)
    labels = torch.from_numpy(images.labels)
    conditional = recipe.kind == "conditional_vae"
    classes = len(images.classes)
    made = partial(new_network, recipe, channels=images.channels, side=worked.shape[-1], seed=seed)
    shared = made(classes=classes if conditional else 0)
    steps = recipe.shared_steps + recipe.own_steps if conditional else recipe.shared_steps
    share = steps / max(1, steps + (0 if conditional else classes * recipe.own_steps))
    generator = torch_generator(seed, recipe.kind, "all classes")
    train(
        shared,
        worked,
        labels,
        recipe.training(steps, own=False),
        generator=generator,
        progress=part(progress, 0.0, share),
    )
    networks = []
    for label in range(classes):
        if conditional:
            networks.append(shared.eval())
            continue
        own = made(classes=0)
        own.load_state_dict(shared.state_dict())
        start = share + (1 - share) * label / classes
        train(
            own,
            worked[labels == label],
            None,
            recipe.training(recipe.own_steps, own=True),
            generator=torch_generator(seed, recipe.kind, "class", str(label)),
            progress=part(progress, start, start + (1 - share) / classes),
        )
        networks.append(own.eval())
    return _with_places(recipe, fold, networks, seed)


def new_network(
    recipe: ImageVAE, *, channels: int, side: int, classes: int, seed: int
) -> VariationalAutoencoder:
    """A network with random weights; `classes` is 0 where it is not told the class."""
    with global_seed(derived_seed(seed, recipe.kind, "network")):
        return VariationalAutoencoder(channels=channels, side=side, latent=recipe.latent, classes=classes)


def _with_places(
    recipe: ImageVAE, fold: TrainFold, networks: list[VariationalAutoencoder], seed: int
) -> FittedVAE:
    """The fitted model with every training image's place in the latent space, in several views of it."""
    images = fold.images
    bare = FittedVAE(recipe, images.classes, images.size, images.channels, tuple(networks), (), (), None)
    return placed(bare, images, seed=seed)


def placed(model: FittedVAE, images: ImageSet, *, seed: int) -> FittedVAE:
    """The same model with the places and views of images: of a saved model, which has lost them, again."""
    recipe = model.recipe
    posteriors, ids, views = list[Posteriors](), list[tuple[str, ...]](), list[Tensor]()
    for label in range(len(model.classes)):
        rows = np.flatnonzero(images.labels == label)
        generator = torch_generator(seed, recipe.kind, "views", str(label))
        own = to_tensor(images.pixels[rows]) / 255
        worked, packed = list[Tensor](), list[Tensor]()
        for view in range(recipe.views):
            # One view at a time: all of them in floats take gigabytes where images are large.
            seen = augmented(own, recipe.augmentation, generator) if view else own
            worked.append(at_working_side(seen, recipe.side))
            packed.append((255 * seen).round().to(torch.uint8))
        posteriors.append(
            model.encode(torch.cat(worked), label, torch.arange(len(rows)).repeat(recipe.views))
        )
        ids.append(tuple(images.ids[i] for i in rows))
        views.append(torch.cat(packed))
    return replace(model, posteriors=tuple(posteriors), ids=tuple(ids), views=tuple(views))


def with_views(model: FittedVAE, images: ImageSet, *, seed: int) -> FittedVAE:
    """A saved model with the images that it was fitted on, so that their detail can be put back.

    Raises
    ------
    RequestError
        If some of them are not there; says how many. If the model has a guarantee, which ends where it is
        shown images again.
    """
    if model.guarantee is not None:
        raise RequestError(
            "this model was learnt under differential privacy, and is not shown the images again: leave "
            "--data out"
        )
    known = np.array([i in model.learnt_from for i in images.ids])
    if images.classes != model.classes or len(set(np.array(images.ids)[known])) < len(model.learnt_from):
        found, wanted = len(set(np.array(images.ids)[known])), len(model.learnt_from)
        raise RequestError(
            f"{found} of the {wanted} images that the model was fitted on are in these data: give the same "
            "data, with the same --text and --slices"
        )
    return placed(model, images.at(known), seed=seed)
