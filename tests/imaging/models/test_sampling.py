"""Latents lie where they should: between two parents of one class, on the line, on the arc, or anywhere."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ehrsynth.errors import RequestError
from ehrsynth.imaging.models.sampling import Posteriors, Sampling, draw


def places(images=6, views=2, latent=5, seed=0):
    generator = torch.Generator().manual_seed(seed)
    mean = torch.randn(images * views, latent, generator=generator)
    return Posteriors(mean, torch.full_like(mean, -4.0), torch.arange(images).repeat(views))


def fresh():
    return torch.Generator().manual_seed(3)


@given(low=st.floats(0, 0.5), wide=st.floats(0, 0.5), neighbours=st.integers(0, 9))
def test_parents_are_two_images_and_the_point_lies_between_them(low, wide, neighbours):
    known = places()
    how = Sampling(low=low, high=low + wide, neighbours=neighbours, spread=0.0)
    drawn = draw(known, 40, how, fresh())
    assert (known.owner[drawn.first] != known.owner[drawn.second]).all()
    assert ((drawn.weight >= low - 1e-6) & (drawn.weight <= low + wide + 1e-6)).all()
    wanted = torch.lerp(known.mean[drawn.first], known.mean[drawn.second], drawn.weight[:, None])
    assert torch.allclose(drawn.latents, wanted, atol=1e-5)


def test_neighbours_are_the_nearest_of_other_images():
    known = places(images=30, views=1)
    drawn = draw(known, 200, Sampling(neighbours=3, spread=0.0), fresh())
    distance = torch.cdist(known.mean, known.mean)
    for first, second in zip(drawn.first.tolist(), drawn.second.tolist(), strict=True):
        assert second in distance[first].argsort()[1:4].tolist()


def test_on_the_arc_directions_keep_their_length_and_angles_add_up():
    mean = torch.nn.functional.normalize(torch.randn(8, 5, generator=fresh()), dim=1) * 2
    known = Posteriors(mean, torch.zeros(8, 5), torch.arange(8))
    drawn = draw(known, 50, Sampling(way="spherical", low=0.3, high=0.3, neighbours=0, spread=0.0), fresh())
    assert torch.allclose(drawn.latents.norm(dim=1), torch.full((50,), 2.0), atol=1e-4)
    a, b = (
        torch.nn.functional.cosine_similarity(drawn.latents, mean[p]) for p in (drawn.first, drawn.second)
    )
    whole = torch.nn.functional.cosine_similarity(mean[drawn.first], mean[drawn.second])
    assert torch.allclose(a.clamp(-1, 1).acos(), 0.3 * whole.acos(), atol=1e-3)
    assert torch.allclose(b.clamp(-1, 1).acos(), 0.7 * whole.acos(), atol=1e-3)


def test_parallel_parents_have_a_straight_arc():
    known = Posteriors(torch.tensor([[1.0, 0.0], [3.0, 0.0]]), torch.zeros(2, 2), torch.arange(2))
    drawn = draw(known, 5, Sampling(way="spherical", low=0.5, high=0.5, spread=0.0), fresh())
    assert torch.allclose(drawn.latents, torch.tensor([[2.0, 0.0]] * 5), atol=1e-5)


def test_around_one_image_both_parents_are_that_image():
    drawn = draw(places(), 30, Sampling(way="posterior"), fresh())
    assert torch.equal(drawn.first, drawn.second)
    assert torch.equal(drawn.weight, torch.zeros(30))


def test_the_prior_has_no_weights_and_unit_spread():
    drawn = draw(places(latent=40), 500, Sampling(way="prior"), fresh())
    assert drawn.weight.isnan().all()
    assert abs(float(drawn.latents.std()) - 1) < 0.05


def test_one_image_has_nothing_to_interpolate_between():
    with pytest.raises(RequestError, match="one image"):
        draw(places(images=1, views=3), 4, Sampling(), fresh())
    assert len(draw(places(images=1, views=3), 4, Sampling(way="posterior"), fresh()).latents) == 4


@pytest.mark.parametrize(
    "wrong", [{"low": 0.8, "high": 0.2}, {"high": 1.5}, {"detail": 2.0}, {"spread": -1.0}]
)
def test_what_cannot_be_drawn_is_refused(wrong):
    with pytest.raises(RequestError):
        Sampling(**wrong)
