"""Known sizes, known answers, one gradient for each image; and weights that run no code."""

import pickle

import numpy as np
import pytest
import torch
from sklearn.datasets import load_sample_image
from torch.func import functional_call, grad, vmap

from ehrsynth.errors import MissingPackage, ModelError, RequestError
from ehrsynth.imaging.features import as_colour, directions, features, resized, to_pixels, to_tensor
from ehrsynth.imaging.networks.classifiers import classifier
from ehrsynth.imaging.networks.lite0 import Lite0
from ehrsynth.imaging.networks.vae import SIDES, VariationalAutoencoder, working_side
from ehrsynth.imaging.networks.weights import lite0, put_weights, read_weights


def count(network):
    return sum(p.numel() for p in network.parameters())


@pytest.fixture(scope="module")
def seeing():
    try:
        return lite0()
    except MissingPackage as error:
        pytest.skip(str(error))


@pytest.mark.parametrize(
    ("name", "parameters"), [("resnet50", 25_557_032), ("efficientnet_v2_s", 21_458_488)]
)
def test_classifiers_are_torchvisions_own(name, parameters):
    torchvision = pytest.importorskip("torchvision")
    assert count(classifier(name, classes=1000, seed=0)) == parameters
    assert count(getattr(torchvision.models, name)()) == parameters


def test_the_small_stem_differs_from_torchvisions_resnet18_in_the_stem_alone():
    torchvision = pytest.importorskip("torchvision")
    ours, theirs = (
        classifier("resnet18_small", classes=10, seed=0),
        torchvision.models.resnet18(num_classes=10),
    )
    assert count(ours) == 11_173_962
    assert count(ours) - 64 * 3 * 9 == count(theirs) - 64 * 3 * 49
    assert ours.layer1(ours.maxpool(ours.conv1(torch.zeros(1, 3, 28, 28)))).shape[-1] == 28


def test_a_classifier_starts_from_its_seed_and_leaves_the_global_state_alone():
    pytest.importorskip("torchvision")
    before = torch.random.get_rng_state()
    one, two = (classifier("resnet18_small", classes=2, seed=5).fc.weight for _ in range(2))
    assert torch.equal(one, two)
    assert torch.equal(before, torch.random.get_rng_state())


def test_an_unknown_classifier_says_what_is_known():
    with pytest.raises(RequestError, match="known: efficientnet_v2_s"):
        classifier("resnet5", classes=2, seed=0)


def test_weights_of_another_number_of_classes_keep_the_last_layer(tmp_path):
    pytest.importorskip("torchvision")
    given = classifier("resnet18_small", classes=7, seed=1)
    torch.save(given.state_dict(), tmp_path / "w.pth")
    made = classifier("resnet18_small", classes=2, seed=2, weights=tmp_path / "w.pth")
    assert torch.equal(made.layer1[0].conv1.weight, given.layer1[0].conv1.weight)
    assert made.fc.weight.shape == (2, 512)
    with pytest.raises(ModelError, match="do not fit"):
        put_weights(made, {"conv1.weight": torch.zeros(3)}, "fc.")


class Planted:
    def __reduce__(self):
        return (open, ("planted", "w"))


def test_weights_that_would_run_code_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "w.pth").write_bytes(pickle.dumps({"a": Planted()}))
    with pytest.raises(ModelError, match="tensors alone"):
        read_weights(tmp_path / "w.pth")
    torch.save({"a": [1, 2]}, tmp_path / "list.pth")
    with pytest.raises(ModelError, match="state dict"):
        read_weights(tmp_path / "list.pth")
    (tmp_path / "x.safetensors").write_bytes(b"no tensors")
    with pytest.raises(ModelError, match="safetensors"):
        read_weights(tmp_path / "x.safetensors")
    assert not (tmp_path / "planted").exists()


@pytest.mark.parametrize(("picture", "known"), [("china.jpg", 698), ("flower.jpg", 985)])
def test_the_feature_network_knows_a_palace_from_a_daisy(seeing, picture, known):
    image = torch.from_numpy(load_sample_image(picture).copy()).permute(2, 0, 1)[None].float()
    with torch.inference_mode():
        scores = seeing(as_colour(image[..., 106:533], 224))
    assert int(scores.argmax()) == known
    assert count(Lite0()) == 4_652_008


@pytest.mark.parametrize("side", [56, 57, 64, 100])
def test_features_are_taken_at_any_side_from_56_pixels_up(seeing, side):
    pixels = np.random.default_rng(0).integers(0, 255, (3, 30, 30, 1), dtype=np.uint8)
    found = features(pixels, side=side)
    assert found.shape == (3, 1280)
    assert np.isfinite(found).all()
    assert np.allclose(np.linalg.norm(directions(found), axis=1), 1, atol=1e-5)


def test_padding_is_that_of_tensorflow():
    """An odd pad goes to the end: the output of a stride of 2 has half the side, rounded up."""
    network = Lite0().eval()
    with torch.inference_mode():
        for side in (64, 65, 67):
            stem = network._conv_stem(torch.zeros(1, 3, side, side))
            assert stem.shape[-1] == -(-side // 2)


def test_folded_normalisation_is_the_same_function():
    generator = torch.Generator().manual_seed(3)
    network = Lite0().eval()
    for name, values in network.named_buffers():
        if name.endswith("running_mean"):
            values.copy_(0.1 * torch.randn(values.shape, generator=generator))
        elif name.endswith("running_var"):
            values.copy_(0.5 + torch.rand(values.shape, generator=generator))
    images = 255 * torch.rand(2, 3, 65, 65, generator=generator)
    with torch.inference_mode():
        before = network(images)
        network.fold()
        after = network(images)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in network.modules())
    assert float(before.std()) > 0
    assert torch.allclose(before, after, rtol=1e-3, atol=1e-3 * float(before.abs().max()))


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("channels", [1, 3])
def test_the_autoencoder_gives_back_its_size_and_stays_small(side, channels):
    network = VariationalAutoencoder(channels=channels, side=side, latent=32)
    mean, log_variance = network.encode(torch.rand(2, channels, side, side))
    images = network.decode(mean).detach()
    assert images.shape == (2, channels, side, side)
    assert mean.shape == log_variance.shape == (2, 32)
    assert 0 <= float(images.min()) <= float(images.max()) <= 1
    assert count(network) < 1_500_000


@pytest.mark.parametrize("classes", [0, 3])
def test_each_image_has_a_gradient_of_its_own(classes):
    """Differential privacy needs it: normalisation must not mix the images of a batch."""
    network = VariationalAutoencoder(channels=1, side=32, latent=4, classes=classes)
    images, labels = torch.rand(4, 1, 32, 32), torch.tensor([0, 1, 2, 0]) if classes else None
    weights = {name: value.detach() for name, value in network.named_parameters()}

    def loss(weights, image, label):
        told = None if label is None else label[None]

        def whole(network):
            mean, _ = network.encode(image[None], told)
            return (network.decode(mean, told) - image).square().sum()

        return functional_call(_Loss(network, whole), {f"network.{n}": w for n, w in weights.items()}, ())

    each = vmap(grad(loss), in_dims=(None, 0, None if labels is None else 0))(weights, images, labels)
    for k in range(4):
        own = grad(loss)(weights, images[k], None if labels is None else labels[k])
        for name, value in own.items():
            assert torch.allclose(each[name][k], value, atol=1e-4), name


class _Loss(torch.nn.Module):
    def __init__(self, network, loss):
        super().__init__()
        self.network, self.loss = network, loss

    def forward(self):
        return self.loss(self.network)


def test_a_conditional_network_needs_labels():
    network = VariationalAutoencoder(channels=1, side=32, latent=4, classes=2)
    with pytest.raises(ValueError, match="labels"):
        network.decode(torch.zeros(1, 4))


def test_working_sides_are_the_next_larger():
    assert [working_side(n) for n in (28, 32, 33, 64, 90, 128, 256)] == [32, 32, 48, 64, 96, 128, 128]


def test_pixels_go_to_tensors_and_back_unchanged():
    pixels = np.random.default_rng(0).integers(0, 256, (2, 30, 31, 3), dtype=np.uint8)
    assert np.array_equal(to_pixels(to_tensor(pixels)), pixels)
    assert resized(to_tensor(pixels), 64).shape == (2, 3, 64, 64)
