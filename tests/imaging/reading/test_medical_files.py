"""DICOM and NIfTI come in by an allow-list: what a patient is called never reaches the set."""

import numpy as np
import pytest

from ehrsynth.errors import DataError, Refused
from ehrsynth.imaging.reading import Rules, read_images
from pictures import shapes

pydicom = pytest.importorskip("pydicom")
nibabel = pytest.importorskip("nibabel")
SECRET = "Doe^Jane"  # noqa: S105 - a name, to look for


def dicom(path, pixels, *, patient="P1", series="1.2.3", position=None, **tags):
    """A DICOM file with a name, a private tag and more that must not get in."""
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = tags.get("SOPClassUID", "1.2.840.10008.5.1.4.1.1.2")
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    made.PatientName, made.PatientID, made.SeriesInstanceUID = SECRET, patient, series
    made.SOPClassUID = meta.MediaStorageSOPClassUID
    made.Rows, made.Columns = pixels.shape[:2]
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.BitsAllocated = made.BitsStored = 8 * pixels.dtype.itemsize
    made.HighBit, made.PixelRepresentation = made.BitsStored - 1, 0
    made.add_new(0x00090010, "LO", "HOSPITAL")
    made.add_new(0x00091001, "LO", SECRET)
    if position is not None:
        made.ImagePositionPatient = [0, 0, position]
        made.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    for name, value in tags.items():
        setattr(made, name, value)
    made.PixelData = pixels.tobytes()
    made.save_as(path, enforce_file_format=True)


@pytest.fixture
def ward(tmp_path):
    pixels, labels = shapes((4, 4))
    for k, (image, label) in enumerate(zip(pixels, labels, strict=True)):
        home = tmp_path / str(label)
        home.mkdir(exist_ok=True)
        dicom(home / f"{k}.dcm", image[..., 0], patient=f"P{k // 2}", series=f"1.2.{k}")
    return tmp_path


def test_patients_are_told_by_the_files_and_names_stay_outside(ward):
    found = read_images(ward)
    assert found.images.counts.tolist() == [4, 4]
    assert found.entry.patients == 4
    assert found.entry.dropped == {"DICOM tags outside the allow-list": 8, "private tags": 8}
    assert SECRET not in repr(found)


def test_inverted_greys_are_turned_round(ward):
    straight = read_images(ward).images.pixels
    pixels, labels = shapes((4, 4))
    for k, (image, label) in enumerate(zip(pixels, labels, strict=True)):
        dicom(
            ward / str(label) / f"{k}.dcm",
            255 - image[..., 0],
            patient=f"P{k // 2}",
            series=f"1.2.{k}",
            PhotometricInterpretation="MONOCHROME1",
        )
    found = read_images(ward)
    assert np.abs(found.images.pixels.astype(int) - straight).max() <= 1
    assert any("inverted" in remark for remark in found.entry.remarks)


def test_windows_and_rescaling_are_applied(ward):
    pixels, _ = shapes((1, 0), seed=9)
    deep = pixels[0, ..., 0].astype(np.uint16) * 8
    dicom(
        ward / "0" / "9.dcm",
        deep,
        patient="P9",
        series="1.2.9",
        RescaleSlope=1,
        RescaleIntercept=-1024,
        WindowCenter=0,
        WindowWidth=2048,
    )
    found = read_images(ward)
    assert found.images.pixels.shape[1:] == (32, 32, 1)
    assert found.images.counts.tolist() == [5, 4]


@pytest.mark.parametrize(
    ("tags", "says"),
    [
        ({"BurnedInAnnotation": "YES"}, "burned into its pixels"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"}, "capture of a screen"),
        ({"RecognizableVisualFeatures": "YES"}, "face"),
    ],
)
def test_files_that_show_a_person_are_refused_by_ordinal(ward, tags, says):
    pixels, _ = shapes((1, 0), seed=9)
    dicom(ward / "1" / "zz.dcm", pixels[0, ..., 0], patient="P9", series="1.2.9", **tags)
    with pytest.raises(DataError, match=says) as error:
        read_images(ward)
    assert "file 5 of class '1'" in str(error.value)
    assert SECRET not in str(error.value)


def test_an_endoscope_is_no_screen(ward):
    for file in ward.rglob("*.dcm"):
        made = pydicom.dcmread(file)
        made.SOPClassUID = "1.2.840.10008.5.1.4.1.1.77.1.1"
        made.save_as(file)
    assert len(read_images(ward).images) == 8


@pytest.mark.parametrize("kind", ["RGB", "YBR_FULL"])
def test_colours_are_what_they_were_however_they_are_stored(tmp_path, kind):
    from pydicom.pixels import convert_color_space

    mucosa = np.empty((2, 32, 32, 3), np.uint8)
    mucosa[0], mucosa[1] = (190, 90, 70), (120, 60, 160)
    for k, image in enumerate(mucosa):
        home = tmp_path / str(k)
        home.mkdir()
        stored = image if kind == "RGB" else convert_color_space(image, "RGB", kind)
        tags = {"SamplesPerPixel": 3, "PlanarConfiguration": 0, "PhotometricInterpretation": kind}
        dicom(home / "a.dcm", stored, patient=f"P{k}", series=f"1.2.{k}", **tags)
    found = read_images(tmp_path).images.pixels.astype(int)
    assert np.abs(found - mucosa).max() <= 2


def test_text_that_a_header_declares_and_nobody_finds_is_not_let_in_as_masked(ward):
    files = sorted(ward.rglob("*.dcm"))
    made = pydicom.dcmread(files[2])
    made.BurnedInAnnotation = "YES"
    made.save_as(files[2])
    with pytest.raises(Refused, match="headers of 1 images say that text is burned") as error:
        read_images(ward, Rules(text="mask"))
    assert "file 3 of class '0'" in str(error.value)


def test_a_series_is_one_volume_and_gives_its_middle(ward):
    for k in range(9):
        image = np.full((32, 32), 10 * k, np.uint8)
        image[8:24, 8 + k : 24] = 200
        dicom(ward / "0" / f"s{8 - k}.dcm", image, patient="P9", series="1.2.99", position=float(k))
    assert read_images(ward).images.counts.tolist() == [5, 4]
    assert read_images(ward, Rules(slices=3)).images.counts.tolist() == [7, 4]


def test_slices_of_two_patients_in_one_series_are_refused_by_ordinal(ward):
    for k in range(4):
        image = np.full((32, 32), 40 * k, np.uint8)
        dicom(ward / "0" / f"s{k}.dcm", image, patient=f"Q{k // 2}", series="1.2.99", position=float(k))
    with pytest.raises(DataError, match="slices of several patients") as error:
        read_images(ward)
    assert [f"file {k}" in str(error.value) for k in range(1, 10)] == [False] * 4 + [True] * 4 + [False]
    assert SECRET not in str(error.value)


def test_pictures_of_two_patients_in_one_series_without_places_are_single(ward):
    pixels, _ = shapes((2, 0), seed=4)
    for k, image in enumerate(pixels):
        dicom(ward / "0" / f"s{k}.dcm", image[..., 0], patient=f"Q{k}", series="1.2.99")
    found = read_images(ward)
    assert found.images.counts.tolist() == [6, 4]
    assert found.entry.patients == 6


def test_colours_are_spread_over_the_bits_that_a_header_declares(ward):
    pixels, _ = shapes((1, 0), seed=9, channels=3)
    dicom(
        ward / "0" / "9.dcm",
        pixels[0].astype(np.uint16) * 16,
        patient="P9",
        series="1.2.9",
        SamplesPerPixel=3,
        PlanarConfiguration=0,
        PhotometricInterpretation="RGB",
        BitsStored=12,
        HighBit=11,
    )
    found = read_images(ward)
    assert np.abs(found.images.pixels[4].astype(int) - pixels[0]).max() <= 1
    assert "1 images: colours of 12 bits, as their headers declare, were spread over 8" in found.entry.remarks


def test_a_damaged_file_is_refused_by_ordinal(ward):
    file = ward / "0" / "0.dcm"
    file.write_bytes(file.read_bytes()[:300])
    with pytest.raises(DataError, match="file 1 of class '0'"):
        read_images(ward)


def test_nifti_leaves_its_free_text_behind(tmp_path):
    rng = np.random.default_rng(0)
    pixels, labels = shapes((4, 4))
    for k, (image, label) in enumerate(zip(pixels, labels, strict=True)):
        home = tmp_path / str(label)
        home.mkdir(exist_ok=True)
        volume = np.repeat(image, 7, axis=2).astype(np.float32) + rng.normal(0, 2, (32, 32, 7)).astype(
            np.float32
        )
        made = nibabel.Nifti1Image(volume, np.eye(4))
        made.header["descrip"] = SECRET.encode()
        nibabel.save(made, home / f"sub-{k // 2}_{k}.nii.gz")
    found = read_images(tmp_path, Rules(pattern=r"sub-(\d+)"))
    assert found.images.counts.tolist() == [4, 4]
    assert found.entry.patients == 4
    assert found.entry.dropped == {"NIfTI free text": 8}
    assert SECRET not in repr(found)
    assert found.images.pixels.std() > 20


def test_an_even_or_damaged_volume_is_refused(tmp_path):
    for label in ("0", "1"):
        (tmp_path / label).mkdir()
        made = nibabel.Nifti1Image(
            np.random.default_rng(0).normal(size=(32, 32, 5)).astype(np.float32), np.eye(4)
        )
        nibabel.save(made, tmp_path / label / "a.nii")
    nibabel.save(nibabel.Nifti1Image(np.ones((32, 32, 5), np.float32), np.eye(4)), tmp_path / "1" / "b.nii")
    (tmp_path / "1" / "c.nii").write_bytes(b"nothing")
    with pytest.raises(DataError) as error:
        read_images(tmp_path, Rules(one_image_per_patient=True))
    assert "file 2 of class '1' (in the order of names): all its voxels are alike" in str(error.value)
    assert "file 3 of class '1'" in str(error.value)
