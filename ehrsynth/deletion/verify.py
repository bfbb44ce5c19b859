"""Is a release still what was written, was it withdrawn, and does its certificate of forgetting hold?"""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from ehrsynth.deletion.certificate import problems_of, read_key
from ehrsynth.deletion.earlier import CERTIFICATE, KEY
from ehrsynth.files import sha256
from ehrsynth.release.manifest import MANIFEST
from ehrsynth.release.verify import INTERNAL, Verification
from ehrsynth.release.verify import verify as verify_release


def verify(place: Path | str, *, key: Path | str | None = None) -> Verification:
    """Check a release folder, a `share` folder, or a certificate that stands alone.

    Parameters
    ----------
    key
        The file with the hospital's key; default: that in the internal folder beside the certificate.

    Raises
    ------
    RequestError
        If it is none of these, or there is no key to check a certificate with.
    """
    place = Path(place)
    if place.is_file():
        secret = read_key(place.parent / INTERNAL / KEY if key is None else Path(key))
        problems = [f"{place.name}: {problem}" for problem in problems_of(place.read_bytes(), secret)]
        return Verification(place, "", 1, tuple(problems))
    found, file = verify_release(place), place / CERTIFICATE
    if not file.is_file():
        return _without_certificate(found, place)
    secret = read_key(place / INTERNAL / KEY if key is None else Path(key))
    problems = [f"{CERTIFICATE}: {problem}" for problem in problems_of(file.read_bytes(), secret)]
    if not problems:
        problems += [f"{CERTIFICATE}: {problem}" for problem in _of_another_release(file, place / INTERNAL)]
    return replace(found, files=found.files + 1, problems=(*found.problems, *problems))


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
    if sha256(internal / MANIFEST) != after["manifest_sha256"]:
        yield "it is that of another release"
    seal = internal / "model" / "seal.json"
    if seal.is_file() and sha256(seal) != after["model_sha256"]:
        yield "it is that of another model"
