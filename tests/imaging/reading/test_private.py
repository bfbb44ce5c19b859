"""At the private door one image never changes another, and a patient is whom the data name."""

import numpy as np
import pytest
from PIL import Image

from ehrsynth.errors import DataError, Refused, RequestError
from ehrsynth.imaging.patient_images import PublicImages
from ehrsynth.imaging.reading import Rules, read_patients
from pictures import captioned, shapes, tissue

PUBLIC = PublicImages(30, 28, ("disc", "ring"), 1)


def archive(folder, name="a.npz", counts=(7, 5), **changed):
    pixels, labels = shapes(counts, 32)
    arrays = {"images": pixels[..., 0], "labels": labels, "classes": np.array(["disc", "ring"])}
    arrays |= {"patient": np.arange(len(labels)) // 2}
    np.savez(folder / name, **arrays | changed)
    return folder / name


def test_patients_are_those_of_the_file_even_where_images_are_alike(tmp_path):
    """The door for use inside joins them, which would make one patient's row depend on another's."""
    pixels, _ = shapes((7, 5), 32)
    pixels[2] = pixels[0]
    rows = read_patients(archive(tmp_path, images=pixels[..., 0]), Rules(), PUBLIC)
    assert rows.count.tolist() == [2] * 6
    assert rows.pixels.shape == (12, 28, 28, 1)


def test_one_patient_more_changes_no_other_row(tmp_path):
    pixels, labels = shapes((7, 5), 32)
    few = archive(tmp_path, "few.npz", images=pixels[:10, ..., 0], labels=labels[:10], patient=np.arange(10))
    all_ = archive(tmp_path, "all.npz", patient=np.arange(12))
    one, other = (read_patients(p, Rules(), PUBLIC) for p in (few, all_))
    assert np.array_equal(one.pixels, other.pixels[:10])
    assert np.array_equal(one.labels, other.labels[:10])


def test_colour_and_size_are_the_public_ones_and_not_those_of_other_images(tmp_path):
    for name in ("disc", "ring"):
        (tmp_path / "set" / name).mkdir(parents=True)
    for k, picture in enumerate(tissue(4, 60)):
        shown = picture if k == 0 else picture[: 40 + k, : 50 - k, 0]
        Image.fromarray(shown).save(tmp_path / "set" / ("disc", "ring")[k % 2] / f"{k}.png")
    rules = Rules(one_image_per_patient=True)
    grey = read_patients(tmp_path / "set", rules, PUBLIC)
    colour = read_patients(tmp_path / "set", rules, PublicImages(30, 40, ("ring", "disc", "bar"), 3))
    assert grey.pixels.shape == (4, 28, 28, 1)
    assert colour.pixels.shape == (4, 40, 40, 3)
    assert sorted(grey.labels.tolist()) == [0, 0, 1, 1]
    assert np.array_equal(colour.labels, 1 - grey.labels)


def test_greys_that_would_be_scaled_together_are_refused(tmp_path):
    pixels, _ = shapes((7, 5), 32)
    for deep in (
        pixels[..., 0].astype(np.uint16) * 16,
        pixels[..., 0] / 255,
        pixels[..., 0].astype(np.int64),
    ):
        with pytest.raises(DataError, match="8 bits"):
            read_patients(archive(tmp_path, images=deep), Rules(), PUBLIC)


def test_requests_that_mix_patients_or_declare_what_is_not_so_are_refused(tmp_path):
    place = archive(tmp_path)
    with pytest.raises(RequestError, match="--text accept"):
        read_patients(place, Rules(text="mask"), PUBLIC)
    with pytest.raises(DataError, match="6 images are of a patient who has another"):
        read_patients(place, Rules(one_image_per_patient=True), PUBLIC)
    with pytest.raises(DataError, match="1 classes of the data were not declared public"):
        read_patients(place, Rules(), PublicImages(30, 28, ("disc", "bar"), 1))


def test_text_and_unknown_patients_are_refused_as_ever(tmp_path):
    written = np.stack([captioned(p, "DOE 1961") for p in tissue(12, 96, colour=False)])
    given = {"images": written, "labels": np.arange(12) % 2}
    with pytest.raises(Refused, match="burned into"):
        read_patients(archive(tmp_path, **given), Rules(), PUBLIC)
    pixels, labels = shapes((4, 4), 32)
    np.savez(tmp_path / "b.npz", images=pixels[..., 0], labels=labels, classes=["disc", "ring"])
    with pytest.raises(RequestError, match="whose images"):
        read_patients(tmp_path / "b.npz", Rules(), PUBLIC)
