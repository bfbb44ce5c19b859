"""Whom no table of a data set saw: the control of attacks on an earlier table and a new one together.

A patient's side of the split depends on the patient and the key. Under a fresh key half of those whom the
earlier table learnt from would be held out now, and be the control of attacks on both: what the earlier one
leaks would stand on both sides and be seen on neither. So a release takes the key of those that left before.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ehrsynth.release.manifest import MANIFEST
from ehrsynth.release.sealing import INTERNAL
from ehrsynth.report.decision import Check, compare
from ehrsynth.schema import Schema

UNSEEN = "Patients whom no earlier table saw"
_WAY_OUT = "release with a formal guarantee (--epsilon)"
_BESIDES = {"roles", "description", "source", "citation", "item_sources"}  # a row says the same without
_CITATION = "Attacks on several tables together need patients whom none of them learnt from."


@dataclass(frozen=True, slots=True)
class SplitKey:
    """The key of a split, and why those held out by it are not those whom earlier tables never saw.

    `unknown` is empty where they are, or where nothing left before.
    """

    key: bytes = field(repr=False)
    unknown: str = ""


def key_of_split(earlier: Sequence[Path], schema: Schema, key: bytes, *, given: bool) -> SplitKey:
    """The key of the releases that left before, if they have one; else the one that is there.

    Parameters
    ----------
    earlier
        Tables that left, each in the `share` folder of its release.
    schema
        Of the real table as it is split: without a patient key the sides go by what the rows say.
    key, given
        A key, and whether it was asked for: then it is not changed.
    """
    known = [_of_release(path.parent.parent, schema) for path in earlier]
    wrong = [one for one in known if isinstance(one, str)]
    if wrong:
        return SplitKey(key, wrong[0])
    theirs = {one for one in known if isinstance(one, bytes)}
    if len(theirs) > 1:
        return SplitKey(key, f"the {len(known)} earlier tables have different ones; {_WAY_OUT}")
    if given and theirs - {key}:
        return SplitKey(key, "the key that was given is not that of the earlier release; leave it out")
    return SplitKey(theirs.pop() if theirs else key)


def unseen(unknown: str) -> tuple[Check, ...]:
    """A no where it is not known whom an earlier table never saw; nothing where it is."""
    if not unknown:
        return ()
    said = (
        "It was not computed, and a check that was not computed is a no. The patients whom the earlier table "
        f"never saw are not known, and what it leaks could not be told from chance: {unknown}."
    )
    return (compare(UNSEEN, None, 0, "at most", explanation=said, source="ours", citation=_CITATION),)


def _of_release(folder: Path, schema: Schema) -> bytes | str:
    """The key by which a release was split; in words, why its sides cannot be had again."""
    try:
        manifest = json.loads((folder / INTERNAL / MANIFEST).read_bytes())
        key, old = bytes.fromhex(manifest["split_key"]), Schema(**manifest["schema"])
    except (OSError, ValueError, KeyError, TypeError):
        return (
            f"{folder.name}/{INTERNAL}/{MANIFEST}, where the key of its split is, cannot be read; put it back"
        )
    if schema.patient_key is None and _columns(old) != _columns(schema):
        return (
            "without a patient key a row's side goes by what it says, and the earlier table had another "
            f"schema, or was made coarser in another way; release as it was made, or {_WAY_OUT}"
        )
    if schema.patient_key != old.patient_key:
        return f"the earlier table was split by another patient key; use that, or {_WAY_OUT}"
    return key


def _columns(schema: Schema) -> dict[str, dict[str, Any]]:
    """What decides how a row is written."""
    columns = {column["name"]: column for column in schema.as_json()["columns"]}
    return {name: {k: v for k, v in one.items() if k not in _BESIDES} for name, one in columns.items()}
