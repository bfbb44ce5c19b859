"""A synthetic image carries its parents, and nobody judges with an image that it descends from."""

import numpy as np
import pytest

from ehrsynth.errors import DataError, RequestError
from ehrsynth.imaging.folds import split_folds
from ehrsynth.imaging.image_set import ImageSet, hashes_in, image_id
from ehrsynth.imaging.synthetic import NO_PARENTS, SyntheticImages, refuse_leaks, together
from pictures import image_set


def made(parents, learnt_from):
    n = len(parents)
    return SyntheticImages(
        np.zeros((n, 32, 32, 1), np.uint8),
        np.zeros(n, int),
        tuple(parents),
        frozenset(learnt_from),
        np.full(n, 0.5),
    )


@pytest.fixture
def fold():
    return split_folds(image_set((12, 12)), folds=3, seed=0)[0]


def test_images_of_the_training_side_pass(fold):
    ids = fold.train.images.ids
    images = made([(ids[0], ids[1]), NO_PARENTS], ids)
    assert refuse_leaks(images, fold.test.images) is images


def test_a_parent_on_the_judging_side_is_refused(fold):
    outside, inside = fold.test.images.ids[0], fold.train.images.ids[0]
    images = made([(inside, inside), (inside, outside)], {inside, outside})
    with pytest.raises(RequestError, match="1 of 2 synthetic images have a parent"):
        refuse_leaks(images, fold.test.images)


def test_a_model_that_saw_the_judging_side_is_refused_even_without_parents(fold):
    with pytest.raises(RequestError, match="fitted on 8 of its images"):
        refuse_leaks(made([NO_PARENTS], fold.test.images.ids), fold.test.images)


def test_parents_must_be_images_that_were_learnt_from():
    with pytest.raises(DataError, match="2 parents"):
        made([("a", "b")], {"c"})


def test_sets_are_put_together_with_all_that_they_learnt_from():
    both = together([made([("a", "a")], {"a"}), made([("b", "b")], {"b"})])
    assert both.learnt_from == {"a", "b"}
    assert both.at(np.array([1])).parents == (("b", "b"),)


def test_an_id_follows_the_pixels_and_nothing_else():
    images = image_set((3, 3))
    assert hashes_in(images.ids[:1]) == {image_id(images.pixels[0])}
    again = ImageSet.of(images.pixels[::-1], images.labels[::-1], images.classes, images.patients[::-1])
    assert again.ids == images.ids[::-1]
    assert image_id(images.pixels[0][::-1]) not in hashes_in(images.ids[:1])
