"""The page that a rater opens: one file that loads nothing, shows images in turn, gives answers as JSON.

Which image is real stands in no part of the page: it is in the key, a file that the raters do not get.
"""

import base64
import hashlib
import io
from dataclasses import dataclass
from functools import cache
from typing import Any

import jinja2
import numpy as np
from PIL import Image

from ehrsynth.errors import NotEnoughData
from ehrsynth.files import canonical_json
from ehrsynth.imaging.image_set import Pixels
from ehrsynth.randomness import numpy_generator

FORMAT = 1
CONFIDENCES = 5
FEWEST = 2


@dataclass(frozen=True, slots=True)
class Key:
    """What a page showed, in its order: `real` says of each image whether it was. `test` names the page."""

    test: str
    real: tuple[bool, ...]

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"format": FORMAT, "test": self.test, "real": list(self.real)}


def turing_page(real: Pixels, synthetic: Pixels, *, title: str, needed: int, seed: int) -> tuple[str, Key]:
    """The page and its key.

    Parameters
    ----------
    real, synthetic
        n x height x width x 1 or 3, as many of each; they are shown in one random order. Held-out images are
        the fair choice: a rater who knows the training images would know them again.
    title
        What is shown, in words that may be read by the raters.
    needed
        How many answers the test needs; the page says it.

    Raises
    ------
    NotEnoughData
        If there are fewer than two of a kind, or not as many of each.
    """
    if min(len(real), len(synthetic)) < FEWEST or len(real) != len(synthetic):
        given = f"{len(real)} real and {len(synthetic)} synthetic images"
        raise NotEnoughData(f"{given} were given: as many of each are needed, {FEWEST} at least")
    truth = np.repeat([True, False], [len(real), len(synthetic)])
    order = numpy_generator(seed, "turing").permutation(len(truth))
    images = [_picture(image) for image in (*real, *synthetic)]
    shown, answers = [images[i] for i in order], tuple(bool(truth[i]) for i in order)
    name = hashlib.sha256(canonical_json(shown)).hexdigest()[:16]
    page = _template().render(
        title=title, images=shown, test=name, needed=needed, confidences=CONFIDENCES, format=FORMAT
    )
    return page, Key(name, answers)


def _picture(image: Pixels) -> str:
    """A PNG with pixels alone, as text."""
    plain = image[..., 0] if image.shape[2] == 1 else image
    buffer = io.BytesIO()
    Image.fromarray(plain).save(buffer, format="PNG")
    return base64.b64encode(buffer.getvalue()).decode()


@cache
def _template() -> jinja2.Template:
    loader = jinja2.PackageLoader("ehrsynth.imaging.turing", "")
    environment = jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined)
    return environment.get_template("page.html.j2")
