"""All attacks on membership as one: who tries many believes the patients whom several point at."""

from collections.abc import Mapping

import numpy as np

from ehrsynth.evaluation.base import Evidence, Risk
from ehrsynth.evaluation.matrix import Floats
from ehrsynth.evaluation.privacy.graded import risk_of_scores

_NAME = "combined"


def combined(risks: Mapping[str, Risk]) -> Risk | None:
    """How many members stand out in the mean over all attacks that rank patients; None for fewer than two.

    A generator that leaks a little of everybody moves each attack a little: no single one may show it, and
    their mean does. Each attack's ranks among the attacked members and non-members count as normal scores
    (van der Waerden 1952), the mean of its variants first, so that no attack weighs more by its units or its
    number of variants. Who is a member takes no part in it. Control: non-members; where an attack also tried
    the reference that is left out, since the others learn from it.

    Range and direction: `value` is 0 to 1, lower is safer; see `graded`.
    """
    told = {name: [one for one in risk.evidence if one.graded] for name, risk in risks.items()}
    scores = [np.mean([_normal(one) for one in every], axis=0) for every in told.values() if every]
    if len(scores) < 2:  # noqa: PLR2004 - one attack stands for itself
        return None
    border = len(next(every[0] for every in told.values() if every).members)
    mean = np.mean(scores, axis=0)
    return risk_of_scores(_NAME, "all attacks", mean[:border], mean[border:])


def _normal(one: Evidence) -> Floats:
    """Normal scores of the ranks of members and non-members; NaN where not attacked."""
    from scipy import stats  # here: SciPy is slow to import

    values = np.concatenate([one.members, one.non_members])
    ranks = stats.rankdata(values, nan_policy="omit")
    return np.asarray(stats.norm.ppf((ranks - 0.5) / max(1, int((~np.isnan(values)).sum()))))
