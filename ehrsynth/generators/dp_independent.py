"""Each column by itself under differential privacy: the baseline that other private generators must beat."""

from typing import ClassVar

from ehrsynth.generators.base import AbstractFitted
from ehrsynth.generators.graphical.estimation import estimate
from ehrsynth.generators.graphical.fitted import FittedGraphical, variables_of
from ehrsynth.generators.graphical.measuring import measure_ones, multiplier_of
from ehrsynth.generators.graphical.zeros import zeros
from ehrsynth.generators.private import AbstractPrivateGenerator, Till
from ehrsynth.progress import Progress
from ehrsynth.schema import Schema

STEPS = 200


class DPIndependent(AbstractPrivateGenerator):
    """Draws every column on its own from noisy counts; only the schema's rules relate columns."""

    name: ClassVar[str] = "dp-independent"
    fitted: ClassVar[type[AbstractFitted]] = FittedGraphical

    def _fit_private(self, till: Till, schema: Schema, progress: Progress) -> FittedGraphical:
        ledger = till.ledger("zCDP")
        rho = ledger.rho_left
        ones = measure_ones(ledger, schema, rho, till.stream, finer=multiplier_of(rho))
        spent = till.receipt(ledger.close())
        impossible = zeros(schema, ones.columns, variables_of(schema))
        found = estimate([c.size for c in ones.columns], ones.measurements, impossible, steps=STEPS)
        progress(1.0, f"{len(ones.columns)} columns")
        return FittedGraphical(schema, self, ones.columns, found.junction, found.potentials, spent)
