"""The only file that imports sdv (Business Source License 1.1), lazily: it fits the Gaussian copula.

What comes out are numbers: a distribution with its parameters for each column, and a correlation matrix.
Rows are drawn from them in `copula`, without the package: its model is a pickle, and the `from_dict` of
the package beneath imports whatever name it finds in the file.
"""

import os
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ehrsynth.errors import EhrSynthError, MissingPackage
from ehrsynth.randomness import global_seed

Floats = NDArray[np.float64]

# What a column's fitted distribution may be, by the last part of the class name that the package gives,
# with its parameters in scipy's order.
DISTRIBUTIONS = {
    "BetaUnivariate": ("beta", ("a", "b", "loc", "scale")),
    "GammaUnivariate": ("gamma", ("a", "loc", "scale")),
    "GaussianUnivariate": ("norm", ("loc", "scale")),
    "TruncatedGaussian": ("truncnorm", ("a", "b", "loc", "scale")),
    "UniformUnivariate": ("uniform", ("loc", "scale")),
}


@dataclass(frozen=True, slots=True, eq=False)
class FittedDistributions:
    """One distribution a column (scipy's name and parameters) and the correlation of the normal scores."""

    names: tuple[str, ...]
    parameters: tuple[tuple[float, ...], ...]
    correlation: Floats


def fit_gaussian_copula(
    frame: pd.DataFrame, words: Sequence[str], *, distribution: str, seed: int
) -> FittedDistributions:
    """Fit SDV's Gaussian copula.

    Parameters
    ----------
    frame, words
        As `ehrsynth.generators.plain.to_frame` gives them: words become places in 0 to 1, in their order.
    distribution
        The family tried first for each column: "beta", "gamma", "norm", "truncnorm" or "uniform".

    Raises
    ------
    MissingPackage
        If sdv is not installed.
    """
    with _quiet(seed):
        model = _model(frame, words, distribution)
        model.fit({"table": frame})
        learnt = model._model.to_dict()  # noqa: SLF001 - the only way to the correlations
    if list(learnt["columns"]) != list(frame.columns):
        message = "the installed sdv gives other columns than those it was given: install sdv 2.0"
        raise EhrSynthError(message)
    fitted = [_distribution(univariate) for univariate in learnt["univariates"]]
    names, parameters = zip(*fitted, strict=True)
    return FittedDistributions(names, parameters, np.array(learnt["correlation"], np.float64))


def require_sdv() -> None:
    """Raise MissingPackage unless the package is installed."""
    try:
        with _no_files():
            import sdv  # noqa: F401
    except ImportError as error:
        raise MissingPackage("copula", "sdv") from error


def _model(frame: pd.DataFrame, words: Sequence[str], distribution: str) -> Any:
    try:
        with _no_files():
            from rdt.transformers import OrderedUniformEncoder
            from sdv.metadata import Metadata
            from sdv.single_table import GaussianCopulaSynthesizer
    except ImportError as error:
        raise MissingPackage("copula", "sdv") from error
    kinds = {name: {"sdtype": "categorical" if name in set(words) else "numerical"} for name in frame.columns}
    metadata = Metadata.load_from_dict({"tables": {"table": {"columns": kinds}}})
    model = GaussianCopulaSynthesizer(metadata, default_distribution=distribution)
    model.auto_assign_transformers({"table": frame})
    orders = {name: sorted(frame[name].unique(), key=int) for name in words}
    model.update_transformers({name: OrderedUniformEncoder(order=order) for name, order in orders.items()})
    return model


def _distribution(univariate: dict[str, Any]) -> tuple[str, tuple[float, ...]]:
    name, order = DISTRIBUTIONS[str(univariate["type"]).rpartition(".")[2]]
    return name, tuple(float(univariate[parameter]) for parameter in order)


@contextmanager
def _no_files() -> Iterator[None]:
    """Let the first import of sdv write its logging configuration where it is deleted at once."""
    before = os.environ.get("XDG_DATA_HOME")
    with tempfile.TemporaryDirectory(prefix="ehrsynth-") as folder:
        os.environ["XDG_DATA_HOME"] = folder
        try:
            yield
        finally:
            if before is None:
                del os.environ["XDG_DATA_HOME"]
            else:
                os.environ["XDG_DATA_HOME"] = before


@contextmanager
def _quiet(seed: int) -> Iterator[None]:
    """Seeded, without warnings, and without the package's log of uses."""
    with global_seed(seed), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with _no_files():
                from sdv.logging import disable_single_table_logger
        except ImportError as error:
            raise MissingPackage("copula", "sdv") from error
        with disable_single_table_logger():
            yield
