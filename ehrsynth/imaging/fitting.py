"""Fitting a model that is kept: on a training side, with a holdout for the memorisation gate."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from pydantic import ValidationError

from ehrsynth.errors import NotEnoughData, Refused, RequestError, unknown
from ehrsynth.imaging.features import feature_side
from ehrsynth.imaging.folds import split_folds
from ehrsynth.imaging.image_set import ImageSet
from ehrsynth.imaging.measures.memorisation import FEWEST, Memorisation, memorisation
from ehrsynth.imaging.models.latent_diffusion import FittedLatentDiffusion, LatentDiffusion
from ehrsynth.imaging.models.sampling import Sampling
from ehrsynth.imaging.models.vae import FittedVAE, ImageVAE
from ehrsynth.imaging.synthetic import SyntheticImages
from ehrsynth.progress import Progress, part, silent

KINDS = ("class_wise_vae", "conditional_vae", "latent_diffusion")
FOLDS = 5
_GATED = 400
NO_PRIVATE_FORM = (
    "images have no private form in this version: leave --epsilon out, and use them inside the hospital"
)


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """A fitted model, the gate's answer about what it draws, and facts to keep beside it."""

    model: FittedVAE | FittedLatentDiffusion
    gate: Memorisation | None
    facts: dict[str, Any]


def image_recipe(
    name: str,
    settings: Mapping[str, object] | None = None,
    *,
    epsilon: float | None = None,
    delta: float | None = None,
) -> ImageVAE | LatentDiffusion:
    """The recipe of a kind of model, with settings that differ from its defaults.

    Raises
    ------
    RequestError
        If the name or a setting is not known or does not fit, or differential privacy is asked of a kind that
        has no private form.
    """
    if name not in KINDS:
        raise RequestError(unknown("image model", name, KINDS))
    if epsilon is not None or delta is not None:
        raise RequestError(NO_PRIVATE_FORM)
    try:
        if name == "latent_diffusion":
            return LatentDiffusion.model_validate(dict(settings or {}))
        return ImageVAE.model_validate({"kind": name} | dict(settings or {}))
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, p['loc']))}: {p['msg']}" for p in error.errors()]
        raise RequestError(f"{name} cannot be set so: {'; '.join(problems)}") from error


def fit_kept(
    images: ImageSet, recipe: ImageVAE | LatentDiffusion, *, seed: int, progress: Progress | None = None
) -> Kept:
    """Fit four fifths of the patients, and hold what is drawn against the others.

    Raises
    ------
    NotEnoughData
        If a class has too few patients for it.
    Refused
        If a diffusion copies its training images, or it cannot be told whether it does: it is not handed out.
    """
    report = progress or silent
    fold = split_folds(images, folds=FOLDS, seed=seed)[0]
    model = recipe.fit(fold.train, seed=seed, progress=part(report, 0.0, 0.85))
    train, holdout = fold.train.images, fold.test.images
    report(0.85, "looking for copies")
    gate = None
    if len(holdout) >= FEWEST:
        counts = dict.fromkeys(range(len(images.classes)), max(1, _GATED // len(images.classes)))
        made = draw(model, counts, seed=seed)
        rows = np.arange(len(holdout))[:_GATED]
        gate = memorisation(
            train.pixels, holdout.pixels[rows], made.pixels, side=feature_side(images.size), seed=seed
        )
    if isinstance(model, FittedLatentDiffusion):
        _refuse_copies(gate, len(holdout))
    report(1.0, "fitted")
    facts = {
        "images": len(train),
        "held_out": len(holdout),
        "gate": None if gate is None else asdict(gate) | {"closest": None},
        "copies": in_words(gate, len(holdout)),
    }
    return Kept(model, gate, facts)


def draw(
    model: FittedVAE | FittedLatentDiffusion,
    counts: dict[int, int],
    *,
    seed: int,
    how: Sampling | None = None,
    progress: Progress | None = None,
) -> SyntheticImages:
    """Draw images from any kind of model; `how` is for those that know where training images lie."""
    if isinstance(model, FittedLatentDiffusion):
        return model.sample(counts, seed=seed, progress=progress)
    default = Sampling() if model.posteriors else Sampling(way="prior")
    return model.sample(counts, how or default, seed=seed, progress=progress)


def _refuse_copies(gate: Memorisation | None, holdout: int) -> None:
    if gate is None:
        raise NotEnoughData(f"the memorisation gate needs {FEWEST} held-out images; {holdout} are here")
    if gate.passed is not True:
        raise Refused(f"the diffusion is not handed out: {in_words(gate, holdout)}")


def in_words(gate: Memorisation | None, holdout: int) -> str:
    """What the gate said."""
    if gate is None:
        return f"whether it copies was not measurable: {holdout} held-out images, {FEWEST} are needed"
    if gate.passed is None:
        return f"whether it copies was not measurable: {gate.reason}"
    share = f"{gate.copied.value:.1%} of its images are nearly a training image"
    return f"{share} ({gate.copied.low:.1%} to {gate.copied.high:.1%})"
