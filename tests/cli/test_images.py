"""`ehrsynth images` on small sets: what works, what is refused, and with which exit code."""

import json

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from ehrsynth.cli import app
from ehrsynth.errors import MissingPackage
from ehrsynth.imaging.networks.weights import lite0
from pictures import captioned, shapes, tissue

SHORT = ["--set", "shared_steps=4", "--set", "own_steps=2", "--set", "latent=4", "--set", "batch=4"]


@pytest.fixture(autouse=True)
def _seeing():
    try:
        lite0()
    except MissingPackage as error:
        pytest.skip(str(error))


def run(*words):
    return CliRunner().invoke(app, ["images", *map(str, words)])


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    pixels, labels = shapes((60, 50))
    file = tmp_path_factory.mktemp("images") / "a.npz"
    np.savez(file, images=pixels[..., 0], labels=labels, classes=["disc", "ring"], patient=np.arange(110))
    return file


@pytest.fixture(scope="module")
def model(data, tmp_path_factory):
    place = tmp_path_factory.mktemp("model") / "m"
    found = run("fit", data, "--out", place, "--seed", 1, *SHORT)
    assert found.exit_code == 0, found.output
    return place


def test_a_model_draws_marked_images_that_carry_their_parents(model, tmp_path):
    found = run("sample", model, "--images", 3, "--out", tmp_path / "s.npz", "--seed", 2, "--json")
    assert found.exit_code == 0, found.output
    assert json.loads(found.stdout)["images"] == 6
    with np.load(tmp_path / "s.npz") as made:
        assert made["images"].shape == (6, 32, 32)
        assert made["parents"].shape == (6, 2)
        assert len(made["learnt_from"]) > 80
        assert "synthetic" in str(made["origin"][0])
    assert (tmp_path / "s.npz").stat().st_mode & 0o777 == 0o600


def test_a_fit_says_what_it_left_out(tmp_path):
    pixels, labels = shapes((12, 12))
    for k, (picture, label) in enumerate(zip(pixels[..., 0], labels, strict=True)):
        place = tmp_path / "data" / str(label) / f"{k}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(place)
    (tmp_path / "data" / "0" / "notes.txt").write_text("x")
    found = run(
        "fit", tmp_path / "data", "--out", tmp_path / "m", "--one-image-per-patient", "--json", *SHORT
    )
    assert found.exit_code == 0, found.output
    told = json.loads(found.stdout)
    assert told["images"] + told["held_out"] == 24
    assert told["remarks"] == "1 files of other kinds were left out"


def test_images_are_not_shared_without_a_guarantee_or_a_name(model, tmp_path):
    found = run("sample", model, "--images", 2, "--out", tmp_path / "s.npz", "--share")
    assert found.exit_code == 3
    assert "may not be shared" in found.output
    assert not (tmp_path / "s.npz").exists()
    words = ["--share", "--override", "data board, protocol 12"]
    found = run("sample", model, "--images", 2, "--out", tmp_path / "s.npz", *words)
    assert found.exit_code == 0
    with np.load(tmp_path / "s.npz") as made:
        assert not {"parents", "learnt_from", "weights"} & set(made.files)
        told = json.loads(str(made["origin"][0]))
    assert told["override"] == "data board, protocol 12"
    assert "seed" not in told


def test_a_policy_may_allow_sharing(model, tmp_path):
    from ehrsynth.release.policy import default_policy_path

    text = default_policy_path().read_text()
    at = text.index("images_without_guarantee:")
    (tmp_path / "p.yaml").write_text(text[:at] + text[at:].replace("value: 0", "value: 1", 1))
    words = ["--share", "--policy", tmp_path / "p.yaml"]
    assert run("sample", model, "--images", 2, "--out", tmp_path / "s.npz", *words).exit_code == 0


def test_images_can_be_written_as_files_of_one_class(model, tmp_path):
    found = run("sample", model, "-n", 2, "--class", "ring", "--way", "prior", "--out", tmp_path / "png")
    assert found.exit_code == 0, found.output
    assert [p.name for p in (tmp_path / "png" / "ring").iterdir()]
    assert not (tmp_path / "png" / "disc").exists()
    assert "synthetic" in (tmp_path / "png" / "origin.json").read_text()


def test_detail_is_put_back_from_the_data_that_were_learnt_from(model, data, tmp_path):
    words = ["-n", 2, "--detail", 1, "--seed", 1]
    found = run("sample", model, *words, "--out", tmp_path / "a.npz")
    assert found.exit_code == 2
    assert "--data" in found.output
    found = run("sample", model, *words, "--out", tmp_path / "a.npz", "--data", data)
    assert found.exit_code == 0, found.output
    with np.load(data) as known:
        np.savez(
            tmp_path / "few.npz", **{k: known[k][:80] if k != "classes" else known[k] for k in known.files}
        )
    found = run("sample", model, *words, "--out", tmp_path / "b.npz", "--data", tmp_path / "few.npz")
    assert found.exit_code == 2
    assert "images that the model was fitted on are in these data" in " ".join(found.output.split())


def test_given_images_that_leak_stop_a_study(model, data, tmp_path):
    assert run("sample", model, "-n", 3, "--out", tmp_path / "s.npz").exit_code == 0
    found = run("study", data, "--out", tmp_path / "study", "--quick", "--synthetic", tmp_path / "s.npz")
    assert found.exit_code == 2
    assert "parent on the side that judges" in found.output
    assert "fitted on other patients" in " ".join(found.output.split())
    found = run("study", data, "--out", tmp_path / "study", "--synthetic", tmp_path / "s.npz")
    assert found.exit_code == 2
    assert "add --quick" in found.output


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["study", "DATA", "--out", "OUT", "--cut", "disc"], 2, "CLASS=N"),
        (["study", "DATA", "--out", "OUT", "--quick", "--cut", "disk=3"], 2, "Did you mean 'disc'?"),
        (["study", "DATA", "--out", "OUT", "--classifier", "resnet"], 2, "unknown classifier"),
        (
            ["study", "DATA", "--out", "OUT", "--quick", "--classifier", "resnet50"],
            2,
            "teaches no classifier",
        ),
        (["study", "DATA", "--out", "OUT", "--quick", "--classifier-size", "64"], 2, "teaches no classifier"),
        (["study", "DATA", "--out", "OUT", "--quick", "--steps", "40"], 2, "teaches no classifier"),
        (["study", "DATA", "--out", "OUT", "--quick", "--minutes", "0"], 2, "goes on where it stopped"),
        (["study", "DATA", "--out", "OUT", "--quick", "--folds", "70"], 2, "equal to 20"),
        (["study", "DATA", "--out", "OUT", "--text", "ignore"], 2, "unknown way with text"),
        (["study", "DATA", "--out", "OUT", "--generator", "latent_diffusion"], 2, "image model of a study"),
        (["fit", "DATA", "--out", "OUT", "--generator", "gan"], 2, "unknown image model"),
        (["fit", "DATA", "--out", "OUT", "--set", "latents=3"], 2, "latents"),
        (["sample", "MODEL", "--images", "2", "--out", "OUT", "--way", "line"], 2, "unknown way"),
        (["sample", "MODEL", "--images", "2", "--out", "OUT", "--class", "rng"], 2, "Did you mean 'ring'?"),
    ],
)
def test_requests_that_cannot_be_met_say_why(data, model, tmp_path, words, code, says):
    places = {"DATA": data, "MODEL": model, "OUT": tmp_path / "out"}
    found = run(*(places.get(word, word) for word in words))
    assert found.exit_code == code, found.output
    assert says in " ".join(found.output.split())


def test_without_patients_a_study_ends_with_2_and_with_text_with_3(tmp_path):
    pixels, labels = shapes((6, 6))
    np.savez(tmp_path / "a.npz", images=pixels[..., 0], labels=labels)
    found = run("study", tmp_path / "a.npz", "--out", tmp_path / "s", "--quick")
    assert found.exit_code == 2
    assert "--one-image-per-patient" in found.output
    written = np.stack([captioned(p, "DOE 1961") for p in tissue(12, 96, colour=False)])
    np.savez(tmp_path / "b.npz", images=written, labels=np.arange(12) % 2, patient=np.arange(12))
    found = run("study", tmp_path / "b.npz", "--out", tmp_path / "s", "--quick")
    assert found.exit_code == 3
    assert "--text mask" in found.output
    assert (tmp_path / "s" / "captions.png").is_file()


def test_raters_answers_are_counted(tmp_path):
    key = {"format": 1, "test": "t", "real": [True, False] * 6}
    given = {"format": 1, "test": "t", "rater": "a", "answers": [{"answer": "real", "confidence": 3}] * 12}
    (tmp_path / "k.json").write_text(json.dumps(key))
    (tmp_path / "a.json").write_text(json.dumps(given))
    found = run("answers", tmp_path / "k.json", tmp_path / "a.json", "--json")
    assert found.exit_code == 0, found.output
    assert json.loads(found.stdout)["answers"] == 12
    assert (
        "not shown that people cannot tell" in run("answers", tmp_path / "k.json", tmp_path / "a.json").output
    )
    given["test"] = "u"
    (tmp_path / "a.json").write_text(json.dumps(given))
    assert run("answers", tmp_path / "k.json", tmp_path / "a.json").exit_code == 2


def test_detail_of_slices_is_put_back_from_as_many_slices(tmp_path):
    nibabel = pytest.importorskip("nibabel")
    for name, count in (("clear", 5), ("lesion", 5)):
        (tmp_path / "data" / name).mkdir(parents=True)
        for k, picture in enumerate(tissue(count, 40, seed=count + len(name), colour=False)):
            volume = np.stack([np.clip(picture.astype(np.int16) + 4 * z, 0, 255) for z in range(9)], axis=2)
            nibabel.save(
                nibabel.Nifti1Image(volume, np.eye(4)), tmp_path / "data" / name / f"{name}{k}.nii.gz"
            )
    data, slices = tmp_path / "data", ["--slices", 2, "--text", "accept"]
    fitted = run(
        "fit", data, "--out", tmp_path / "m", *slices, "--patient-pattern", r"^\w+?\d", "--seed", 1, *SHORT
    )
    assert fitted.exit_code == 0, fitted.output
    words = ["sample", tmp_path / "m", "-n", 2, "--detail", 1, "--data", data]
    found = run(*words, "--text", "accept", "--out", tmp_path / "a.npz")
    assert "the same --text and --slices" in " ".join(found.output.split())
    found = run(*words, *slices, "--out", tmp_path / "a.npz")
    assert found.exit_code == 0, found.output
