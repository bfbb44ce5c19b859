"""Counting patients with noise: the only file of this engine that is handed raw rows."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ehrsynth.dp.events import Gaussian
from ehrsynth.dp.ledger import Ledger
from ehrsynth.dp.noise import NoiseStream, discrete_gaussian
from ehrsynth.encoding import encoding
from ehrsynth.generators.chain.states import States
from ehrsynth.generators.graphical.bins import LEVELS, Binned, binned, denoised, least_share
from ehrsynth.generators.graphical.estimation import Measurement
from ehrsynth.generators.graphical.fitted import modelled
from ehrsynth.generators.graphical.junction import Clique
from ehrsynth.generators.public_states import public_states
from ehrsynth.schema import Schema

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Ones:
    """Noisy counts of each column's states, as measurements of its bins, and the total that they say."""

    columns: tuple[Binned, ...]
    measurements: tuple[Measurement, ...]
    total: float


def multiplier_of(rho: float) -> float:
    """The noise of one count of everybody that costs so much in zCDP."""
    return float(1 / np.sqrt(2 * rho))


def measure_ones(
    ledger: Ledger[Codes], schema: Schema, rho: float, stream: NoiseStream, *, finer: float
) -> Ones:
    """Measure every column by itself, with equal noise, and choose its bins by what was found.

    Parameters
    ----------
    rho
        What all columns together may cost.
    finer
        The standard deviation of the noise that later, joint counts will have: bins are made to stand out
        from it.
    """
    places = modelled(schema)
    states = [public_states(schema.learnt[place]) for place in places]
    deviation = multiplier_of(rho / max(len(places), 1))
    counts = noisy_counts(ledger, places, states, deviation=deviation, stream=stream)
    # Every column counts the same patients: their sums agree but for noise, and more cells have more of it.
    sums, weights = [c.sum() for c in counts], [1 / len(c) for c in counts]
    total = max(1.0, float(np.average(sums, weights=weights))) if counts else 1.0
    columns, measurements = [], []
    for variable, (place, one, noisy) in enumerate(zip(places, states, counts, strict=True)):
        ordered = encoding(schema.learnt[place]).numeric
        shares = denoised(one, noisy, deviation, ordered=ordered, total=total)
        column = binned(one, shares, least_share(finer, total), ordered=ordered, levels=LEVELS)
        columns.append(column)
        measurements.append(_of_bins(variable, column, noisy, deviation))
    return Ones(tuple(columns), tuple(measurements), total)


def noisy_counts(
    ledger: Ledger[Codes],
    places: Sequence[int],
    states: Sequence[States],
    *,
    deviation: float,
    stream: NoiseStream,
) -> list[Floats]:
    """For each column how many patients are in each state, plus discrete Gaussian noise."""
    if not places:
        return []
    rows = ledger.open(Gaussian(deviation, len(places)))
    found = []
    for place, one in zip(places, states, strict=True):
        held = np.bincount(one.assign(rows[:, place]), minlength=len(one))
        found.append((held + discrete_gaussian(stream, deviation**2, len(held))).astype(np.float64))
    return found


def _of_bins(variable: int, column: Binned, counts: Floats, deviation: float) -> Measurement:
    """The states' counts summed by bin, with the noise of the sum over the widest bin."""
    widest = np.bincount(column.bins[0]).max()
    summed = np.asarray(np.bincount(column.bins[0], counts, minlength=column.size), np.float64)
    return Measurement((variable,), (np.arange(column.size),), summed, deviation * np.sqrt(widest))


def bin_rows(rows: Codes, schema: Schema, columns: Sequence[Binned]) -> Codes:
    """The finest bin of each raw value, rows x variables: for use between `open` and noise only."""
    found = np.empty((len(rows), len(columns)), np.int64)
    for variable, (place, column) in enumerate(zip(modelled(schema), columns, strict=True)):
        found[:, variable] = column.bins[0][column.states.assign(rows[:, place])]
    return found


def counted(bins: Codes, variables: Clique, groups: Sequence[Codes], shape: Sequence[int]) -> Floats:
    """How many rows have each combination of groups."""
    at = np.zeros(len(bins), np.int64)
    for variable, group, size in zip(variables, groups, shape, strict=True):
        at = at * size + group[bins[:, variable]]
    return np.bincount(at, minlength=int(np.prod(shape))).reshape(shape).astype(np.float64)


def measure(
    bins: Codes, variables: Clique, groups: Sequence[Codes], *, deviation: float, stream: NoiseStream
) -> Measurement:
    """Count combinations with noise; the caller has paid for one `Gaussian` of this deviation."""
    shape = tuple(int(group.max()) + 1 for group in groups)
    counts = counted(bins, variables, groups, shape)
    noise = discrete_gaussian(stream, deviation**2, counts.size).reshape(shape)
    return Measurement(variables, tuple(groups), counts + noise, deviation)
