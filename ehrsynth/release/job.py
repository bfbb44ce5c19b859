"""The main job: a patient table in, a release out: `share/`, which may leave, and `internal/`, which may not.

Everything is computed first and written last, whole or not at all: a full disk or an error leaves nothing
behind, an interrupt nothing but, of a long fit, what the same command goes on from (`going_on`).
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from ehrsynth.errors import ReleaseBlocked, RequestError
from ehrsynth.evaluation.suite import Evaluation, evaluate
from ehrsynth.files import must_be_free, sha256
from ehrsynth.generators.base import AbstractFitted, AbstractGenerator, PrivacySpent
from ehrsynth.generators.recipes import recipe
from ehrsynth.progress import Progress, part, silent
from ehrsynth.randomness import derived_seed
from ehrsynth.release.books import Books
from ehrsynth.release.census import Census, certificate_key, take_census
from ehrsynth.release.exposure import held
from ehrsynth.release.folders import Product, write_release
from ehrsynth.release.gate import Facts, decide, facts_of
from ehrsynth.release.going_on import Drawn, going_on
from ehrsynth.release.looks import Marks, enter_look, looks, marks_of
from ehrsynth.release.manifest import Secrets, attempts, versions
from ehrsynth.release.policy import Policy, called, load_policy
from ehrsynth.release.reading import Sampled, check_at_most, read
from ehrsynth.release.register import place_of
from ehrsynth.release.remedies import Terms, attacked, remedies, with_remedies
from ehrsynth.release.renewal import Renewal, with_checks
from ehrsynth.release.request import Options, Request
from ehrsynth.release.together import earlier_copies
from ehrsynth.report.decision import Decision
from ehrsynth.report.provenance import Guarantee, Provenance, Rows
from ehrsynth.schema import Schema
from ehrsynth.tables import split
from ehrsynth.tables.bands import in_bands
from ehrsynth.tables.databases import is_database
from ehrsynth.tables.generalise import generalise

Tables = Sequence[pd.DataFrame]

LEARNT = 0.5  # of the patients: the others are held out


@dataclass(frozen=True, slots=True)
class ReleaseResult:
    """What came of it: the gate's decision, and the folder that was written either way."""

    decision: Decision
    folder: Path
    note: str = ""  # what is not in a register that was begun anew

    def raise_if_blocked(self) -> None:
        """Raise unless the gate said yes.

        Raises
        ------
        ReleaseBlocked
            Its first line names the first reason; all reasons are listed.
        """
        if not self.decision.released:
            first = self.decision.reasons[0]
            raise ReleaseBlocked(
                f"blocked: {first}", (*self.decision.reasons, f"see {self.folder / 'internal'}")
            )


@dataclass(frozen=True, slots=True)
class _Real:
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


def release(  # noqa: PLR0913 - one argument for each thing that a person decides
    data: Path | str | pd.DataFrame,
    schema: Schema,
    out: Path | str,
    *,
    generator: str = "autoregressive",
    settings: Mapping[str, object] | None = None,
    rows: int | None = None,
    copies: int = 1,
    seed: int | None = None,
    key: bytes | None = None,
    policy: Policy | None = None,
    evaluated_rows: int | None = None,
    remedy_seconds: float = 0.0,
    second_opinion: bool = False,
    train_on_synthetic: bool = False,
    at_most: int | None = None,
    index_date: str | None = None,
    register: Path | None = None,
    command: str = "",
    renewal: Renewal | None = None,
    progress: Progress | None = None,
) -> ReleaseResult:
    """Make a release: check, generalise, scan, split, fit, sample, evaluate, decide, write two folders.

    Parameters
    ----------
    data
        A patient table as a file, or as a frame that is checked in the same way.
    out
        The folder to make: `internal/` always, `share/` only when the gate says yes.
    generator, settings
        A registered generator and the fields of its recipe that differ from the defaults.
    rows
        Synthetic patients to draw; default as many as were learnt from, and under differential privacy the
        schema's public row count.
    copies
        So many tables are drawn from the one model, for inference that combines them. The attacks look at
        all of them together: whoever gets one gets all.
    seed, key
        None: fresh. The split is keyed by a secret apart from the seed, because a seed can be guessed; both
        stand in the internal manifest, and giving both makes the same table again. Under differential
        privacy a seed is refused, and the noise can never be made again.
    policy
        The gate's limits; default `schemas/policy.yaml`.
    evaluated_rows
        A declared subsample for the evaluation of large tables; None uses the protocol's own.
    remedy_seconds
        After a no of the attacks, look for so long for a small change that would pass, and name it; none is
        applied. 0 does not look.
    second_opinion
        Also ask the package anonymeter about three of the risks; shown inside, decides nothing.
    train_on_synthetic
        Accept a table that is itself synthetic; the report says so.
    at_most
        Of a longer Parquet file or database table take a uniform subsample of so many patients; the report
        says so.
    index_date
        A date column from which the other dates are counted in days; None: each date becomes its year.
    register
        The register of what was learnt from this data set; default beside `out`.
    command
        How this was asked for; shown inside only.
    renewal
        Where this takes the place of an earlier release (`ehrsynth.deletion`): what is done otherwise.

    Raises
    ------
    DataError
        If the table does not fit the schema, or has fewer than two patients.
    OutputError
        If `out` is taken or cannot be written; nothing is left behind.
    RequestError
        If `copies` is below 1, or `index_date` is no date column.
    ReleaseBlocked
        Before anything is learnt, if columns look like identifiers or hold too few patients to be merged:
        all are listed, and nothing is written.
    BudgetExceeded
        If epsilon over all that was learnt from this data set would pass the policy's cap; nothing is
        written.
    """
    out, report = Path(out), progress or silent
    _must_be_possible(out, copies)
    policy = load_policy() if policy is None else policy
    chosen = recipe(generator, settings)
    books = Books(place_of(out, register), schema, policy)
    books.check(chosen, seed, remedies=remedy_seconds > 0)
    check_at_most(schema, at_most, private=chosen.asked is not None)
    begun = books.begun(private=chosen.asked is not None)
    report(0.0, "reading the table")
    reading, place = (at_most, index_date), str(books.register.absolute())
    options = Options(rows, copies, evaluated_rows, second_opinion, train_on_synthetic, place, *reading)
    private, replaced = chosen.asked is not None, dict(renewal.record) if renewal is not None else None
    asked = {"schema": schema.hash(), "options": asdict(options), "replaced": replaced}
    with going_on(out, chosen, data, asked, seed=seed, key=key) as drawing:
        real = _real(data, schema, out, drawing, policy=policy, options=options, private=private)
        real = _renewed(real, renewal)
        with drawing.learning():
            model = _learnt(real, chosen, renewal, part(report, 0.05, 0.5))
        books.check_learnt(model)
        drawn = _drawn(real, model, rows, copies, part(report, 0.5, 0.55))
        earlier = earlier_copies(books.earlier(model), drawn, real.schema)
        evaluation = _evaluated(real, (drawn, earlier), policy, options, part(report, 0.55, 0.94))
        decision = with_checks(decide(evaluation, policy, rows=real.facts, privacy=model.privacy), renewal)
        terms = Terms(real.secrets.attempt, copies, len(drawn[0]), evaluated_rows, earlier, schema)
        decision = _remedied(real, chosen, decision, policy, terms, seconds=remedy_seconds, report=report)
        report(0.95, "writing the release" if decision.released else "writing why it is blocked")
        composed = books.enter_private(out, model, released=decision.released)
        where = _provenance(real, chosen, model, policy, evaluation, drawn, command, composed)
        said = (decision, replace(where, register=begun), evaluation)
        request = _request(real, chosen, schema, options)
        made = Product(*said, real.schema, drawn, model, real.secrets, policy, request, renewal)
        write_release(out, made)
        enter_look(books.register, real.marks, out, released=decision.released)
        if decision.released:
            books.enter_tables(out, model, len(drawn))
        report(1.0, decision.sentence)
        return ReleaseResult(decision, out, begun)


def _request(real: _Real, chosen: AbstractGenerator, schema: Schema, options: Options) -> Request:
    settings = chosen.model_dump(mode="json")
    return Request(chosen.name, settings, schema, options, real.census, sampled=real.sampled)


def _renewed(real: _Real, renewal: Renewal | None) -> _Real:
    """The releases that are replaced looked at these patients too."""
    if renewal is None:
        return real
    hidden = replace(real.secrets, attempt=real.secrets.attempt + renewal.attempt)
    said = () if renewal.sampled is None else (renewal.sampled.said(len(real.table)),)
    return replace(real, secrets=hidden, sampled=renewal.sampled, actions=(*said, *real.actions))


def _remedied(  # noqa: PLR0913 - what the release knows
    real: _Real,
    chosen: AbstractGenerator,
    decision: Decision,
    policy: Policy,
    terms: Terms,
    *,
    seconds: float,
    report: Progress,
) -> Decision:
    """After a no of the attacks, the decision with what was tried to mend it."""
    if seconds <= 0 or not attacked(decision, policy):
        return decision
    seed = derived_seed(real.secrets.seed, "release", "remedies")
    tried = remedies(
        real.train,
        real.holdout,
        real.schema,
        chosen,
        decision=decision,
        policy=policy,
        seed=seed,
        seconds=seconds,
        terms=terms,
        progress=part(report, 0.94, 0.95),
    )
    return with_remedies(decision, tried, policy)


def _must_be_possible(out: Path, copies: int) -> None:
    if copies < 1:
        raise RequestError(f"copies is {copies}; at least 1 can be drawn")
    must_be_free(out)


def _real(  # noqa: PLR0913 - what a person decided
    data: Path | str | pd.DataFrame,
    schema: Schema,
    out: Path,
    drawing: Drawn,
    *,
    policy: Policy,
    options: Options,
    private: bool,
) -> _Real:
    reading = read(data, schema, options.at_most, seed=drawing.seed, accepted=options.train_on_synthetic)
    table = reading.table
    data_hash = _hash(table) if isinstance(data, pd.DataFrame) or is_database(data) else sha256(str(data))
    census, marks = take_census(table, schema, certificate_key(drawing.key)), marks_of(table, schema)
    table, schema, generalised = generalise(
        table, schema, index_date=options.index_date, by_schema_alone=private
    )
    train, holdout = split(table, schema, key=drawing.key)
    tried = max(attempts(out.parent, data_hash), looks(Path(options.register), marks))
    hidden = Secrets(drawing.key, drawing.seed, data_hash, 1 + tried)
    facts = facts_of(table, len(holdout), schema, policy)
    if facts.suspicions and policy.identifiers.value < len(facts.suspicions):
        # Nothing is learnt from a table that may name people.
        raise ReleaseBlocked("blocked: some columns look like identifiers", facts.suspicions)
    actions = (*reading.actions, *generalised)
    return _Real(table, schema, train, holdout, actions, hidden, facts, census, marks, reading.sampled)


def _hash(table: pd.DataFrame) -> str:
    return hashlib.sha256(table.to_csv(index=False).encode()).hexdigest()


def _learnt(
    real: _Real, chosen: AbstractGenerator, renewal: Renewal | None, report: Progress
) -> AbstractFitted:
    seed = derived_seed(real.secrets.seed, "release", "fit")
    if renewal is not None:
        model = renewal.learn(chosen, real.train, real.schema, seed=seed, progress=report)
        if model is not None:
            return model
    # The noise of a private fit comes from a key that is kept nowhere.
    known = None if chosen.asked is not None else seed
    return chosen.fit(real.train, real.schema, seed=known, progress=report, share=LEARNT)


def _drawn(
    real: _Real, model: AbstractFitted, rows: int | None, copies: int, report: Progress
) -> tuple[pd.DataFrame, ...]:
    """The tables drawn from the model, one after another."""
    seed = real.secrets.seed
    public = real.schema.rows.value if real.schema.rows is not None else None
    wanted = rows or (public if model.privacy is not None and public else len(real.train))
    # The first copy is the table that a release of one copy with this seed would have.
    seeds = [derived_seed(seed, "release", "sample", *([str(n)] if n else [])) for n in range(copies)]
    drawn = [
        model.sample(wanted, seed=one, progress=part(report, n / copies, (n + 1) / copies)).table
        for n, one in enumerate(seeds)
    ]
    # A generator may draw between the middles that it learnt.
    return tuple(in_bands(table, real.schema) for table in drawn)


def _evaluated(
    real: _Real, tables: tuple[Tables, Tables], policy: Policy, options: Options, report: Progress
) -> Evaluation:
    """Scores and attacks of the new tables, whose attacker also holds the earlier ones."""
    drawn, earlier = tables
    evaluation = evaluate(
        real.train,
        real.holdout,
        drawn[0],
        real.schema,
        seed=derived_seed(real.secrets.seed, "release", "evaluate"),
        progress=report,
        rows=options.evaluated_rows,
        level=policy.family_wise_level.value,
        attempts=real.secrets.attempt,
        copies=drawn[1:],
        earlier=earlier,
        second_opinion=options.second_opinion,
    )
    return held(evaluation, policy)


def _provenance(  # noqa: PLR0913, PLR0917 - it gathers what every step knows
    real: _Real,
    chosen: AbstractGenerator,
    model: AbstractFitted,
    policy: Policy,
    evaluation: Evaluation,
    drawn: Sequence[pd.DataFrame],
    command: str,
    composed: float | None,
) -> Provenance:
    schema = real.schema
    return Provenance(
        data=schema.name,
        title=schema.title,
        citation=schema.citation,
        attribution="",
        generator=chosen.name,
        recipe=chosen.model_dump(mode="json"),
        schema_hash=schema.hash(),
        protocol_hash=evaluation.protocol_hash,
        policy=called(policy),
        policy_hash=policy.hash(),
        versions=versions(),
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        rows=Rows(len(real.table), len(real.train), len(real.holdout), len(drawn[0])),
        measured_on=dict(evaluation.rows),
        guarantee=guarantee_of(model.privacy, composed),
        guessed=schema.guessed(),
        actions=(*real.actions, *([model.decided] if model.decided else [])),
        seed=real.secrets.seed,
        command=command,
        attempt=real.secrets.attempt,
        copies=len(drawn),
    )


def guarantee_of(spent: PrivacySpent | None, composed: float | None) -> Guarantee | None:
    """What a model has spent, for its provenance; `composed` is epsilon over all that was learnt so far."""
    if spent is None:
        return None
    return Guarantee(
        spent.epsilon, spent.delta, spent.accountant, dict(spent.by), spent.rows_per_patient, composed
    )
