"""The real patients of a twins' job: who is learnt from, and who is seen by nothing."""

from dataclasses import dataclass

import pandas as pd

from ehrsynth.release.gate import facts_of, refuse_identifiers
from ehrsynth.release.manifest import Secrets
from ehrsynth.release.policy import Policy
from ehrsynth.release.reading import accept, columns_of
from ehrsynth.release.twin_request import Wanted
from ehrsynth.release.twin_split import Sides, sides, sites_of
from ehrsynth.tables.generalise import generalise
from ehrsynth.tables.limits import limits_as_missing
from ehrsynth.tables.unheld import without_unheld
from ehrsynth.twins.question import Question, Request, ask


@dataclass(frozen=True, slots=True)
class TwinPatients:
    """The real table, coarser where the cohort may leave, and who of it is learnt from.

    Nobody is cut off (`cut` is None) where nothing leaves.
    """

    table: pd.DataFrame
    learnt: pd.DataFrame
    cut: Sides | None
    question: Question
    actions: tuple[str, ...]
    hidden: Secrets


def patients_for_twins(  # noqa: PLR0913 - what a person decided
    table: pd.DataFrame,
    question: Question,
    request: Request,
    wanted: Wanted,
    *,
    hidden: Secrets,
    policy: Policy,
    accepted: bool,
    renewed: bool = False,
) -> TwinPatients:
    """Make the table coarser and cut off patients where the cohort may leave; else leave it as it is.

    Parameters
    ----------
    table
        As it was read.
    question
        What `request` asks of the schema as it was given.
    accepted
        Whether a table that is marked as synthetic may be learnt from.
    renewed
        Whether patients were forgotten: what only they held is listed no more.

    Raises
    ------
    ReleaseBlocked
        If columns of a table whose cohort may leave look like identifiers.
    NotEnoughData
        If one side would be empty.
    """
    table, actions = accept(table, accepted=accepted)
    schema = question.schema.subset(question.columns)
    actions = (*actions, *limits_as_missing(schema))
    if wanted.synthetic is None:
        return TwinPatients(table, table, None, question, actions, hidden)
    plain = columns_of(table, schema)
    coarse, schema, done = generalise(*(without_unheld(plain, schema) if renewed else (plain, schema)))
    facts = facts_of(coarse, 0, schema, policy)
    refuse_identifiers(facts, policy)
    # Sites as they were, since small ones may be merged in the coarser table.
    sites = sites_of(table, question.schema, question.site) if wanted.trial else None
    cut = sides(coarse, schema, sites=sites, key=hidden.key)
    asked = ask(request, schema)
    return TwinPatients(coarse, cut.learnt, cut, asked, (*actions, *done), hidden)
