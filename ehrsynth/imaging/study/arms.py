"""The arms of the study: what a classifier is taught with. All are compared on equal terms."""

from dataclasses import dataclass
from typing import Literal

Weighting = Literal["none", "class", "sampler"]


@dataclass(frozen=True, slots=True)
class Arm:
    """One way to teach.

    Parameters
    ----------
    name
        In words.
    weighting
        How the imbalance is met: not at all, by weights in the loss that make all classes count alike, or by
        drawing images of small classes more often.
    flips
        Whether images are turned, mirrored, shifted and lit at random: the traditional augmentation.
    synthetic
        Whether images of the class-wise VAE are added.
    smote
        Whether points between neighbours of one class are added in the space of frozen features.
    """

    name: str
    weighting: Weighting = "none"
    flips: bool = False
    synthetic: bool = False
    smote: bool = False


NONE = Arm("none")
CLASS_WEIGHTS = Arm("class weights", weighting="class")
SAMPLER = Arm("weighted sampler", weighting="sampler")
FLIPS = Arm("flips and rotations", flips=True)
SMOTE = Arm("latent SMOTE", smote=True)
VAE = Arm("class-wise VAE", synthetic=True)
VAE_FLIPS = Arm("class-wise VAE, flips and rotations", synthetic=True, flips=True)
VAE_WEIGHTS = Arm("class-wise VAE, class weights", weighting="class", synthetic=True)
GIVEN = Arm("synthetic images given", synthetic=True)

ARMS = (NONE, CLASS_WEIGHTS, SAMPLER, FLIPS, SMOTE, VAE, VAE_FLIPS, VAE_WEIGHTS)
FULL_ARMS = (NONE, CLASS_WEIGHTS, VAE, VAE_FLIPS)
PRIMARY, CONTROL = VAE, CLASS_WEIGHTS  # named before any image is seen
