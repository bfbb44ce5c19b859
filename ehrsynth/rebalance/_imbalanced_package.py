"""The one place where imbalanced-learn is imported: its samplers on one group's numbers.

The numbers that come out are imbalanced-learn's own, for the same seed and the same rows: nothing is scaled
or reordered on the way. Neighbours are as many as its default of five, or as many as there are.
"""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ehrsynth.errors import MissingPackage, NotEnoughData

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Whole = NDArray[np.int64]
_SEEDS = 2**32
_NEIGHBOURS = 5
_MANY_NEIGHBOURS = 10


@dataclass(frozen=True, slots=True, eq=False)
class Resampled:
    """What a sampler made of some rows.

    `kept` are the places of the rows that stay, in rising order; `made` new rows, with `made_event`;
    `source`, for each new row, the place of the row that it repeats, -1 where it is none.
    """

    kept: Whole
    made: Floats
    made_event: Mask
    source: Whole


def package() -> Any:
    """The imported package.

    Raises
    ------
    MissingPackage
        If it is not installed.
    """
    try:
        import imblearn
        import imblearn.combine
        import imblearn.over_sampling
        import imblearn.under_sampling
    except ImportError as error:
        raise MissingPackage("resampling", "rebalance") from error
    return imblearn


def oversampled(
    sampler: Any, x: Floats, event: Mask, wanted: Mapping[int, int], *, what: str, seed: int
) -> Resampled:
    """Rows made by an over-sampler, or by one that also cleans up after itself.

    Parameters
    ----------
    sampler
        An unfitted sampler of imbalanced-learn; its strategy, seed and neighbours are set here.
    wanted
        Rows wanted without (0) and with (1) the event; more than there are of at least one.
    what
        Method and group, for messages.

    Raises
    ------
    NotEnoughData
        If it finds no way to make rows.
    """
    y = event.astype(np.int64)
    strategy = {c: max(int(wanted[c]), int((y == c).sum())) for c in (0, 1)}
    configured = _configured(sampler, strategy, y, seed)
    try:
        with warnings.catch_warnings():
            # About classes that need no new rows, and clusters that did not converge.
            warnings.simplefilter("ignore")
            grown, labels = configured.fit_resample(x, y)
    except (ValueError, RuntimeError):  # its text may quote a value
        raise NotEnoughData(
            f"{what}: imbalanced-learn finds no way to make rows here: {int((y == 1).sum())} patients with"
            f" the event, {int((y == 0).sum())} without"
        ) from None
    return _parted(configured, np.asarray(grown, np.float64), np.asarray(labels) == 1, len(x))


def _parted(sampler: Any, grown: Floats, labels: Mask, real: int) -> Resampled:
    cleaner = next(
        (c for name in ("tomek_", "enn_") if (c := getattr(sampler, name, None)) is not None), None
    )
    origin = np.arange(len(grown)) if cleaner is None else np.asarray(cleaner.sample_indices_)
    made = origin >= real
    source = np.full(int(made.sum()), -1, np.int64)
    repeats = getattr(sampler, "sample_indices_", None)
    if repeats is not None:
        source = np.asarray(repeats, np.int64)[made]
    return Resampled(np.sort(origin[~made]), grown[made], labels[made], source)


def _configured(sampler: Any, strategy: Mapping[int, int], y: Whole, seed: int) -> Any:
    """The sampler with its strategy, seed, and no more neighbours than there are."""
    known = sampler.get_params(deep=False)
    fewest = min(int((y == c).sum()) for c in (0, 1) if strategy[c] > int((y == c).sum()))
    settings: dict[str, Any] = {"sampling_strategy": dict(strategy), "random_state": seed % _SEEDS}
    if fewest <= _NEIGHBOURS:
        few = max(1, fewest - 1)
        settings |= {name: few for name in ("k_neighbors", "n_neighbors") if name in known}
        if "smote" in known:
            settings["smote"] = package().over_sampling.SMOTE(**settings, k_neighbors=few)
    if "m_neighbors" in known:
        settings["m_neighbors"] = min(_MANY_NEIGHBOURS, len(y) - 1)
    return sampler.set_params(**settings)


def cleaned(sampler: Any, x: Floats, event: Mask) -> Resampled:
    """The rows that an under-sampler keeps.

    Raises
    ------
    NotEnoughData
        If it finds too few patients to clean among.
    """
    try:
        sampler.fit_resample(x, event.astype(np.int64))
    except (ValueError, RuntimeError):
        raise NotEnoughData("imbalanced-learn finds too few patients to clean among") from None
    kept = np.sort(np.asarray(sampler.sample_indices_, np.int64))
    width = x.shape[1]
    return Resampled(kept, np.empty((0, width)), np.empty(0, np.bool_), np.empty(0, np.int64))
