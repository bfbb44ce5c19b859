"""Is a release still what was written? Hashes against the manifest and the seal, and the modes inside."""

import json
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ehrsynth.errors import DataError, ModelError, ReleaseBlocked, RequestError
from ehrsynth.files import check_seal, sha256
from ehrsynth.generators.storage import BESIDE, MODEL
from ehrsynth.release.manifest import MANIFEST, hashes
from ehrsynth.release.sealing import INTERNAL, PRIVATE_FILE, PRIVATE_FOLDER, SHARE
from ehrsynth.release.withdrawal import to_be_erased, withdrawal


@dataclass(frozen=True, slots=True)
class Verification:
    """What was found: the recorded decision, how many files were looked at, and all that is wrong.

    `withdrawn` says when the release was withdrawn and what took its place; empty for one that was not.
    `strangers`: all is as it was written, and what is wrong is that a certificate does not speak of patients
    who were named.
    """

    folder: Path
    decision: str
    files: int
    problems: tuple[str, ...]
    withdrawn: str = ""
    strangers: bool = False

    @property
    def intact(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    def raise_if_changed(self) -> None:
        """Raise unless the release is intact.

        Raises
        ------
        DataError
            Lists everything that is wrong.
        """
        if self.problems:
            said = "was changed after it was written: use an intact copy"
            if self.strangers:
                said = "is as it was written, and does not show of everybody named that they were forgotten"
            raise DataError(f"{self.folder} {said}", self.problems)

    def raise_if_withdrawn(self) -> None:
        """Raise if the release was withdrawn.

        Raises
        ------
        ReleaseBlocked
            Says when, and what took its place.
        """
        if self.withdrawn:
            raise ReleaseBlocked(
                f"{self.folder} was withdrawn: use no table or model of it", [self.withdrawn]
            )


def verify(folder: Path | str) -> Verification:
    """Check a release folder, or a `share` folder that stands alone.

    Hashes find accidents and careless edits. They are no signature: who can write the folder can write
    new hashes.

    Raises
    ------
    RequestError
        If the folder is no release.
    """
    folder = Path(folder)
    share, internal = folder / SHARE, folder / INTERNAL
    if (folder / MANIFEST).is_file():
        share, internal = folder, folder / INTERNAL
    if not share.is_dir() and not internal.is_dir():
        message = f"{folder} is no release: it has neither {SHARE} nor {INTERNAL}"
        raise RequestError(message)
    problems: list[str] = []
    files, decision = 0, ""
    if share.is_dir():
        manifest = _manifest(share, problems)
        problems += _shared(share, manifest)
        files += len(hashes(share))
        decision = str(manifest.get("decision", ""))
    if internal.is_dir() and share != folder:
        manifest = _manifest(internal, problems)
        problems += [*_seal(internal, INTERNAL), *_modes(internal), *_agree(folder, manifest)]
        files += len(hashes(internal))
        decision = str(manifest.get("decision", decision))
    if share != folder and not (folder / MODEL).is_file():  # a model that stands alone has a seal of its own
        problems += _beside(folder)
    problems += _not_erased(folder)
    return Verification(folder, decision, files, tuple(problems), said_of_withdrawal(folder))


def said_of_withdrawal(folder: Path) -> str:
    """When a release, a part of one or a model was withdrawn, and what took its place; empty where not."""
    said = withdrawal(folder)
    if said is None:
        return ""
    successor = f"{said['successor']} took its place" if "successor" in said else "nothing took its place"
    return f"withdrawn on {said.get('date', 'an unknown day')}: {successor}"


def _manifest(folder: Path, problems: list[str]) -> Mapping[str, Any]:
    try:
        found = json.loads((folder / MANIFEST).read_bytes())
    except (OSError, ValueError):
        found = None
    if not isinstance(found, dict):
        problems.append(f"{folder.name}/{MANIFEST} is missing or damaged")
        return {}
    return found


def _shared(share: Path, manifest: Mapping[str, Any]) -> Iterator[str]:
    written, found = manifest.get("files", {}), hashes(share)
    for name in sorted({*written, *found}):
        if name not in found:
            yield f"{SHARE}/{name} is missing"
        elif name not in written:
            yield f"{SHARE}/{name} was added"
        elif written[name] != found[name]:
            yield f"{SHARE}/{name} was changed"
    yield from _seal(share, SHARE)


def _beside(folder: Path) -> Iterator[str]:
    """What lies in a release beside its two folders is under no seal, and might be taken for a part of it."""
    for place in sorted(folder.iterdir()):
        if place.name not in {SHARE, *BESIDE}:
            yield f"{place.name} lies beside {SHARE} and {INTERNAL}, and no hash covers it: move it elsewhere"


def _not_erased(folder: Path) -> Iterator[str]:
    left = len(to_be_erased(folder))
    if left:
        yield (
            f"{left} files that learnt from forgotten patients were to be erased and are there still: give "
            "the same `ehrsynth forget` again, which brings it to its end"
        )


def _seal(folder: Path, name: str) -> Iterator[str]:
    try:
        check_seal(folder)
    except ModelError as error:
        # The seal's own sentence names the files; the folder's place on this machine says nothing more.
        yield f"{name}: {str(error).replace(str(folder), name)}"


def _modes(internal: Path) -> Iterator[str]:
    for place in (internal, *sorted(internal.rglob("*"))):
        allowed = PRIVATE_FOLDER if place.is_dir() else PRIVATE_FILE
        mode = stat.S_IMODE(place.lstat().st_mode)
        if mode & ~allowed:
            name = place.relative_to(internal.parent).as_posix()
            yield f"{name} has mode {mode:04o}: others can read it; set it to {allowed:04o}"


def _agree(folder: Path, manifest: Mapping[str, Any]) -> Iterator[str]:
    """What left must be what the internal manifest says left: a new seal in `share` is found here."""
    shared = manifest.get("shared_files", {})
    if manifest.get("decision") == "blocked" and (folder / SHARE).exists():
        yield f"{SHARE} exists, but the release was blocked"
    for name, written in sorted(shared.items()):
        file = folder / SHARE / name
        if (folder / SHARE).is_dir() and file.is_file() and sha256(file) != written:
            yield f"{SHARE}/{name} is not the file that the internal manifest records"
    if shared and not (folder / SHARE).is_dir():
        yield f"{SHARE} is missing, but the release was not blocked"
