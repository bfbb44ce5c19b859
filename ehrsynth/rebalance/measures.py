"""How good predicted risks are for some patients."""

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from ehrsynth.evaluation.utility.prediction import risk_measures
from ehrsynth.rebalance.learners import expit, logit
from ehrsynth.statistics import auroc

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

MEASURES = (
    "auroc",
    "auprc",
    "brier",
    "log_loss",
    "calibration_slope",
    "calibration_intercept",
    "excess_risk",
    "sensitivity_at_specificity",
    "sensitivity",
    "specificity",
)
_FAR = 30.0


def measures(event: Mask, risk: Floats, called: Mask, *, specificity: float) -> dict[str, float]:
    """Every measure of `MEASURES`; NaN where it does not exist (one outcome only).

    Parameters
    ----------
    called
        Who is called high-risk: sensitivity and specificity are of this.
    specificity
        At which "sensitivity_at_specificity" is read off the ROC curve.

    Returns
    -------
    dict
        "auroc", "auprc" 0 to 1, higher is better; "brier" 0 to 1 and "log_loss" from 0, lower is better;
        "calibration_slope" 1 is best, below 1 are risks too extreme; "calibration_intercept" 0 is best, on
        the log odds, below 0 are risks too high; "excess_risk" mean risk less the share of events, 0 is best;
        sensitivities and specificity 0 to 1, higher is better.
    """
    if event.all() or not event.any():
        return dict.fromkeys(MEASURES, np.nan)
    known = risk_measures(event, risk)
    slope = known["calibration_slope"]
    return {
        "auroc": auroc(event, risk),
        "auprc": float(known["auprc"] or 0.0),
        "brier": float(known["brier"] or 0.0),
        "log_loss": log_loss(event, risk),
        "calibration_slope": np.nan if slope is None else slope,
        "calibration_intercept": calibration_intercept(event, risk),
        "excess_risk": float(risk.mean() - event.mean()),
        "sensitivity_at_specificity": sensitivity_at(event, risk, specificity),
        "sensitivity": float(called[event].mean()),
        "specificity": float((~called[~event]).mean()),
    }


def patient_losses(event: Mask, risk: Floats) -> Floats:
    """Each patient's log loss, in nats, 0 or more, lower is better."""
    log_odds = logit(risk)
    return np.asarray(np.logaddexp(0, np.where(event, -log_odds, log_odds)))


def log_loss(event: Mask, risk: Floats) -> float:
    """The mean of `patient_losses`."""
    return float(patient_losses(event, risk).mean())


def calibration_intercept(event: Mask, risk: Floats) -> float:
    """What must be added to all log odds so that the mean risk is the share of events: 0 is best.

    Calibration in the large: below 0 risks are too high. Needs both outcomes.
    """
    log_odds, share = logit(risk), float(event.mean())

    def gap(shift: float) -> float:
        return float(expit(log_odds + shift).mean()) - share

    return float(optimize.brentq(gap, -_FAR, _FAR))


def sensitivity_at(event: Mask, risk: Floats, specificity: float) -> float:
    """The share of events above the lowest threshold that this share of the others stays at or below."""
    free = np.sort(risk[~event])
    place = int(np.ceil(specificity * len(free))) - 1
    return float((risk[event] > free[place]).mean())
