"""From scores to a `Risk`: how many members an attack recognises at a rate of false alarms that was fixed.

The excess of a graded attack is that of any other, with "recognised at a false-positive rate of 1 % (10 %
where the table is too small for 1 %)" as the success: (TPR - FPR) / (1 - FPR). 0 is harmless. Membership
attacks are judged by the few that they are sure of (Carlini et al. 2022, arXiv 2112.03570), not on average;
the AUROC stands beside it in the details.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ehrsynth.evaluation.base import Evidence, Risk
from ehrsynth.evaluation.matrix import Floats
from ehrsynth.evaluation.privacy.success import Successes, worst
from ehrsynth.evaluation.privacy.targets import Scene
from ehrsynth.statistics import auroc_interval, clopper_pearson

RATES = (0.01, 0.10)
_FALSE_ALARMS = 10  # a rate of false alarms is supported by that many non-members


def graded(name: str, there: Scene, scores: Mapping[str, Floats]) -> Risk:
    """The risk of one or more scores of all attacked patients, in the order of `Scene.both`.

    Parameters
    ----------
    scores
        By variant; larger means likelier a member, finite.
    """
    attempts = [_attempt(what, *there.parted(found)) for what, found in scores.items()]
    evidence = [there.evidence(name, what, found, graded=True) for what, found in scores.items()]
    return _risk(name, attempts, evidence)


def risk_of_scores(name: str, what: str, members: Floats, non_members: Floats) -> Risk:
    """The same from the scores of all rows of two tables; NaN for a patient who was not attacked."""
    attacked = (side[~np.isnan(side)] for side in (members, non_members))
    evidence = Evidence(name, what, graded=True, members=members, non_members=non_members)
    return _risk(name, [_attempt(what, *attacked)], [evidence])


def _risk(name: str, attempts: Sequence[Successes], evidence: Sequence[Evidence]) -> Risk:
    least = round(_FALSE_ALARMS / RATES[-1])
    too_few = f"{least} non-members are needed for a false-positive rate of {RATES[-1]:.0%}"
    kept = [attempt for attempt in attempts if attempt.n_control]
    risk = worst(name, kept, if_none=too_few, evidence=evidence)
    told = {a.what: dict(a.details) for a in attempts}
    shown = told[str(risk.details.get("variant", attempts[0].what))]
    return replace(risk, details={**risk.details, **shown})


def _attempt(what: str, members: Floats, non_members: Floats) -> Successes:
    labels = np.repeat([1, 0], [len(members), len(non_members)])
    area = auroc_interval(labels, np.concatenate([members, non_members]))
    rates = [_at(rate, members, non_members) for rate in supported(len(non_members))]
    details = {"auroc": area._asdict(), "tpr": rates}
    if not rates:
        return Successes(what, 0, 0, 0, 0, None, details=details)
    found, alarms = rates[0]["recognised"], rates[0]["false_alarms"]
    baseline = float(rates[0]["fpr"])
    return Successes(what, found, len(members), alarms, len(non_members), baseline, details=details)


def supported(non_members: int) -> tuple[float, ...]:
    """The false-positive rates that so many non-members can support: none below ten over their number."""
    return tuple(rate for rate in RATES if rate * non_members >= _FALSE_ALARMS)


def _at(rate: float, members: Floats, non_members: Floats) -> dict[str, Any]:
    allowed = int(rate * len(non_members))
    threshold = np.sort(non_members)[::-1][allowed]  # at most `allowed` non-members lie above it
    found = int((members > threshold).sum())
    interval = clopper_pearson(found, len(members))
    return {
        "fpr": rate,
        "tpr": found / len(members),
        "low": interval.low,
        "high": interval.high,
        "recognised": found,
        "false_alarms": int((non_members > threshold).sum()),
    }
