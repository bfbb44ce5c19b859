"""The two folders of what may leave, and how they are closed: manifest, hashes, seal and, inside, modes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ehrsynth.files import seal
from ehrsynth.release.manifest import hashes, write_manifest
from ehrsynth.schema import Schema

SHARE, INTERNAL = "share", "internal"
PRIVATE_FILE, PRIVATE_FOLDER = 0o600, 0o700


def without_codes(schema: Schema) -> Schema:
    """The schema as it may leave: what one patient's cell says in the place of a value may be a missing code.

    A synthetic table has none: what is missing is an empty field.
    """
    columns = [
        type(column).model_validate({**column.model_dump(), "missing_codes": ()}) for column in schema.columns
    ]
    return schema.changed(columns=columns, missing_codes=())


def seal_share(folder: Path, manifest: Mapping[str, Any]) -> dict[str, str]:
    """Close a filled `share/`; its manifest gets the hash of each file.

    Returns
    -------
    dict
        These hashes, hexadecimal SHA-256 by name, for the internal manifest.
    """
    files = hashes(folder)
    write_manifest(folder, {**manifest, "files": files})
    seal(folder)
    return files


def seal_internal(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Close a filled `internal/`: only the owner reads what touched real rows."""
    write_manifest(folder, manifest)
    seal(folder)
    for place in (folder, *folder.rglob("*")):
        place.chmod(PRIVATE_FOLDER if place.is_dir() else PRIVATE_FILE)
