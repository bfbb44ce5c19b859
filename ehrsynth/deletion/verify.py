"""Is a release or a model still what was written, was it withdrawn, and does its certificate hold?"""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from ehrsynth.deletion.certificate import certified, problems_of, read_key
from ehrsynth.deletion.earlier import CERTIFICATE, KEY
from ehrsynth.deletion.naming import hashes_of_keys
from ehrsynth.errors import ModelError, RequestError
from ehrsynth.files import SEAL, check_seal, sha256
from ehrsynth.generators.storage import BESIDE, FILES, MODEL
from ehrsynth.release.manifest import MANIFEST
from ehrsynth.release.model_record import MODEL_KIND
from ehrsynth.release.request import GIVEN_SCHEMA
from ehrsynth.release.sealing import INTERNAL
from ehrsynth.release.verify import Verification, said_of_withdrawal
from ehrsynth.release.verify import verify as verify_release
from ehrsynth.schema.yaml_files import load_schema


def verify(
    place: Path | str, *, key: Path | str | None = None, patients: Path | str | None = None
) -> Verification:
    """Check a release folder, a `share` folder, a model that `fit` made, or a certificate that stands alone.

    Parameters
    ----------
    key
        The file with the hospital's key; default: that in the internal folder beside the certificate.
    patients
        A file of patient keys: each must be among those whom the certificate proves absent.

    Raises
    ------
    RequestError
        If it is none of these, there is no key to check a certificate with, or patients are named and have no
        key.
    """
    place = Path(place)
    found = _verified(place)
    file = place if place.is_file() else place / CERTIFICATE
    if not file.is_file():
        if patients is not None:
            raise RequestError(f"{place} has no certificate: nobody was forgotten in it")
        return _without_certificate(found, place)
    secret = read_key(file.parent / INTERNAL / KEY if key is None else Path(key))
    problems = list(problems_of(file.read_bytes(), secret))
    if not problems and place.is_dir():
        problems += _of_another_release(file, place / INTERNAL)
    strangers = list(_not_certified(file, secret, Path(patients))) if not problems and patients else []
    said = tuple(f"{file.name}: {problem}" for problem in (*problems, *strangers))
    alone = bool(strangers) and not found.problems
    return replace(found, files=found.files + 1, problems=(*found.problems, *said), strangers=alone)


def _verified(place: Path) -> Verification:
    """The folder as it stands, without its certificate."""
    if place.is_file():
        return Verification(place, "", 0, ())
    model, internal = (place / MODEL).is_file(), place / INTERNAL
    # A model that was handed on has no internal folder.
    handed_on = Verification(place, "", 0, (), said_of_withdrawal(place))
    found = handed_on if model and not internal.is_dir() else verify_release(place)
    if not model and (found.withdrawn or not _alone(internal)):
        return found  # a release, or a model that was erased
    try:
        check_seal(place, beside=BESIDE)
    except ModelError as error:
        return replace(found, problems=(*found.problems, f"model: {error}"))
    return replace(found, files=found.files + len(FILES))


def _not_certified(file: Path, secret: bytes, patients: Path) -> Iterator[str]:
    """Named patients whom the certificate does not prove absent, as a count."""
    given = file.parent / INTERNAL / GIVEN_SCHEMA
    column = load_schema(given).patient_key if given.is_file() else ""
    if column is None:
        raise RequestError(
            "the schema has no patient key: by a file nobody can be told whom the certificate proves absent"
        )
    asked = hashes_of_keys(patients, column, secret)
    missing = len(asked - certified(file.read_bytes(), secret))
    if missing:
        yield f"{missing} of the {len(asked)} patients named are not among those whom it proves absent"


def _without_certificate(found: Verification, place: Path) -> Verification:
    """A release that took the place of another has a certificate."""
    if not (place / INTERNAL / KEY).is_file():
        return found
    return replace(found, problems=(*found.problems, f"{CERTIFICATE} is missing"))


def _of_another_release(file: Path, internal: Path) -> Iterator[str]:
    """What a certificate that is in order says of the release, and is not so."""
    after = json.loads(file.read_bytes())["after"]
    if not internal.is_dir():
        return
    manifest = internal / MANIFEST
    if not manifest.is_file() or sha256(manifest) != after["manifest_sha256"]:
        yield "it is that of another release"
    seal = internal.parent / SEAL if _alone(internal) else internal / "model" / SEAL
    if seal.is_file() and sha256(seal) != after["model_sha256"]:
        yield "it is that of another model"


def _alone(internal: Path) -> bool:
    """Whether an internal folder is that of a model without a release."""
    try:
        return bool(json.loads((internal / MANIFEST).read_bytes())["kind"] == MODEL_KIND)
    except (OSError, ValueError, KeyError, TypeError):
        return False
