"""Forget patients of a model that `fit` made: the new model, its certificate, and what stands beside it."""

from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from ehrsynth.deletion.earlier import FORGOTTEN, KEY, Earlier
from ehrsynth.deletion.finding import Found, part_of
from ehrsynth.deletion.relearning import RETRAINED, in_words
from ehrsynth.deletion.renewing import replaces, write_certificate
from ehrsynth.errors import ModelError
from ehrsynth.generators.base import AbstractFitted, AbstractGenerator
from ehrsynth.generators.forgetting import able_to_forget
from ehrsynth.generators.private import paying
from ehrsynth.generators.recipes import recipe
from ehrsynth.generators.storage import load_model, save_model
from ehrsynth.progress import Progress
from ehrsynth.release.books import Books
from ehrsynth.release.going_on import going_on
from ehrsynth.release.model_record import ModelRecord
from ehrsynth.tables import accept_synthetic


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
    asked = {"schema": request.schema.hash(), "replaced": earlier.manifest_hash}
    with going_on(out, chosen, found.remaining, asked, seed=seed, key=earlier.split_key) as drawn:
        learnt = _Learning(earlier, found, chosen, drawn.seed)
        with drawn.learning(), paying(record.breaks_off):
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
    seed: int

    def shorter(self, progress: Progress) -> tuple[AbstractFitted, str] | None:
        """With less work than a new fit; None where there is no such way."""
        if self.chosen.asked is not None or self.found.before is None:
            return None
        old = load_model(self.earlier.model)
        able = able_to_forget(old)
        if able is None or old.recipe != self.chosen:
            return None
        rows = part_of(self.found.before, self.found.named.rows)
        mended = able.forget(rows, self._accepted(), seed=self.seed, progress=progress)
        return (mended, in_words(old, rows)) if isinstance(mended, AbstractFitted) else None

    def anew(self, progress: Progress) -> AbstractFitted:
        """A new fit, as if the patients had never been there."""
        # The noise of a private fit comes from a key that is kept nowhere.
        seed = None if self.chosen.asked is not None else self.seed
        return self.chosen.fit(self._accepted(), self.earlier.request.schema, seed=seed, progress=progress)

    def _accepted(self) -> pd.DataFrame:
        table = self.found.remaining
        return accept_synthetic(table) if self.earlier.request.options.train_on_synthetic else table


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
            FORGOTTEN: earlier.ledger.with_more(hashes, ()).as_bytes(),
            KEY: earlier.key.hex().encode() + b"\n",
        }
        self.record.write_with(folder, {"replaces": replaces(earlier)}, files)
        request = self.record.request
        if request is None:
            raise ModelError("who remains was not taken down: nothing is certified")
        write_certificate(
            folder, earlier, self.found.tree, hashes, after=request, method=self.said, table="none"
        )
