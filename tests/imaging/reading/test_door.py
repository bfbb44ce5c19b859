"""Whatever comes to the door works, or is refused by ordinal; nothing but pixels gets past it."""

import json

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from ehrsynth.errors import DataError, NotEnoughData, Refused, RequestError
from ehrsynth.imaging.folds import split_folds
from ehrsynth.imaging.reading import Rules, read_images
from ehrsynth.imaging.release import Sharing, write_images
from ehrsynth.imaging.synthetic import NO_PARENTS, SyntheticImages, refuse_leaks
from pictures import captioned, shapes, tissue

ALONE = Rules(one_image_per_patient=True)
SECRET = "Jane Doe 1961-04-12"  # noqa: S105 - a name, to look for


def folder(place, counts=(4, 3), *, ending="png", size=32, seed=0, **saving):
    pixels, labels = shapes(counts, size, seed=seed)
    for k, (image, label) in enumerate(zip(pixels, labels, strict=True)):
        home = place / f"class {label}"
        home.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[..., 0]).save(home / f"{SECRET} {k:02d}.{ending}", **saving)
    return place


def said(error):
    assert SECRET not in str(error.value)
    assert "Jane" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("ending", ["png", "bmp", "tiff", "jpg"])
def test_a_folder_for_each_class_is_read(tmp_path, ending):
    found = read_images(folder(tmp_path, ending=ending), ALONE)
    assert found.images.classes == ("class 0", "class 1")
    assert found.images.counts.tolist() == [4, 3]
    assert found.images.pixels.shape == (7, 32, 32, 1)
    assert found.external is None
    assert found.entry.patients == 7


def test_without_patients_nothing_is_read(tmp_path):
    with pytest.raises(RequestError, match="--one-image-per-patient") as error:
        read_images(folder(tmp_path))
    assert "--patients" in said(error)


def test_patients_come_from_a_list_a_pattern_or_folders(tmp_path):
    place = folder(tmp_path / "data")
    files = sorted(p.relative_to(place).as_posix() for p in place.rglob("*.png"))
    listed = tmp_path / "patients.csv"
    listed.write_text("file,patient\n" + "".join(f"{f},P{k // 2}\n" for k, f in enumerate(files)))
    assert read_images(place, Rules(patients=listed)).entry.patients == 4
    assert read_images(place, Rules(pattern=r"(\d)\.png$")).entry.patients == 7
    with pytest.raises(RequestError, match="finds nothing in the names of 7 of 7"):
        read_images(place, Rules(pattern=r"patient(\d+)"))
    listed.write_text("file,patient\n" + f"{files[0]},P1\n")
    with pytest.raises(DataError, match="6 of 7 images have no patient"):
        read_images(place, Rules(patients=listed))
    for k, file in enumerate(sorted(place.rglob("*.png"))):
        home = file.parent / f"case {k % 2}"
        home.mkdir(exist_ok=True)
        file.rename(home / file.name)
    assert read_images(place).entry.patients == 2


def test_damaged_files_are_all_named_by_ordinal(tmp_path):
    place = folder(tmp_path)
    files = sorted((place / "class 0").iterdir())
    files[1].write_bytes(files[1].read_bytes()[:80])
    files[3].write_bytes(b"no picture at all")
    with pytest.raises(DataError) as error:
        read_images(place, ALONE)
    text = said(error)
    assert "2 of 7 images cannot be used" in text
    assert "file 2 of class 'class 0'" in text
    assert "file 4 of class 'class 0'" in text


def test_exif_and_text_chunks_are_left_behind_and_counted(tmp_path):
    place = folder(tmp_path)
    notes = PngInfo()
    notes.add_text("Comment", SECRET)
    file = min((place / "class 0").iterdir())
    with Image.open(file) as image:
        image.save(file, pnginfo=notes)
    exif = Image.Exif()
    exif[0x010E] = SECRET
    with Image.open(file) as image:
        image.convert("L").save(place / "class 0" / "z.jpg", exif=exif)
    found = read_images(place, ALONE)
    assert found.entry.dropped == {"comment": 1, "EXIF": 1}
    assert "Jane" not in repr(found.entry)
    assert not any("Jane" in i for i in found.images.ids)


def test_unequal_sizes_are_brought_to_one(tmp_path):
    place = folder(tmp_path, size=40)
    folder(place, counts=(2, 0), size=90, seed=5)
    found = read_images(place, ALONE)
    assert found.images.pixels.shape[1:3] == (40, 40)
    assert found.entry.sizes == ((40, 40), (90, 90))
    assert read_images(place, Rules(one_image_per_patient=True, size=64)).images.size == 64


def test_too_small_an_image_is_refused_by_ordinal(tmp_path):
    place = folder(tmp_path)
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(place / "class 1" / "0.png")
    with pytest.raises(DataError, match=r"file 1 of class 'class 1'.*9 x 9 pixels"):
        read_images(place, ALONE)


def test_sixteen_bits_keep_their_scale_over_the_whole_set(tmp_path):
    pixels, labels = shapes((3, 3))
    for k, (image, label) in enumerate(zip(pixels, labels, strict=True)):
        home = tmp_path / str(label)
        home.mkdir(exist_ok=True)
        Image.fromarray(image[..., 0].astype(np.uint16) * 16).save(home / f"{k}.png")  # 12 bits in 16
    found = read_images(tmp_path, ALONE)
    assert np.abs(found.images.pixels.astype(int) - pixels).max() <= 1


def deep_folder(place, factors):
    """Greys of 8 bits in 16, each image times its own factor; half of the images in each class."""
    pixels, _ = shapes((len(factors), 0))
    for k, (image, factor) in enumerate(zip(pixels, factors, strict=True)):
        home = place / f"class {2 * k // len(factors)}"
        home.mkdir(exist_ok=True)
        Image.fromarray(image[..., 0].astype(np.uint16) * factor).save(home / f"{SECRET} {k}.png")
    return place


@pytest.mark.parametrize(
    ("factors", "odd"),
    [
        ([257, 257, 257, 257, 257, 16], {"file 3 of class 'class 1'"}),  # the odd one would be black
        ([16, 257, 16, 16, 16, 16], {"file 2 of class 'class 0'"}),  # all but the odd one would be
        ([16, 16, 16, 257, 257, 257], {f"file {k} of class 'class 0'" for k in (1, 2, 3)}),
    ],
)
def test_a_set_that_mixes_depths_is_refused_by_ordinal(tmp_path, factors, odd):
    with pytest.raises(DataError, match="bring all to one scale first") as error:
        read_images(deep_folder(tmp_path, factors), ALONE)
    assert {problem.split(" (")[0] for problem in error.value.problems} == odd
    said(error)


def test_depths_that_are_near_are_kept_and_told(tmp_path):
    (place := tmp_path / "a").mkdir()
    found = read_images(deep_folder(place, [16] * 3 + [32] * 3), ALONE)
    (told, scanner) = found.entry.remarks
    assert "16-bit greys" in told
    assert "tells some class from the others" in scanner
    (place := tmp_path / "b").mkdir()
    (told,) = read_images(deep_folder(place, [16, 32] * 3), ALONE).entry.remarks
    assert "16-bit greys" in told


def test_greys_of_eight_bits_beside_sixteen_keep_their_own_scale(tmp_path):
    deep_folder(tmp_path, [16] * 6)
    pixels, _ = shapes((1, 0), seed=3)
    Image.fromarray(pixels[0, ..., 0]).save(tmp_path / "class 0" / "0.png")
    found = read_images(tmp_path, ALONE)
    assert np.array_equal(found.images.pixels[0], pixels[0])
    assert any("stored with 8 bits" in remark for remark in found.entry.remarks)


def test_an_archive_that_mixes_depths_is_refused(tmp_path):
    pixels, labels = shapes((4, 3))
    deep = pixels[..., 0].astype(np.uint16) * np.where(labels == 1, 16, 257)[:, None, None].astype(np.uint16)
    file = archive(tmp_path, images=deep, labels=labels)
    with pytest.raises(DataError, match="3 of 7 images of 16-bit greys") as error:
        read_images(file, ALONE)
    assert "image 5 of 7: 12 bits" in str(error.value)


def test_greys_that_were_stored_inverted_are_turned_round(tmp_path):
    pixels, labels = shapes((3, 3))
    for k, (image, label) in enumerate(zip(pixels, labels, strict=True)):
        home = tmp_path / str(label)
        home.mkdir(exist_ok=True)
        Image.fromarray(255 - image[..., 0]).save(home / f"{k}.tiff", tiffinfo={262: 0})
    found = read_images(tmp_path, ALONE)
    straight = found.images.pixels.astype(float).ravel()
    assert abs(np.corrcoef(straight, pixels.astype(float).ravel())[0, 1]) > 0.999


@pytest.mark.parametrize("ending", ["bmp", "jpg", "png"])
def test_a_planted_caption_is_caught_in_every_format(tmp_path, ending):
    for label in (0, 1):
        home = tmp_path / str(label)
        home.mkdir()
        for k, picture in enumerate(tissue(6, 128, seed=label)):
            shown = captioned(picture, "SMITH 04/12") if (label, k) == (1, 2) else picture
            Image.fromarray(shown).save(home / f"{k}.{ending}")
    with pytest.raises(Refused, match="top left: letters in 1 of 12 images: file 3 of class '1' ") as caught:
        read_images(tmp_path, ALONE)
    assert "2." + ending not in str(caught.value)
    covered = read_images(tmp_path, Rules(one_image_per_patient=True, text="mask"))
    assert covered.entry.masked_places
    assert read_images(tmp_path, Rules(one_image_per_patient=True, text="accept")).entry.masked_places == ()


def test_near_duplicates_of_two_patients_share_a_group(tmp_path):
    place = folder(tmp_path, counts=(6, 4))
    file = min((place / "class 0").iterdir())
    with Image.open(file) as image:
        brighter = np.clip(np.asarray(image) * 1.08, 0, 255).astype(np.uint8)
    Image.fromarray(brighter).save(place / "class 0" / "again.jpg", quality=85)
    found = read_images(place, ALONE)
    assert found.entry.patients == 11
    assert found.entry.groups == 10
    assert found.entry.joined == 2
    assert np.bincount(found.images.patients).max() == 2


def test_a_film_does_not_join_all_of_its_patients(tmp_path):
    """Frames that change little from one to the next would chain: the measure gets stricter."""
    still = tissue(1, 96, seed=4, colour=False)[0]
    frames = np.stack([np.roll(still, k, axis=1)[:64, :64] for k in range(40)])
    file = archive(tmp_path, images=frames, labels=np.arange(40) % 2, patient=np.arange(40))
    entry = read_images(file).entry
    assert entry.largest_group <= 8
    assert entry.groups >= 5


def test_a_film_says_that_the_measure_was_made_stricter(tmp_path):
    frames = np.stack([np.clip(tissue(1, 64, colour=False)[0] + 0.4 * k, 0, 255) for k in range(30)])
    noisy = np.clip(frames + np.random.default_rng(1).normal(0, 4, frames.shape), 0, 255).astype(np.uint8)
    np.savez(tmp_path / "film.npz", images=noisy, labels=np.arange(30) % 2)
    found = read_images(tmp_path / "film.npz", ALONE)
    assert any("joined from a correlation of 0.9" in remark for remark in found.entry.remarks)
    assert read_images(folder(tmp_path / "others"), ALONE).entry.remarks == ()


def test_a_pattern_looks_at_the_name_and_not_at_the_class(tmp_path):
    for k in range(4):
        for label in ("grade1", "grade2"):
            (tmp_path / label).mkdir(exist_ok=True)
            Image.fromarray(tissue(1, 32, seed=2 * k + (label == "grade1"), colour=False)[0]).save(
                tmp_path / label / f"P{k}_{label}.png"
            )
    for pattern in (r"^(P\d+)", r"^([^_]+)_", r"(\d+)"):
        assert read_images(tmp_path, Rules(pattern=pattern)).entry.patients == 4
    with pytest.raises(RequestError, match="finds nothing in the names of 2 of 8"):
        read_images(tmp_path, Rules(pattern=r"P([0-2])|Q(\d)"))
    with pytest.raises(RequestError, match="finds nothing in the names of 2 of 8"):
        read_images(tmp_path, Rules(pattern=r"P([0-2])|P3"))


def test_who_has_several_images_is_not_declared_to_have_one(tmp_path):
    place = folder(tmp_path)
    for k, file in enumerate(sorted(place.rglob("*.png"))):
        home = file.parent / f"case {k % 3}"
        home.mkdir(exist_ok=True)
        file.rename(home / file.name)
    with pytest.raises(DataError, match="4 images are of a patient who has another"):
        read_images(place, ALONE)
    assert len(read_images(place, Rules(unsplit=True)).images) == 7
    with pytest.raises(RequestError, match="--slices 3"):
        Rules(one_image_per_patient=True, slices=3)


@pytest.mark.parametrize("ending", ["", ".npz"])
def test_synthetic_images_do_not_come_back_as_real_ones(tmp_path, ending):
    pixels, labels = shapes((3, 3), 32)
    none = np.full(6, np.nan)
    made = SyntheticImages(pixels, labels, (NO_PARENTS,) * 6, frozenset(), none)
    out = tmp_path / f"made{ending}"
    write_images(made, ("a", "b"), out, sharing=Sharing(), facts={})
    with pytest.raises(DataError, match=r"(6 of 6 images cannot be used|marked as synthetic)") as error:
        read_images(out, ALONE)
    assert "marked as synthetic" in str(error.value)


def test_an_image_is_known_again_however_it_was_let_in(tmp_path):
    place = folder(tmp_path, size=40)
    plain = read_images(place, ALONE).images
    small = read_images(place, Rules(one_image_per_patient=True, size=28)).images
    pair = (plain.ids[0], plain.ids[1])
    made = SyntheticImages(plain.pixels[:1], plain.labels[:1], (pair,), frozenset(pair), np.array([0.5]))
    with pytest.raises(RequestError, match="1 of 1 synthetic images have a parent"):
        refuse_leaks(made, small.at(np.array([0])))
    assert refuse_leaks(made, small.at(np.array([5]))) is made


def test_one_image_in_two_classes_is_refused(tmp_path):
    place = folder(tmp_path)
    file = min((place / "class 0").iterdir())
    (place / "class 1" / "zz.png").write_bytes(file.read_bytes())
    with pytest.raises(DataError, match="1 pairs of images are the same and stand in two classes") as error:
        read_images(place, ALONE)
    assert "file 4 of class 'class 1'" in said(error)


def test_a_class_alone_and_a_folder_without_classes_are_refused(tmp_path):
    with pytest.raises(DataError, match="no class folders"):
        read_images(tmp_path, ALONE)
    with pytest.raises(NotEnoughData, match="1 class was found"):
        read_images(folder(tmp_path, counts=(4,)), ALONE)
    with pytest.raises(RequestError, match="or an \\.npz"):
        read_images(tmp_path / "nothing.txt", ALONE)


def test_folds_of_a_seed_are_the_same_each_time_that_images_are_read(tmp_path):
    """Patients are hashed with a key that is new each time; nothing may depend on how the hashes sort."""
    place = folder(tmp_path, counts=(8, 6))
    rules = Rules(pattern=r"(\d)\.png$")
    one, two = (read_images(place, rules).images for _ in range(2))
    assert one.patients.tolist() == two.patients.tolist()
    a, b = (split_folds(images, folds=2, seed=1)[0].train.images.ids for images in (one, two))
    assert a == b


def archive(place, **arrays):
    np.savez(place / "a.npz", **arrays)
    return place / "a.npz"


def test_an_archive_is_read_with_its_classes_and_patients(tmp_path):
    pixels, labels = shapes((5, 4))
    file = archive(
        tmp_path, images=pixels[..., 0], labels=labels[:, None], classes=["disc", "ring"], source=labels
    )
    found = read_images(file)
    assert found.images.classes == ("disc", "ring")
    assert found.entry.patients == 2
    assert np.array_equal(found.images.pixels, pixels)


def test_the_test_part_of_an_archive_stands_in_no_fold(tmp_path):
    pixels, labels = shapes((6, 6))
    again = pixels[:1]
    file = archive(
        tmp_path,
        train_images=np.concatenate([pixels[::2], again]),
        train_labels=np.concatenate([labels[::2], labels[:1]]),
        test_images=np.concatenate([pixels[1::2], again]),
        test_labels=np.concatenate([labels[1::2], labels[:1]]),
    )
    found = read_images(file, ALONE)
    assert len(found.external) == 7
    # What is the same as an image of the test part is set aside with it.
    assert len(found.images) == 5
    assert not set(found.images.ids) & set(found.external.ids)


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"pictures": np.zeros((2, 30, 30))}, "needs the arrays"),
        ({"images": np.zeros((3, 30), np.uint8), "labels": np.zeros(3, int)}, "shape"),
        ({"images": np.zeros((3, 30, 30, 2), np.uint8), "labels": np.zeros(3, int)}, "shape"),
        ({"images": np.zeros((3, 30, 30), np.uint8), "labels": np.zeros(2, int)}, "3 images and 2 labels"),
        ({"images": np.full((3, 30, 30), -1.0), "labels": np.zeros(3, int)}, "whole numbers"),
        ({"images": np.full((3, 30, 30), np.nan), "labels": np.zeros(3, int)}, "image 1"),
        ({"images": np.zeros((3, 30, 30), np.uint8), "labels": np.zeros((3, 2), int)}, "several columns"),
        ({"images": np.zeros((3, 30, 30), np.uint8), "labels": np.zeros(3)}, "neither whole"),
    ],
)
def test_archives_that_do_not_fit_say_why(tmp_path, arrays, says):
    with pytest.raises(DataError, match=says):
        read_images(archive(tmp_path, **arrays), ALONE)


def test_an_archive_of_objects_runs_no_code(tmp_path):
    np.savez(tmp_path / "a.npz", images=np.array([{"a": 1}], dtype=object), labels=np.zeros(1))
    with pytest.raises(DataError, match="objects"):
        read_images(tmp_path / "a.npz", ALONE)
    (tmp_path / "b.npz").write_bytes(json.dumps({"images": 1}).encode())
    with pytest.raises(DataError, match="damaged"):
        read_images(tmp_path / "b.npz", ALONE)


def test_many_classes_are_refused(tmp_path):
    pixels, _ = shapes((26, 0))
    file = archive(tmp_path, images=pixels[..., 0], labels=np.arange(26) % 13)
    with pytest.raises(DataError, match="13 classes were found: at most 12"):
        read_images(file, ALONE)
