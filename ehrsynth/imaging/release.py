"""What may be done with synthetic images: to teach inside, yes; to share, under a guarantee.

Images that were drawn are written with their origin. For use inside they carry their parents, so that a study
can refuse them where a parent judges; for sharing they carry nothing that points at a real image.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from ehrsynth.errors import DataError, OutputError, ReleaseBlocked
from ehrsynth.files import whole_file, whole_folder
from ehrsynth.generators.base import PrivacySpent
from ehrsynth.imaging.synthetic import ORIGIN, SyntheticImages

_SHARED = {"images", "labels", "classes", "origin"}


@dataclass(frozen=True, slots=True)
class Sharing:
    """How images are meant to be used.

    Parameters
    ----------
    shared
        Whether they are to leave the hospital.
    override
        Why they may leave without a guarantee: who decided, in words; it is written beside them.
    allowed_without_guarantee
        Whether the policy allows it at all.
    epsilon_cap
        The largest epsilon under which the policy lets images leave.
    """

    shared: bool = False
    override: str = ""
    allowed_without_guarantee: bool = False
    epsilon_cap: float = math.inf


def check_sharing(sharing: Sharing, guarantee: PrivacySpent | None, copies: str) -> None:
    """Raise if images may not be used as they are meant to.

    Parameters
    ----------
    copies
        What the memorisation gate said of the model, in words.

    Raises
    ------
    ReleaseBlocked
        If they are to be shared without differential privacy, or with a guarantee that does not hold or is
        above the policy's cap, and nobody took it upon themselves.
    """
    if not sharing.shared or sharing.allowed_without_guarantee or sharing.override:
        return
    why = _weakness(sharing, guarantee)
    if not why:
        return
    raise ReleaseBlocked(
        f"blocked: these images have {why}, so they may not be shared",
        [
            copies,
            "they may teach classifiers wherever the real images may be used: leave --share out",
            "fit with --epsilon, or say --override with the reason and who decided",
        ],
    )


def _weakness(sharing: Sharing, guarantee: PrivacySpent | None) -> str:
    if guarantee is None:
        return "no formal guarantee"
    if guarantee.void:
        return f"no formal guarantee ({guarantee.void})"
    if guarantee.epsilon > sharing.epsilon_cap:
        return f"a guarantee of epsilon {guarantee.epsilon:.4g}, above the policy's {sharing.epsilon_cap:g}"
    return ""


def write_images(
    images: SyntheticImages, classes: Sequence[str], out: Path, *, sharing: Sharing, facts: dict[str, Any]
) -> None:
    """Write images as an npz, or as a folder of PNG with a folder for each class.

    Raises
    ------
    OutputError
        If the name is taken or cannot be written.
    """
    kept = facts | {"origin": ORIGIN, "shared": sharing.shared, "override": sharing.override}
    if out.suffix == ".npz":
        if out.exists():
            raise OutputError(f"{out} exists already: name another file")
        _write_archive(images, classes, out, shared=sharing.shared, facts=kept)
        return
    with whole_folder(out) as draft:
        mark = PngInfo()
        mark.add_text("Comment", ORIGIN)
        for place, (pixels, label) in enumerate(zip(images.pixels, images.labels, strict=True)):
            folder = draft / classes[label]
            folder.mkdir(exist_ok=True)
            plain = pixels[..., 0] if pixels.shape[2] == 1 else pixels
            Image.fromarray(plain).save(folder / f"synthetic-{place + 1:05d}.png", pnginfo=mark)
        (draft / "origin.json").write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")
    if not sharing.shared:
        out.chmod(0o700)


def _write_archive(
    images: SyntheticImages, classes: Sequence[str], out: Path, *, shared: bool, facts: dict[str, Any]
) -> None:
    pixels = images.pixels[..., 0] if images.pixels.shape[3] == 1 else images.pixels
    arrays = {
        "images": pixels,
        "labels": images.labels,
        "classes": np.array(classes),
        "origin": np.array([json.dumps(facts)]),
    }
    # A private model does not say what it was fitted on, and its images cannot stand up in a study.
    if not shared and images.learnt_from:
        arrays |= {
            "parents": np.array(images.parents),
            "weights": images.weights,
            "learnt_from": np.array(sorted(images.learnt_from)),
        }
    with whole_file(out) as draft, draft.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
    if not shared:
        out.chmod(0o600)


def read_synthetic(path: Path | str) -> tuple[SyntheticImages, tuple[str, ...]]:
    """Read images that were written for use inside, with their parents, and the names of their classes.

    Raises
    ------
    DataError
        If it is no such file, or was written for sharing and has lost its parents.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (OSError, ValueError) as error:
        message = f"{Path(path).name} holds no synthetic images"
        raise DataError(message) from error
    if not set(arrays) >= _SHARED:
        raise DataError(f"{Path(path).name} holds no synthetic images that ehrsynth wrote")
    if "parents" not in arrays:
        raise DataError(
            f"{Path(path).name} was written for sharing, or by a private model, and does not say what its "
            "images descend from: a study cannot tell whether they leak; draw them without --share from a "
            "model of other patients' images that was fitted without --epsilon"
        )
    pixels = arrays["images"] if arrays["images"].ndim == 4 else arrays["images"][..., None]  # noqa: PLR2004
    images = SyntheticImages(
        pixels,
        arrays["labels"].astype(np.int64),
        tuple((str(a), str(b)) for a, b in arrays["parents"]),
        frozenset(map(str, arrays["learnt_from"])),
        arrays["weights"],
    )
    return images, tuple(map(str, arrays["classes"]))
