"""What stands beside a model that `fit` made, so that it can forget: who was learnt, and what was asked for.

It is a folder `internal/` in the model's own, for its owner alone. It holds the root of a tree of the
patients' keyed hashes and the key to it, no value and no identifier. Whoever hands the model on leaves it
out.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from ehrsynth.files import canonical_json
from ehrsynth.generators.base import AbstractFitted, AbstractGenerator, PrivacySpent
from ehrsynth.generators.private import BROKEN_OFF
from ehrsynth.release.books import Books
from ehrsynth.release.census import Census, certificate_key, take_census
from ehrsynth.release.looks import marks_of
from ehrsynth.release.manifest import FORMAT, KEY_BYTES
from ehrsynth.release.request import Options, Request
from ehrsynth.release.sealing import INTERNAL, PRIVATE_FOLDER, seal_internal

MODEL_KIND = "model"


@dataclass(slots=True)
class ModelRecord:
    """What is taken down of one fit: see `ehrsynth.generators.learning.Witness`.

    Parameters
    ----------
    out
        The model's folder.
    accepted
        Whether a table that is marked as synthetic was allowed.
    seeded
        Whether the seed was given by somebody.
    key
        The secret that the keyed hashes come from.
    composed
        Epsilon over all that was learnt from the data set, once the model was entered in the register.
    """

    books: Books
    recipe: AbstractGenerator
    out: Path
    accepted: bool
    seeded: bool
    key: bytes = field(default_factory=lambda: secrets.token_bytes(KEY_BYTES), repr=False)
    composed: float | None = None
    _census: Census | None = None

    def sees(self, table: pd.DataFrame) -> None:
        """Commit to the patients of the table."""
        self._census = take_census(table, self.books.schema, certificate_key(self.key))
        self.books = replace(self.books, marks=marks_of(table, self.books.schema))

    def enter(self, model: AbstractFitted) -> None:
        """Enter what the model cost."""
        self.composed = self.books.enter("model", self.out, model.privacy)

    def breaks_off(self, spent: PrivacySpent) -> None:
        """Enter what a fit has spent that ends without a model; where the seed is known there is nothing."""
        if not self.seeded:
            self.books.enter(BROKEN_OFF, self.out, spent)

    @property
    def request(self) -> Request | None:
        """What was asked for; None for a table that was read in pieces, to which nothing is committed."""
        if self._census is None:
            return None
        register = str(self.books.register.absolute())
        options = Options(
            None, 1, None, second_opinion=False, train_on_synthetic=self.accepted, register=register
        )
        settings = self.recipe.model_dump(mode="json")
        return Request(self.recipe.name, settings, self.books.schema, options, self._census)

    def write(self, folder: Path) -> None:
        """Write `internal/` into the model's folder."""
        self.write_with(folder, {}, {})

    def write_with(self, folder: Path, record: Mapping[str, Any], files: Mapping[str, bytes]) -> None:
        """The same with more to say in the manifest, and with more files."""
        internal = folder / INTERNAL
        internal.mkdir(mode=PRIVATE_FOLDER)
        if (request := self.request) is not None:
            request.save(internal)
        (internal / "policy.json").write_bytes(canonical_json(self.books.policy.as_json()))
        for name, content in files.items():
            (internal / name).write_bytes(content)
        manifest = {
            "format": FORMAT,
            "kind": MODEL_KIND,
            "what": "what forgetting needs of the model beside it: not for sharing",
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "split_key": self.key.hex(),
            "attempt": 0,
            "seed": "given" if self.seeded else "fresh",
            **record,
        }
        seal_internal(internal, manifest)
