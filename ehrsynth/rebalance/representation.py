"""BR-Net on a table: a network that predicts the event from features in which the groups do not show."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from ehrsynth.errors import RequestError
from ehrsynth.evaluation.learners import Flags
from ehrsynth.evaluation.matrix import is_nominal
from ehrsynth.rebalance.base import AbstractMethod, Treatment
from ehrsynth.rebalance.brnet import Bias, BrNet, BrNetSettings, train_brnet
from ehrsynth.rebalance.dependence import probe, within_classes
from ehrsynth.rebalance.groups import learnt
from ehrsynth.rebalance.plan import Plan, Rows, inputs, rows_of
from ehrsynth.schema import Schema

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Represented:
    """A predictor by a BR-Net."""

    plan: Plan
    schema: Schema
    flags: Flags
    network: BrNet

    def risks(self, table: pd.DataFrame) -> Floats:
        """Each patient's risk, 0 to 1."""
        return self.network.probabilities(self._inputs(table))[:, 1]

    def features(self, table: pd.DataFrame) -> Floats:
        """The features, n x features, in which groups shall not show."""
        return self.network.features(self._inputs(table))

    def _inputs(self, table: pd.DataFrame) -> Floats:
        return self.flags(inputs(rows_of(table, self.plan, self.schema).matrix, self.plan))


class Brnet(AbstractMethod):
    """A network whose features do not show the groups (BR-Net, Adeli et al. 2021).

    The bias is the groups as categories, or the columns named in `bias` as they are, numbers included;
    controls are patients without the event. It learns by itself: the plan's learner takes no part.
    """

    name: ClassVar[str] = "brnet"
    quick: ClassVar[bool] = False
    bias: tuple[str, ...] = Field(default=(), description="columns not to be shown; default: the groups")
    network: BrNetSettings = Field(
        default=BrNetSettings(
            hidden=32, steps=300, rate=3e-4, adversary_rate=2e-2, head_rate=2e-2, head_steps=3
        ),
        description="how the network is trained: quicker than BrNetSettings(), and a little less thorough",
    )

    def __call__(self, train: pd.DataFrame, plan: Plan, schema: Schema, *, seed: int) -> Treatment:
        """Train the network; columns that say the group outright are left out of its inputs."""
        rows = rows_of(train, plan, schema)
        known = inputs(rows.matrix, plan)
        flags = Flags(known)
        variables = list(self.variables(rows, plan, schema).values())
        if rows.event.all() or not rows.event.any():
            raise RequestError("brnet needs patients with and without the event")
        network = train_brnet(flags(known), rows.event, variables, settings=self.network, seed=seed)
        return Treatment(self.text, predictor=Represented(plan, schema, flags, network))

    def variables(self, rows: Rows, plan: Plan, schema: Schema) -> dict[str, Bias]:
        """What is not to be shown, by name: the groups, or the columns named; gaps are filled in."""
        if not self.bias:
            return {"group" if len(plan.groups) > 1 else plan.names[0]: Bias(rows.group, categorical=True)}
        found = {}
        for name in self.bias:
            column = learnt(schema, name)
            values = rows.matrix.values[:, rows.matrix.place(name)]
            gaps = np.isnan(values)
            middle = float(np.nanmedian(values)) if not gaps.all() else 0.0
            filled = np.where(gaps, -1.0 if is_nominal(column) else middle, values)
            found[name] = Bias(filled, categorical=is_nominal(column) or column.size == 2)  # noqa: PLR2004
        return found


def dependence(
    method: Brnet, predictor: Represented, plain: Represented, table: pd.DataFrame, *, seed: int
) -> dict[str, Any]:
    """How much of each bias variable is in a BR-Net's features, and in those without its second step.

    Parameters
    ----------
    table
        Patients whom neither network has seen.

    Returns
    -------
    dict
        For "brnet" and "plain", for each variable: squared distance correlation within each outcome (0 to 1,
        lower is less), and the AUROC at which a fresh probe reads it (0.5 to 1, lower is less): the highest
        over the categories of a category, "above its middle" for a number; None where too few are on a side.
    """
    rows = rows_of(table, predictor.plan, predictor.schema)
    names = np.where(rows.event, "with the event", "without the event")
    found: dict[str, Any] = {}
    for what, one in (("brnet", predictor), ("plain", plain)):
        features = one.features(table)
        found[what] = {
            name: {
                "squared_distance_correlation": within_classes(features, bias.columns(), names, seed=seed),
                "probe_auroc": _read(features, bias, seed),
            }
            for name, bias in method.variables(rows, predictor.plan, predictor.schema).items()
        }
    return found


def _read(features: Floats, bias: Bias, seed: int) -> dict[str, float] | None:
    values = np.asarray(bias.values, np.float64)
    sides = [values == level for level in np.unique(values)] if bias.categorical else [values]
    each = [one for side in sides if (one := probe(features, side, seed=seed)) is not None]
    return max(each, key=lambda one: one.value)._asdict() if each else None
