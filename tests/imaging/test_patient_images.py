"""A patient is one row, whatever the order and the number of their images."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ehrsynth.errors import DataError, RequestError
from ehrsynth.imaging.patient_images import PatientImages, PublicImages


@given(st.lists(st.integers(0, 5), max_size=20))
def test_every_image_is_in_its_patients_row_and_in_no_other(patients) -> None:
    owner = np.array(patients, dtype=np.int64)
    pixels = np.arange(len(owner), dtype=np.uint8).reshape(-1, 1, 1, 1) * np.ones((1, 2, 2, 1), np.uint8)
    rows = PatientImages.of(pixels, owner % 2, owner)
    assert len(rows) == len(set(patients))
    assert rows.count.sum() == len(owner)
    held = [
        sorted(rows.pixels[first : first + count, 0, 0, 0].tolist())
        for first, count in zip(rows.first, rows.count, strict=True)
    ]
    assert held == [np.flatnonzero(owner == p).tolist() for p in sorted(set(patients))]
    for first, count in zip(rows.first, rows.count, strict=True):
        assert (rows.labels[first : first + count] == owner[rows.pixels[first, 0, 0, 0]] % 2).all()


def test_parts_of_other_lengths_are_refused() -> None:
    with pytest.raises(DataError, match="one each"):
        PatientImages.of(np.zeros((2, 28, 28, 1), np.uint8), np.zeros(2, np.int64), np.zeros(1, np.int64))


@pytest.mark.parametrize(
    ("patients", "size", "classes", "channels"),
    [
        (0, 28, ("a", "b"), 1),
        (9, 27, ("a", "b"), 1),
        (9, 28, ("a",), 1),
        (9, 28, ("a", "a"), 1),
        (9, 28, ("a", "b"), 2),
    ],
)
def test_what_cannot_be_public_is_refused(patients, size, classes, channels) -> None:
    with pytest.raises(RequestError):
        PublicImages(patients, size, classes, channels)
