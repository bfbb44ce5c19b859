"""What is asked: which treatment, which outcomes, in whom, under which design; checked against the schema.

A `Request` holds what a person says, by name. `ask` turns it into a `Question`, in which every name is a
column of the schema and every column was measured when it must have been.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from ehrsynth.errors import RequestError, unknown
from ehrsynth.evaluation.strata import is_listed, level_name
from ehrsynth.schema import Formula, IdentifierColumn, LearntColumn, PresentTogether, Schema
from ehrsynth.schema.binding import bind, columns_of, word_value
from ehrsynth.tables.grids import grid
from ehrsynth.twins.outcomes import LATER, Outcome, horizon_outcome, outcome_of
from ehrsynth.twins.wording import listed

Design = Literal["randomised", "observational"]
Estimand = Literal["all", "treated", "untreated"]

_TWO = 2


@dataclass(frozen=True, slots=True)
class Request:
    """What a person asks for, by name; what is left out is taken from the schema's roles.

    Parameters
    ----------
    treatment
        A column with the role treatment; needed where the schema has several.
    arms
        Name of each arm and the values that belong to it, the reference arm first. Default: each value.
    outcomes
        Columns with the role outcome, or ``name = expression`` over such columns, which is a yes or no.
    covariates
        Columns with the role covariate. Default: all of them.
    design
        "randomised" or "observational".
    probabilities
        The probability of each arm under randomisation, by its name. Default: the shares observed.
    estimand
        Whom an average effect is about: "all" patients, the "treated" (of two arms) or the "untreated".
    where
        A condition on covariates that the population meets, for instance ``"age >= 80"``.
    by
        Columns whose groups are shown on their own. Default: protected covariates.
    horizon, cause, censoring
        With a horizon, one more outcome: whether the event (of this cause) came by then, from the columns
        with the roles time and event; `censoring` is "ipcw" or "pseudo".
    negative_control
        Covariates that the treatment cannot have changed, left out of the adjustment and tried as outcomes.
    """

    treatment: str = ""
    arms: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    outcomes: tuple[str, ...] = ()
    covariates: tuple[str, ...] = ()
    design: Design = "observational"
    probabilities: Mapping[str, float] = field(default_factory=dict)
    estimand: Estimand = "all"
    where: str = ""
    by: tuple[str, ...] = ()
    horizon: float | None = None
    cause: str = ""
    censoring: Literal["ipcw", "pseudo"] = "ipcw"
    negative_control: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Arm:
    """One arm: its name, and the codes of the treatment column that belong to it."""

    name: str
    codes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Question:
    """A request that the schema can answer. The first arm is the one that others are held against."""

    schema: Schema
    treatment: str
    arms: tuple[Arm, ...]
    outcomes: tuple[Outcome, ...]
    covariates: tuple[str, ...]
    design: Design
    probabilities: tuple[float, ...] | None
    estimand: Estimand
    where: str
    by: tuple[str, ...]
    site: str | None
    negative_control: tuple[str, ...]

    @property
    def randomised(self) -> bool:
        """Whether arms were allotted by chance."""
        return self.design == "randomised"

    @property
    def contrasts(self) -> tuple[str, ...]:
        """Each arm against the reference, in words."""
        return tuple(f"{arm.name} against {self.arms[0].name}" for arm in self.arms[1:])

    @property
    def covariate_schema(self) -> Schema:
        """The schema of the covariates alone."""
        return self.schema.subset(self.covariates)

    @property
    def target_schema(self) -> Schema:
        """The schema of patients to whom averages are standardised: covariates, and what tells `where`."""
        told = bind(self.where, self.schema, expects="truth").columns if self.where else set()
        return self.schema.subset(tuple(n for n in self.schema.names if n in told or n in self.covariates))

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column that the question needs, in the schema's order."""
        needed = {self.treatment, *self.covariates, *self.negative_control, *self.by}
        needed |= {name for outcome in self.outcomes for name in outcome.columns}
        needed |= {self.site} if self.site else set()
        return tuple(name for name in self.schema.names if name in needed)


def ask(request: Request, schema: Schema) -> Question:
    """Check a request against a schema.

    Raises
    ------
    RequestError
        If a name is unknown, a column has not the role it needs, a covariate was measured after treatment,
        or arms, probabilities and population do not fit together. All that can be said is said at once.
    """
    problems: list[str] = []
    treatment = _treatment(request, schema, problems)
    arms = () if treatment is None else _arms(request, treatment, problems)
    outcomes = _outcomes(request, schema, problems)
    covariates = _covariates(request, schema, outcomes, problems)
    by = request.by or tuple(n for n in schema.with_role("protected") if n in covariates)
    problems += [f"by: {unknown('covariate', n, covariates)}" for n in by if n not in covariates]
    problems += list(_population_problems(request, schema, covariates))
    probabilities = _probabilities(request, arms, problems)
    if request.estimand == "treated" and len(arms) > _TWO:
        problems.append(
            f"the treated are other patients for each of {len(arms) - 1} contrasts, which one table of arms"
            " would mix: ask about two arms at a time (--arm), or with --estimand all or untreated"
        )
    if problems:
        raise RequestError("\n".join(problems))
    kept = tuple(n for n in covariates if n not in request.negative_control)
    if not kept:
        raise RequestError("no covariate is left: twins need at least one column measured before treatment")
    site = next(iter(schema.with_role("site")), None)
    return Question(
        schema=schema,
        treatment="" if treatment is None else treatment.name,
        arms=arms,
        outcomes=outcomes,
        covariates=kept,
        design=request.design,
        probabilities=probabilities,
        estimand=request.estimand,
        where=request.where,
        by=tuple(n for n in by if n in kept),
        site=site,
        negative_control=request.negative_control,
    )


# ---- treatment ----


def _treatment(request: Request, schema: Schema, problems: list[str]) -> LearntColumn | None:
    known = [n for n in schema.with_role("treatment") if not isinstance(schema.column(n), IdentifierColumn)]
    name = request.treatment or (known[0] if len(known) == 1 else "")
    if name in known:
        column = schema.column(name)
        if not isinstance(column, IdentifierColumn) and is_listed(column) and column.size >= _TWO:
            return column
        problems.append(f"treatment {name!r} has no arms: it needs listed values, two at least")
    elif name:
        problems.append(f"{unknown('treatment', name, known)} Give its column the role treatment.")
    elif known:
        problems.append(f"the schema has {len(known)} treatments ({listed(known)}): name one")
    else:
        problems.append("no column has the role treatment: give it to one in the schema")
    return None


def _arms(request: Request, column: LearntColumn, problems: list[str]) -> tuple[Arm, ...]:
    if not request.arms:
        return tuple(Arm(level_name(column, code), (code,)) for code in range(column.size))
    arms, taken = [], set[int]()
    for name, words in request.arms.items():
        codes = []
        for word in words:
            try:
                code = _code(column, word)
            except ValueError as error:
                problems.append(f"arm {name!r}: {error}")
                continue
            if code in taken:
                problems.append(f"arm {name!r}: value {word!r} of {column.name!r} belongs to another arm")
            taken.add(code)
            codes.append(code)
        arms.append(Arm(name, tuple(codes)))
    if len(arms) < _TWO:
        problems.append(f"{len(arms)} arm was named: a contrast needs two at least")
    problems += [f"arm {name!r} has no value" for name, words in request.arms.items() if not words]
    return tuple(arms)


def _code(column: LearntColumn, word: str) -> int:
    return int(grid(column).codes(np.array([word_value(column, word)]))[0])


def _probabilities(request: Request, arms: tuple[Arm, ...], problems: list[str]) -> tuple[float, ...] | None:
    given = request.probabilities
    if not given:
        return None
    if request.design != "randomised":
        problems.append("probabilities of the arms are known only in a randomised design")
    names = [arm.name for arm in arms]
    problems += [f"probability: {unknown('arm', n, names)}" for n in given if n not in names]
    if set(names) - set(given):
        problems.append(f"probability: not given for {listed(sorted(set(names) - set(given)))}")
    total = sum(given.values())
    if any(p <= 0 for p in given.values()) or abs(total - 1) > 1e-6:  # noqa: PLR2004 - rounding
        problems.append(f"probabilities of the arms are above 0 and sum to 1; these sum to {total:g}")
    return tuple(given.get(n, 0.0) for n in names)


# ---- outcomes and covariates ----


def _outcomes(request: Request, schema: Schema, problems: list[str]) -> tuple[Outcome, ...]:
    asked = request.outcomes or (() if request.horizon is not None else schema.with_role("outcome"))
    found = []
    for text in asked:
        try:
            found.append(outcome_of(text, schema))
        except RequestError as error:
            # Where none was asked for, what cannot be an outcome here is passed over.
            if request.outcomes:
                problems.append(str(error))
    if request.horizon is not None:
        try:
            found.append(horizon_outcome(request.horizon, request.cause, request.censoring, schema=schema))
        except RequestError as error:
            problems.append(str(error))
    if not found and not problems:
        problems.append("no outcome: give a column the role outcome, or ask with a horizon")
    names = [outcome.name for outcome in found]
    problems += [f"outcome {n!r} is asked for twice" for n in sorted(set(names)) if names.count(n) > 1]
    return tuple(found)


def _covariates(
    request: Request, schema: Schema, outcomes: tuple[Outcome, ...], problems: list[str]
) -> tuple[str, ...]:
    known = schema.with_role("covariate")
    chosen = (*(request.covariates or known), *request.negative_control)
    chosen = tuple(dict.fromkeys(chosen))
    later = {n for role in (*LATER, "treatment") for n in schema.with_role(role)}
    later |= {n for outcome in outcomes for n in outcome.columns}
    for name in chosen:
        if name not in schema.names:
            problems.append(unknown("covariate", name, known))
        elif name in later:
            problems.append(
                f"covariate {name!r} was measured after treatment, by its role: a covariate is known before"
            )
        elif known and name not in known:
            problems.append(
                f"column {name!r} has not the role covariate: give it in the schema if it was measured before"
                " treatment"
            )
    problems += list(_tied(chosen, later, schema))
    if not known:
        others = [c.name for c in schema.learnt if c.name not in later and "site" not in c.roles]
        could = f" It may be some of: {listed(others)}." if others else ""
        problems.append(
            "no column has the role covariate: write roles: [covariate] in the schema under each that was"
            f" measured before treatment.{could}"
        )
    return chosen


def _tied(covariates: tuple[str, ...], later: set[str], schema: Schema) -> Iterator[str]:
    """Covariates that a rule computes from, or reports together with, what came after treatment."""
    for rule in schema.constraints:
        names = columns_of(rule)
        if (isinstance(rule, Formula) and rule.column in covariates) or isinstance(rule, PresentTogether):
            after = names & later
        else:
            continue
        for name in sorted(names & set(covariates)) if after else ():
            tied = listed(sorted(after))
            yield f"covariate {name!r} was measured after treatment: a rule ties it to {tied}"


def _population_problems(request: Request, schema: Schema, covariates: tuple[str, ...]) -> Iterator[str]:
    if not request.where:
        return
    try:
        names = bind(request.where, schema, expects="truth").columns
    except RequestError as error:
        yield f"population: {error}"
        return
    outside = sorted(names - set(covariates))
    if outside:
        yield f"population: {listed(outside)} is no covariate: it is told by what was known before"
