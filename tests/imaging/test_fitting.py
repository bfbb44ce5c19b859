"""A model that is kept: what holds its gate."""

import numpy as np
import pytest

from ehrsynth.errors import NotEnoughData
from ehrsynth.imaging import fitting
from ehrsynth.imaging.image_set import image_id
from ehrsynth.imaging.models.vae import ImageVAE
from pictures import image_set


class Seen(Exception):
    """Carries what the gate was given."""


def test_held_out_images_of_every_class_control_the_gate(monkeypatch):
    def caught(_train, control, *_given, **_named):
        raise Seen(control)

    images = image_set((90, 40))
    monkeypatch.setattr(fitting, "memorisation", caught)
    monkeypatch.setattr(fitting, "_GATED", 16)
    with pytest.raises(Seen) as seen:
        fitting.fit_kept(images, ImageVAE(shared_steps=2, own_steps=1, latent=4, batch=4), seed=1)
    label = {image_id(pixels): own for pixels, own in zip(images.pixels, images.labels, strict=True)}
    control = seen.value.args[0]
    counts = np.bincount([label[image_id(pixels)] for pixels in control], minlength=2)
    assert counts.sum() == 16
    assert counts.min() >= 2


def test_a_class_of_few_patients_is_fitted_and_one_of_it_is_held_out():
    recipe = ImageVAE(shared_steps=1, own_steps=1, latent=4, batch=4, views=1)
    kept = fitting.fit_kept(image_set((8, 2)), recipe, seed=1)
    assert [len(ids) for ids in kept.model.ids] == [4, 1]
    with pytest.raises(NotEnoughData, match="cannot both teach a model and be held out") as error:
        fitting.fit_kept(image_set((8, 1)), recipe, seed=1)
    assert "class 'class 1'" in str(error.value)
