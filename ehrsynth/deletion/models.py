"""Forget patients of a model that `fit` made: the new model, its certificate, and what stands beside it."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from ehrsynth.deletion.certificate import certify
from ehrsynth.deletion.earlier import CERTIFICATE, FORGOTTEN, KEY, Earlier
from ehrsynth.deletion.finding import Found, part_of
from ehrsynth.deletion.relearning import RETRAINED, in_words
from ehrsynth.deletion.renewing import SAID, replaces, side_before, side_of
from ehrsynth.errors import ModelError
from ehrsynth.files import sha256
from ehrsynth.generators.base import AbstractFitted, AbstractGenerator
from ehrsynth.generators.forgetting import able_to_forget
from ehrsynth.generators.recipes import recipe
from ehrsynth.generators.storage import load_model, save_model
from ehrsynth.progress import Progress
from ehrsynth.randomness import fresh_seed
from ehrsynth.release.books import Books
from ehrsynth.release.manifest import MANIFEST
from ehrsynth.release.model_record import ModelRecord
from ehrsynth.release.verify import INTERNAL, PRIVATE_FILE
from ehrsynth.tables import accept_synthetic, is_synthetic


def forget_from_model(
    earlier: Earlier, found: Found, out: Path, *, seed: int | None, progress: Progress
) -> str:
    """Make the model again without the patients, with its certificate; how it came about, in words.

    Only what a fit of the others gives: by the shards that held them, by subtraction, or by a new fit. Under
    differential privacy it is a new fit, whose epsilon is entered beside that of the old one.

    Raises
    ------
    RequestError
        Under differential privacy, if a seed is given.
    BudgetExceeded
        If epsilon over all that was learnt would pass the policy's cap.
    NotEnoughData, OutputError
        As `fit` and `save`. Nothing is written then, and the old model stays.
    """
    request = earlier.request
    chosen = recipe(request.generator, request.settings)
    books = Books(earlier.register, request.schema, earlier.policy)
    if chosen.asked is not None:
        books.check(chosen, seed, remedies=False)
    options = request.options
    record = ModelRecord(
        books, chosen, out, options.train_on_synthetic, seeded=seed is not None, key=earlier.split_key
    )
    record.sees(found.remaining)
    learnt = _Learning(earlier, found, chosen, seed)
    model, said = learnt.shorter(progress) or (learnt.anew(progress), RETRAINED)
    record.enter(model)
    save_model(model, out, beside=_Beside(earlier, found, record, said).write)
    return said


@dataclass(frozen=True, slots=True)
class _Learning:
    """The two ways to the model of those who remain."""

    earlier: Earlier
    found: Found = field(repr=False)
    chosen: AbstractGenerator
    seed: int | None

    def shorter(self, progress: Progress) -> tuple[AbstractFitted, str] | None:
        """With less work than a new fit; None where there is no such way."""
        if self.chosen.asked is not None or self.found.before is None:
            return None
        old = load_model(self.earlier.model)
        able = able_to_forget(old)
        if able is None or old.recipe != self.chosen:
            return None
        rows = part_of(self.found.before, self.found.named.rows)
        mended = able.forget(rows, self._accepted(), seed=self._drawn(), progress=progress)
        return (mended, in_words(old, rows)) if isinstance(mended, AbstractFitted) else None

    def anew(self, progress: Progress) -> AbstractFitted:
        """A new fit, as if the patients had never been there."""
        # The noise of a private fit comes from a key that is kept nowhere.
        seed = None if self.chosen.asked is not None else self._drawn()
        return self.chosen.fit(self._accepted(), self.earlier.request.schema, seed=seed, progress=progress)

    def _drawn(self) -> int:
        return fresh_seed() if self.seed is None else self.seed

    def _accepted(self) -> pd.DataFrame:
        table = self.found.remaining
        if self.earlier.request.options.train_on_synthetic and is_synthetic(table):
            return accept_synthetic(table)
        return table


@dataclass(frozen=True, slots=True)
class _Beside:
    """What stands beside the new model."""

    earlier: Earlier
    found: Found = field(repr=False)
    record: ModelRecord
    said: str

    def write(self, folder: Path) -> None:
        """Write what the model needs to forget again, and the certificate."""
        hashes, earlier = self.found.named.hashes, self.earlier
        files = {
            FORGOTTEN: earlier.ledger.with_more(hashes).as_bytes(),
            KEY: earlier.key.hex().encode() + b"\n",
        }
        self.record.write_with(folder, {"replaces": replaces(earlier)}, files)
        request = self.record.request
        if request is None:
            raise ModelError("who remains was not taken down: nothing is certified")
        after = side_of(
            request,
            manifest=sha256(folder / INTERNAL / MANIFEST),
            model=sha256(folder / "seal.json"),
            certificate=None,
        )
        content = certify(
            side_before(earlier),
            after,
            self.found.tree,
            hashes,
            method=self.said,
            table=SAID["none"],
            date=datetime.now(UTC).isoformat(timespec="seconds"),
            key=earlier.key,
        )
        (folder / CERTIFICATE).write_bytes(content)
        (folder / CERTIFICATE).chmod(PRIVATE_FILE)
