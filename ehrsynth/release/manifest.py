"""The manifests: the public one says what left, the internal one everything needed to make it again.

The public manifest holds no seed, no key and no plain hash of real data: with a seed and a hash, an
outsider who knows all patients but one could test for that one.
"""

import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from ehrsynth.files import canonical_json, plain, sha256
from ehrsynth.randomness import fresh_seed
from ehrsynth.report.decision import Decision
from ehrsynth.report.provenance import Provenance
from ehrsynth.tables.databases import is_database

MANIFEST = "manifest.json"
KEY_BYTES = 32
FORMAT = 1


@dataclass(frozen=True, slots=True)
class Secrets:
    """What stays inside: the split's key, the seed, and the plain hash of the real table's file."""

    key: bytes = field(repr=False)
    seed: int = field(repr=False)
    data_hash: str = field(repr=False)
    attempt: int

    def as_json(self) -> dict[str, Any]:
        """Plain values, under the names that an internal manifest has for them."""
        return {
            "seed": self.seed,
            "split_key": self.key.hex(),
            "data_sha256": self.data_hash,
            "attempt": self.attempt,
        }


def public_manifest(decision: Decision, provenance: Provenance) -> dict[str, Any]:
    """What may be known of the release, besides the hashes of its files.

    Under differential privacy the decision and its checks are left out: they were made by looking at real
    patients without noise, outside the guarantee.
    """
    decided: dict[str, Any] = {}
    if provenance.guarantee is None:
        checks = [check.as_json() for check in decision.shareable.checks]
        decided = {"decision": decision.verdict, "checks": plain(checks)}
    return {
        "format": FORMAT,
        "what": "synthetic patients made by ehrsynth; no row stands for a real person",
        "formal_guarantee": guarantee_in_words(provenance),
        **decided,
        "provenance": plain(provenance.shareable.as_json()),
    }


def internal_manifest(
    decision: Decision,
    provenance: Provenance,
    hidden: Secrets,
    schema: Mapping[str, Any],
    *,
    shared: Mapping[str, str],
) -> dict[str, Any]:
    """Everything needed to make the release again and to check what left."""
    return {
        "format": FORMAT,
        "decision": decision.verdict,
        "reasons": list(decision.reasons),
        "provenance": plain(provenance.as_json()),
        **hidden.as_json(),
        "schema": plain(schema),
        "shared_files": dict(shared),
    }


def guarantee_in_words(provenance: Provenance) -> str:
    """The formal guarantee in one sentence."""
    given = provenance.guarantee
    if given is None:
        return "no formal guarantee"
    return (
        f"differentially private for each patient: epsilon {given.epsilon:g}, delta {given.delta:g}, "
        f"{given.accountant}"
    )


def hashes(folder: Path) -> dict[str, str]:
    """Hex SHA-256 of every file in a folder but its manifest and its seal, by relative name."""
    files = sorted(f for f in folder.rglob("*") if f.is_file() and f.name not in {MANIFEST, "seal.json"})
    return {f.relative_to(folder).as_posix(): sha256(f) for f in files}


def write_manifest(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Write a manifest into its folder."""
    (folder / MANIFEST).write_bytes(canonical_json(manifest))


def hash_of_data(data: Path | str | pd.DataFrame, table: pd.DataFrame) -> str:
    """The hash of the real table: of its file, or of its content where it came from no file."""
    if isinstance(data, pd.DataFrame) or is_database(data):
        return hashlib.sha256(table.to_csv(index=False).encode()).hexdigest()
    return sha256(str(data))


def attempts(folder: Path, data_hash: str) -> int:
    """How many releases beside `folder` were tried on the same data before.

    Every look at the same patients is another chance to pass by luck; each internal manifest counts them.
    """
    return sum(_hash_of(file) == data_hash for file in folder.glob(f"*/internal/{MANIFEST}"))


def secrets_of(
    data: Path | str | pd.DataFrame,
    table: pd.DataFrame,
    out: Path,
    *,
    seed: int | None,
    key: bytes | None,
    looked: int = 0,
) -> Secrets:
    """The seed and the key of a job that writes `out`, fresh where they are None, and which attempt it is.

    `looked` is how many looks at the same patients a register holds (`ehrsynth.release.looks`).
    """
    data_hash = hash_of_data(data, table)
    return Secrets(
        secrets.token_bytes(KEY_BYTES) if key is None else key,
        fresh_seed() if seed is None else seed,
        data_hash,
        1 + max(attempts(out.parent, data_hash), looked),
    )


def _hash_of(file: Path) -> str | None:
    try:
        found = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return None
    value = found.get("data_sha256") if isinstance(found, dict) else None
    return value if isinstance(value, str) else None
