"""What a fitted model promises that can forget patients with less work than a new fit.

Forgetting is exact here or it is not called so: what comes out is what a fit gives that never saw the
patients. A model that cannot do so is learnt again.
"""

from abc import ABC, abstractmethod
from typing import Self

import pandas as pd

from ehrsynth.generators.base import AbstractFitted
from ehrsynth.progress import Progress


class AbstractForgetting(ABC):
    """What a fitted model can do besides that forgets exactly, without learning everything again."""

    __slots__ = ()

    @property
    @abstractmethod
    def forgets(self) -> bool:
        """Whether this one can; a model loaded from a folder may lack what it needs."""

    @abstractmethod
    def forget(
        self,
        rows: pd.DataFrame,
        remaining: pd.DataFrame,
        *,
        seed: int,
        progress: Progress | None = None,
    ) -> Self:
        """The model that a fit of the remaining patients gives.

        Parameters
        ----------
        rows
            The patients to forget, as they were learnt.
        remaining
            All others that were learnt, in their order.
        seed
            For what is learnt again. The seed of the first fit gives the bytes of a fit that never saw
            `rows`; another gives a model of the same distribution.
        """


def able_to_forget(fitted: AbstractFitted) -> AbstractForgetting | None:
    """The same model, if it forgets with less work than a new fit; else None."""
    return fitted if isinstance(fitted, AbstractForgetting) and fitted.forgets else None
