"""Folds never cross a patient, hold every class on both sides, and depend on the seed alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ehrsynth.errors import NotEnoughData, RequestError
from ehrsynth.imaging.folds import check_disjoint, split_folds
from ehrsynth.imaging.image_set import ImageSet, minority_classes
from pictures import image_set


def plain(labels, patients):
    pixels = np.random.default_rng(0).integers(0, 255, (len(labels), 28, 28, 1), dtype=np.uint8)
    names = tuple(map(str, range(int(max(labels)) + 1)))
    return ImageSet.of(pixels, np.array(labels), names, np.array(patients))


@given(
    patients=st.lists(st.tuples(st.integers(0, 2), st.integers(1, 4)), min_size=15, max_size=40),
    folds=st.integers(2, 4),
    seed=st.integers(0, 99),
)
def test_no_patient_stands_on_both_sides(patients, folds, seed):
    known = [*[(label, 1) for label in range(3) for _ in range(folds)], *patients]
    labels = [label for label, count in known for _ in range(count)]
    owners = [k for k, (_, count) in enumerate(known) for _ in range(count)]
    images = plain(labels, owners)
    made = split_folds(images, folds=folds, seed=seed)
    tested = np.concatenate([fold.test.images.patients for fold in made])
    assert sorted(tested) == sorted(owners)
    for fold in made:
        assert not set(fold.train.images.patients) & set(fold.test.images.patients)
        assert (fold.train.images.counts > 0).all()
        assert (fold.test.images.counts > 0).all()
        check_disjoint(fold.train.images, fold.test.images)


def test_classes_are_spread_evenly():
    images = plain([0] * 30 + [1] * 300, range(330))
    for fold in split_folds(images, folds=3, seed=1):
        assert fold.test.images.counts.tolist() == [10, 100]


def test_the_same_seed_gives_the_same_folds_and_another_seed_others():
    images = image_set((20, 20))
    one, two, other = (split_folds(images, folds=2, seed=s)[0].test.images.ids for s in (3, 3, 4))
    assert one == two
    assert one != other


def test_a_cut_makes_training_sides_smaller_and_leaves_test_sides_whole():
    images = plain([0] * 30 + [1] * 60, range(90))
    whole, cut = (split_folds(images, folds=3, seed=1, cut=c) for c in (None, {0: 5}))
    for a, b in zip(whole, cut, strict=True):
        assert b.train.images.counts.tolist() == [5, 40]
        assert b.pool == 60
        assert a.test.images.ids == b.test.images.ids


@pytest.mark.parametrize("labels", [[0, 0, 0, 1], [0, 0, 0, 0, 1, 1]])
def test_a_class_of_too_few_patients_is_refused_by_name(labels):
    with pytest.raises(NotEnoughData, match="class '1' has"):
        split_folds(plain(labels, range(len(labels))), folds=3, seed=0)


def test_a_class_held_by_one_patient_is_refused():
    with pytest.raises(NotEnoughData, match="class '1' has 5 images of 1 patients"):
        split_folds(plain([0] * 5 + [1] * 5, [0, 1, 2, 3, 4, 9, 9, 9, 9, 9]), folds=2, seed=0)


def test_an_inner_split_stays_inside():
    fold = split_folds(image_set((20, 20)), folds=2, seed=0)[0]
    inner = fold.train.inner(folds=2, seed=1)
    assert set(inner.train.images.ids) | set(inner.test.images.ids) == set(fold.train.images.ids)
    assert not set(inner.test.images.ids) & set(fold.test.images.ids)


def test_sides_that_share_an_image_are_refused():
    images = image_set((6, 6))
    with pytest.raises(RequestError, match="12 images"):
        check_disjoint(images, images)


def test_the_minority_is_the_smallest_class_and_what_is_hardly_larger():
    assert minority_classes(np.array([40, 400, 40])) == (0, 2)
    assert minority_classes(np.array([60, 540])) == (0,)
    assert minority_classes(np.array([50, 50, 50])) == (0,)
