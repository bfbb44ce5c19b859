"""MST: a tree of noisy pairs, the differentially private generator that won NIST's 2018 contest.

McKenna, Miklau and Sheldon 2021, "Winning the NIST Contest: A scalable and general approach to differentially
private synthetic data", Journal of Privacy and Confidentiality 11(3). Columns are related by the spanning
tree of pairs that independence explains worst.
"""

from collections.abc import Sequence
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
from ehrsynth.generators.graphical.junction import Clique
from ehrsynth.generators.graphical.measuring import bin_rows, counted, measure, measure_ones, multiplier_of
from ehrsynth.generators.graphical.zeros import zeros
from ehrsynth.generators.private import AbstractPrivateGenerator, Till
from ehrsynth.progress import Progress, part
from ehrsynth.schema import Schema

Codes = NDArray[np.int64]


class MST(AbstractPrivateGenerator):
    """A tree of noisy two-way counts (McKenna 2021): quick, and good for pairs of columns."""

    name: ClassVar[str] = "mst"
    fitted: ClassVar[type[AbstractFitted]] = FittedGraphical

    ones_share: float = Field(default=0.15, gt=0, lt=1, description="of the budget, for single columns")
    choice_share: float = Field(default=0.15, gt=0, lt=1, description="of the budget, for choosing the tree")
    steps: int = Field(default=1_000, ge=1, le=100_000, description="most steps of fitting the distribution")

    def _fit_private(self, till: Till, schema: Schema, progress: Progress) -> FittedGraphical:
        ledger, stream = till.ledger("zCDP"), till.stream
        rho = ledger.rho_left
        pairs = max(len(schema.learnt) - 1, 1)
        rest = 1 - self.ones_share - self.choice_share
        deviation = multiplier_of(rest * rho / pairs)
        ones = measure_ones(ledger, schema, self.ones_share * rho, stream, finer=deviation)
        sizes = [column.size for column in ones.columns]
        impossible = zeros(schema, ones.columns, variables_of(schema))
        alone = estimate(sizes, ones.measurements, impossible, steps=self.steps)
        progress(0.2, "single columns")
        tree = select_tree(ledger, schema, ones.columns, alone, rho=self.choice_share * rho, stream=stream)
        twos = measure_tree(ledger, schema, ones.columns, tree, stream=stream)
        spent = till.receipt(ledger.close())
        progress(0.5, f"{len(tree)} pairs")
        found = estimate(sizes, [*ones.measurements, *twos], impossible, steps=self.steps, start=alone)
        part(progress, 0.5, 1.0)(1.0, "fitted")
        return FittedGraphical(schema, self, ones.columns, found.junction, found.potentials, spent)


def select_tree(
    ledger: Ledger[Codes],
    schema: Schema,
    columns: Sequence[Binned],
    alone: Estimate,
    *,
    rho: float,
    stream: NoiseStream,
) -> list[Clique]:
    """Choose a spanning tree edge by edge, each by the exponential mechanism among those that join two parts.

    The score of a pair is the L1 distance between its counts and those of the model without it; one patient
    changes it by at most 1.
    """
    edges, many = list[Clique](), len(columns) - 1
    if many < 1:
        return edges
    epsilon = float(np.sqrt(8 * rho / many))
    pairs = list(combinations(range(len(columns)), 2))
    expected = [alone.calibrated.marginal(pair) * alone.total for pair in pairs]
    rows = bin_rows(ledger.open(Exponential(epsilon, many)), schema, columns)
    scores = np.array(
        [np.abs(_counts(rows, pair, columns) - e).sum() for pair, e in zip(pairs, expected, strict=True)]
    )
    component = np.arange(len(columns))
    for _ in range(many):
        open_pairs = [k for k, (a, b) in enumerate(pairs) if component[a] != component[b]]
        a, b = pairs[open_pairs[choose(stream, scores[open_pairs], epsilon=epsilon, sensitivity=1.0)]]
        component[component == component[b]] = component[a]
        edges.append((a, b))
    return edges


def _counts(rows: Codes, pair: Clique, columns: Sequence[Binned]) -> NDArray[np.float64]:
    groups = [np.arange(columns[v].size) for v in pair]
    return counted(rows, pair, groups, [columns[v].size for v in pair])


def measure_tree(
    ledger: Ledger[Codes],
    schema: Schema,
    columns: Sequence[Binned],
    tree: Sequence[Clique],
    *,
    stream: NoiseStream,
) -> list[Measurement]:
    """Count the pairs of the tree with what is left of the budget."""
    if not tree:
        return []
    deviation = multiplier_of(ledger.rho_left / len(tree))
    rows = bin_rows(ledger.open(Gaussian(deviation, len(tree))), schema, columns)
    return [
        measure(rows, pair, [np.arange(columns[v].size) for v in pair], deviation=deviation, stream=stream)
        for pair in tree
    ]
