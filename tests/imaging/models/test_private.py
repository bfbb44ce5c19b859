"""Private fits: one patient moves a step by the clip at most, nothing is seen unpaid, nothing is kept."""

import json
import math

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from ehrsynth.dp import descent
from ehrsynth.dp.accounting import spent
from ehrsynth.dp.descent import Descent
from ehrsynth.dp.events import event_from
from ehrsynth.dp.noise import NoiseStream
from ehrsynth.errors import RequestError
from ehrsynth.imaging.fitting import NOT_LOOKED_FOR, draw, fit_kept_privately, image_recipe
from ehrsynth.imaging.models.latent_diffusion import LatentDiffusion
from ehrsynth.imaging.models.private import Networks, PrivateLesson, descent_of, fit_private
from ehrsynth.imaging.models.sampling import Sampling
from ehrsynth.imaging.models.storage import load_image_model, save_image_model
from ehrsynth.imaging.models.vae import ImageVAE, new_network, with_views
from ehrsynth.imaging.patient_images import PatientImages, PublicImages
from pictures import image_set, shapes

KINDS = ("class_wise_vae", "conditional_vae")
SHORT = {"shared_steps": 3, "own_steps": 2, "latent": 4, "batch": 8, "epsilon": 4.0}
PUBLIC = PublicImages(50, 28, ("disc", "ring"), 1)
CLIP = 0.5


def rows(counts=(9, 6), each=1, size=28, seed=0):
    pixels, labels = shapes(counts, size, seed=seed)
    return PatientImages.of(pixels, labels, np.arange(len(labels)) // each)


def fitted(kind="class_wise_vae", *, seed=None, given=None, **changed):
    return fit_private(lambda: given or rows(), ImageVAE(kind=kind, **SHORT | changed), PUBLIC, seed=seed)


@pytest.fixture(scope="module")
def models():
    return {kind: fitted(kind) for kind in KINDS}


def weights(model):
    return torch.cat([p.flatten() for network in model.networks for p in network.parameters()])


@pytest.mark.parametrize("kind", KINDS)
def test_the_guarantee_is_at_most_what_was_asked_and_can_be_replayed(models, kind):
    found = models[kind].guarantee
    assert 0 < found.epsilon <= SHORT["epsilon"]
    assert found.delta == pytest.approx(1 / (10 * PUBLIC.patients))
    assert not found.void
    events = [event_from(event) for event in found.events]
    assert sum(event.times for event in events) == SHORT["shared_steps"] + SHORT["own_steps"]
    assert spent(events, found.delta, "PRV and PLD").epsilon == pytest.approx(found.epsilon)
    assert {event.rate for event in events} == {SHORT["batch"] / PUBLIC.patients}


def test_nothing_is_read_before_it_is_paid_and_everything_is_settled_without_the_data():
    """The noise is found, or the request refused, with nobody looked at."""
    reads = []
    recipe = ImageVAE(**SHORT)
    for wrong in ({"delta": 0.5}, {"features": 1.0}, {"shared_steps": 0, "own_steps": 0}, {"epsilon": None}):
        with pytest.raises(RequestError):
            fit_private(lambda: reads.append(1), recipe.model_copy(update=wrong), PUBLIC)
    assert not reads
    settings = [descent_of(recipe, PUBLIC) for _ in range(2)]
    assert settings[0] == settings[1]
    assert settings[0].expected == pytest.approx(SHORT["batch"])


def test_the_first_step_is_paid_before_the_images_are_read(monkeypatch):
    from ehrsynth.imaging.models import private

    seen = []

    class Watched(private.Ledger):
        def __init__(self, read, *given, **named):
            super().__init__(lambda: seen.append(self.events) or read(), *given, **named)

    monkeypatch.setattr(private, "Ledger", Watched)
    fitted()
    assert len(seen) == 1
    assert sum(event.times for event in seen[0]) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_equal_seeds_give_equal_models_without_a_guarantee_and_no_seed_gives_others(models, kind):
    one, two = fitted(kind, seed=3), fitted(kind, seed=3)
    assert torch.equal(weights(one), weights(two))
    assert not torch.equal(weights(models[kind]), weights(fitted(kind)))
    assert "seed" in one.guarantee.void
    assert one.guarantee.sentence.startswith("none")


def test_nobody_teaches_a_model_of_noise():
    assert torch.isfinite(
        weights(
            fitted(
                given=rows().of(
                    *(np.empty((0, 28, 28, 1), np.uint8), np.empty(0, np.int64), np.empty(0, np.int64))
                )
            )
        )
    ).all()


@pytest.mark.parametrize("kind", KINDS)
def test_a_saved_model_holds_no_place_id_view_or_count(tmp_path, kind):
    given = rows((11, 6), each=2)
    kept = fit_kept_privately(lambda: given, ImageVAE(kind=kind, **SHORT), PUBLIC)
    assert kept.gate is None
    save_image_model(kept.model, tmp_path / "m", facts=kept.facts)
    stored = json.loads((tmp_path / "m" / "model.json").read_text())
    assert stored["ids"] == []
    assert stored["facts"] == {
        "copies": NOT_LOOKED_FOR,
        "public": {"patients": 50, "size": 28, "classes": ["disc", "ring"], "channels": 1},
    }
    assert set(stored) == {
        "format", "ehrsynth", "recipe", "classes", "size", "channels", "ids", "guarantee", "facts",
    }  # fmt: skip
    arrays = load_file(tmp_path / "m" / "weights.safetensors")
    assert all(name.startswith("network.") for name in arrays)
    # The same shapes come of other patients: nothing is as long as the set.
    other = fitted(kind, given=rows((4, 3)))
    save_image_model(other, tmp_path / "n", facts=kept.facts)
    again = load_file(tmp_path / "n" / "weights.safetensors")
    assert {k: v.shape for k, v in arrays.items()} == {k: v.shape for k, v in again.items()}
    assert sorted(p.name for p in (tmp_path / "m").iterdir()) == sorted(
        p.name for p in (tmp_path / "n").iterdir()
    )


@pytest.mark.parametrize("kind", KINDS)
def test_the_guarantee_survives_the_disk_with_all_its_events(tmp_path, models, kind):
    save_image_model(models[kind], tmp_path / "m", facts={})
    again, _ = load_image_model(tmp_path / "m")
    assert again.guarantee.as_json() == models[kind].guarantee.as_json()
    ours, theirs = (draw(m, {0: 3, 1: 2}, seed=4) for m in (models[kind], again))
    assert np.array_equal(ours.pixels, theirs.pixels)


@pytest.mark.parametrize("kind", KINDS)
def test_images_are_drawn_from_the_prior_and_in_no_other_way(models, kind):
    made = draw(models[kind], {0: 3, 1: 2}, seed=1)
    assert made.pixels.shape == (5, 28, 28, 1)
    assert set(made.parents) == {("", "")}
    assert not made.learnt_from
    for how in (
        *(Sampling(way=w) for w in ("interpolation", "spherical", "posterior")),
        Sampling(way="prior", detail=1.0),
    ):
        with pytest.raises(RequestError, match="learnt under differential privacy"):
            draw(models[kind], {0: 1}, seed=1, how=how)


def test_a_private_model_is_not_shown_its_images_again(models):
    with pytest.raises(RequestError, match="not shown the images again"):
        with_views(models["class_wise_vae"], image_set((9, 6), 28), seed=1)


def lesson_of(given, kind):
    """A module as it is taught, its loss, and its rows."""
    recipe = ImageVAE(kind=kind, **SHORT)
    conditional = kind == "conditional_vae"
    networks = [
        new_network(recipe, channels=1, side=32, classes=2 if conditional else 0, seed=k)
        for k in range(1 if conditional else 2)
    ]
    lesson = PrivateLesson(recipe.training(2, own=True), 32)
    return Networks(networks, told=conditional), lesson, lesson.prepare(given)


def norm(gradients):
    return math.sqrt(sum(float((g**2).sum()) for g in gradients))


@pytest.mark.parametrize("kind", KINDS)
def test_a_patients_gradient_is_a_loops_gradient_clipped(kind):
    """Opacus' clipped gradients of convolutions, up and down, against autograd on single patients."""
    module, lesson, prepared = lesson_of(rows((3, 2)), kind)
    sampled = descent.per_sample(module, CLIP)
    largest = 0.0
    for k in range(len(prepared)):
        row = prepared[k : k + 1]
        found = descent.clipped_sum(sampled, lesson.loss, row, torch.Generator().manual_seed(k), together=9)
        loss = lesson.loss(module, row, torch.Generator().manual_seed(k)).sum()
        own = torch.autograd.grad(loss, list(module.parameters()), allow_unused=True)
        assert norm(g for g in own if g is not None) > CLIP
        share = min(1.0, CLIP / norm(g for g in own if g is not None))
        for a, b in zip(found, own, strict=True):
            assert torch.allclose(a, torch.zeros_like(a) if b is None else share * b, atol=1e-5)
        largest = max(largest, norm(found))
    sampled.remove_hooks()
    assert CLIP * 0.99 < largest <= CLIP * (1 + 1e-4)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("images", [1, 6])
def test_one_patient_more_moves_the_sum_by_the_clip_at_most(kind, images, monkeypatch):
    """Of one image or of six in both classes; noise and who takes part taken out of the comparison."""
    pixels, labels = shapes((8, 8), 28)
    patients = np.arange(16)
    strange = [*range(8 - (images - images // 2), 8), *range(16 - images // 2, 16)]
    patients[strange] = 90
    with_them = PatientImages.of(pixels, labels, patients)
    others = patients != 90
    without = PatientImages.of(pixels[others], labels[others], patients[others])
    assert len(with_them) == len(without) + 1
    assert with_them.count.max() == images
    settings = Descent(1.0, 1, 1e-9, CLIP, 10.0, 0.1, together=5)
    # Each patient's own draws, so that both sides differ by the one patient alone.
    monkeypatch.setattr(torch, "rand", lambda n, **_: torch.full((n,), 0.7))
    monkeypatch.setattr(torch, "randn", lambda shape, **_: torch.full(tuple(shape), 0.3))
    steps = []
    for given in (with_them, without):
        module, lesson, prepared = lesson_of(given, kind)
        sampled = descent.per_sample(module, CLIP)
        steps.append(
            descent.private_gradient(sampled, lesson.loss, prepared, settings, stream=NoiseStream(1))
        )
        sampled.remove_hooks()
    moved = settings.expected * norm(a - b for a, b in zip(*steps, strict=True))
    assert 0.5 * CLIP < moved <= CLIP * (1 + 1e-3)


def test_each_of_a_patients_images_may_be_drawn_and_nobody_elses():
    given = rows((6, 5), each=4)
    _, lesson, prepared = lesson_of(given, "conditional_vae")
    seen: dict[int, set[int]] = {k: set() for k in range(len(prepared))}

    def catching(images, labels, _how):
        for k, image in enumerate(images):
            seen[k].add(int(torch.argmin((lesson._images - image).abs().sum(dim=(1, 2, 3)))))
        return torch.zeros(len(labels))

    unchanged = ImageVAE(**SHORT, flip=False, degrees=0.0)
    lesson._training = unchanged.training(2, own=True)
    for k in range(60):
        lesson.loss(catching, prepared, torch.Generator().manual_seed(k))
    for k, images in seen.items():
        own = set(range(int(given.first[k]), int(given.first[k] + given.count[k])))
        assert images == own


def test_a_kind_without_a_private_form_is_refused_and_those_with_one_are_named():
    with pytest.raises(RequestError, match="class_wise_vae, conditional_vae"):
        image_recipe("latent_diffusion", epsilon=1.0)
    with pytest.raises(RequestError, match="given twice"):
        image_recipe("conditional_vae", {"epsilon": 2.0}, epsilon=1.0)
    with pytest.raises(RequestError, match="say --epsilon"):
        image_recipe("conditional_vae", delta=1e-5)
    assert image_recipe("conditional_vae", {"epsilon": 2.0}).epsilon == 2


@pytest.mark.parametrize("kind", ["class_wise_vae", "latent_diffusion"])
def test_a_setting_that_a_kind_does_not_have_is_named_with_those_that_it_has(kind: str):
    with pytest.raises(RequestError, match=rf"setting of {kind} 'epochs'; known: .*steps"):
        image_recipe(kind, {"epochs": 2})


def test_a_recipe_with_an_epsilon_does_not_learn_without_the_ledger():
    from pictures import train_fold

    with pytest.raises(RequestError, match="through a ledger"):
        ImageVAE(**SHORT).fit(train_fold((4, 3)), seed=1)
    hidden = LatentDiffusion(vae=ImageVAE(kind="conditional_vae", **SHORT))
    with pytest.raises(RequestError, match="through a ledger"):
        hidden.fit(train_fold((4, 3)), seed=1)
