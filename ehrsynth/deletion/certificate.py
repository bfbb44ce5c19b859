"""The certificate of a forgetting: what was done, and proof that the patients are absent from the table.

It is one JSON file under a keyed hash (HMAC-SHA256) of all of it. The key stays with the hospital: with it,
and with a patient's own identifier, the hospital shows that this patient is among those forgotten; without it
nobody learns anything about a patient. Only the algorithm can be vouched for, not a model's weights.
"""

import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ehrsynth.errors import RequestError
from ehrsynth.files import canonical_json, keyed_hash
from ehrsynth.release.census import Census
from ehrsynth.release.merkle import Absence, Tree

FORMAT = 1
_SEALED = b"ehrsynth certificate 1\0"
_FIELDS = {
    "format", "what", "ehrsynth", "date", "method", "patients", "before", "after", "absence", "table",
    "not_undone", "hmac",
}  # fmt: skip
NOT_UNDONE = (
    "Tables that were already released are not undone, nor what others made of them: they tell as much "
    "of the forgotten patients as before. Whoever has a copy should be told that the release was withdrawn. "
    "Other releases of the same patients must forget them one by one. The schema that was given stays as it "
    "is: what it lists or bounds by a table with the patients in it may still tell of them."
)
_CLAIM = (
    "Certificate of exact forgetting. It states an algorithm: what took the place of the old model was made "
    "without the forgotten patients, as it would have been had they never been in the table. It is no "
    "statement about single weights."
)


@dataclass(frozen=True, slots=True)
class Side:
    """One release, before or after: hashes of its manifest, code, recipe and model, and its census.

    `certificate` is the hash of the certificate of the forgetting that made it, if one did.
    """

    manifest: str
    code: str
    recipe: str
    model: str | None
    census: Census
    certificate: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "manifest_sha256": self.manifest,
            "code_sha256": self.code,
            "recipe_sha256": self.recipe,
            "model_sha256": self.model,
            "census": self.census.as_json(),
            "certificate_sha256": self.certificate,
        }


def certify(  # noqa: PLR0913 - what it states
    before: Side,
    after: Side,
    tree: Tree,
    hashes: Sequence[bytes],
    *,
    method: str,
    table: str,
    date: str,
    key: bytes,
) -> bytes:
    """The certificate's bytes.

    Parameters
    ----------
    tree
        Of the patients of the table after.
    hashes
        The forgotten patients' keyed hashes.
    method, table
        How the model came about, and what becomes of a new table, in words.

    Raises
    ------
    RequestError
        If one of the patients is still in the table.
    """
    if tree.root.hex() != after.census.root:
        raise RequestError("the tree is not that of the table after: nothing is certified")
    body = {
        "format": FORMAT,
        "what": _CLAIM,
        "ehrsynth": version("ehrsynth"),
        "date": date,
        "method": method,
        "patients": len(hashes),
        "before": before.as_json(),
        "after": after.as_json(),
        "absence": [tree.absence(one).as_json() for one in sorted(hashes)],
        "table": table,
        "not_undone": NOT_UNDONE,
    }
    return canonical_json(body | {"hmac": _hmac(body, key)})


def _hmac(body: Mapping[str, Any], key: bytes) -> str:
    return keyed_hash(key, _SEALED + canonical_json(body)).hex()


def problems_of(content: bytes, key: bytes) -> tuple[str, ...]:
    """What is wrong with a certificate: nothing for one that was not altered in any byte.

    Parameters
    ----------
    content
        The file's bytes.
    key
        The hospital's key.
    """
    try:
        found = json.loads(content)
        again = canonical_json(found)
    except (ValueError, RecursionError):  # also a number or a letter that is read and cannot be written
        found, again = None, b""
    if not isinstance(found, dict) or set(found) != _FIELDS:
        return ("it is no certificate, or was altered",)
    body = {name: value for name, value in found.items() if name != "hmac"}
    if not hmac.compare_digest(str(found["hmac"]).encode(), _hmac(body, key).encode()):
        return ("its keyed hash does not fit: it was altered, or the key is another",)
    if again != content:
        return ("its bytes are not those that were written: it was altered",)
    return tuple(_unproven(found))


def _unproven(found: Mapping[str, Any]) -> list[str]:
    """Proofs that do not hold, in a certificate whose keyed hash fits."""
    try:
        census = Census.from_json(found["after"]["census"])
        proofs = [Absence.from_json(one) for one in found["absence"]]
        root = bytes.fromhex(census.root)
        good = sum(one.holds(root, census.leaves) for one in proofs)
        distinct = len({one.missing for one in proofs})
        asked = int(found["patients"])
    except (KeyError, TypeError, ValueError):
        return ["its proofs of absence cannot be read"]
    if not good == len(proofs) == distinct == asked:
        return [f"{good} of {asked} proofs of absence hold"]
    return []


def certified(content: bytes, key: bytes) -> frozenset[bytes]:
    """The keyed hashes of the patients whom a certificate proves absent; none where it is not in order."""
    if problems_of(content, key):
        return frozenset()
    return frozenset(bytes.fromhex(one["missing"]) for one in json.loads(content)["absence"])


def read_key(file: Path) -> bytes:
    """The hospital's key, from a file of hexadecimal digits.

    Raises
    ------
    RequestError
        If there is none.
    """
    try:
        return bytes.fromhex(file.read_text(encoding="ascii").strip())
    except (OSError, ValueError) as error:
        raise RequestError(
            f"{file} holds no key: give the one that stands in the release's internal folder"
        ) from error
