"""A small diffusion in the latent space of a conditional VAE: opt-in, and behind the memorisation gate.

The latents of training images are noised and a network learns to take the noise off, told the class
(Rombach et al. 2022, arXiv 2112.10752, in the small). Diffusion copies its training images more readily
than a VAE, most of all on small sets (Dar et al. 2024, arXiv 2402.01054): whoever fits one has the gate run
over what it draws, and a model that copies is not handed out.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from ehrsynth.errors import RequestError
from ehrsynth.generators.base import PrivacySpent
from ehrsynth.generators.denoising.network import Denoiser, new_denoiser
from ehrsynth.generators.denoising.noise import Noise, kept
from ehrsynth.imaging.features import resized, to_pixels
from ehrsynth.imaging.folds import TrainFold
from ehrsynth.imaging.models.sampling import Posteriors
from ehrsynth.imaging.models.vae import FittedVAE, ImageVAE
from ehrsynth.imaging.synthetic import NO_PARENTS, SyntheticImages, together
from ehrsynth.progress import Progress, part, silent
from ehrsynth.randomness import derived_seed, torch_generator
from ehrsynth.schema.columns import Strict

_LARGEST_GRADIENT = 1.0


class LatentDiffusion(Strict):
    """A frozen recipe: the autoencoder's, and that of the diffusion in its latent space."""

    kind: Literal["latent_diffusion"] = "latent_diffusion"
    vae: ImageVAE = ImageVAE(kind="conditional_vae")
    training_steps: int = Field(default=2_000, ge=1, le=1_000_000, description="steps of the diffusion")
    batch: int = Field(default=128, ge=2, le=100_000, description="latents in one step")
    rate: float = Field(default=1e-3, gt=0, le=1, description="learning rate")
    width: int = Field(default=128, ge=8, le=4096, description="units of a layer")
    depth: int = Field(default=3, ge=1, le=20, description="blocks of the network")
    steps: int = Field(default=100, ge=2, le=10_000, description="steps from noise to a latent")

    def fit(self, fold: TrainFold, *, seed: int, progress: Progress | None = None) -> "FittedLatentDiffusion":
        """Learn the images of a training fold; see `ImageVAE.fit`."""
        report = progress or silent
        vae = self.vae.fit(fold, seed=seed, progress=part(report, 0.0, 0.7))
        posteriors, labels = _all(vae.posteriors)
        mean, scale = posteriors.mean.mean(dim=0), posteriors.mean.std(dim=0).clamp_min(1e-3)
        network = new_denoiser(
            [len(vae.classes)],
            self.vae.latent,
            width=self.width,
            depth=self.depth,
            seed=derived_seed(seed, self.kind, "network"),
        )
        generator = torch_generator(seed, self.kind, "training")
        _train(self, network, posteriors, labels, (mean, scale), generator, part(report, 0.7, 1.0))
        return FittedLatentDiffusion(self, vae, network.eval(), mean, scale)


def _all(parts: tuple[Posteriors, ...]) -> tuple[Posteriors, Tensor]:
    """The places of all training images, and their classes."""
    labels = [torch.full((len(p.mean),), label) for label, p in enumerate(parts)]
    joined = (torch.cat([p[i] for p in parts]) for i in range(3))
    return Posteriors(*joined), torch.cat(labels)


def _train(  # noqa: PLR0913, PLR0917 - the parts of one loop
    recipe: LatentDiffusion,
    network: Denoiser,
    posteriors: Posteriors,
    labels: Tensor,
    scaling: tuple[Tensor, Tensor],
    generator: torch.Generator,
    progress: Progress,
) -> None:
    noise, (mean, scale) = Noise(network.sizes, generator), scaling
    shares = 1 / torch.bincount(labels).float()[labels]
    optimiser = torch.optim.AdamW(network.parameters(), lr=recipe.rate, weight_decay=0.0)
    for step in range(recipe.training_steps):
        rows = torch.multinomial(shares, recipe.batch, replacement=True, generator=generator)
        spread = noise.normal(len(rows), len(mean)) * (0.5 * posteriors.log_variance[rows]).exp()
        latents = (posteriors.mean[rows] + spread - mean) / scale
        time = (torch.arange(len(rows)) + noise.uniform(len(rows))) / len(rows)
        left = kept(time)
        noisy, added = noise.fade_numbers(latents, left)
        _, velocity = network(labels[rows][:, None], noisy, time)
        wanted = left.sqrt()[:, None] * added - (1 - left).sqrt()[:, None] * latents
        loss = (velocity - wanted).square().sum(dim=1).mean()
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), _LARGEST_GRADIENT)
        optimiser.step()
        if step % 100 == 0:
            progress(step / recipe.training_steps, f"diffusion: step {step + 1} of {recipe.training_steps}")


@dataclass(frozen=True, slots=True, eq=False)
class FittedLatentDiffusion:
    """A fitted model: the autoencoder, the network that takes noise off, and the scale of the latents."""

    recipe: LatentDiffusion
    vae: FittedVAE
    network: Denoiser
    mean: Tensor
    scale: Tensor

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes."""
        return self.vae.classes

    @property
    def guarantee(self) -> PrivacySpent | None:
        """There is none: no private form is known to this project."""
        return None

    @property
    def learnt_from(self) -> frozenset[str]:
        """Ids of all images that it was fitted on."""
        return self.vae.learnt_from

    def sample(
        self, counts: Mapping[int, int], *, seed: int, progress: Progress | None = None
    ) -> SyntheticImages:
        """Draw images of some classes: class to how many. They have no parents, and descend from all."""
        if not counts or min(counts.values()) < 1:
            raise RequestError("at least one image of at least one class is drawn")
        report, made = progress or silent, []
        for place, (label, n) in enumerate(counts.items()):
            latents = self._latents(label, n, torch_generator(seed, self.recipe.kind, "sample", str(label)))
            images = resized(self.vae.decode(latents, label), self.vae.size)
            none = np.full(n, np.nan)
            made.append(
                SyntheticImages(
                    to_pixels(255 * images), np.full(n, label), (NO_PARENTS,) * n, self.learnt_from, none
                )
            )
            report((place + 1) / len(counts), "images drawn")
        return together(made)

    def _latents(self, label: int, n: int, generator: torch.Generator) -> Tensor:
        noise = Noise(self.network.sizes, generator)
        numbers, told = noise.normal(n, len(self.mean)), torch.full((n, 1), label)
        times = torch.linspace(1, 0, self.recipe.steps + 1)
        left = [float(share) for share in kept(times.double())]
        with torch.inference_mode():
            for step, time in enumerate(times[:-1]):
                now, before = left[step], left[step + 1]
                _, velocity = self.network(told, numbers, time.expand(n))
                first = now**0.5 * numbers - (1 - now) ** 0.5 * velocity
                numbers = noise.numbers_before(numbers, first, now, before)
        return numbers * self.scale + self.mean
