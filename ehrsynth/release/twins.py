"""The twins' job: a table and a question in; answers, a cohort and, for synthetic patients, a decision out.

Twins of real patients are these patients' data: everything stays in `internal/`. Twins of synthetic patients
may leave in `share/` when the attacks find nothing on patients learnt from that they do not find on patients
whom neither the generator nor the outcome models saw, and when a randomised trial does not contradict them.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

from ehrsynth.errors import NotEnoughData, Refused, ReleaseBlocked, RequestError
from ehrsynth.evaluation.suite import Evaluation, evaluate
from ehrsynth.files import must_be_free
from ehrsynth.generators.base import AbstractGenerator
from ehrsynth.generators.recipes import recipe
from ehrsynth.progress import Progress, part, silent
from ehrsynth.randomness import derived_seed, fresh_seed
from ehrsynth.release.gate import facts_of
from ehrsynth.release.manifest import Secrets, attempts, hash_of_data
from ehrsynth.release.policy import Policy, called, load_policy
from ehrsynth.release.twin_folders import TwinProduct, write_twins
from ehrsynth.release.twin_gate import twin_checks
from ehrsynth.release.twin_request import TwinNote, TwinRenewal, Wanted, asked_for
from ehrsynth.release.twin_split import Sides, sides, sites_of
from ehrsynth.report.decision import Decision
from ehrsynth.report.provenance import Provenance, Rows
from ehrsynth.schema import Schema
from ehrsynth.tables import accept_synthetic, is_synthetic, read_table, table_from_frame
from ehrsynth.tables.generalise import generalise
from ehrsynth.twins.cohort import Cohort, twin_cohort
from ehrsynth.twins.pairs import pairs
from ehrsynth.twins.patients import Patients, patients_of
from ehrsynth.twins.question import Question, Request, ask
from ehrsynth.twins.results import ANSWERED, as_json
from ehrsynth.twins.study import Options, Study, twin_study
from ehrsynth.twins.trial import TrialCheck
from ehrsynth.twins.trial_run import cohort_check, trial_check

_KEY_BYTES = 32
METRICS = ("copied_rows", "constraint_violations")
PACKAGES = ("ehrsynth", "lightgbm", "numpy", "pandas", "scikit-learn", "scipy")


@dataclass(frozen=True, slots=True)
class TwinsResult:
    """What came of it: the answer as plain values, the gate's decision on a synthetic cohort, the folder."""

    answer: Mapping[str, Any]
    decision: Decision | None
    folder: Path

    def raise_if_refused(self) -> None:
        """Raise if anything that was asked for was withheld, but for some patients of a cohort.

        Where the numbers of some patients are withheld and those of others given ("answered in part"), the
        answers that are given are right, and the files and the page say whose are missing.

        Raises
        ------
        Refused
            Lists every reason, with the flag that overrides it.
        ReleaseBlocked
            If nothing was refused but the cohort may not leave.
        """
        reasons = [
            f"{'' if r['outcome'] == 'all' else r['outcome'] + ': '}{r['reason']} (override: {r['override']})"
            for r in self.answer["refusals"]
            if not r["overridden"] and self.answer["verdict"] not in ANSWERED
        ]
        reasons += [
            f"the trial contradicts {failed} of {len(check['cells'])} numbers ({check['outcome']})"
            for check in self.answer["trial_check"]
            if (failed := sum(not cell["passed"] for cell in check["cells"]))
        ]
        where = f"see {self.folder / 'internal'}"
        if reasons:
            raise Refused(f"refused: {reasons[0]}", (*reasons[1:], where))
        if self.decision is not None and not self.decision.released:
            raise ReleaseBlocked(f"blocked: {self.decision.reasons[0]}", (*self.decision.reasons[1:], where))


@dataclass(frozen=True, slots=True)
class _Real:
    """The real table, coarser where the cohort may leave, and who of it is learnt from.

    Nobody is cut off (`cut` is None) where nothing leaves.
    """

    table: pd.DataFrame
    learnt: pd.DataFrame
    cut: Sides | None
    question: Question
    actions: tuple[str, ...]
    hidden: Secrets


@dataclass(frozen=True, slots=True, eq=False)
class _Found:
    study: Study
    cohort: Cohort
    checks: tuple[TrialCheck, ...]
    evaluation: Evaluation | None
    decision: Decision | None


def make_twins(  # noqa: PLR0913 - one argument for each thing that a person decides
    data: Path | str | pd.DataFrame,
    schema: Schema,
    request: Request,
    out: Path | str,
    *,
    wanted: Wanted | None = None,
    seed: int | None = None,
    key: bytes | None = None,
    policy: Policy | None = None,
    train_on_synthetic: bool = False,
    command: str = "",
    renewal: TwinRenewal | None = None,
    progress: Progress | None = None,
) -> TwinsResult:
    """Answer a question about a table and write what may be written.

    Parameters
    ----------
    out
        The folder to make: `internal/` always; `share/` only for a cohort of synthetic patients that the gate
        lets go.
    seed, key
        None: fresh. The key splits off the patients whom nothing sees; both stand in the internal manifest.
    renewal
        Where this takes the place of an earlier job (`ehrsynth.deletion`): what is done otherwise.

    Raises
    ------
    RequestError, DataError
        If the question or the table is wrong.
    OutputError
        If `out` is taken or cannot be written; nothing is left behind.
    """
    out, report, wanted = Path(out), progress or silent, wanted or Wanted()
    must_be_free(out)
    policy = load_policy() if policy is None else policy
    seed = fresh_seed() if seed is None else seed
    question = ask(request, schema)
    if wanted.trial and not question.randomised:
        raise RequestError("the trial check needs randomised arms: say --design randomised, if they were")
    report(0.0, "reading the table")
    table = table_from_frame(data, schema) if isinstance(data, pd.DataFrame) else read_table(data, schema)
    data_hash = hash_of_data(data, table)
    hidden = Secrets(
        secrets.token_bytes(_KEY_BYTES) if key is None else key,
        seed,
        data_hash,
        1 + attempts(out.parent, data_hash) + (renewal.attempt if renewal is not None else 0),
    )
    asked = asked_for(table, schema, request, wanted, key=hidden.key, accepted=train_on_synthetic)
    real = _real(table, question, request, wanted, hidden, policy=policy, accept=train_on_synthetic)
    options = wanted.options.with_generators({name: outcome_recipe(name) for name in wanted.candidates})
    if wanted.synthetic is None:
        found = _internal(real, wanted, options, report)
    else:
        found = _candidate(real, wanted, options, policy, report)
    report(0.97, "writing")
    if renewal is not None:
        found = replace(found, decision=renewal.with_checks(found.decision))
    answer = _answer(found, real, wanted)
    provenance = _provenance(real, found, wanted, policy, command)
    note = TwinNote(asked, renewal)
    write_twins(out, TwinProduct(answer, found.cohort, found.decision, provenance, real.hidden, policy, note))
    report(1.0, str(answer["verdict"]))
    return TwinsResult(answer, found.decision, out)


def outcome_recipe(name: str) -> AbstractGenerator:
    """The recipe of a generator as an outcome model: it is learnt once a fold, so the quick form of it."""
    return recipe(name, {"learner": "boosted"} if name == "autoregressive" else {})


def _real(  # noqa: PLR0913 - what a person decided
    table: pd.DataFrame,
    question: Question,
    request: Request,
    wanted: Wanted,
    hidden: Secrets,
    *,
    policy: Policy,
    accept: bool,
) -> _Real:
    actions: tuple[str, ...] = ()
    if accept and is_synthetic(table):
        table = accept_synthetic(table)
        actions = ("the table is itself synthetic: a model of it is a copy of a copy",)
    if wanted.synthetic is None:
        return _Real(table, table, None, question, actions, hidden)
    schema = question.schema.subset(question.columns)
    kept = table[list(schema.names)]
    kept.attrs = dict(table.attrs)
    coarse, schema, done = generalise(kept, schema)
    facts = facts_of(coarse, 0, schema, policy)
    if facts.suspicions and policy.identifiers.value < len(facts.suspicions):
        raise ReleaseBlocked("blocked: some columns look like identifiers", facts.suspicions)
    # Sites as they were, since small ones may be merged in the coarser table.
    sites = sites_of(table, question.schema, question.site) if wanted.trial else None
    cut = sides(coarse, schema, sites=sites, key=hidden.key)
    asked = ask(request, schema)
    return _Real(coarse, cut.learnt, cut, asked, (*actions, *done), hidden)


# ---- real patients: nothing leaves ----


def _internal(real: _Real, wanted: Wanted, options: Options, report: Progress) -> _Found:
    question, seed = real.question, real.hidden.seed
    target = None
    if wanted.target is not None:
        target = read_table(wanted.target, question.covariate_schema)
    until = 0.6 if wanted.trial else 0.9
    study = twin_study(
        real.learnt,
        question,
        options=options,
        target=target,
        seed=derived_seed(seed, "twins"),
        progress=part(report, 0.02, until),
    )
    cohort = twin_cohort(
        study,
        target,
        draws=wanted.draws,
        seed=derived_seed(seed, "cohort"),
        progress=part(report, until, until + 0.05),
    )
    checks: tuple[TrialCheck, ...] = ()
    if wanted.trial:
        checks = trial_check(
            real.learnt,
            question,
            options=options,
            seed=derived_seed(seed, "trial"),
            progress=part(report, until + 0.05, 0.96),
        )
    return _Found(study, cohort, checks, None, None)


# ---- synthetic patients: candidates for release ----


def _candidate(real: _Real, wanted: Wanted, options: Options, policy: Policy, report: Progress) -> _Found:
    question, seed = real.question, real.hidden.seed
    assert real.cut is not None  # noqa: S101 - a candidate has patients whom nothing saw
    study = twin_study(
        real.learnt,
        question,
        options=options,
        seed=derived_seed(seed, "twins"),
        progress=part(report, 0.02, 0.45),
    )
    control, checked = (_seen_by_none(side, question) for side in (real.cut.control, real.cut.checked))
    report(0.45, f"drawing {wanted.synthetic:,} synthetic patients")
    covariates = question.covariate_schema
    chosen = recipe(wanted.generator, dict(wanted.settings))
    # Those of the population that was asked for, and of an arm.
    learnt = _columns(real.learnt, covariates).iloc[study.patients.rows].reset_index(drop=True)
    model = chosen.fit(learnt, covariates, seed=derived_seed(seed, "generator"))
    made = model.sample(wanted.synthetic or 1, seed=derived_seed(seed, "sample")).table
    cohort = twin_cohort(
        study, made, draws=wanted.draws, seed=derived_seed(seed, "cohort"), progress=part(report, 0.5, 0.55)
    )
    checks: tuple[TrialCheck, ...] = ()
    if question.randomised and cohort.outcomes:
        fitted = [(t.outcome.model.fitted, t.prediction.means) for t in cohort.outcomes]
        checks = cohort_check(
            fitted, cohort.rows, ours=study.patients, theirs=checked, question=question, split=real.cut.how
        )
    evaluation = None
    if cohort.outcomes and not cohort.withheld.all():
        tables = pairs(cohort, study.patients, control, question)
        evaluation = evaluate(
            tables.members,
            tables.others,
            tables.twins,
            tables.schema,
            seed=derived_seed(seed, "attacks"),
            metrics=METRICS,
            level=policy.family_wise_level.value,
            attempts=real.hidden.attempt,
            progress=part(report, 0.55, 0.95),
        )
    facts = facts_of(real.table, len(real.cut.control), question.schema, policy)
    decision = Decision.from_checks(
        twin_checks(study, cohort, checks, evaluation, policy=policy, facts=facts, theirs=control)
    )
    return _Found(study, cohort, checks, evaluation, decision)


def _columns(table: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    kept = table[list(schema.names)]
    kept.attrs = dict(table.attrs)
    return kept


def _seen_by_none(table: pd.DataFrame, question: Question) -> Patients:
    try:
        return patients_of(table, question)
    except (NotEnoughData, Refused) as error:
        summary = f"too few patients are left to hold the twins against: {error.summary}"
        raise type(error)(summary) from error


# ---- what is written ----


def _answer(found: _Found, real: _Real, wanted: Wanted) -> dict[str, Any]:
    answer = as_json(found.study, found.checks, found.cohort)
    cohort = {
        "patients": len(found.cohort),
        "synthetic": found.cohort.synthetic,
        "made_by": wanted.generator if wanted.synthetic is not None else None,
        "draws": wanted.draws,
        "split": real.cut.how if real.cut is not None else "",
        "outside_support": int(found.cohort.support.outside.sum()),
        "withheld": int(found.cohort.withheld.sum()),
    }
    release = None if found.decision is None else found.decision.as_json()
    return {**answer, "cohort": cohort, "actions": list(real.actions), "release": release}


def _provenance(real: _Real, found: _Found, wanted: Wanted, policy: Policy, command: str) -> Provenance:
    schema = real.question.schema
    unseen = len(real.cut.control) if real.cut is not None else 0
    evaluation = found.evaluation
    return Provenance(
        data=schema.name,
        title=schema.title,
        citation=schema.citation,
        attribution="",
        generator=wanted.generator if wanted.synthetic is not None else "",
        recipe=dict(wanted.settings),
        schema_hash=schema.hash(),
        protocol_hash="" if evaluation is None else evaluation.protocol_hash,
        policy=called(policy),
        policy_hash=policy.hash(),
        versions={name: version(name) for name in PACKAGES},
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        rows=Rows(
            len(real.table), len(real.learnt), unseen, len(found.cohort) if found.cohort.synthetic else 0
        ),
        measured_on={} if evaluation is None else dict(evaluation.rows),
        guessed=schema.guessed(),
        actions=real.actions,
        seed=real.hidden.seed,
        command=command,
        attempt=real.hidden.attempt,
    )
