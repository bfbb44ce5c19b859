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
from ehrsynth.release.renewal import Renewal
from ehrsynth.release.request import Options
from ehrsynth.schema import Schema
from ehrsynth.tables import split
from ehrsynth.tables.generalise import generalise

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
        The seed and the key of the job.
    private
        Whether the table is learnt under differential privacy: then the schema alone says how it is made
        coarser.
    renewal
        Of a release that takes the place of others: these looked at the same patients too.

    Raises
    ------
    DataError, NotEnoughData
        If the table does not fit the schema, or has fewer than two patients.
    ReleaseBlocked
        If columns look like identifiers.
    """
    reading = read(data, schema, options.at_most, seed=drawing.seed, accepted=options.train_on_synthetic)
    table = reading.table
    data_hash = hash_of_data(data, table)
    census, marks = take_census(table, schema, certificate_key(drawing.key)), marks_of(table, schema)
    table, schema, generalised = generalise(
        table, schema, index_date=options.index_date, by_schema_alone=private
    )
    train, holdout = split(table, schema, key=drawing.key)
    tried = max(attempts(out.parent, data_hash), looks(Path(options.register), marks))
    hidden = Secrets(drawing.key, drawing.seed, data_hash, 1 + tried)
    facts = facts_of(table, len(holdout), schema, policy)
    refuse_identifiers(facts, policy)
    actions = (*reading.actions, *generalised)
    real = RealTable(table, schema, train, holdout, actions, hidden, facts, census, marks, reading.sampled)
    return real if renewal is None else _renewed(real, renewal)


def _renewed(real: RealTable, renewal: Renewal) -> RealTable:
    hidden = replace(real.secrets, attempt=real.secrets.attempt + renewal.attempt)
    said = () if renewal.sampled is None else (renewal.sampled.said(len(real.table)),)
    return replace(real, secrets=hidden, sampled=renewal.sampled, actions=(*said, *real.actions))
