"""What a study does: every setting, frozen, so that a study can be repeated, compared and resumed."""

import hashlib
from typing import Literal, Self

from pydantic import Field, model_validator

from ehrsynth.files import canonical_json
from ehrsynth.imaging.features import feature_side
from ehrsynth.imaging.image_set import ImageSet
from ehrsynth.imaging.models.sampling import HIGH, LOW, Sampling
from ehrsynth.imaging.models.vae import ImageVAE
from ehrsynth.schema.columns import Strict

Classifier = Literal["frozen", "resnet18_small", "resnet50", "efficientnet_v2_s"]
WEIGHTS = ("0.25", "0.5", "0.75", "0.25 to 0.75")
RATIOS = (0.5, 1.0, 2.0, 5.0)
LATENTS = (16, 32, 64)


class Mix(Strict):
    """How synthetic images are mixed in.

    `even`: every class gets as many, so that being synthetic tells nothing of the class; else small classes
    are filled up to the largest, as in the source paper. `share` is their weight as a part of that of the
    real ones.
    """

    even: bool = True
    share: float = Field(default=0.5, gt=0, le=5)
    detail: float = Field(default=0.0, ge=0, le=1)

    @property
    def words(self) -> str:
        """For the report."""
        way = "as many for every class" if self.even else "small classes filled up to the largest"
        kept = f", {self.detail:.0%} of the nearer parent's detail kept" if self.detail else ""
        return f"{way}, together {self.share:g} times the weight of the real ones{kept}"


MIXES = tuple(
    Mix(even=even, share=share, detail=detail)
    for even, share, detail in (
        (True, 0.5, 1.0),
        (True, 1.0, 1.0),
        (True, 0.25, 1.0),
        (True, 0.5, 0.0),
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
    steps: int = Field(default=300, ge=1, le=1_000_000, description="steps of a classifier taught whole")
    batch: int = Field(default=32, ge=2, le=1024)
    rate: float = Field(default=1e-3, gt=0, le=1)
    weights: str | None = Field(default=None, description="a file of weights that classifiers start from")

    @model_validator(mode="after")
    def _weights_go_up(self) -> Self:
        if self.low > self.high:
            message = f"weights from {self.low:g} to {self.high:g}: they go up"
            raise ValueError(message)
        return self

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
