"""The real table of a release: read, made coarser, split, counted, and what is secret about it."""

from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from ehrsynth.release.census import Census, certificate_key, take_census
from ehrsynth.release.gate import Facts, facts_of, refuse_identifiers
from ehrsynth.release.going_on import Drawn
from ehrsynth.release.looks import Marks, looks, marks_of
from ehrsynth.release.manifest import Secrets, attempts, hash_of_data
from ehrsynth.release.policy import Policy
from ehrsynth.release.reading import Sampled, read
from ehrsynth.release.register import earlier_tables, likeness, tables_there
from ehrsynth.release.renewal import Renewal
from ehrsynth.release.request import Options
from ehrsynth.release.unseen import key_of_split
from ehrsynth.schema import Schema
from ehrsynth.tables import split
from ehrsynth.tables.generalise import generalise
from ehrsynth.tables.unheld import without_unheld

LEARNT = 0.5  # of the patients: the others are held out


@dataclass(frozen=True, slots=True)
class RealTable:
    """The real table after generalising, its two sides, and what is secret about them."""

    table: pd.DataFrame
    schema: Schema
    train: pd.DataFrame
    holdout: pd.DataFrame
    actions: tuple[str, ...]
    secrets: Secrets
    facts: Facts
    census: Census
    marks: Marks
    sampled: Sampled | None
    unknown: str = ""  # why it is not known whom an earlier table never saw (`ehrsynth.release.unseen`)


def real_table(  # noqa: PLR0913 - what a person decided
    data: Path | str | pd.DataFrame,
    schema: Schema,
    out: Path,
    drawing: Drawn,
    *,
    policy: Policy,
    options: Options,
    private: bool,
    renewal: Renewal | None = None,
) -> RealTable:
    """Read a table, make it coarser, split it, and look for what forbids to learn from it.

    Parameters
    ----------
    out
        The folder of the release: attempts on the same patients beside it count.
    drawing
        The seed and the key of the job; a key that was not given gives way to that of the earlier releases.
    private
        Whether the table is learnt under differential privacy: then the schema alone says how it is made
        coarser.
    renewal
        Of a release that takes the place of others: these looked at the same patients too, and what
        only forgotten patients held is listed no more.

    Raises
    ------
    DataError, NotEnoughData
        If the table does not fit the schema, or has fewer than two patients.
    ReleaseBlocked
        If columns look like identifiers.
    RequestError
        If an earlier table is not where it was written, and nobody is forgotten.
    """
    reading = read(data, schema, options.at_most, seed=drawing.seed, accepted=options.train_on_synthetic)
    plain, said, register = reading.table, schema, Path(options.register)
    data_hash, marks = hash_of_data(data, plain), marks_of(plain, said)
    # Under differential privacy nothing may depend on who is in the table.
    listed = without_unheld(plain, said) if renewal is not None and not private else (plain, said)
    table, schema, generalised = generalise(*listed, index_date=options.index_date, by_schema_alone=private)
    known = register, said.name, likeness(said), marks.kept
    before: tuple[Path, ...] = ()
    if not private:
        # A lost table blocks what a forgetting would publish, and does not hinder it.
        before = earlier_tables(*known) if renewal is None else tables_there(*known)[0]
    by = key_of_split(before, schema, drawing.key, given=drawing.given)
    train, holdout = split(table, schema, key=by.key)
    census = take_census(plain, said, certificate_key(by.key))
    tried = max(attempts(out.parent, data_hash), looks(register, marks))
    hidden = Secrets(by.key, drawing.seed, data_hash, 1 + tried)
    facts = facts_of(table, len(holdout), schema, policy)
    refuse_identifiers(facts, policy)
    actions = (*reading.actions, *generalised)
    whose = hidden, facts, census, marks, reading.sampled
    real = RealTable(table, schema, train, holdout, actions, *whose, unknown=by.unknown)
    return real if renewal is None else _renewed(real, renewal)


def _renewed(real: RealTable, renewal: Renewal) -> RealTable:
    hidden = replace(real.secrets, attempt=real.secrets.attempt + renewal.attempt)
    said = () if renewal.sampled is None else (renewal.sampled.said(len(real.table)),)
    return replace(real, secrets=hidden, sampled=renewal.sampled, actions=(*said, *real.actions))
