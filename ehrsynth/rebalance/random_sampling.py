"""Random over- and undersampling, and the two that add slight variations: the smoothed bootstrap and ROSE."""

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ehrsynth.randomness import numpy_generator
from ehrsynth.rebalance._imbalanced_package import Resampled, oversampled, package
from ehrsynth.rebalance.plan import Plan, Rows
from ehrsynth.rebalance.resampling import AbstractMaking, AbstractResampling, GroupRows
from ehrsynth.rebalance.rows import Made
from ehrsynth.rebalance.targets import Direction
from ehrsynth.schema import Schema

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]


class RandomOversampling(AbstractResampling):
    """Real patients of the groups to be raised are repeated at random until there are enough."""

    name: ClassVar[str] = "random_oversampling"
    needs: ClassVar[str] = "imblearn"

    def _group_of(
        self, here: GroupRows, rows: Rows, plan: Plan, schema: Schema, *, number: int, seed: int
    ) -> tuple[Whole, Whole, list[Made]]:
        del rows, plan, schema, number
        if not here.grows:
            return here.places, np.empty(0, np.int64), []
        found = _sampled(here, seed, shrinkage=None)
        return here.places, here.places[found.source], []


class RandomUndersampling(AbstractResampling):
    """Real patients of the groups that are too large are left out at random."""

    name: ClassVar[str] = "random_undersampling"
    direction: ClassVar[Direction] = "down"

    def _group_of(
        self, here: GroupRows, rows: Rows, plan: Plan, schema: Schema, *, number: int, seed: int
    ) -> tuple[Whole, Whole, list[Made]]:
        del rows, plan, schema, number, seed
        return here.places, np.empty(0, np.int64), []  # whoever is too many was left out before


class SmoothedBootstrap(AbstractMaking):
    """Repeated patients with slight variations: a normal draw around each number, categories as they are.

    imbalanced-learn's random over-sampler with `shrinkage`, the width of the kernel as a share of the optimal
    one for normal data (Silverman 1986).
    """

    name: ClassVar[str] = "smoothed_bootstrap"
    needs: ClassVar[str] = "imblearn"
    shrinkage: float = Field(default=1.0, ge=0, le=10, description="0 repeats patients as they are")

    def _resampled(self, here: GroupRows, seed: int) -> Resampled:
        return _sampled(here, seed, shrinkage=self.shrinkage)

    def _decoded(self, here: GroupRows, made: Floats) -> Floats:  # noqa: ARG002
        return made


def _sampled(here: GroupRows, seed: int, *, shrinkage: float | None) -> Resampled:
    """The sampler varies the numbers; the listed columns of each row are those of the patient it repeats."""
    numbers = ~here.space.listed
    sampler = package().over_sampling.RandomOverSampler(shrinkage=shrinkage if numbers.any() else None)
    x = here.x[:, numbers] if numbers.any() else here.x
    wanted = dict(enumerate(here.wanted))
    found = oversampled(
        sampler, x, here.event, wanted, what=f"random oversampling of {here.name!r}", seed=seed
    )
    made = here.x[found.source]
    if numbers.any():
        made[:, numbers] = found.made
    return Resampled(found.kept, made, found.made_event, found.source)


class Rose(AbstractMaking):
    """Each group that the goal changes is drawn anew from a kernel around its patients (ROSE).

    Menardi and Torelli (2014, doi 10.1007/s10618-012-0295-5): unlike the smoothed bootstrap, which adds rows
    to the real ones, the whole group is replaced by rows around them. Made here: imbalanced-learn knows the
    former only.
    """

    name: ClassVar[str] = "rose"
    shrinkage: float = Field(default=1.0, gt=0, le=10, description="width of the kernel, 1 as in the paper")

    def _resampled(self, here: GroupRows, seed: int) -> Resampled:
        numbers, made, events = ~here.space.listed, [], []
        for event in (False, True):
            rng = numpy_generator(seed, "rose", here.name, str(event))
            stratum = here.x[here.event == event]
            count = here.wanted[event]
            rows = stratum[rng.integers(len(stratum), size=count)].copy()
            width = int(numbers.sum())
            if width:
                # The paper's h: (4 / ((d + 2) n)) ** (1 / (d + 4)) times each number's spread in the class.
                h = self.shrinkage * (4 / ((width + 2) * len(stratum))) ** (1 / (width + 4))
                rows[:, numbers] += h * stratum[:, numbers].std(axis=0) * rng.normal(size=(count, width))
            made.append(rows)
            events.append(np.full(count, event))
        nobody = np.empty(0, np.int64)
        all_events = np.concatenate(events)
        return Resampled(nobody, np.vstack(made), all_events, np.full(len(all_events), -1, np.int64))

    def _decoded(self, here: GroupRows, made: Floats) -> Floats:  # noqa: ARG002
        return made
