"""Classifiers that are trained whole: torchvision's two, and a ResNet-18 with a small stem for small images.

A stem that shrinks an image fourfold leaves little of one of 28 or 64 pixels: there the first convolution is
3 x 3 with stride 1 and nothing is pooled (He et al. 2016, arXiv 1512.03385, section 4.2).
"""

from pathlib import Path

from torch import nn

from ehrsynth.errors import MissingPackage, RequestError, unknown
from ehrsynth.imaging.networks.weights import put_weights, read_weights
from ehrsynth.randomness import global_seed

NAMES = ("resnet18_small", "resnet50", "efficientnet_v2_s")
SMALL = 128  # pixels below which `resnet18_small` is meant
_LAST = {"resnet18_small": "fc.", "resnet50": "fc.", "efficientnet_v2_s": "classifier.1."}


def classifier(name: str, *, classes: int, seed: int, weights: Path | str | None = None) -> nn.Module:
    """A network that gives `classes` scores for images (n x 3 x height x width).

    Parameters
    ----------
    name
        One of `NAMES`.
    seed
        For the weights that it starts from.
    weights
        A file of weights to start from; the last layer may be of another number of classes. Without one the
        network starts at random: nothing is downloaded.

    Raises
    ------
    RequestError
        If the name is not known.
    ModelError
        If the weights cannot be read or do not fit.
    MissingPackage
        If torchvision is not installed.
    """
    try:
        from torchvision import models
    except ImportError as error:
        raise MissingPackage("training a classifier", "imaging") from error
    if name not in NAMES:
        raise RequestError(unknown("classifier", name, NAMES))
    with global_seed(seed):  # torchvision draws its first weights from the global state
        if name == "resnet18_small":
            network = _small_stem(models.resnet18(weights=None, num_classes=classes))
        elif name == "resnet50":
            network = models.resnet50(weights=None, num_classes=classes)
        else:
            network = models.efficientnet_v2_s(weights=None, num_classes=classes)
    if weights is not None:
        put_weights(network, read_weights(weights), _LAST[name])
    return network


def _small_stem(network: nn.Module) -> nn.Module:
    network.conv1 = nn.Conv2d(3, 64, kernel_size=3, stride=1, padding=1, bias=False)
    nn.init.kaiming_normal_(network.conv1.weight, mode="fan_out", nonlinearity="relu")
    network.maxpool = nn.Identity()
    return network
