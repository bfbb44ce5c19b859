"""One bound over every attack, every variant and every group of patients, valid for all of them together.

Whoever looks at sixty numbers finds a large one. So the labels "member" and "not" are permuted, jointly over
everything that is looked at, and the largest studentised statistic of each permutation says how large the
largest is when nothing leaks (Westfall and Young 1993). From the same permutations come

- a *finding*: a p-value for "some attack does better on members than on the unseen", exact at its level;
- *upper ends*: each statistic plus its standard error times a quantile of the largest studentised shortfall.
  The permutations know only the world without a leak, so the standard error is the larger of theirs and of
  one that holds beside a leak (DeLong's for AUROC, the ROC's slope for rates). The level of the upper ends is
  then approximate, as is that of every such interval; simulations in the tests hold it.

Attempts on the same data divide the level of the upper ends, so that trying again is no way through the gate.
They do not divide the level of the finding: that would make each attempt blinder than the one before.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from scipy.stats import norm

from ehrsynth.evaluation.base import Evidence
from ehrsynth.evaluation.matrix import Floats
from ehrsynth.evaluation.privacy.bounds import LEVEL, Bound, LeftOut, Simultaneous, Statistic, bounded
from ehrsynth.evaluation.privacy.labels import Attacked, labellings
from ehrsynth.evaluation.privacy.permuted import (
    FALSE_ALARMS,
    FEWEST,
    RATES,
    Looked,
    Measured,
    Permuted,
    look,
    measure,
    readied,
    whole,
)
from ehrsynth.evaluation.privacy.strata import Stratum
from ehrsynth.progress import Progress, silent
from ehrsynth.randomness import numpy_generator
from ehrsynth.statistics import permutation_maxima

PERMUTATIONS = 1_000
_MOST_PERMUTATIONS = 10_000
_CELLS = 6_000_000  # patients x labellings held at once
_UPPER_TAIL = 0.99, 0.998
_ROUNDING = 1e-12  # an attack that says the same of everybody has a spread of so little, and no more


def simultaneous(
    evidence: Sequence[Evidence],
    strata: Sequence[Stratum],
    *,
    seed: int,
    level: float = LEVEL,
    attempts: int = 1,
    progress: Progress | None = None,
) -> Simultaneous | None:
    """Bound all statistics of all attacks in all groups together.

    Parameters
    ----------
    evidence
        What each variant of each attack says of each patient, rows as in `strata`.
    level
        Family-wise, above 0 and below 1.
    attempts
        How often the same data was tried, this time included.

    Returns
    -------
    Simultaneous
        None when nothing can be computed: no evidence, or fewer than 50 patients on a side.

    Raises
    ------
    ValueError
        If the level is no level or the rows of evidence and strata do not agree.
    """
    if not 0 < level < 1 or attempts < 1:
        message = f"level is {level} and attempts {attempts}: above 0 and below 1, and at least 1"
        raise ValueError(message)
    looked = [look(one, stratum) for one in evidence for stratum in _own(strata, one)]
    family = readied(looked)
    if not family:
        return None
    count = min(_MOST_PERMUTATIONS, max(PERMUTATIONS, int(np.ceil(10 * attempts / level))))
    reference = len(strata[0].reference)
    null = _null(family, [(one, whole(one, reference)) for one in evidence], count, seed, progress or silent)
    keys = [(one.looked, statistic) for one in family for statistic in one.looked.statistics]
    return _family(keys, null, level, attempts, tuple(_too_small(looked)))


def _own(strata: Sequence[Stratum], evidence: Evidence) -> Iterator[Stratum]:
    """The strata, if their rows are those of the evidence."""
    of_evidence = [len(evidence.members), len(evidence.non_members)]
    for stratum in strata:
        others = stratum.reference if evidence.reference is None else evidence.reference
        own = [len(stratum.members), len(stratum.non_members), len(stratum.reference)]
        if own != [*of_evidence, len(others)]:
            message = f"{evidence.attack}: its rows are not those of the stratum {stratum.name!r}"
            raise ValueError(message)
        yield stratum


def _null(
    family: Sequence[Permuted],
    told: Sequence[tuple[Evidence, Floats]],
    count: int,
    seed: int,
    progress: Progress,
) -> Floats:
    """Labellings x statistics; `told` is each evidence with its values for all patients."""
    size = len(told[0][1])
    by = {
        wide: np.array([~np.isnan(v) for one, v in told if (one.reference is not None) is wide])
        for wide in (False, True)
    }
    attacked = Attacked(*(by[wide].reshape(-1, size).T for wide in (False, True)))
    known = np.arange(size) < len(told[0][0].members)
    rng = numpy_generator(seed, "simultaneous")
    step = max(1, _CELLS // size)
    parts = []
    for start in range(0, count, step):
        progress(start / count, "permuting the labels of all attacks")
        labels = labellings(known, attacked, min(step, count - start), rng)
        parts.append(np.concatenate([one.under(labels) for one in family]).T)
    return np.concatenate(parts)


def _family(
    keys: Sequence[tuple[Looked, Statistic]],
    null: Floats,
    level: float,
    attempts: int,
    left_out: tuple[LeftOut, ...],
) -> Simultaneous:
    found = [measure(looked, statistic) for looked, statistic in keys]
    spread = null.std(axis=0)
    drawn = (null - null.mean(axis=0)) / np.where(spread > _ROUNDING, spread, np.inf)
    p_values = _p_values(_linear(keys, found), null)
    bounds = [
        _bound(looked, statistic, one, p=float(p), spread=float(sd))
        for (looked, statistic), one, p, sd in zip(keys, found, p_values, spread, strict=True)
    ]
    bounds = bounded(bounds, drawn, np.ones(len(bounds), np.bool_), level / attempts)
    return Simultaneous(level, attempts, len(null), float(p_values.min()), tuple(bounds), left_out, drawn)


def _p_values(observed: Floats, null: Floats) -> Floats:
    """P-values against the largest of all statistics, each in units of its own upper tail.

    A rare success leans to the right: a single one among the members lies many standard deviations out. In
    standard deviations such statistics alone would say how large the largest is, and hide what others show.
    So the unit is what reaches as far up as a normal statistic's at one labelling in 100 or in 500, where
    that is more. The labelling observed counts among those that the units come from: if nothing leaks it is
    one like any other.
    """
    every = np.vstack([observed, null])
    centre, unit = every.mean(axis=0), every.std(axis=0)
    for share in _UPPER_TAIL:
        reach = np.quantile(every, share, axis=0, method="higher") - centre
        unit = np.maximum(unit, reach / float(norm.ppf(share)))
    unit = np.where(null.std(axis=0) > _ROUNDING, unit, np.inf)
    return permutation_maxima((observed - centre) / unit, (null - centre) / unit)


def _linear(keys: Sequence[tuple[Looked, Statistic]], found: Sequence[Measured]) -> Floats:
    """The statistics as the permutations have them: for success what the pooled rate leaves to win."""
    values = []
    for (looked, statistic), one in zip(keys, found, strict=True):
        if statistic == "success" and one.members is not None and one.non_members is not None:
            left = max(1 - looked.scores.mean(), 1 / len(looked.scores))
            values.append((one.members - one.non_members) / left)
        else:
            values.append(one.value)
    return np.array(values)


def _bound(looked: Looked, statistic: Statistic, one: Measured, *, p: float, spread: float) -> Bound:
    """The statistic without an upper end yet."""
    members, others = looked.counts
    return Bound(
        attack=looked.evidence.attack,
        variant=looked.evidence.variant,
        stratum=looked.stratum,
        statistic=statistic,
        value=one.value,
        high=1.0,
        error=max(one.error, spread),
        spread=max(one.floor, spread),
        p_value=p,
        detectable=1.0,
        graded=looked.evidence.graded,
        members=one.members,
        non_members=one.non_members,
        n_members=members,
        n_non_members=others,
    )


def _too_small(looked: Sequence[Looked]) -> Iterator[LeftOut]:
    """What was left out, each attack, group and statistic once."""
    seen: Mapping[tuple[str, str, str], str] = {}
    for one in looked:
        place = one.evidence.attack, one.stratum
        kept = one.statistics
        if not kept:
            reason = f"fewer than {FEWEST} attacked patients on a side"
            seen = {**seen, (*place, "all"): reason}
        elif one.evidence.graded:
            for name, rate in RATES.items():
                if name not in kept:
                    least = round(FALSE_ALARMS / rate)
                    seen = {**seen, (*place, name): f"fewer than {least:,} unseen patients"}
    return (LeftOut(*place, reason) for place, reason in seen.items())
