"""The policy: every limit of the gate, in one file, with who set it."""

import hashlib
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import ConfigDict, Field, ValidationError

import ehrsynth
from ehrsynth.errors import RequestError, SchemaError
from ehrsynth.files import canonical_json
from ehrsynth.report.decision import Origin
from ehrsynth.schema.columns import Strict


class Limit(Strict):
    """One number, who set it and where it comes from; a number in quotes is none."""

    model_config = ConfigDict(strict=True)

    value: float = Field(ge=0)
    source: Origin
    citation: str = Field(min_length=1)


class Share(Limit):
    """A limit between 0 and 1."""

    value: float = Field(ge=0, le=1)


class Level(Limit):
    """A share of false alarms, above 0 and below 1."""

    value: float = Field(gt=0, lt=1)


class Positive(Limit):
    """A limit above 0."""

    value: float = Field(gt=0)


class Count(Limit):
    """A limit that counts."""

    value: int = Field(ge=0)


class Policy(Strict):
    """The limits that a release must keep; `schemas/policy.yaml` explains each.

    Two rules stand beside the limits and cannot be switched off: a check that was not computed is a no,
    and without a holdout nothing passes.
    """

    format: Literal[1]
    name: str = Field(min_length=1)
    title: str = ""
    attacks: tuple[str, ...] = Field(min_length=1)
    identity_attacks: tuple[str, ...] = ()
    attribute_attacks: tuple[str, ...] = ()
    family_wise_level: Level
    risk_upper_end: Share
    identity_disclosure: Share
    membership: Share
    membership_surest: Share
    copied_rows_above_holdout: Share
    constraint_violations: Count
    minimum_holdout: Count
    minimum_patients_without_guarantee: Count
    epsilon_cap: Positive
    small_cell: Count
    category_patients: Count
    identifiers: Count
    images_without_guarantee: Count = Count(value=0, source="ours", citation="See schemas/policy.yaml.")
    judged_harmless: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return self.model_dump(mode="json")

    def hash(self) -> str:
        """Hex SHA-256 of the policy's canonical JSON."""
        return hashlib.sha256(canonical_json(self.as_json())).hexdigest()

    def limits_hash(self) -> str:
        """Hex SHA-256 of what decides: limits and attacks, without titles and citations."""
        plain = self.as_json()
        words = {"name", "title", "judged_harmless"}
        decides = {
            name: value["value"] if isinstance(value, dict) else value
            for name, value in plain.items()
            if name not in words
        }
        return hashlib.sha256(canonical_json(decides)).hexdigest()


def default_policy_path() -> Path:
    """Where the default policy lies, in a checkout and in an installed wheel."""
    package = Path(ehrsynth.__file__).parent
    installed = package / "schemas" / "policy.yaml"
    return installed if installed.is_file() else package.parent / "schemas" / "policy.yaml"


def load_policy(path: Path | str | None = None) -> Policy:
    """Read a policy file; without a path, the default one.

    Raises
    ------
    RequestError
        If the file cannot be read.
    SchemaError
        If it is not a policy; the message lists every problem.
    """
    file = default_policy_path() if path is None else Path(path)
    try:
        found = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        message = f"policy {file} cannot be read: {error.strerror}"
        raise RequestError(message) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        summary = f"policy {file} is not YAML in UTF-8"
        raise SchemaError(summary) from error
    try:
        return Policy.model_validate(found)
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, p['loc'])) or 'file'}: {p['msg']}" for p in error.errors()]
        summary = f"policy {file} is not valid"
        raise SchemaError(summary, problems) from error


def called(policy: Policy) -> str:
    """A policy's title; a copy of the default one with other limits must not pass for it."""
    default = load_policy()
    title = policy.title or policy.name
    changed = policy.hash() != default.hash() and title == (default.title or default.name)
    return f"{title}, with changed limits" if changed else title
