"""Fitting a model that is kept: on a training side, with a holdout for the memorisation gate."""

from collections.abc import Callable, Mapping
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
from ehrsynth.imaging.models.private import fit_private
from ehrsynth.imaging.models.sampling import Sampling
from ehrsynth.imaging.models.vae import FittedVAE, ImageVAE
from ehrsynth.imaging.patient_images import PatientImages, PublicImages
from ehrsynth.imaging.synthetic import SyntheticImages
from ehrsynth.progress import Progress, part, silent
from ehrsynth.randomness import numpy_generator

KINDS = ("class_wise_vae", "conditional_vae", "latent_diffusion")
FOLDS = 5
_SIDES = 2  # the side that teaches, and that which is held out
_GATED = 400
PRIVATE_KINDS = ("class_wise_vae", "conditional_vae")
NO_PRIVATE_FORM = (
    f"latent_diffusion has no differentially private form; those that do: {', '.join(PRIVATE_KINDS)}"
)
# Noise of a step is shared by all who take part in it, so private steps are few and large.
_PRIVATE_DEFAULTS = {"batch": 256}
NOT_LOOKED_FOR = (
    "copies were not looked for, because that looks at patients: the guarantee bounds what the images tell of"
    " any one of them"
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
        If the name or a setting is not known or does not fit, differential privacy is asked of a kind that
        has no private form, a budget is given twice, or delta without epsilon.
    """
    if name not in KINDS:
        raise RequestError(unknown("image model", name, KINDS))
    given = _with_budget(name, dict(settings or {}), epsilon, delta)
    kind = LatentDiffusion if name == "latent_diffusion" else ImageVAE
    known = [field for field in kind.model_fields if field != "kind"]
    if strange := [unknown(f"setting of {name}", key, known) for key in given if key not in known]:
        raise RequestError("\n".join(strange))
    try:
        if name == "latent_diffusion":
            return LatentDiffusion.model_validate(given)
        return ImageVAE.model_validate({"kind": name} | given)
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, p['loc']))}: {p['msg']}" for p in error.errors()]
        raise RequestError(f"{name} cannot be set so: {'; '.join(problems)}") from error


def _with_budget(
    name: str, given: dict[str, object], epsilon: float | None, delta: float | None
) -> dict[str, object]:
    asked = {key: value for key, value in (("epsilon", epsilon), ("delta", delta)) if value is not None}
    twice = sorted(asked.keys() & given.keys())
    if twice:
        raise RequestError(f"{' and '.join(twice)} is given twice: as an option and with --set")
    given = given | asked
    if not {"epsilon", "delta"} & given.keys():
        return given
    if name not in PRIVATE_KINDS:
        raise RequestError(NO_PRIVATE_FORM)
    if given.get("epsilon") is None:
        raise RequestError("delta belongs to an epsilon, and none is given: say --epsilon too")
    return _PRIVATE_DEFAULTS | given


def fit_kept_privately(
    read: Callable[[], PatientImages],
    recipe: ImageVAE,
    public: PublicImages,
    *,
    seed: int | None = None,
    progress: Progress | None = None,
) -> Kept:
    """Fit all patients within the recipe's epsilon; see `models.private.fit_private`.

    Nothing is held out and no gate is asked: both look at patients beside the ledger, and who is held out for
    balanced folds depends on all others. The facts are what was public before, and no count.
    """
    model = fit_private(read, recipe, public, seed=seed, progress=progress)
    return Kept(model, None, {"copies": NOT_LOOKED_FOR, "public": asdict(public)})


def fit_kept(
    images: ImageSet, recipe: ImageVAE | LatentDiffusion, *, seed: int, progress: Progress | None = None
) -> Kept:
    """Fit four fifths of the patients, and hold what is drawn against the others.

    Where a class has fewer than five patients a larger share is held out, so that one of them is.

    Raises
    ------
    NotEnoughData
        If a class has one patient alone; names the class.
    Refused
        If a diffusion copies its training images, or it cannot be told whether it does: it is not handed out.
    """
    report = progress or silent
    fold = split_folds(images, folds=_folds(images), seed=seed)[0]
    model = recipe.fit(fold.train, seed=seed, progress=part(report, 0.0, 0.85))
    train, holdout = fold.train.images, fold.test.images
    report(0.85, "looking for copies")
    gate = None
    if len(holdout) >= FEWEST:
        counts = dict.fromkeys(range(len(images.classes)), max(1, _GATED // len(images.classes)))
        made = draw(model, counts, seed=seed)
        # At random: images come class by class, and the first would leave the last class without a control.
        rows = np.sort(numpy_generator(seed, "gate").permutation(len(holdout))[:_GATED])
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


def _folds(images: ImageSet) -> int:
    patients = [len(np.unique(images.patients[images.labels == k])) for k in range(len(images.classes))]
    alone = [f"class {name!r}" for name, n in zip(images.classes, patients, strict=True) if n < _SIDES]
    if alone:
        raise NotEnoughData(
            "images of one patient or source cannot both teach a model and be held out to look for copies: "
            "leave the class out, or merge it with another",
            alone,
        )
    return min(FOLDS, *patients)


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
