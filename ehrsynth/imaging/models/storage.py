"""A fitted image model as a folder: JSON, safetensors and a seal. Loading it runs no code.

It holds the places of the training images in the latent space and their ids, and so is as confidential as
they are; their pixels and their detail it does not hold. A model under differential privacy holds neither,
and no count of them: only weights, its guarantee, and what was public.
"""

import json
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from ehrsynth.errors import ModelError
from ehrsynth.files import canonical_json, check_seal, plain, seal, whole_folder
from ehrsynth.generators.base import PrivacySpent
from ehrsynth.generators.denoising.network import new_denoiser
from ehrsynth.imaging.models.latent_diffusion import FittedLatentDiffusion, LatentDiffusion
from ehrsynth.imaging.models.sampling import Posteriors
from ehrsynth.imaging.models.vae import FittedVAE, ImageVAE, new_network
from ehrsynth.imaging.networks.vae import VariationalAutoencoder, working_side

Fitted = FittedVAE | FittedLatentDiffusion
FORMAT = 1
MODEL, WEIGHTS = "model.json", "weights.safetensors"
_DAMAGE = (KeyError, IndexError, TypeError, ValueError, RuntimeError, AttributeError)


def save_image_model(fitted: Fitted, folder: Path | str, *, facts: Mapping[str, Any]) -> None:
    """Write a model, whole or not at all; `facts` are kept beside it, for instance what the gate said.

    Raises
    ------
    OutputError
        If the folder exists and is not empty, or cannot be written.
    """
    vae = fitted.vae if isinstance(fitted, FittedLatentDiffusion) else fitted
    arrays = _vae_arrays(vae)
    if isinstance(fitted, FittedLatentDiffusion):
        arrays |= {f"diffusion.{name}": value for name, value in fitted.network.state_dict().items()}
        arrays |= {"latent.mean": fitted.mean, "latent.scale": fitted.scale}
    model = {
        "format": FORMAT,
        "ehrsynth": version("ehrsynth"),
        "recipe": fitted.recipe.model_dump(mode="json"),
        "classes": list(vae.classes),
        "size": vae.size,
        "channels": vae.channels,
        "ids": [list(own) for own in vae.ids],
        "guarantee": None if vae.guarantee is None else vae.guarantee.as_json(),
        "facts": plain(facts),
    }
    with whole_folder(folder) as draft:
        (draft / MODEL).write_bytes(canonical_json(model))
        save_file(
            {name: value.detach().clone().contiguous() for name, value in arrays.items()}, draft / WEIGHTS
        )
        seal(draft)


def _vae_arrays(vae: FittedVAE) -> dict[str, Tensor]:
    own = vae.networks[:1] if vae.recipe.kind == "conditional_vae" else vae.networks
    arrays = {f"network.{k}.{n}": v for k, net in enumerate(own) for n, v in net.state_dict().items()}
    for label, found in enumerate(vae.posteriors):
        arrays |= {f"place.{label}.{name}": value for name, value in found._asdict().items()}
    return arrays


def load_image_model(folder: Path | str) -> tuple[Fitted, dict[str, Any]]:
    """Read a model back, with the facts that were kept beside it.

    Raises
    ------
    ModelError
        If the folder is foreign, changed, of a newer format, or its parts do not fit together.
    """
    folder = Path(folder)
    check_seal(folder)
    try:
        model = json.loads((folder / MODEL).read_bytes())
        arrays = load_file(folder / WEIGHTS)
    except (OSError, ValueError, SafetensorError) as error:
        message = f"{folder} is no image model, or a damaged one: use an intact copy, or fit again"
        raise ModelError(message) from error
    if not isinstance(model, dict) or model.get("format") != FORMAT or "recipe" not in model:
        raise ModelError(f"{folder} is no image model of this version")
    if not all(torch.isfinite(value).all() for value in arrays.values() if value.is_floating_point()):
        raise ModelError(f"{folder} cannot be loaded: its weights are no numbers")
    try:
        return _rebuilt(model, arrays), dict(model["facts"])
    except (ValidationError, *_DAMAGE) as error:
        message = f"{folder} cannot be loaded: its parts do not fit together ({type(error).__name__})"
        raise ModelError(message) from error


def _rebuilt(model: Mapping[str, Any], arrays: Mapping[str, Tensor]) -> Fitted:
    if model["recipe"]["kind"] != "latent_diffusion":
        return _vae(ImageVAE.model_validate(model["recipe"]), model, arrays)
    recipe = LatentDiffusion.model_validate(model["recipe"])
    vae = _vae(recipe.vae, model, arrays)
    network = new_denoiser(
        [len(vae.classes)], recipe.vae.latent, width=recipe.width, depth=recipe.depth, seed=0
    )
    network.load_state_dict(_under("diffusion.", arrays))
    return FittedLatentDiffusion(recipe, vae, network.eval(), arrays["latent.mean"], arrays["latent.scale"])


def _vae(recipe: ImageVAE, model: Mapping[str, Any], arrays: Mapping[str, Tensor]) -> FittedVAE:
    classes, size, channels = tuple(map(str, model["classes"])), int(model["size"]), int(model["channels"])
    conditional = recipe.kind == "conditional_vae"
    side, networks = working_side(min(size, recipe.side)), list[VariationalAutoencoder]()
    for place in range(1 if conditional else len(classes)):
        told = len(classes) if conditional else 0
        network = new_network(recipe, channels=channels, side=side, classes=told, seed=0)
        network.load_state_dict(_under(f"network.{place}.", arrays))
        networks.append(network.eval())
    given = model["guarantee"]
    return FittedVAE(
        recipe,
        classes,
        size,
        channels,
        tuple(networks * len(classes) if conditional else networks),
        tuple(
            Posteriors(**{name: arrays[f"place.{label}.{name}"] for name in Posteriors._fields})
            for label in range(len(classes))
            if f"place.{label}.mean" in arrays
        ),
        tuple(tuple(map(str, own)) for own in model["ids"]),
        None,
        None if given is None else PrivacySpent.from_json(given),
    )


def _under(prefix: str, arrays: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in arrays.items() if name.startswith(prefix)}
