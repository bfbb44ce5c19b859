"""SMOTE and its family, by imbalanced-learn, on each group and outcome that the goal raises.

A line between two patients needs numbers: the plain samplers see a column without order as a flag for each
value, and the largest flag of a made patient counts. `smotenc` and `smoten` know categories themselves. On a
table that is complete the numbers are imbalanced-learn's own.
"""

from abc import abstractmethod
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ehrsynth.errors import RequestError
from ehrsynth.rebalance._imbalanced_package import Resampled, oversampled, package
from ehrsynth.rebalance.resampling import AbstractMaking, GroupRows

Floats = NDArray[np.float64]


class AbstractSmote(AbstractMaking):
    """The family on flags and numbers."""

    needs: ClassVar[str] = "imblearn"

    def _resampled(self, here: GroupRows, seed: int) -> Resampled:
        what = f"{self.text} of {here.name!r}"
        wanted = dict(enumerate(here.wanted))
        return oversampled(self._sampler(here), self._encoded(here), here.event, wanted, what=what, seed=seed)

    def _encoded(self, here: GroupRows) -> Floats:
        return here.space.flagged(here.x)

    def _decoded(self, here: GroupRows, made: Floats) -> Floats:
        return here.space.unflagged(made)

    @abstractmethod
    def _sampler(self, here: GroupRows) -> Any:
        """The unfitted sampler."""


class Smote(AbstractSmote):
    """Patients on the line between a patient and one of the five nearest of the same outcome.

    Chawla et al. (2002, doi 10.1613/jair.953).
    """

    name: ClassVar[str] = "smote"

    def _sampler(self, here: GroupRows) -> Any:  # noqa: ARG002
        return package().over_sampling.SMOTE()


class SmoteNC(AbstractSmote):
    """SMOTE for numbers and categories together: a category is the most frequent among the neighbours.

    Chawla et al. (2002), section 6.1.
    """

    name: ClassVar[str] = "smotenc"

    def _encoded(self, here: GroupRows) -> Floats:
        return here.x

    def _decoded(self, here: GroupRows, made: Floats) -> Floats:  # noqa: ARG002
        return made

    def _sampler(self, here: GroupRows) -> Any:
        listed = here.space.listed
        if listed.all() or not listed.any():
            other = "smoten" if listed.all() else "smote"
            kind = "no number" if listed.all() else "no category"
            raise RequestError(
                f"smotenc is for numbers and categories together, and there is {kind}: use {other}"
            )
        return package().over_sampling.SMOTENC(categorical_features=np.flatnonzero(listed).tolist())


class SmoteN(AbstractSmote):
    """SMOTE for categories: each cell is the most frequent value among the neighbours.

    Numbers take part as the middles of at most ten bands. Chawla et al. (2002), section 6.2.
    """

    name: ClassVar[str] = "smoten"
    bands: int = Field(default=10, ge=2, le=100, description="bands of a number with more values than that")

    def _encoded(self, here: GroupRows) -> Floats:
        return here.space.banded(here.x, self.bands)

    def _decoded(self, here: GroupRows, made: Floats) -> Floats:  # noqa: ARG002
        return made

    def _sampler(self, here: GroupRows) -> Any:  # noqa: ARG002
        return package().over_sampling.SMOTEN()


class BorderlineSmote(AbstractSmote):
    """SMOTE around the patients whose neighbours mostly had the other outcome.

    Han et al. (2005, doi 10.1007/11538059_91).
    """

    name: ClassVar[str] = "borderline_smote"
    kind: Literal["borderline-1", "borderline-2"] = "borderline-1"

    def _sampler(self, here: GroupRows) -> Any:  # noqa: ARG002
        return package().over_sampling.BorderlineSMOTE(kind=self.kind)


class KMeansSmote(AbstractSmote):
    """SMOTE inside clusters in which the outcome is not too rare.

    Last, Douzas and Bacao (2017, arXiv 1711.00837). `balance` is the share of the outcome that a cluster
    needs, as imbalanced-learn's `cluster_balance_threshold`.
    """

    name: ClassVar[str] = "kmeans_smote"
    clusters: int | None = Field(default=None, ge=1, description="default: imbalanced-learn's")
    balance: float | Literal["auto"] = "auto"

    def _sampler(self, here: GroupRows) -> Any:  # noqa: ARG002
        return package().over_sampling.KMeansSMOTE(
            kmeans_estimator=self.clusters, cluster_balance_threshold=self.balance
        )


class SvmSmote(AbstractSmote):
    """SMOTE around the support vectors of a support vector machine.

    Nguyen, Cooper and Kamei (2011, doi 10.1504/IJKESDP.2011.039875).
    """

    name: ClassVar[str] = "svm_smote"

    def _sampler(self, here: GroupRows) -> Any:  # noqa: ARG002
        return package().over_sampling.SVMSMOTE()


class Adasyn(AbstractSmote):
    """More patients where more neighbours had the other outcome; their number meets the goal only about.

    He et al. (2008, doi 10.1109/IJCNN.2008.4633969).
    """

    name: ClassVar[str] = "adasyn"

    def _sampler(self, here: GroupRows) -> Any:  # noqa: ARG002
        return package().over_sampling.ADASYN()


class SmoteTomek(AbstractSmote):
    """SMOTE, after which pairs of nearest patients with different outcomes are taken away.

    Batista, Bazzan and Monard (2003).
    """

    name: ClassVar[str] = "smote_tomek"

    def _sampler(self, here: GroupRows) -> Any:  # noqa: ARG002
        return package().combine.SMOTETomek()


class SmoteEnn(AbstractSmote):
    """SMOTE, after which patients whose three nearest had the other outcome are taken away.

    Batista, Prati and Monard (2004, doi 10.1145/1007730.1007735).
    """

    name: ClassVar[str] = "smote_enn"

    def _sampler(self, here: GroupRows) -> Any:  # noqa: ARG002
        return package().combine.SMOTEENN()
