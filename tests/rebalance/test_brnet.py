"""BR-Net: the loss, the three steps, controls only, any encoder."""

import numpy as np
import pytest
import torch
from torch import nn

from ehrsynth.errors import NotEnoughData, RequestError
from ehrsynth.rebalance.brnet import Bias, BrNetSettings, squared_correlation, train_brnet
from ehrsynth.rebalance.dependence import within_classes

SHORT = BrNetSettings(hidden=16, features=4, head=8, steps=60, batch=64)


def two_factors(n: int = 600, seed: int = 0):
    rng = np.random.default_rng(seed)
    y = np.repeat([0, 1], n // 2)
    true, bias = (np.where(y == 0, rng.uniform(1, 4, n), rng.uniform(3, 6, n)) for _ in range(2))
    x = np.stack([true, true, bias, bias], axis=1) + 0.15 * rng.normal(size=(n, 4))
    return (x - 3.5) / 1.5, y, bias


def test_the_loss_is_the_squared_pearson_correlation() -> None:
    rng = np.random.default_rng(0)
    b, p = rng.normal(size=(50, 2)), rng.normal(size=(50, 2))
    expected = np.mean([np.corrcoef(b[:, i], p[:, i])[0, 1] ** 2 for i in (0, 1)])
    found = squared_correlation(torch.from_numpy(b), torch.from_numpy(p))
    assert float(found) == pytest.approx(expected, rel=1e-5)
    assert float(squared_correlation(torch.from_numpy(b), torch.from_numpy(-3 * b + 7))) == pytest.approx(
        1, abs=1e-6
    )
    assert float(squared_correlation(torch.from_numpy(b), torch.ones(50, 2).double())) == 0.0


def test_the_bias_goes_and_so_does_what_it_was_worth() -> None:
    x, y, bias = two_factors(1_000)
    new_x, new_y, new_bias = two_factors(2_000, seed=1)
    settings = BrNetSettings(
        hidden=32, steps=300, rate=3e-4, adversary_rate=2e-2, head_rate=2e-2, head_steps=3
    )
    found = []
    for variables in ([], [Bias(bias, categorical=False)]):
        network = train_brnet(x, y, variables, settings=settings, seed=1)
        accuracy = (network.probabilities(new_x).argmax(axis=1) == new_y).mean()
        found.append((accuracy, within_classes(network.features(new_x), new_bias, new_y, seed=0)["mean"]))
    (plain, before), (fair, after) = found
    assert plain > 0.92
    assert 0.79 < fair < 0.9
    assert after < 0.3 * before


def test_only_controls_teach_the_bias_head_and_the_adversary() -> None:
    """What the bias of cases is changes nothing, bit for bit; that of controls does."""
    x, y, bias = two_factors()
    rng = np.random.default_rng(5)
    other = {
        "cases": np.where(y == 1, rng.permutation(bias), bias),
        "controls": np.where(y == 0, rng.permutation(bias), bias),
    }
    # Scaled over all rows: keep mean and spread as they were.
    other["cases"][y == 1] = rng.permutation(bias[y == 1])
    other["controls"][y == 0] = rng.permutation(bias[y == 0])
    nets = {
        name: train_brnet(x, y, [Bias(b, categorical=False)], settings=SHORT, seed=2)
        for name, b in {"as it is": bias, **other}.items()
    }
    features = {name: net.features(x) for name, net in nets.items()}
    assert np.allclose(features["as it is"], features["cases"], atol=1e-6)
    assert not np.allclose(features["as it is"], features["controls"], atol=1e-3)


def test_controls_can_be_named() -> None:
    x, y, bias = two_factors()
    named = train_brnet(x, y, [Bias(bias, categorical=False)], controls=y == 0, settings=SHORT, seed=2)
    default = train_brnet(x, y, [Bias(bias, categorical=False)], settings=SHORT, seed=2)
    assert np.array_equal(named.features(x), default.features(x))
    cases = train_brnet(x, y, [Bias(bias, categorical=False)], controls=y == 1, settings=SHORT, seed=2)
    assert not np.array_equal(cases.features(x), default.features(x))


def test_categories_become_columns_and_two_of_them_one() -> None:
    assert Bias(np.array([0, 1, 1, 0]), categorical=True).columns().shape == (4, 1)
    three = Bias(np.array(["north", "south", "east", "north"] * 2).astype("U5") == "north", categorical=True)
    assert three.columns().shape == (8, 1)
    columns = Bias(np.array([0, 1, 2, 0, 1, 2]), categorical=True).columns()
    assert columns.shape == (6, 3)
    assert columns.mean(axis=0) == pytest.approx(np.zeros(3), abs=1e-12)
    number = Bias(np.array([1.0, 2.0, 4.0]), categorical=False).columns()
    assert number.std() == pytest.approx(1)


def test_several_labels_and_words_as_labels() -> None:
    x, y, bias = two_factors()
    words = np.array(["healthy", "ill", "worse"])[y + (x[:, 0] > 1.2)]
    network = train_brnet(x, words, [Bias(bias > 3.5, categorical=True)], settings=SHORT, seed=1)
    assert network.classes.tolist() == ["healthy", "ill", "worse"]
    assert network.probabilities(x).sum(axis=1) == pytest.approx(np.ones(len(x)), abs=1e-6)


def test_images_go_through_an_encoder_of_ones_own() -> None:
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], 40)
    images = rng.normal(size=(80, 1, 8, 8)) + y[:, None, None, None]
    encoder = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    network = train_brnet(
        images,
        y,
        [Bias(rng.integers(0, 2, 80), categorical=True)],
        encoder=encoder,
        settings=BrNetSettings(steps=150, batch=32, rate=1e-2, adversary_rate=1e-3),
        seed=1,
    )
    assert network.encoder is encoder
    assert network.features(images).shape == (80, 4)
    assert (network.probabilities(images).argmax(axis=1) == y).mean() > 0.9


def test_equal_seeds_give_equal_networks_and_the_global_state_stays() -> None:
    x, y, bias = two_factors()
    before = torch.random.get_rng_state()
    first, second, third = (
        train_brnet(x, y, [Bias(bias, categorical=False)], settings=SHORT, seed=s).features(x)
        for s in (4, 4, 5)
    )
    assert torch.equal(before, torch.random.get_rng_state())
    assert np.array_equal(first, second)
    assert not np.array_equal(first, third)


def test_progress_is_told() -> None:
    x, y, _ = two_factors()
    said: list[float] = []
    train_brnet(x, y, [], settings=SHORT, seed=1, progress=lambda fraction, _: said.append(fraction))
    assert said[0] == 0.0
    assert said[-1] == 1.0
    assert said == sorted(said)


def test_what_cannot_be_learnt_is_told_without_values() -> None:
    x, y, bias = two_factors(40)
    number = Bias(bias, categorical=False)
    with pytest.raises(RequestError, match="different lengths"):
        train_brnet(x, y[:-1], [number], settings=SHORT, seed=1)
    with pytest.raises(RequestError, match="missing or infinite"):
        train_brnet(np.where(x > 1, np.nan, x), y, [number], settings=SHORT, seed=1)
    with pytest.raises(NotEnoughData, match="same label"):
        train_brnet(x, np.zeros(40), [number], settings=SHORT, seed=1)
    with pytest.raises(NotEnoughData, match="2 rows are controls"):
        train_brnet(x, y, [number], controls=np.arange(40) < 2, settings=SHORT, seed=1)
