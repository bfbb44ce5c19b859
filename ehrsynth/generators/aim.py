"""AIM: marginals chosen one after another where the model errs most, for what they cost.

McKenna, Mullins, Sheldon and Miklau 2022, "AIM: An Adaptive and Iterative Mechanism for Differentially
Private Synthetic Data", PVLDB 15(11), algorithm 4. The workload is every pair of columns, and every outcome
with two others. Besides which columns, a candidate says how finely they are counted.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ehrsynth.dp.events import Exponential, Gaussian
from ehrsynth.dp.ledger import Ledger
from ehrsynth.dp.noise import NoiseStream, choose
from ehrsynth.generators.base import AbstractFitted
from ehrsynth.generators.graphical.bins import Binned
from ehrsynth.generators.graphical.estimation import Estimate, Measurement, estimate
from ehrsynth.generators.graphical.fitted import FittedGraphical, variables_of
from ehrsynth.generators.graphical.junction import Clique, junction_tree
from ehrsynth.generators.graphical.measuring import bin_rows, counted, measure, measure_ones, multiplier_of
from ehrsynth.generators.graphical.zeros import zeros
from ehrsynth.generators.private import AbstractPrivateGenerator, Till
from ehrsynth.progress import Progress
from ehrsynth.schema import Schema

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]

_NOISE_SHARE = 0.9  # of a round's budget, for the counts; the rest is for the choice
_MEAN_ABSOLUTE = float(np.sqrt(2 / np.pi))  # of a normal number
_ENOUGH = 1e-9


@dataclass(frozen=True, eq=False)
class Candidate:
    """Columns to be counted together, how finely, and what their error weighs."""

    variables: Clique
    groups: tuple[Codes, ...]
    weight: float

    @property
    def shape(self) -> tuple[int, ...]:
        """How many groups of each column."""
        return tuple(int(group.max()) + 1 for group in self.groups)

    @property
    def cells(self) -> int:
        """How many counts."""
        return int(np.prod(self.shape))


class AIM(AbstractPrivateGenerator):
    """Noisy marginals chosen where the model errs most (McKenna 2022), those with an outcome first."""

    name: ClassVar[str] = "aim"
    fitted: ClassVar[type[AbstractFitted]] = FittedGraphical

    ones_share: float = Field(default=0.1, gt=0, lt=1, description="of the budget, for single columns")
    rounds: float = Field(default=3.0, gt=0, le=16, description="rounds for each column, at the beginning")
    outcome_weight: float = Field(default=2.0, gt=0, description="weight of what holds an outcome")
    most_cells: int = Field(default=250_000, ge=100, description="size of the model: numbers in all cliques")
    steps: int = Field(default=1_000, ge=1, le=100_000, description="most steps of the last fit")
    looked_at: int = Field(default=300, ge=1, description="candidates in a round, drawn at random where more")
    round_steps: int = Field(default=100, ge=1, le=100_000, description="most steps of fitting in a round")

    def _fit_private(self, till: Till, schema: Schema, progress: Progress) -> FittedGraphical:
        ledger, stream = till.ledger("zCDP"), till.stream
        rho = ledger.rho_left
        rounds = max(1, round(self.rounds * len(schema.learnt)))
        per_round = (1 - self.ones_share) * rho / rounds
        deviation = multiplier_of(_NOISE_SHARE * per_round)
        ones = measure_ones(ledger, schema, self.ones_share * rho, stream, finer=deviation / 2)
        sizes = [column.size for column in ones.columns]
        impossible = zeros(schema, ones.columns, variables_of(schema))
        measured: list[Measurement] = list(ones.measurements)
        model = estimate(sizes, measured, impossible, steps=self.steps)
        candidates = list(workload(schema, ones.columns, self.outcome_weight))
        epsilon = float(np.sqrt(8 * (1 - _NOISE_SHARE) * per_round))
        chance = stream.numpy_generator()
        while candidates and ledger.rho_left > _ENOUGH * rho:
            # The last round takes what is left.
            cost = 1 / (2 * deviation**2) + epsilon**2 / 8
            if ledger.rho_left < 2 * cost:
                deviation = multiplier_of(_NOISE_SHARE * ledger.rho_left)
                epsilon = float(np.sqrt(8 * (1 - _NOISE_SHARE) * ledger.rho_left))
            spent = 1 - ledger.rho_left / rho
            # A random part of many candidates: which one has nothing to do with the patients.
            drawn = chance.permutation(len(candidates))[: self.looked_at]
            possible = [candidates[k] for k in drawn if self._fits(candidates[k], sizes, model, spent)]
            if not possible:
                break
            chosen = select(
                ledger,
                model,
                possible,
                schema=schema,
                columns=ones.columns,
                deviation=deviation,
                epsilon=epsilon,
                stream=stream,
            )
            rows = bin_rows(ledger.open(Gaussian(deviation)), schema, ones.columns)
            found = measure(rows, chosen.variables, chosen.groups, deviation=deviation, stream=stream)
            measured.append(found)
            before = found.gathered(model.calibrated.marginal(chosen.variables)) * model.total
            model = estimate(sizes, measured, impossible, steps=self.round_steps, start=model)
            after = found.gathered(model.calibrated.marginal(chosen.variables)) * model.total
            # What was learnt is no more than noise: ask louder.
            if np.abs(after - before).sum() <= _MEAN_ABSOLUTE * deviation * chosen.cells:
                deviation, epsilon = deviation / 2, epsilon * 2
            progress(0.9 * (1 - ledger.rho_left / rho), f"{len(measured) - len(sizes)} marginals")
        receipt = till.receipt(ledger.close())
        model = estimate(sizes, measured, impossible, steps=self.steps, start=model)
        progress(1.0, "fitted")
        return FittedGraphical(schema, self, ones.columns, model.junction, model.potentials, receipt)

    def _fits(self, candidate: Candidate, sizes: Sequence[int], model: Estimate, spent: float) -> bool:
        if model.junction.holder(candidate.variables) >= 0:
            return True
        wider = junction_tree(sizes, [*model.junction.cliques, candidate.variables])
        return wider.cells <= max(spent, 0.25) * self.most_cells


def workload(schema: Schema, columns: Sequence[Binned], outcome_weight: float) -> Iterator[Candidate]:
    """What may be counted: pairs, and outcomes with two others, each at several levels of fineness."""
    variables = variables_of(schema)
    outcomes = {variables[name] for name in schema.with_role("outcome") if name in variables}
    every = range(len(columns))
    for pair in combinations(every, 2):
        weight = outcome_weight if outcomes & set(pair) else 1.0
        for level in (0, 1):
            yield _candidate(pair, columns, outcomes, level, weight)
    for outcome in sorted(outcomes):
        for pair in combinations([v for v in every if v != outcome], 2):
            triple = tuple(sorted((outcome, *pair)))
            for level in (1, 2):
                yield _candidate(triple, columns, outcomes, level, outcome_weight)


def _candidate(
    variables: Clique, columns: Sequence[Binned], outcomes: set[int], level: int, weight: float
) -> Candidate:
    groups = tuple(columns[v].groups(0 if v in outcomes else level) for v in variables)
    return Candidate(variables, groups, weight)


def select(  # noqa: PLR0913 - what is counted, how finely, and what it may cost
    ledger: Ledger[Codes],
    model: Estimate,
    candidates: Sequence[Candidate],
    *,
    schema: Schema,
    columns: Sequence[Binned],
    deviation: float,
    epsilon: float,
    stream: NoiseStream,
) -> Candidate:
    """Choose by the exponential mechanism; one patient changes a score by at most its weight."""
    rows = bin_rows(ledger.open(Exponential(epsilon)), schema, columns)
    scores = np.empty(len(candidates))
    expected: dict[Clique, Floats] = {}
    for place, one in enumerate(candidates):
        if one.variables not in expected:
            expected[one.variables] = model.calibrated.marginal(one.variables) * model.total
        shape = Measurement(one.variables, one.groups, np.empty(one.shape), 1.0)
        error = np.abs(
            counted(rows, one.variables, one.groups, one.shape) - shape.gathered(expected[one.variables])
        )
        scores[place] = one.weight * (error.sum() - _MEAN_ABSOLUTE * deviation * one.cells)
    most = max(one.weight for one in candidates)
    return candidates[choose(stream, scores, epsilon=epsilon, sensitivity=most)]
