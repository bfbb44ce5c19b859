"""What an earlier release, model or twins' job says of itself: the request, its secrets, who is gone."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from ehrsynth.errors import RequestError
from ehrsynth.files import SEAL, canonical_json, check_seal, sha256
from ehrsynth.generators.storage import BESIDE, MODEL
from ehrsynth.release.census import certificate_key
from ehrsynth.release.manifest import MANIFEST
from ehrsynth.release.model_record import MODEL_KIND
from ehrsynth.release.policy import Policy
from ehrsynth.release.register import NAME
from ehrsynth.release.request import REQUEST, Request, load_request
from ehrsynth.release.sealing import INTERNAL, SHARE
from ehrsynth.release.twin_request import TWINS
from ehrsynth.release.verify import verify
from ehrsynth.release.withdrawal import finish_erasing, withdraw, withdrawal
from ehrsynth.schema import Schema
from ehrsynth.tables.generalise import generalise
from ehrsynth.tables.unheld import without_unheld

Kind = Literal["release", "model", "twins"]
FORGOTTEN, CERTIFICATE, KEY = "forgotten.json", "certificate.json", "certificate.key"
# Earlier versions kept under "pending" also those who had been held out: of these nobody can be told apart.
_PENDING = "learnt_by_the_last_table"


@dataclass(frozen=True, slots=True)
class Ledger:
    """Who was forgotten, as keyed hashes.

    Parameters
    ----------
    forgotten
        All that were forgotten in this release and those before it.
    pending
        Those of them from whom the last table that left was learnt.
    published
        Whether a table left.
    """

    forgotten: tuple[str, ...] = field(default=(), repr=False)
    pending: tuple[str, ...] = field(default=(), repr=False)
    published: bool = False

    def with_more(self, hashes: tuple[bytes, ...], behind: tuple[bytes, ...]) -> "Ledger":
        """After more were forgotten, from some of whom the last table that left was learnt."""
        more, learnt = ({one.hex() for one in some} for some in (hashes, behind))
        pending = tuple(sorted({*self.pending, *learnt})) if self.published else ()
        return Ledger(tuple(sorted({*self.forgotten, *more})), pending, self.published)

    def after_a_table(self) -> "Ledger":
        """After a new table left."""
        return Ledger(self.forgotten, (), published=True)

    def as_bytes(self) -> bytes:
        """As it is stored."""
        kept = {"forgotten": self.forgotten, _PENDING: self.pending, "published": self.published}
        return canonical_json({name: list(v) if isinstance(v, tuple) else v for name, v in kept.items()})


@dataclass(frozen=True, slots=True)
class Earlier:
    """What is to be replaced: a release, a model that `fit` made (from a given seed or not), a twins' job."""

    folder: Path
    request: Request
    policy: Policy
    split_key: bytes = field(repr=False)
    attempt: int
    ledger: Ledger
    manifest_hash: str
    kind: Kind = "release"
    seeded: bool = False

    @property
    def key(self) -> bytes:
        """Of all keyed hashes about patients."""
        return certificate_key(self.split_key)

    @property
    def register(self) -> Path:
        """The register of the data set: where it was, or beside the release, should that have been moved."""
        there = Path(self.request.options.register)
        return there if there.is_file() else self.folder.absolute().parent / NAME

    @property
    def model(self) -> Path:
        """The folder of its model; gone where it was erased."""
        return model_of(self.folder, self.kind)

    @property
    def model_hash(self) -> str | None:
        """Hex SHA-256 of the model's seal, which holds the hash of each of its files."""
        return model_hash(self.folder, self.kind)

    def coarse(self, table: pd.DataFrame) -> tuple[pd.DataFrame, Schema]:
        """Its table as it made that coarser before it split it, with the schema that belongs to it."""
        asked = self.request
        # Those who were forgotten before had already taken what nobody else held out of its lists.
        listed = without_unheld(table, asked.schema) if self.ledger.forgotten else (table, asked.schema)
        coarse, schema, _ = generalise(*listed, index_date=asked.options.index_date)
        return coarse, schema

    @property
    def certificate_hash(self) -> str | None:
        """Hex SHA-256 of the certificate of the forgetting that made it, if one did."""
        file = self.folder / CERTIFICATE
        return sha256(file) if file.is_file() else None


def model_of(folder: Path, kind: Kind) -> Path:
    """Where the model stands, if there is one."""
    return folder if kind == MODEL_KIND else folder / INTERNAL / "model"


def model_hash(folder: Path, kind: Kind) -> str | None:
    """Hex SHA-256 of the seal of the model, which holds the hash of each of its files; None without one."""
    place = model_of(folder, kind) / SEAL
    return sha256(place) if place.is_file() else None


def read_earlier(folder: Path) -> Earlier:
    """Read a release, a model that `fit` made, or a twins' job, that is to be replaced.

    Raises
    ------
    RequestError
        If it has no internal folder, or was withdrawn already (what a killed run had left is erased then); or
        if it is a twins' job that does not say what was asked, which is marked as withdrawn then.
    DataError
        If it was changed after it was written.
    """
    internal = folder / INTERNAL
    if not (internal / MANIFEST).is_file():
        raise RequestError(_without_internal(folder))
    gone = withdrawal(folder)
    if gone is not None:
        left = finish_erasing(folder)
        erased = f" ({len(left)} files that a killed run had left of it are erased now)" if left else ""
        successor = gone.get("successor", "another release")
        raise RequestError(
            f"{folder} was withdrawn already{erased}: forget from {successor}, which took its place"
        )
    verify(folder).raise_if_changed()
    manifest = _read(internal / MANIFEST)
    kind = _kind(manifest)
    if kind == MODEL_KIND:
        _check_model(folder)
    if kind == TWINS and not (internal / REQUEST).is_file():
        withdraw(folder, {}, erase=False)
        raise RequestError(
            f"{folder} is a twins' job that does not say what was asked: it was made under differential"
            " privacy, or by an earlier version. It is marked as withdrawn: run `ehrsynth twins` anew without"
            " the patients (epsilon adds up), and take its folder away"
        )
    request = load_request(internal)
    try:
        return Earlier(
            folder,
            request,
            Policy.model_validate(_read(internal / "policy.json")),
            bytes.fromhex(manifest["split_key"]),
            int(manifest["attempt"]),
            _ledger(internal / FORGOTTEN, published=(folder / SHARE).is_dir()),
            sha256(internal / MANIFEST),
            kind=kind,
            seeded=manifest.get("seed") == "given",
        )
    except (KeyError, ValueError, TypeError) as error:
        raise RequestError(f"{folder} cannot be read: its {INTERNAL} folder is damaged") from error


def _without_internal(folder: Path) -> str:
    """What to do with a folder that has no internal folder."""
    needs = f"with its {INTERNAL} folder, which forgetting needs"
    if not (folder / MODEL).is_file():
        return f"{folder} is no release {needs}"
    if folder.absolute().parent.name == INTERNAL:
        return f"{folder} is the model of a release: forget from {folder.absolute().parents[1].name}"
    return f"{folder} is no model {needs}: fit again without the patients, and take this one away"


def _kind(manifest: Mapping[str, Any]) -> Kind:
    found = manifest.get("kind")
    if found == MODEL_KIND:
        return "model"
    return "twins" if found == TWINS or "standard_errors" in manifest else "release"


def _check_model(folder: Path) -> None:
    """A model that stands alone must be as it was written, and say who was learnt."""
    check_seal(folder, beside=BESIDE)
    if not (folder / INTERNAL / REQUEST).is_file():
        raise RequestError(
            f"{folder} was learnt from a table that was read in pieces: who was in it was not taken down, so"
            " that nothing can be proven of it. Fit again without the patients, and take this one away"
        )


def succeeds(folder: Path, earlier: Earlier) -> bool:
    """Whether a folder is a release that took the place of an earlier one."""
    try:
        found = _read(folder / INTERNAL / MANIFEST)
        return bool(found["replaces"]["manifest_sha256"] == earlier.manifest_hash)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _read(file: Path) -> dict[str, Any]:
    found = json.loads(file.read_bytes())
    if not isinstance(found, dict):
        raise TypeError(file.name)
    return found


def _ledger(file: Path, *, published: bool) -> Ledger:
    if not file.is_file():
        return Ledger(published=published)
    found: Mapping[str, Any] = _read(file)
    return Ledger(
        tuple(found["forgotten"]), tuple(found.get(_PENDING, ())), bool(found["published"]) or published
    )
