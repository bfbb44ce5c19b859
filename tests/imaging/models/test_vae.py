"""Models learn training sides alone, give back what they learnt, and survive the disk."""

import json

import numpy as np
import pytest
import torch

from ehrsynth.errors import ModelError, NotEnoughData, RequestError
from ehrsynth.imaging.folds import TrainFold
from ehrsynth.imaging.models.latent_diffusion import LatentDiffusion
from ehrsynth.imaging.models.sampling import Sampling
from ehrsynth.imaging.models.storage import load_image_model, save_image_model
from ehrsynth.imaging.models.vae import ImageVAE
from pictures import image_set, train_fold

SHORT = {"shared_steps": 60, "own_steps": 25, "latent": 8, "batch": 16, "rate": 4e-3}
COUNTS = (24, 10)


@pytest.fixture(scope="module")
def fold():
    return train_fold(COUNTS)


@pytest.fixture(scope="module")
def fitted(fold):
    return ImageVAE(**SHORT).fit(fold, seed=1)


@pytest.fixture(scope="module")
def conditional(fold):
    return ImageVAE(kind="conditional_vae", **SHORT).fit(fold, seed=1)


def test_only_a_training_side_is_learnt_from(fold):
    with pytest.raises(RequestError, match="training fold"):
        ImageVAE().fit(fold.images, seed=1)


def test_a_class_without_images_is_refused(fold):
    images = fold.images.at(fold.images.labels == 0)
    with pytest.raises(NotEnoughData, match="class 1"):
        ImageVAE().fit(TrainFold(images, "x"), seed=1)


def test_a_class_of_one_image_can_be_learnt_and_drawn_from_around_it():
    model = ImageVAE(shared_steps=3, own_steps=2, latent=4, batch=4).fit(train_fold((6, 1)), seed=1)
    assert len(model.sample({1: 3}, Sampling(way="posterior"), seed=1)) == 3
    with pytest.raises(RequestError, match="one image"):
        model.sample({1: 3}, Sampling(), seed=1)


def test_images_come_in_the_asked_numbers_with_their_parents(fold, fitted):
    made = fitted.sample({0: 5, 1: 7}, Sampling(), seed=2)
    assert np.bincount(made.labels).tolist() == [5, 7]
    assert made.pixels.shape == (12, 32, 32, 1)
    assert made.learnt_from == set(fold.images.ids)
    own = dict(zip(fold.images.ids, fold.images.labels, strict=True))
    for label, (first, second) in zip(made.labels, made.parents, strict=True):
        assert own[first] == own[second] == label
        assert first != second
    assert ((made.weights >= 0.25) & (made.weights <= 0.75)).all()


def test_equal_seeds_give_equal_images_and_the_global_state_is_left(fold, fitted):
    before = torch.random.get_rng_state()
    again = ImageVAE(**SHORT).fit(fold, seed=1)
    one, two = (m.sample({0: 4}, Sampling(), seed=9).pixels for m in (fitted, again))
    assert np.array_equal(one, two)
    assert not np.array_equal(one, fitted.sample({0: 4}, Sampling(), seed=10).pixels)
    assert torch.equal(before, torch.random.get_rng_state())


def test_a_class_is_reconstructed_better_by_training(fold, fitted):
    pixels = fold.images.of_class(0).pixels
    untrained = ImageVAE(**SHORT | {"shared_steps": 0, "own_steps": 0}).fit(fold, seed=1)
    errors = [
        float(np.mean((m.reconstruct(pixels, 0).astype(float) - pixels) ** 2)) for m in (fitted, untrained)
    ]
    assert errors[0] < 0.5 * errors[1]


def test_all_detail_of_the_only_view_gives_the_parent_back(fold):
    """At weight 0, without spread, with all detail: the decoder adds up to the training image itself."""
    model = ImageVAE(shared_steps=5, own_steps=2, latent=4, batch=4, views=1).fit(fold, seed=1)
    how = Sampling(low=0.0, high=0.0, spread=0.0, detail=1.0)
    made = model.sample({1: 6}, how, seed=1)
    known = dict(zip(fold.images.ids, fold.images.pixels, strict=True))
    for pixels, (first, _) in zip(made.pixels, made.parents, strict=True):
        assert np.abs(pixels.astype(int) - known[first]).max() <= 1


def test_large_images_are_worked_on_small_and_keep_their_own_detail():
    fold = train_fold((5, 4), 80)
    recipe = ImageVAE(shared_steps=3, own_steps=1, latent=4, batch=4, views=1, side=32)
    model = recipe.fit(fold, seed=1)
    blurred, sharp = (model.sample({0: 6}, Sampling(detail=d), seed=1).pixels for d in (0.0, 1.0))
    assert blurred.shape == sharp.shape == (6, 80, 80, 1)
    fine = [np.abs(np.diff(p.astype(float), axis=1)).mean() for p in (blurred, sharp, fold.images.pixels)]
    assert fine[0] < 0.5 * fine[2]
    assert 0.7 * fine[2] < fine[1]


@pytest.mark.parametrize("way", ["interpolation", "spherical", "posterior", "prior"])
def test_every_way_draws_images_in_range(conditional, way):
    made = conditional.sample({0: 3, 1: 3}, Sampling(way=way), seed=1)
    assert made.pixels.dtype == np.uint8
    assert (made.parents[0] == ("", "")) == (way == "prior")


def test_a_conditional_model_has_one_network(conditional):
    assert conditional.networks[0] is conditional.networks[1]
    one, two = (conditional.decode(torch.zeros(1, 8), label) for label in (0, 1))
    assert not torch.allclose(one, two)


def test_colour_and_other_sizes_are_worked_on():
    model = ImageVAE(shared_steps=2, own_steps=1, latent=4, batch=4).fit(
        train_fold((5, 4, 3), 40, channels=3), seed=1
    )
    assert model.sample({2: 2}, Sampling(), seed=1).pixels.shape == (2, 40, 40, 3)


@pytest.mark.parametrize("kind", ["class_wise_vae", "conditional_vae"])
def test_a_saved_model_draws_the_same_images_and_no_detail(tmp_path, fitted, conditional, kind):
    model = fitted if kind == "class_wise_vae" else conditional
    save_image_model(model, tmp_path / "m", facts={"copies": "none"})
    again, facts = load_image_model(tmp_path / "m")
    assert facts == {"copies": "none"}
    for how in (Sampling(), Sampling(way="prior")):
        assert np.array_equal(
            again.sample({0: 3, 1: 2}, how, seed=4).pixels, model.sample({0: 3, 1: 2}, how, seed=4).pixels
        )
    with pytest.raises(RequestError, match="detail 0, or give --data"):
        again.sample({0: 1}, Sampling(detail=1.0), seed=1)


def test_no_training_image_is_in_the_folder(tmp_path, fold, fitted):
    save_image_model(fitted, tmp_path / "m", facts={})
    stored = (tmp_path / "m" / "weights.safetensors").read_bytes()
    image = fold.images.pixels[0].astype(np.float32)
    for form in (image, image / 255, fold.images.pixels[0]):
        assert form.tobytes()[:256] not in stored


def test_a_changed_or_foreign_folder_is_refused(tmp_path, fitted):
    save_image_model(fitted, tmp_path / "m", facts={})
    file = tmp_path / "m" / "model.json"
    model = json.loads(file.read_text())
    file.write_text(json.dumps(model | {"size": 64}))
    with pytest.raises(ModelError, match="changed"):
        load_image_model(tmp_path / "m")
    with pytest.raises(ModelError, match="is not a folder that ehrsynth wrote"):
        load_image_model(tmp_path)


def test_training_that_diverges_is_said(fold):
    with pytest.raises(RequestError, match="diverged"):
        ImageVAE(shared_steps=2, own_steps=1, latent=4, batch=4, noise=1e-25).fit(fold, seed=1)


@pytest.fixture(scope="module")
def diffused(fold):
    recipe = LatentDiffusion(
        vae=ImageVAE(kind="conditional_vae", **SHORT), training_steps=300, width=32, depth=1, steps=20
    )
    return recipe.fit(fold, seed=1)


def test_diffusion_draws_each_class_and_has_no_parents(fold, diffused):
    made = diffused.sample({0: 4, 1: 3}, seed=2)
    assert np.bincount(made.labels).tolist() == [4, 3]
    assert set(made.parents) == {("", "")}
    assert made.learnt_from == set(fold.images.ids)
    assert np.array_equal(made.pixels, diffused.sample({0: 4, 1: 3}, seed=2).pixels)


def test_diffusion_learns_where_the_latents_lie(diffused):
    for label in (0, 1):
        known = diffused.vae.posteriors[label].mean
        drawn = diffused._latents(label, 200, torch.Generator().manual_seed(0))
        gap = (drawn.mean(dim=0) - known.mean(dim=0)).norm() / known.std(dim=0).norm()
        assert float(gap) < 0.5


def test_diffusion_survives_the_disk(tmp_path, diffused):
    save_image_model(diffused, tmp_path / "m", facts={})
    again, _ = load_image_model(tmp_path / "m")
    assert np.array_equal(again.sample({1: 3}, seed=4).pixels, diffused.sample({1: 3}, seed=4).pixels)


def test_sampling_nothing_is_refused(fitted, diffused):
    for draw in (lambda c: fitted.sample(c, Sampling(), seed=1), lambda c: diffused.sample(c, seed=1)):
        with pytest.raises(RequestError, match="at least one image"):
            draw({})
        with pytest.raises(RequestError, match="at least one image"):
            draw({0: 0})


def test_a_set_may_be_of_any_class_names():
    assert image_set((3, 3)).classes == ("class 0", "class 1")


def test_whole_images_are_made_a_few_at_a_time(monkeypatch):
    """All at once, images of 224 pixels took gigabytes, for places and for what is drawn."""
    from ehrsynth.imaging.models import vae

    sizes, pack = [], vae.to_pixels
    monkeypatch.setattr(vae, "to_pixels", lambda images: sizes.append(len(images)) or pack(images))
    recipe = ImageVAE(shared_steps=1, own_steps=1, latent=4, batch=4, views=2)
    made = recipe.fit(train_fold((6, 4)), seed=1).sample({0: 300}, Sampling(detail=1.0), seed=1)
    assert len(made) == 300
    assert max(sizes) <= 128
