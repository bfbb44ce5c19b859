"""What a study does: every setting, frozen, so that a study can be repeated, compared and resumed."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Self

import numpy as np
from pydantic import Field, model_validator

from ehrsynth.errors import RequestError, unknown
from ehrsynth.files import canonical_json
from ehrsynth.imaging.features import feature_side
from ehrsynth.imaging.image_set import ImageSet, minority_classes
from ehrsynth.imaging.models.sampling import HIGH, LOW, Sampling
from ehrsynth.imaging.models.vae import ImageVAE
from ehrsynth.imaging.networks.classifiers import NAMES, SMALL
from ehrsynth.imaging.networks.weights import read_weights
from ehrsynth.schema.columns import Strict

Classifier = Literal["frozen", "resnet18_small", "resnet50", "efficientnet_v2_s"]
WEIGHTS = ("0.25", "0.5", "0.75", "0.25 to 0.75")
RATIOS = (0.5, 1.0, 2.0, 5.0)
LATENTS = (16, 32, 64)
STEPS = 300  # of a classifier that is taught whole


class Mix(Strict):
    """How synthetic images are mixed in.

    `even`: every class gets as many, so that being synthetic tells nothing of the class; else small classes
    are filled up to the largest, as in the source paper. `share` is their weight as a part of that of the
    real ones.
    """

    even: bool = True
    share: float = Field(default=1.0, gt=0, le=5)
    detail: float = Field(default=1.0, ge=0, le=1)

    @property
    def words(self) -> str:
        """For the report."""
        way = "as many for every class" if self.even else "small classes filled up to the largest"
        kept = f", {self.detail:.0%} of the nearer parent's detail kept" if self.detail else ""
        return f"{way}, together {self.share:g} times the weight of the real ones{kept}"


MIXES = tuple(
    Mix(even=even, share=share, detail=detail)
    for even, share, detail in (
        (True, 1.0, 1.0),
        (True, 2.0, 1.0),
        (True, 0.5, 1.0),
        (True, 1.0, 0.0),
        (False, 1.0, 1.0),
    )
)


class StudyPlan(Strict):
    """The settings of a study."""

    classifier: Classifier = "frozen"
    folds: int = Field(default=3, ge=2, le=20)
    seeds: int = Field(default=3, ge=1, le=20)
    first_fold_only: bool = False
    seed: int = Field(default=0, ge=0)
    cut: dict[str, int] = Field(default_factory=dict, description="class to most training images")
    model: ImageVAE = ImageVAE(shared_steps=160, own_steps=80)
    mixes: tuple[Mix, ...] = Field(default=MIXES, min_length=1, description="the first is the default")
    ratio: float = Field(default=2.0, gt=0, le=20, description="synthetic images for each real one")
    tuned: bool = Field(default=True, description="whether settings are chosen by an inner split")
    sweeps: bool = True
    low: float = Field(default=LOW, ge=0, le=1)
    high: float = Field(default=HIGH, ge=0, le=1)
    way: Literal["interpolation", "spherical"] = "interpolation"
    copies: int = Field(default=3, ge=1, le=20, description="changed copies of each image, frozen features")
    side: int | None = Field(default=None, ge=28, le=256, description="pixels a side that classifiers see")
    steps: int = Field(default=STEPS, ge=1, le=1_000_000, description="steps of a classifier taught whole")
    batch: int = Field(default=32, ge=2, le=1024)
    rate: float = Field(default=1e-3, gt=0, le=1)
    weights: str | None = Field(default=None, description="a file of weights that classifiers start from")

    @model_validator(mode="after")
    def _weights_go_up(self) -> Self:
        if self.low > self.high:
            message = f"weights from {self.low:g} to {self.high:g}: they go up"
            raise ValueError(message)
        return self

    def minority(self, images: ImageSet) -> tuple[int, ...]:
        """The classes that the study is about: the same in every split, whatever a split happens to hold."""
        taught = images.counts * (self.folds - 1) / self.folds
        cut = [self.cut.get(name, np.inf) for name in images.classes]
        return minority_classes(np.minimum(taught, cut))

    def side_for(self, size: int) -> int:
        """The side at which a classifier sees images of `size` pixels; frozen features need 64."""
        if self.side is not None:
            return self.side
        return feature_side(size) if self.classifier == "frozen" else size

    def sampling(self, mix: Mix) -> Sampling:
        """How the study's synthetic images are drawn."""
        return Sampling(way=self.way, low=self.low, high=self.high, detail=mix.detail)

    def per_class(self, images: ImageSet, ratio: float | None = None) -> int:
        """How many synthetic images every class gets where it is even."""
        wanted = self.ratio if ratio is None else ratio
        return max(1, round(wanted * len(images) / len(images.classes)))

    def most_of_a_class(self, images: ImageSet) -> int:
        """How many synthetic images of a class any mix needs."""
        counts = images.counts
        return max(self.per_class(images), int(counts.max() - counts.min()), 1)

    def hash(self) -> str:
        """Hex SHA-256 of the settings."""
        return hashlib.sha256(canonical_json(self.model_dump(mode="json"))).hexdigest()


def quick_plan(
    *,
    folds: int,
    seeds: int,
    seed: int,
    cut: Mapping[str, int] | None = None,
    any_side_up: bool = False,
    generator: str = "class_wise_vae",
) -> StudyPlan:
    """The study on frozen features: every arm, in minutes.

    Raises
    ------
    RequestError
        If the generator is none that knows where training images lie.
    """
    if generator not in {"class_wise_vae", "conditional_vae"}:
        raise RequestError(
            unknown("image model of a study", generator, ["class_wise_vae", "conditional_vae"])
        )
    model = ImageVAE.model_validate({"kind": generator, "shared_steps": 160, "own_steps": 80})
    if any_side_up:
        model = model.model_copy(update={"flop": True, "degrees": 180.0})
    return StudyPlan(folds=folds, seeds=seeds, seed=seed, cut=dict(cut or {}), model=model)


def check_classifier(classifier: str | None, weights: Path | None) -> None:
    """Raise before an hour of work if a classifier is not known, or its weights cannot be read.

    Raises
    ------
    RequestError, ModelError
        See `ehrsynth.imaging.networks`.
    """
    if classifier is not None and classifier not in NAMES:
        raise RequestError(unknown("classifier", classifier, NAMES))
    if weights is not None:
        read_weights(weights)


def whole_plan(
    plan: StudyPlan,
    classifier: str | None,
    *,
    weights: Path | None = None,
    steps: int = STEPS,
    side: int | None = None,
    size: int,
) -> StudyPlan:
    """The same with a classifier that is taught whole: fewer arms, the first fold of each seed.

    `size` is that of the images; where no classifier is named, small ones get the small stem.
    """
    chosen = classifier or ("resnet18_small" if (side or size) < SMALL else "resnet50")
    changed = {
        "classifier": chosen,
        "weights": None if weights is None else str(weights),
        "steps": steps,
        "side": side,
        "first_fold_only": True,
        "seeds": max(2, plan.seeds),
        "tuned": False,
        "sweeps": False,
    }
    return StudyPlan.model_validate(plan.model_dump() | changed)
