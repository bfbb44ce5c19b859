"""The twins' job under differential privacy: a table and a question in, a cohort from one private model out.

The model learns covariates, treatment and outcomes of the patients through a ledger, and what it cost stands
in the register of the data set. Attacks look at the cohort and decide whether it leaves; what they measured,
the decision's reasons, counts and seed stay in `internal/`, outside the guarantee.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ehrsynth.errors import RequestError
from ehrsynth.evaluation.suite import Evaluation
from ehrsynth.files import must_be_free
from ehrsynth.generators.base import AbstractFitted, AbstractGenerator
from ehrsynth.generators.density import AbstractDensity
from ehrsynth.generators.private import BROKEN_OFF, paying
from ehrsynth.generators.recipes import recipe
from ehrsynth.progress import Progress, part, silent
from ehrsynth.randomness import derived_seed
from ehrsynth.release.books import Books, owing
from ehrsynth.release.gate import Facts, decide, facts_of, refuse_identifiers
from ehrsynth.release.looks import enter_look, looks, marks_of
from ehrsynth.release.manifest import Secrets, secrets_of
from ehrsynth.release.policy import Policy, load_policy
from ehrsynth.release.private_twin_folders import PrivateTwinProduct, write_private_twins
from ehrsynth.release.provenance import guarantee_of, provenance_of
from ehrsynth.release.reading import accept, columns_of, whole_table
from ehrsynth.release.real_table import LEARNT
from ehrsynth.release.register import place_of
from ehrsynth.release.twin_gate import attack_pairs, memory_check
from ehrsynth.release.twins import PACKAGES, TwinsResult
from ehrsynth.report.decision import Decision
from ehrsynth.report.provenance import Provenance, Rows
from ehrsynth.schema import Schema
from ehrsynth.tables import split
from ehrsynth.tables.generalise import generalise
from ehrsynth.tables.limits import limits_as_missing
from ehrsynth.twins.cohort import DRAWS
from ehrsynth.twins.pairs import memory, paired
from ehrsynth.twins.patients import Patients, patients_of
from ehrsynth.twins.private import PrivateCohort, private_cohort, private_schema
from ehrsynth.twins.question import Question, Request, ask
from ehrsynth.twins.results import private_json


@dataclass(frozen=True, slots=True)
class PrivateWanted:
    """What is wanted besides the question.

    Parameters
    ----------
    synthetic
        How many patients are drawn.
    settings
        Of the generator; epsilon is among them.
    level
        Of the interval of the model's own draws.
    """

    synthetic: int
    settings: Mapping[str, object] = field(default_factory=dict)
    generator: str = "autoregressive"
    draws: int = DRAWS
    level: float = 0.9


@dataclass(frozen=True, slots=True)
class _Real:
    """The real table after generalising, its two sides as a table and as patients, and what is secret."""

    table: pd.DataFrame
    learnt: pd.DataFrame
    ours: Patients
    theirs: Patients
    question: Question
    actions: tuple[str, ...]
    hidden: Secrets
    facts: Facts


@dataclass(frozen=True, slots=True, eq=False)
class _Found:
    cohort: PrivateCohort
    evaluation: Evaluation
    decision: Decision


def make_private_twins(  # noqa: PLR0913 - one argument for each thing that a person decides
    data: Path | str | pd.DataFrame,
    schema: Schema,
    request: Request,
    out: Path | str,
    *,
    wanted: PrivateWanted,
    seed: int | None = None,
    key: bytes | None = None,
    policy: Policy | None = None,
    register: Path | None = None,
    train_on_synthetic: bool = False,
    command: str = "",
    progress: Progress | None = None,
) -> TwinsResult:
    """Make twins of synthetic patients under differential privacy and write what may be written.

    Parameters
    ----------
    out
        The folder to make: `internal/` always, `share/` only when the gate says yes.
    seed
        Refused: who knows it can take the noise off again.
    key
        None: fresh. It splits off the patients on whom the attacks are measured.
    register
        The register of what was learnt from this data set; default beside `out`.

    Raises
    ------
    RequestError, SchemaError, DataError
        If the question or the table is wrong, the generator has no private form or cannot complete rows, a
        seed is given, or what must be public is not.
    BudgetExceeded
        If epsilon over all that was learnt from this data set would pass the policy's cap; nothing is
        written.
    OutputError
        If `out` is taken or cannot be written; nothing is left behind.
    """
    out, report = Path(out), progress or silent
    must_be_free(out)
    policy = load_policy() if policy is None else policy
    form = private_schema(request, schema)
    chosen = private_recipe(wanted.generator, wanted.settings)
    books = Books(place_of(out, register), form, policy)
    books.check(chosen, seed, remedies=False)
    report(0.0, "reading the table")
    table = whole_table(data, schema)
    marks = marks_of(table, schema)
    books = replace(books, marks=marks)
    hidden = secrets_of(data, table, out, seed=None, key=key, looked=looks(books.register, marks))
    real = _real(table, form, request, hidden, policy=policy, accepted=train_on_synthetic)
    # The noise comes from a key that is kept nowhere.
    with paying(partial(books.enter, BROKEN_OFF, out)):
        model = chosen.fit(
            real.learnt, real.question.schema, seed=None, progress=part(report, 0.05, 0.5), share=LEARNT
        )
    books.check_learnt(model)
    with owing(books, out, model):
        found = _found(real, model, wanted, policy, part(report, 0.5, 0.95))
    report(0.96, "writing")
    composed = books.enter_private(out, model, released=found.decision.released)
    answer = _answer(real, found, model, wanted)
    provenance = _provenance(real, chosen, model, found, policy=policy, command=command, composed=composed)
    product = PrivateTwinProduct(
        answer, found.cohort, found.decision, provenance, model=model, secrets=hidden, policy=policy
    )
    write_private_twins(out, product)
    enter_look(books.register, marks, out, released=found.decision.released)
    report(1.0, found.decision.sentence)
    return TwinsResult({**answer, "release": found.decision.as_json()}, found.decision, out)


def private_recipe(name: str, settings: Mapping[str, object]) -> AbstractGenerator:
    """The recipe of a generator that learns privately and can complete rows.

    Raises
    ------
    RequestError
        If it cannot.
    """
    chosen = recipe(name, settings)
    if chosen.asked is None:
        raise RequestError(f"{name} was asked for no epsilon: give --epsilon")
    if not issubclass(type(chosen).fitted, AbstractDensity):
        raise RequestError(
            f"{name} cannot complete a patient in the other arm, which private twins need: use --generator"
            " autoregressive"
        )
    return chosen


def _real(
    table: pd.DataFrame, form: Schema, request: Request, hidden: Secrets, *, policy: Policy, accepted: bool
) -> _Real:
    table, actions = accept(table, accepted=accepted)
    coarse, schema, done = generalise(columns_of(table, form), form, by_schema_alone=True)
    learnt, unseen = split(coarse, schema, key=hidden.key)
    facts = facts_of(coarse, len(unseen), schema, policy)
    refuse_identifiers(facts, policy)
    question = ask(request, schema)
    # Before anything is spent: an arm of too few patients cannot be attacked, and what cannot may not leave.
    ours, theirs = (patients_of(side, question) for side in (learnt, unseen))
    return _Real(
        coarse, learnt, ours, theirs, question, (*actions, *limits_as_missing(form), *done), hidden, facts
    )


def _found(
    real: _Real, model: AbstractFitted, wanted: PrivateWanted, policy: Policy, report: Progress
) -> _Found:
    question, seed = real.question, real.hidden.seed
    report(0.0, f"drawing {wanted.synthetic:,} synthetic patients in every arm")
    cohort = private_cohort(
        model,
        question,
        wanted.synthetic,
        draws=wanted.draws,
        level=wanted.level,
        seed=derived_seed(seed, "cohort"),
        progress=part(report, 0.0, 0.4),
    )
    drawn = [(twins.outcome, twins.draws[:, :, 0]) for twins in cohort.outcomes]
    tables = paired(cohort.rows, drawn, members=real.ours, others=real.theirs, question=question)
    evaluation = attack_pairs(tables, policy, real.hidden, part(report, 0.4, 1.0))
    checks = list(decide(evaluation, policy, rows=real.facts, privacy=model.privacy).checks)
    for twins in cohort.outcomes:
        found = memory(cohort.rows, twins.means, twins.outcome.name, members=real.ours, others=real.theirs)
        checks.append(memory_check(twins.outcome.name, found, policy))
    return _Found(cohort, evaluation, Decision.from_checks(checks))


def _answer(real: _Real, found: _Found, model: AbstractFitted, wanted: PrivateWanted) -> dict[str, Any]:
    cohort = {
        "patients": len(found.cohort),
        "synthetic": True,
        "made_by": wanted.generator,
        "draws": wanted.draws,
    }
    means = {
        twins.outcome.name: [float(m) for m in np.nanmean(twins.means, axis=0)]
        for twins in found.cohort.outcomes
    }
    spent = None if model.privacy is None else model.privacy.sentence
    return {**private_json(real.question, means, level=wanted.level), "cohort": cohort, "guarantee": spent}


def _provenance(  # noqa: PLR0913 - it gathers what every step knows
    real: _Real,
    chosen: AbstractGenerator,
    model: AbstractFitted,
    found: _Found,
    *,
    policy: Policy,
    command: str,
    composed: float | None,
) -> Provenance:
    rows = Rows(len(real.table), len(real.learnt), real.facts.holdout, len(found.cohort))
    packages = (*PACKAGES, "torch")
    return replace(
        provenance_of(real.question.schema, policy, found.evaluation, rows=rows, packages=packages),
        generator=chosen.name,
        recipe=chosen.model_dump(mode="json"),
        guarantee=guarantee_of(model, composed),
        actions=real.actions,
        seed=real.hidden.seed,
        command=command,
        attempt=real.hidden.attempt,
    )
