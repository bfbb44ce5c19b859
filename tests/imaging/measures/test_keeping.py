"""Whether classes are kept and gaps filled is judged by images that taught nothing."""

import numpy as np
import pytest

from ehrsynth.imaging.heads import LinearHead, Taught, fit_head, scaled
from ehrsynth.imaging.measures.keeping import class_kept, covered
from ehrsynth.imaging.networks.lite0 import FEATURES
from pictures import image_set


def clouds(counts, *, apart=1.0, seed=0):
    """Features of classes that lie apart, in the shape of the feature network's."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(counts)), counts)
    found = rng.normal(0, 1, (len(labels), FEATURES)).astype(np.float32)
    for k in range(len(counts)):
        found[labels == k, k * 40 : (k + 1) * 40] += apart
    return found, labels


def test_kept_classes_are_told_from_lost_ones():
    images = image_set((40, 40))
    seen, _ = clouds((40, 40), apart=1.5)
    kept, lost = clouds((30, 30), apart=1.5, seed=1), clouds((30, 30), apart=0.0, seed=2)
    found = class_kept(images, seen, {"kept": kept, "lost": lost}, penalty=0.1, seed=0)
    assert found["real"].share.value > 0.9
    assert found["kept"].share.value > 0.9
    assert 0.3 < found["lost"].share.value < 0.7
    assert found["real"].images == 80
    assert found["kept"].images == 120


def test_rare_synthetic_images_are_held_against_rare_real_ones():
    """Of a rare class that can hardly be told, all real images together would ask too much."""
    images = image_set((200, 20, 20))
    seen, labels = clouds((200, 20, 20), apart=1.5)
    seen[labels == 2] = clouds((0, 20, 0), apart=1.5, seed=3)[0]
    drawn = (clouds((0, 0, 30), apart=1.5, seed=4)[0], np.full(30, 2))
    found = class_kept(images, seen, {"drawn": drawn}, penalty=0.1, seed=0)
    assert found["real"].images == 240
    assert found["real"].share.value > 0.85
    assert found["real, same classes"].images == 20
    assert found["real, same classes"].share.value < 0.8


def test_coverage_counts_held_out_images_with_a_point_near():
    rng = np.random.default_rng(0)
    held = np.concatenate([rng.normal(0, 1, (20, 3)), rng.normal(50, 1, (20, 3))])
    near = rng.normal(0, 1, (50, 3))
    assert covered(held, near) == pytest.approx(0.5, abs=0.1)
    assert covered(held, held) == 1.0
    assert covered(held, near + 1000) == 0.0
    assert np.isnan(covered(held[:1], near))


@pytest.mark.parametrize("classes", [2, 3])
def test_a_head_learns_and_its_probabilities_add_up(classes):
    features, labels = clouds((30,) * classes, apart=2.0)
    head = fit_head(Taught(features, labels, np.ones(len(labels))), classes=classes, penalty=1.0)
    told = head.probabilities(clouds((20,) * classes, apart=2.0, seed=5)[0])
    assert np.allclose(told.sum(axis=1), 1)
    assert (told.argmax(axis=1) == np.repeat(np.arange(classes), 20)).mean() > 0.9


def test_weights_say_how_often_an_image_counts():
    features, labels = clouds((30, 30), apart=0.6)
    twice = Taught(
        np.concatenate([features, features[:10]]), np.concatenate([labels, labels[:10]]), np.ones(70)
    )
    weighed = Taught(features, labels, np.where(np.arange(60) < 10, 2.0, 1.0))
    one, two = (fit_head(t, classes=2, penalty=0.5 * len(t.weights) / 70) for t in (twice, weighed))
    three = fit_head(twice, classes=2, penalty=0.5)
    assert isinstance(one, LinearHead)
    assert np.corrcoef(one.weights[:, 1], two.weights[:, 1])[0, 1] > 0.99
    assert np.allclose(one.weights, three.weights)


def test_a_class_that_was_never_taught_is_never_called():
    features, labels = clouds((20, 20), apart=2.0)
    head = fit_head(Taught(features, labels, np.ones(40)), classes=3, penalty=1.0)
    assert head.probabilities(features)[:, 2].max() == 0


def test_scaled_features_have_one_length():
    found = scaled(np.abs(clouds((5, 5))[0]))
    assert np.allclose(np.sqrt((found**2).mean(axis=1)), 1, atol=1e-5)
