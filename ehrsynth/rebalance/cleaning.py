"""Methods that take away patients whom their neighbours contradict; they do not meet the goal's numbers."""

from abc import abstractmethod
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ehrsynth.rebalance._imbalanced_package import cleaned, package
from ehrsynth.rebalance.plan import Plan, Rows
from ehrsynth.rebalance.resampling import AbstractResampling, GroupRows
from ehrsynth.rebalance.rows import Made
from ehrsynth.schema import Schema

Whole = NDArray[np.int64]


class AbstractCleaning(AbstractResampling):
    """Inside each group, patients of the more frequent outcome are taken away."""

    needs: ClassVar[str] = "imblearn"

    def _group_of(
        self, here: GroupRows, rows: Rows, plan: Plan, schema: Schema, *, number: int, seed: int
    ) -> tuple[Whole, Whole, list[Made]]:
        del rows, plan, schema, number, seed
        nothing = np.empty(0, np.int64)
        if min(here.have) == 0:
            return here.places, nothing, []
        found = cleaned(self._sampler(), here.space.flagged(here.x), here.event)
        return here.places[found.kept], nothing, []

    @abstractmethod
    def _sampler(self) -> Any:
        """The unfitted sampler."""


class TomekLinks(AbstractCleaning):
    """Of two patients who are each other's nearest and differ in outcome, the more frequent outcome's goes.

    Tomek (1976, doi 10.1109/TSMC.1976.4309452).
    """

    name: ClassVar[str] = "tomek_links"

    def _sampler(self) -> Any:
        return package().under_sampling.TomekLinks()


class RepeatedEnn(AbstractCleaning):
    """Patients whose three nearest do not all share their outcome go, again and again until nobody does.

    Tomek (1976, doi 10.1109/TSMC.1976.4309523).
    """

    name: ClassVar[str] = "repeated_enn"

    def _sampler(self) -> Any:
        return package().under_sampling.RepeatedEditedNearestNeighbours()
