"""Whose image is it? From a list of the user's, from the name of a file, from folders, or from DICOM.

Ids become keyed hashes as soon as they are read, and numbers of groups when the set is complete.
"""

import csv
import re
from collections.abc import Sequence
from pathlib import Path

from ehrsynth.errors import DataError, RequestError
from ehrsynth.imaging.reading.frames import Hashing

COLUMNS = ("file", "patient")
HOW = (
    "say whose each image is: a folder per patient inside each class, --patients LIST.csv with the columns "
    "file and patient, --patient-pattern with the part of a file's name that is the patient, or an array "
    "'patient' in an npz; or declare --one-image-per-patient, if that is so"
)


def from_list(path: Path, files: Sequence[str], hashing: Hashing) -> tuple[bytes, ...]:
    """Patients from a CSV with the columns `file` (within the data folder) and `patient`.

    Raises
    ------
    DataError
        If a column is missing, images are not listed, or a file is listed with two patients; says how many.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as lines:
            reader = csv.DictReader(lines)
            if reader.fieldnames is None or not set(COLUMNS) <= set(reader.fieldnames):
                raise DataError(f"the list of patients needs the columns {' and '.join(COLUMNS)}")
            told = {(_plain(row["file"]), (row["patient"] or "").strip()) for row in reader}
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError("the list of patients is no CSV in UTF-8") from error
    listed = dict(told)
    if len(told) > len(listed):
        raise DataError(
            f"{len(told) - len(listed)} files are listed with more than one patient: give each file one, so "
            "that all images of a patient stand on one side of a split"
        )
    missing = sum(1 for name in files if not listed.get(_plain(name)))
    if missing:
        raise DataError(
            f"{missing} of {len(files)} images have no patient in the list: list every image; 'file' is its "
            "path within the folder of the data, CLASS/NAME, letter for letter"
        )
    return tuple(hashing(f"list {listed[_plain(name)]}") for name in files)


def _plain(name: str | None) -> str:
    return (name or "").strip().replace("\\", "/").removeprefix("./")


def from_pattern(pattern: str, files: Sequence[str], hashing: Hashing) -> tuple[bytes, ...]:
    """Patients from the first group of a regular expression (or all of what it matches) in files' names.

    Parameters
    ----------
    files
        Names within the folder of their class, with the folders between.

    Raises
    ------
    RequestError
        If it is no regular expression, or finds nothing in some names; says in how many.
    """
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        message = f"--patient-pattern {pattern!r} is no regular expression: {error.msg}"
        raise RequestError(message) from error
    found = [compiled.search(name) for name in files]
    group = 1 if compiled.groups else 0
    told = [match[group] for match in found if match is not None and match[group]]
    missing = len(files) - len(told)
    if missing:
        message = (
            f"--patient-pattern {pattern!r} finds nothing in the names of {missing} of {len(files)} images"
        )
        raise RequestError(message)
    return tuple(hashing(f"name {name}") for name in told)
