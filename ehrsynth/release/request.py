"""What a release was asked for, kept inside it, so that it can be made again without some of its patients."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from ehrsynth.errors import RequestError
from ehrsynth.files import canonical_json
from ehrsynth.release.census import Census
from ehrsynth.release.reading import Sampled, load_sampled
from ehrsynth.schema import Schema
from ehrsynth.schema.yaml_files import load_schema, save_schema

REQUEST, GIVEN_SCHEMA = "request.json", "given_schema.yaml"
_PACKAGE = Path(__file__).parents[1]


@cache
def code_hash() -> str:
    """Hex SHA-256 of all of this package's code, file by file."""
    found = hashlib.sha256()
    for file in sorted(_PACKAGE.rglob("*")):
        if file.suffix in {".py", ".yaml", ".j2", ".css"} and file.is_file():
            content = file.read_bytes()
            found.update(f"{file.relative_to(_PACKAGE).as_posix()} {len(content)}\n".encode() + content)
    return found.hexdigest()


@dataclass(frozen=True, slots=True)
class Options:
    """The arguments of `ehrsynth.release.job.release` that decide what is made, besides the recipe."""

    rows: int | None
    copies: int
    evaluated_rows: int | None
    second_opinion: bool
    train_on_synthetic: bool
    register: str
    at_most: int | None = None
    index_date: str | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """One release as it was asked for.

    Parameters
    ----------
    generator, settings
        The generator's registered name, and every setting of its recipe.
    schema
        As it was given, before the table was made coarser.
    options
        Its other arguments.
    census
        Who was in the table.
    code
        Hex SHA-256 of the code of ehrsynth that made it.
    sampled
        Who was drawn of a long table; None: all.
    """

    generator: str
    settings: Mapping[str, Any]
    schema: Schema
    options: Options
    census: Census
    code: str = field(default_factory=code_hash)
    sampled: Sampled | None = None

    def save(self, internal: Path) -> None:
        """Write it into a release's internal folder."""
        values = {
            "generator": self.generator,
            "settings": dict(self.settings),
            "options": asdict(self.options),
            "census": self.census.as_json(),
            "code": self.code,
            "sampled": None if self.sampled is None else asdict(self.sampled),
        }
        (internal / REQUEST).write_bytes(canonical_json(values))
        save_schema(self.schema, internal / GIVEN_SCHEMA)


def load_request(internal: Path) -> Request:
    """Read what a release was asked for.

    Raises
    ------
    RequestError
        If the release does not say it: it is damaged, or an earlier version made it.
    """
    try:
        found = json.loads((internal / REQUEST).read_bytes())
        return Request(
            str(found["generator"]),
            dict(found["settings"]),
            load_schema(internal / GIVEN_SCHEMA),
            Options(**found["options"]),
            Census.from_json(found["census"]),
            str(found["code"]),
            load_sampled(found.get("sampled")),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RequestError(
            f"{internal.parent} does not say what it was asked for: it is damaged, or was made by an earlier "
            "version of ehrsynth. Make the release again from the table without the patients"
        ) from error
