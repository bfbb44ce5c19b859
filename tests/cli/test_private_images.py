"""`ehrsynth images fit --epsilon`: what must be public, what it costs, what leaves, and every refusal."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from ehrsynth.cli import app
from ehrsynth.release.policy import default_policy_path
from pictures import shapes

SHORT = ["--set", "shared_steps=2", "--set", "own_steps=1", "--set", "latent=4", "--set", "batch=8"]
PUBLIC = [
    "--public-rows", 60, "--size", 28, "--public-class", "disc", "--public-class", "ring",
    "--public-channels", 1,
]  # fmt: skip


def run(*words):
    return CliRunner().invoke(app, ["images", *map(str, words)])


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    pixels, labels = shapes((11, 8), 28)
    file = tmp_path_factory.mktemp("images") / "eyes.npz"
    np.savez(file, images=pixels[..., 0], labels=labels, classes=["disc", "ring"], patient=np.arange(19) // 2)
    return file


@pytest.fixture(scope="module")
def place(data, tmp_path_factory):
    place = tmp_path_factory.mktemp("private")
    found = run("fit", data, "--out", place / "m", *SHORT, *PUBLIC, "--epsilon", 4, "--json")
    assert found.exit_code == 0, found.output
    assert "new register begun at" in found.stderr
    (place / "said.json").write_text(found.stdout)
    return place


def test_a_private_fit_says_its_guarantee_and_no_count_and_enters_the_register(place):
    said = json.loads((place / "said.json").read_text())
    assert said["seed"] is None
    assert said["guarantee"].endswith("for each patient, by PRV and PLD, the larger")
    assert 0 < said["epsilon_of_the_data_set"] <= 4
    assert not {"images", "held_out", "gate"} & set(said)
    book = json.loads((place / "ehrsynth-register.json").read_text())
    (entry,) = book["data"]["eyes"]
    assert entry["what"] == "model"
    assert entry["spent"]["epsilon"] == pytest.approx(said["epsilon_of_the_data_set"])


def test_its_images_may_be_shared_and_carry_the_guarantee(place, tmp_path):
    found = run("sample", place / "m", "-n", 2, "--out", tmp_path / "s.npz", "--share", "--json")
    assert found.exit_code == 0, found.output
    with np.load(tmp_path / "s.npz") as made:
        assert made["images"].shape == (4, 28, 28)
        assert set(made.files) == {"images", "labels", "classes", "origin"}
        told = json.loads(str(made["origin"][0]))
    stored = json.loads((place / "m" / "model.json").read_text())["guarantee"]
    assert told["privacy"] == stored
    assert told["guarantee"].startswith("epsilon")
    assert "seed" not in told
    assert run("sample", place / "m", "-n", 1, "--way", "prior", "--out", tmp_path / "p").exit_code == 0


@pytest.mark.parametrize(
    "words", [["--way", "posterior"], ["--way", "interpolation"], ["--detail", "1", "--data", "DATA"]]
)
def test_what_needs_places_of_images_is_refused(place, data, tmp_path, words):
    given = [data if word == "DATA" else word for word in words]
    found = run("sample", place / "m", "-n", 1, "--out", tmp_path / "s.npz", *given)
    assert found.exit_code == 2, found.output
    assert "learnt under differential privacy" in " ".join(found.output.split())
    assert not (tmp_path / "s.npz").exists()


def test_the_register_adds_up_until_the_cap(data, tmp_path):
    text = default_policy_path().read_text()
    at = text.index("epsilon_cap:")
    (tmp_path / "p.yaml").write_text(text[:at] + text[at:].replace("value: 10", "value: 2.2", 1))
    words = ["fit", data, *SHORT, *PUBLIC, "--data-set", "clinic", "-g", "conditional_vae"]
    words += ["--policy", tmp_path / "p.yaml"]
    first = run(*words, "--epsilon", 2, "--out", tmp_path / "a")
    assert first.exit_code == 0, first.output
    renamed = run("fit", data, *SHORT, *PUBLIC, "--epsilon", 1, "--out", tmp_path / "r")
    assert "holds nothing of 'eyes' yet" in renamed.stderr
    second = run(*words, "--epsilon", 2, "--out", tmp_path / "b")
    assert second.exit_code == 3
    assert "the policy's cap is 2.2" in second.output
    assert not (tmp_path / "b").exists()
    assert list(json.loads((tmp_path / "ehrsynth-register.json").read_text())["data"]) == ["clinic", "eyes"]
    assert run(*words, "--epsilon", 3, "--out", tmp_path / "c").exit_code == 3


def test_a_fit_that_breaks_off_has_paid(data, tmp_path, monkeypatch):
    from ehrsynth.imaging.models import private

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(private, "receipt", interrupted)
    assert run("fit", data, "--out", tmp_path / "m", *SHORT, *PUBLIC, "--epsilon", 4).exit_code != 0
    (entry,) = json.loads((tmp_path / "ehrsynth-register.json").read_text())["data"]["eyes"]
    assert (entry["what"], entry["spent"]["epsilon"]) == ("broken off", 4.0)
    assert not (tmp_path / "m").exists()


def test_images_that_cannot_be_read_cost_nothing(tmp_path):
    np.savez(tmp_path / "eyes.npz", images=np.zeros((3, 28, 28), np.uint8))
    found = run("fit", tmp_path / "eyes.npz", "--out", tmp_path / "m", *SHORT, *PUBLIC, "--epsilon", 4)
    assert found.exit_code == 2, found.output
    assert not (tmp_path / "ehrsynth-register.json").exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([*PUBLIC, "--epsilon", 1, "--seed", 1], "Leave --seed out"),
        ([*PUBLIC, "--epsilon", 1, "-g", "latent_diffusion"], "class_wise_vae, conditional_vae"),
        (["--epsilon", 1], "give --public-rows (how many patients there are), --size"),
        ([*PUBLIC[2:], "--epsilon", 1], "give --public-rows (how many patients there are)"),
        ([*PUBLIC, "--epsilon", 1, "--delta", 0.1], "delta 0.1 is too large"),
        ([*PUBLIC, "--delta", 0.001], "say --epsilon too"),
        (PUBLIC, "--public-rows, --public-class, --public-channels: only --epsilon asks for it"),
        ([*PUBLIC, "--epsilon", 1, "--text", "mask"], "--text accept"),
        ([*PUBLIC, "--epsilon", 1, "--set", "epsilon=2"], "given twice"),
        ([*PUBLIC, "--epsilon", 0], "greater than 0"),
    ],
)
def test_requests_that_cannot_be_met_say_why(data, tmp_path, words, says):
    short = [] if "latent_diffusion" in words else SHORT
    found = run("fit", data, "--out", tmp_path / "out", *short, *words)
    assert found.exit_code == 2, found.output
    assert says in " ".join(found.output.split())
    assert not list(tmp_path.iterdir())
