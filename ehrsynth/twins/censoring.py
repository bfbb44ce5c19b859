"""Patients whose follow-up ended before the horizon are not event-free: two ways to account for them.

- **IPCW**: patients whose state at the horizon is known stand for those like them whose follow-up ended,
  with weight 1 / P(still followed) (Robins and Rotnitzky 1992). That probability is Kaplan and Meier's of
  the end of follow-up within each arm, moved by covariates as in Cox (1972) where there are enough ends.
- **Pseudo-observations**: every patient gets n F - (n - 1) F without that patient, F the cumulative incidence
  of the arm by Aalen and Johansen (1978); it has the right mean whatever the covariates, if the end of
  follow-up does not depend on them (Andersen, Klein and Rosthoj 2003, doi 10.1093/biomet/90.1.15).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ehrsynth.evaluation.fidelity.follow_up import curves
from ehrsynth.evaluation.utility.regression import fit, independent

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]
Mask = NDArray[np.bool_]

_AT_ONCE = 500  # patients left out at a time: bounds the memory
_EACH = 10  # ends of follow-up for each coefficient of the Cox regression


class Horizon(NamedTuple):
    """Follow-up against a horizon: `cause` is the code of the event that counts."""

    time: Floats
    event: Floats
    horizon: float
    cause: int
    causes: int

    def of(self, rows: Mask | Whole) -> "Horizon":
        """Some patients."""
        return self._replace(time=self.time[rows], event=self.event[rows])


def state(given: Horizon) -> Floats:
    """1: the event came by the horizon; 0: it did not, or another came first; NaN: follow-up ended before."""
    time, event = given.time, given.event
    found = np.full(len(time), np.nan)
    found[time >= given.horizon] = 0.0
    by = (time <= given.horizon) & (event > 0)
    found[by] = (event[by] == given.cause).astype(np.float64)
    return found


def incidence(given: Horizon) -> float:
    """The share with the event by the horizon, by Aalen and Johansen (Kaplan and Meier for one cause)."""
    return float(_incidences(given, np.ones((1, len(given.time))))[0])


def _incidences(given: Horizon, weights: Floats) -> Floats:
    """The same for each row of weights."""
    until = np.where(given.time > given.horizon, np.inf, given.time)
    times, places = np.unique(until, return_inverse=True)
    causes = np.where(np.isinf(until), 0, given.event).astype(np.int64)
    found = curves(places, causes, weights, (given.causes, len(times)))
    last = int(np.searchsorted(times, given.horizon, side="right")) - 1
    return found.incidence[:, given.cause - 1, last] if last >= 0 else np.zeros(len(weights))


def pseudo_observations(given: Horizon) -> Floats:
    """One number for each patient of an arm, whose mean is (nearly) the cumulative incidence."""
    n = len(given.time)
    whole, left_out = incidence(given), np.empty(n)
    for start in range(0, n, _AT_ONCE):
        rows = np.arange(start, min(n, start + _AT_ONCE))
        weights = np.ones((len(rows), n))
        weights[np.arange(len(rows)), rows] = 0.0
        left_out[rows] = _incidences(given, weights)
    return np.asarray(n * whole - (n - 1) * left_out)


def ipcw(given: Horizon, arm: Whole, features: Floats) -> Floats:
    """1 / P(still followed) for patients whose state at the horizon is known, 0 for the others.

    Parameters
    ----------
    features
        n x p without missing values: what the end of follow-up may depend on besides the arm.
    """
    ended = (given.event == 0) & (given.time < given.horizon)
    risk = _relative_risk(given, ended, features)
    known, weight = ~np.isnan(state(given)), np.zeros(len(arm))
    for one in np.unique(arm):
        rows = np.flatnonzero(arm == one)
        at = np.minimum(given.time[rows], given.horizon)
        still = _still_followed(given.time[rows], ended[rows], risk[rows], at)
        weight[rows] = known[rows] / np.maximum(still, 1.0 / len(rows))
    return weight


def _relative_risk(given: Horizon, ended: Mask, features: Floats) -> Floats:
    """How much sooner follow-up ends for each patient: exp of Cox's linear predictor, about 1."""
    most = int(ended.sum()) // _EACH
    spread = features.std(axis=0)
    usable = np.flatnonzero(spread > 0)
    if not most or not len(usable):
        return np.ones(len(ended))
    design = (features - features.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    # Where there are few ends, only those columns that go along with them most.
    linked = np.abs(design[:, usable].T @ (ended - ended.mean()))
    chosen = np.sort(usable[np.argsort(-linked, kind="stable")[:most]])
    design = design[:, chosen]
    design = design[:, independent(design)]
    until = np.minimum(given.time, given.horizon)
    found = fit("cox", design, ended.astype(np.float64), until)
    return np.asarray(np.exp(np.clip(design @ np.nan_to_num(found.coefficients), -5, 5)))


def _still_followed(time: Floats, ended: Mask, risk: Floats, at: Floats) -> Floats:
    """P(still followed just before `at`): the product over ends of follow-up of 1 - 1 / (risk at risk).

    Events come before ends of follow-up at the same time.
    """
    order = np.lexsort((ended, time))
    later = np.cumsum(risk[order][::-1])[::-1]
    placed = np.flatnonzero(ended[order])
    ends, first = np.unique(time[order][placed], return_index=True)
    at_risk = later[placed[first]]
    many = np.bincount(np.searchsorted(ends, time[ended]), minlength=len(ends))
    hazard = np.minimum(many / np.maximum(at_risk, 1e-12), 1.0)
    log_still = np.concatenate([[0.0], np.cumsum(np.log(np.maximum(1 - hazard, 1e-12)))])
    before = np.searchsorted(ends, at, side="left")
    return np.asarray(np.exp(log_still[before] * risk))
