"""One statistic of one attack in one group: its value, its error, and its value under other labels.

Every statistic is brought to the same scale, the *exposed share*: were a share s of the members fully exposed
(the attack always succeeds on them, or ranks them above everybody) and the others not, each would be s.

- success: the residual risk (a - c) / (1 - c) of the success rates a on members and c on non-members
  (Giomi et al. 2023, doi 10.56553/popets-2023-0055);
- AUROC: 2 AUROC - 1;
- TPR at a fixed FPR: (TPR - FPR) / (1 - FPR), on the ROC curve with ties interpolated.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from ehrsynth.evaluation.base import Evidence
from ehrsynth.evaluation.matrix import Floats, Mask
from ehrsynth.evaluation.privacy.bounds import Statistic
from ehrsynth.evaluation.privacy.labels import Bits, Labels
from ehrsynth.evaluation.privacy.strata import Stratum
from ehrsynth.statistics import auroc_influence

RATES: dict[Statistic, float] = {"TPR at 1 % FPR": 0.01, "TPR at 10 % FPR": 0.1}
FEWEST = 50
FALSE_ALARMS = 10
Whole = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Looked:
    """The attacked patients of one group and what one attack says of them.

    Parameters
    ----------
    rows
        Their places among all patients: members first, then non-members, then the reference.
    scores
        What the attack says of each; larger is likelier a member, or 0 to 1 for success.
    known
        Which of them are members.
    """

    evidence: Evidence
    stratum: str
    rows: Whole
    scores: Floats
    known: Mask

    @property
    def counts(self) -> tuple[int, int]:
        """Attacked members and non-members."""
        members = int(self.known.sum())
        return members, len(self.known) - members

    @property
    def statistics(self) -> tuple[Statistic, ...]:
        """What can be computed here; nothing where a side has fewer than 50 patients."""
        members, others = self.counts
        if min(members, others) < FEWEST:
            return ()
        if not self.evidence.graded:
            return ("success",)
        return ("AUROC", *(name for name, rate in RATES.items() if rate * others >= FALSE_ALARMS))


def look(evidence: Evidence, stratum: Stratum) -> Looked:
    """The patients of a group whom an attack was made on."""
    scores = whole(evidence, len(stratum.reference))
    inside = np.concatenate([stratum.members, stratum.non_members, stratum.reference]) & ~np.isnan(scores)
    rows = np.flatnonzero(inside)
    return Looked(evidence, stratum.name, rows, scores[rows], rows < len(evidence.members))


def whole(evidence: Evidence, reference: int) -> Floats:
    """One value for each patient: members, non-members, then so many of the reference; NaN not attacked."""
    others = np.full(reference, np.nan) if evidence.reference is None else evidence.reference
    return np.concatenate([evidence.members, evidence.non_members, others])


@dataclass(frozen=True, slots=True)
class Measured:
    """A statistic with its standard error, both as exposed shares, and the rates behind it.

    `members` and `non_members` are success rates or true- and false-positive rates; None for an AUROC.
    `floor` is the least standard error that is believed, whoever the members are.
    """

    value: float
    error: float
    members: float | None
    non_members: float | None
    floor: float = 0.0


def measure(looked: Looked, statistic: Statistic) -> Measured:
    """The statistic as it is, with a standard error that holds whether or not something leaks."""
    if statistic == "success":
        return _success(looked)
    if statistic == "AUROC":
        value, influence = auroc_influence(looked.known, looked.scores)
        error = 2 * float(np.sqrt(np.sum(influence**2))) / len(influence)
        # A score that is the same for nearly all is as rare a success: those whom it tells apart are few.
        floor = _floor(
            len(looked.scores) - int(np.unique(looked.scores, return_counts=True)[1].max()), looked
        )
        return Measured(2 * value - 1, max(error, floor), None, None, floor)
    return _rate(looked, RATES[statistic])


def _floor(successes: float, looked: Looked) -> float:
    """The standard error of a difference of two rates with so many successes in all.

    Two successes and two failures are added (Agresti and Coull 1998): none seen is not none possible.
    """
    members, others = looked.counts
    pooled = (successes + 2) / (len(looked.scores) + 4)
    return float(np.sqrt(pooled * (1 - pooled) * (1 / members + 1 / others)))


def _success(looked: Looked) -> Measured:
    members, others = looked.scores[looked.known], looked.scores[~looked.known]
    a, c = float(members.mean()), float(others.mean())
    floor = _floor(looked.scores.sum(), looked)
    left = 1 - (looked.scores.sum() + 2) / (len(looked.scores) + 4)
    if c >= 1:
        return Measured(0.0, 1.0, a, c, floor / left)
    spread = members.var() / len(members) + others.var() / len(others) * ((1 - a) / (1 - c)) ** 2
    error = max(float(np.sqrt(spread)), floor) / (1 - c)
    return Measured((a - c) / (1 - c), error, a, c, floor / left)


def _rate(looked: Looked, rate: float) -> Measured:
    false, true = _roc(looked)
    found, around = np.interp(rate, false, true), np.interp([rate / 2, 2 * rate], false, true)
    slope = (around[1] - around[0]) / (1.5 * rate)
    members, others = looked.counts
    spread = found * (1 - found) / members + slope**2 * rate * (1 - rate) / others
    value = (found - rate) / (1 - rate)
    floor = float(np.sqrt(rate / (1 - rate) * (1 / members + 1 / others)))
    return Measured(float(value), float(np.sqrt(spread)) / (1 - rate), float(found), rate, floor)


def _roc(looked: Looked) -> tuple[Floats, Floats]:
    """False- and true-positive rates at each distinct score, from none to all."""
    order, ends = _descending(looked.scores)
    members = np.cumsum(looked.known[order])[ends]
    total, others = looked.counts
    false, true = (ends + 1 - members) / others, members / total
    return np.concatenate([[0.0], false]), np.concatenate([[0.0], true])


def _descending(scores: Floats) -> tuple[Whole, Whole]:
    """The order from the largest score down, and where each run of equal scores ends."""
    order = np.argsort(-scores, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
    return order, ends


class Permuted:
    """One attack in one group, made ready for many labellings: ranks and orders are computed once."""

    def __init__(self, looked: Looked) -> None:
        self.looked = looked
        members, others = looked.counts
        scores = looked.scores if not looked.evidence.graded else stats.rankdata(looked.scores)
        centre = scores.mean()
        size = len(scores)
        # A difference of two means is a sum over members alone once the scores are centred.
        unit = 2 / size if looked.evidence.graded else 1 / max(1 - centre, 1 / size)
        self._weights = ((scores - centre) * unit * size / max(1, members * others)).astype(np.float32)
        self._order, self._ends = _descending(looked.scores)

    def under(self, labels: Labels) -> Floats:
        """Statistics x labellings, as exposed shares."""
        own = labels.of(wide=self.looked.evidence.reference is not None)[self.looked.rows]
        return np.array([self._one(own, statistic) for statistic in self.looked.statistics])

    def _one(self, own: Bits, statistic: Statistic) -> Floats:
        if statistic in RATES:
            return self._rates(own, RATES[statistic])
        return np.asarray(self._weights @ own.astype(np.float32), dtype=np.float64)

    def _rates(self, own: Bits, rate: float) -> Floats:
        """The rates from the head of the order alone: far enough down for every likely labelling."""
        total, others = self.looked.counts
        wanted = rate * others
        share = others / len(own)
        reach = (wanted + 8 * np.sqrt(wanted) + 10) / share
        last = min(int(np.searchsorted(self._ends, reach)), len(self._ends) - 1)
        ends = self._ends[: last + 1]
        members = np.cumsum(own[self._order[: ends[-1] + 1]], axis=0, dtype=np.int32)[ends]
        false = (ends + 1)[:, None] - members
        after = np.minimum((false <= wanted).sum(axis=0), len(ends) - 1)
        every = np.arange(own.shape[1])
        before = np.maximum(after - 1, 0)
        start_true = np.where(after > 0, members[before, every], 0)
        start_false = np.where(after > 0, false[before, every], 0)
        step_true, step_false = members[after, every] - start_true, false[after, every] - start_false
        part = np.divide(wanted - start_false, step_false, out=np.zeros(len(every)), where=step_false > 0)
        found = (start_true + np.clip(part, 0, 1) * step_true) / total
        return np.asarray((found - rate) / (1 - rate))


def readied(looked: Sequence[Looked]) -> tuple[Permuted, ...]:
    """Those that anything can be computed for."""
    return tuple(Permuted(one) for one in looked if one.statistics)
