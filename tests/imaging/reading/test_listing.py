"""How a folder is listed: no class goes missing in silence, and a file has one patient."""

import pytest
from PIL import Image

from ehrsynth.errors import DataError, RequestError
from ehrsynth.imaging.reading import Rules, read_images
from pictures import shapes

ALONE = Rules(one_image_per_patient=True)


def folder(place, counts=(4, 4, 3)):
    pixels, labels = shapes(counts, 32)
    for k, (image, label) in enumerate(zip(pixels, labels, strict=True)):
        home = place / f"class {label}"
        home.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[..., 0]).save(home / f"{k:02d}.png")
    return place


def listed(place, rows):
    place.write_text("file,patient\n" + "".join(f"{file},{patient}\n" for file, patient in rows))
    return Rules(patients=place)


def test_a_class_whose_files_are_of_another_kind_is_not_left_out(tmp_path):
    place = folder(tmp_path)
    for k, file in enumerate(sorted((place / "class 2").iterdir())):
        Image.open(file).save(place / "class 2" / f"{k}.webp")
        file.unlink()
    with pytest.raises(DataError, match="1 of 3 class folders hold no picture") as error:
        read_images(place, ALONE)
    assert "folder 'class 2' holds 3 files of other kinds" in str(error.value)


def test_an_empty_class_folder_is_not_left_out(tmp_path):
    place = folder(tmp_path)
    (place / "class 3").mkdir()
    with pytest.raises(DataError, match="folder 'class 3' holds 0 files"):
        read_images(place, ALONE)


def test_a_file_with_two_patients_is_refused_and_neither_is_named(tmp_path):
    place = folder(tmp_path / "data")
    files = sorted(p.relative_to(place).as_posix() for p in place.rglob("*.png"))
    rows = [(file, f"Doe{k}") for k, file in enumerate(files)]
    assert read_images(place, listed(tmp_path / "l.csv", [*rows, rows[0]])).entry.patients == 11
    with pytest.raises(DataError, match="1 files are listed with more than one patient") as error:
        read_images(place, listed(tmp_path / "l.csv", [*rows, (f"./{files[0]}", "Other")]))
    assert "Doe" not in str(error.value)
    assert "Other" not in str(error.value)


def test_a_list_of_bare_names_says_what_a_file_is_called(tmp_path):
    place = folder(tmp_path / "data")
    rows = [(file.name, "P") for file in place.rglob("*.png")]
    with pytest.raises(DataError, match=r"11 of 11 images have no patient.*CLASS/NAME"):
        read_images(place, listed(tmp_path / "l.csv", rows))


def test_patients_are_told_in_one_way(tmp_path):
    with pytest.raises(RequestError, match="leave one of them out"):
        Rules(patients=tmp_path / "l.csv", pattern=r"(\d)")
