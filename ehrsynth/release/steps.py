"""The steps of a release, each from what was asked for and what the steps before it gave.

`ehrsynth.release.job` takes them one after another, and asks the register in between.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import pandas as pd

from ehrsynth.evaluation.suite import Evaluation, evaluate
from ehrsynth.generators.base import AbstractFitted, AbstractGenerator
from ehrsynth.progress import Progress, part
from ehrsynth.randomness import derived_seed
from ehrsynth.release.attack_checks import held
from ehrsynth.release.folders import Product
from ehrsynth.release.going_on import Drawn
from ehrsynth.release.policy import Policy
from ehrsynth.release.provenance import guarantee_of, provenance_of
from ehrsynth.release.real_table import LEARNT, RealTable, real_table
from ehrsynth.release.remedies import Terms, attacked, remedies, with_remedies
from ehrsynth.release.renewal import Renewal
from ehrsynth.release.request import Options, Request
from ehrsynth.report.decision import Decision
from ehrsynth.report.provenance import Provenance, Rows
from ehrsynth.schema import Schema
from ehrsynth.tables.bands import in_bands

Tables = Sequence[pd.DataFrame]
PACKAGES = ("ehrsynth", "lightgbm", "numpy", "pandas", "scikit-learn", "torch")


@dataclass(frozen=True, slots=True)
class Order:
    """What was asked for, besides the data and the place."""

    schema: Schema
    generator: AbstractGenerator
    options: Options
    policy: Policy
    remedy_seconds: float
    command: str
    renewal: Renewal | None

    def as_json(self) -> dict[str, object]:
        """What a run that was cut off must have been asked too, so that it may be gone on with."""
        replaced = None if self.renewal is None else dict(self.renewal.record)
        return {"schema": self.schema.hash(), "options": asdict(self.options), "replaced": replaced}


def read_real(data: Path | str | pd.DataFrame, out: Path, drawing: Drawn, order: Order) -> RealTable:
    """The real table; see `ehrsynth.release.real_table`."""
    return real_table(
        data,
        order.schema,
        out,
        drawing,
        policy=order.policy,
        options=order.options,
        private=order.generator.asked is not None,
        renewal=order.renewal,
    )


def learn(real: RealTable, order: Order, report: Progress) -> AbstractFitted:
    """The model of the patients on the training side: fitted, or exactly what a fit would give."""
    seed = derived_seed(real.secrets.seed, "release", "fit")
    if order.renewal is not None:
        model = order.renewal.learn(order.generator, real.train, real.schema, seed=seed, progress=report)
        if model is not None:
            return model
    # The noise of a private fit comes from a key that is kept nowhere.
    known = None if order.generator.asked is not None else seed
    return order.generator.fit(real.train, real.schema, seed=known, progress=report, share=LEARNT)


def draw(
    real: RealTable, model: AbstractFitted, options: Options, report: Progress
) -> tuple[pd.DataFrame, ...]:
    """The tables drawn from the model, one after another."""
    seed, copies = real.secrets.seed, options.copies
    public = real.schema.rows.value if real.schema.rows is not None else None
    wanted = options.rows or (public if model.privacy is not None and public else len(real.train))
    # The first copy is the table that a release of one copy with this seed would have.
    seeds = [derived_seed(seed, "release", "sample", *([str(n)] if n else [])) for n in range(copies)]
    drawn = [
        model.sample(wanted, seed=one, progress=part(report, n / copies, (n + 1) / copies)).table
        for n, one in enumerate(seeds)
    ]
    # A generator may draw between the middles that it learnt.
    return tuple(in_bands(table, real.schema) for table in drawn)


def measure(real: RealTable, tables: tuple[Tables, Tables], order: Order, report: Progress) -> Evaluation:
    """Scores and attacks of the new tables, whose attacker also holds the earlier ones.

    Parameters
    ----------
    tables
        Those drawn now, and those of the same patients that left before.
    """
    drawn, earlier = tables
    evaluation = evaluate(
        real.train,
        real.holdout,
        drawn[0],
        real.schema,
        seed=derived_seed(real.secrets.seed, "release", "evaluate"),
        progress=report,
        rows=order.options.evaluated_rows,
        level=order.policy.family_wise_level.value,
        attempts=real.secrets.attempt,
        copies=drawn[1:],
        earlier=earlier,
        second_opinion=order.options.second_opinion,
    )
    return held(evaluation, order.policy)


def mend(
    decision: Decision, real: RealTable, tables: tuple[Tables, Tables], order: Order, *, progress: Progress
) -> Decision:
    """After a no of the attacks, the decision with what was tried to mend it, and with what would pass.

    Parameters
    ----------
    tables
        As in `measure`.
    """
    # Where nobody is known to be unseen, nothing that is measured is a way to a yes.
    if order.remedy_seconds <= 0 or real.unknown or not attacked(decision, order.policy):
        return decision
    (drawn, earlier), options = tables, order.options
    tried = remedies(
        real.train,
        real.holdout,
        real.schema,
        order.generator,
        decision=decision,
        policy=order.policy,
        seed=derived_seed(real.secrets.seed, "release", "remedies"),
        seconds=order.remedy_seconds,
        terms=Terms(
            attempts=real.secrets.attempt,
            copies=options.copies,
            rows=len(drawn[0]),
            evaluated_rows=options.evaluated_rows,
            earlier=earlier,
            given=order.schema,
        ),
        progress=progress,
    )
    return with_remedies(decision, tried, order.policy)


def account(
    real: RealTable,
    model: AbstractFitted,
    order: Order,
    *,
    drawn: Tables,
    evaluation: Evaluation,
    composed: float | None,
) -> Provenance:
    """Where the release comes from.

    Parameters
    ----------
    composed
        Epsilon over all that was learnt from these patients; None without a guarantee.
    """
    rows = Rows(len(real.table), len(real.train), len(real.holdout), len(drawn[0]))
    return replace(
        provenance_of(real.schema, order.policy, evaluation, rows=rows, packages=PACKAGES),
        generator=order.generator.name,
        recipe=order.generator.model_dump(mode="json"),
        guarantee=guarantee_of(model, composed),
        actions=(*real.actions, *([model.decided] if model.decided else [])),
        seed=real.secrets.seed,
        command=order.command,
        attempt=real.secrets.attempt,
        copies=len(drawn),
    )


def gather(
    real: RealTable,
    model: AbstractFitted,
    order: Order,
    *,
    drawn: tuple[pd.DataFrame, ...],
    said: tuple[Decision, Provenance, Evaluation],
) -> Product:
    """Everything that the release's folders are written from."""
    decision, provenance, evaluation = said
    settings = order.generator.model_dump(mode="json")
    return Product(
        decision=decision,
        provenance=provenance,
        evaluation=evaluation,
        schema=real.schema,
        copies=drawn,
        model=model,
        secrets=real.secrets,
        policy=order.policy,
        request=Request(
            order.generator.name, settings, order.schema, order.options, real.census, sampled=real.sampled
        ),
        renewal=order.renewal,
    )
