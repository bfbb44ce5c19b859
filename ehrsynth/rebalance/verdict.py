"""The verdict: one method, or none, with the reasons.

A method gains when its AUROC in a group that was to be helped is above that of "none" at one family-wise
level over all methods and groups (Holm), by an amount that matters, without spoiling the calibration there or
the other groups. Where nothing gains, a recalibration may still be called for: it is tested in the same
family, by its log loss.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from scipy import stats

from ehrsynth.rebalance.methods import UNTREATED, method
from ehrsynth.rebalance.protocol import RebalanceProtocol, rebalance_protocol
from ehrsynth.rebalance.study import NO_SPREAD, Study
from ehrsynth.rebalance.worth import Curve
from ehrsynth.statistics import Estimate, holm

Answer = Literal["rebalance", "change the model", "recalibrate", "do not rebalance"]
MODELS = {"group_only", "interaction", "brnet", "exponentiated_gradient", "grid_search", "group_thresholds"}
RECALIBRATION = "recalibration"


class Looked(NamedTuple):
    """One method in one group against "none": difference, p-value and the p-value held against all looks."""

    method: str
    group: str
    measure: str
    difference: Estimate
    p: float
    adjusted: float

    @property
    def gains(self) -> bool:
        """Whether it is better, at the family-wise level."""
        better = self.difference.value < 0 if self.measure == "log_loss" else self.difference.value > 0
        return better and self.adjusted <= rebalance_protocol().level


@dataclass(frozen=True, slots=True, eq=False)
class Verdict:
    """What to do, and why.

    Parameters
    ----------
    answer
        "rebalance" (rows or weights), "change the model" (for the groups), "recalibrate", "do not rebalance".
    recommended
        The method; None where none is.
    reasons
        Sentences, the most important first.
    looks
        Everything that was tested, in one family.
    flags
        Per method, what is wrong with it in a group that was to be helped.
    helped
        The groups that the goal raises.
    """

    answer: Answer
    recommended: str | None
    reasons: tuple[str, ...]
    looks: tuple[Looked, ...]
    flags: Mapping[str, tuple[str, ...]]
    helped: tuple[str, ...]

    @property
    def gain(self) -> bool:
        """Whether a method is named as a gain."""
        return self.recommended is not None

    @property
    def sentence(self) -> str:
        """The verdict in one sentence."""
        said = {
            "rebalance": f"Rebalance with {self.recommended}.",
            "change the model": f"Do not add or weigh rows: use {self.recommended}.",
            "recalibrate": f"Do not rebalance: use {self.recommended}.",
        }
        nothing = "no method was better than none for the patients it was to help."
        if any(look.measure == "auroc" and look.gains and self.flags.get(look.method) for look in self.looks):
            nothing = "what gains for the patients it was to help costs others, or misstates risks."
        return said.get(self.answer, f"Do not rebalance: {nothing}")

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "answer": self.answer,
            "recommended": self.recommended,
            "sentence": self.sentence,
            "reasons": list(self.reasons),
            "helped": list(self.helped),
            "flags": {name: list(words) for name, words in self.flags.items()},
            "looks": [
                {**look._asdict(), "difference": look.difference._asdict(), "gains": look.gains}
                for look in self.looks
            ],
        }


def decide(study: Study, helped: Sequence[str]) -> Verdict:
    """Reach the verdict on a study.

    Parameters
    ----------
    helped
        The groups that were to be helped: the others must only not be hurt.
    """
    looks = _looks(study, helped)
    settings = rebalance_protocol()
    flags = {n: tuple(_forbids(study, n, helped, settings)) for n in study.methods if n != UNTREATED}
    gaining = _gaining(looks, "auroc", settings.worthwhile)
    allowed = [name for name in gaining if not flags[name]]
    if allowed:
        chosen = _best(study, allowed, helped)
        answer: Answer = "change the model" if is_model(chosen) else "rebalance"
        reasons = [_why(look) for look in looks if look.method == chosen and look.gains]
        reasons += _against(flags, gaining, allowed)
        return Verdict(answer, chosen, tuple(reasons), looks, flags, tuple(helped))
    reasons = [*_nothing(looks, helped), *_against(flags, gaining, [])]
    calmed = [name for name in _gaining(looks, "log_loss", 0.0) if not flags[name]]
    if calmed:
        chosen = _best(study, calmed, helped)
        told = [_why(look) for look in looks if look.method == chosen and look.gains]
        return Verdict("recalibrate", chosen, (*told, *reasons), looks, flags, tuple(helped))
    return Verdict("do not rebalance", None, tuple(reasons), looks, flags, tuple(helped))


def is_model(text: str) -> bool:
    """Whether a method changes the model rather than rows or weights."""
    return text.split(maxsplit=1)[0] in MODELS


def _is_recalibration(text: str) -> bool:
    return text.split(maxsplit=1)[0] == RECALIBRATION


def _measure(text: str) -> str:
    """What a method is to be better in: a recalibration of "none" leaves AUROC nearly as it is."""
    plain = _is_recalibration(text) and getattr(method(text), "of", "") == UNTREATED
    return "log_loss" if plain else "auroc"


def _looks(study: Study, helped: Sequence[str]) -> tuple[Looked, ...]:
    found: list[tuple[str, str, str, Estimate, float]] = []
    for name in study.methods:
        if name == UNTREATED:
            continue
        measure = _measure(name)
        for group in helped:
            difference = study.difference(name, group, measure)
            if difference is not None:
                numbers = study.of(name, group, measure) - study.of(UNTREATED, group, measure)
                found.append(
                    (name, group, measure, difference, p_value(numbers, study.splits.test_over_train))
                )
    adjusted = holm([one[-1] for one in found]) if found else np.empty(0)
    return tuple(Looked(*one, float(a)) for one, a in zip(found, adjusted, strict=True))


def p_value(numbers: Any, test_over_train: float) -> float:
    """The two-sided p-value of the corrected resampled t-test (Nadeau and Bengio 2003) that the mean is 0.

    1 where all numbers are the same: a method that changes nothing, or so few events that a score has but a
    handful of values, of which the spread between splits tells nothing.
    """
    known = np.asarray(numbers)[~np.isnan(numbers)]
    if np.ptp(known) <= NO_SPREAD:
        return 1.0
    spread = float(np.sqrt((1 / len(known) + test_over_train) * known.var(ddof=1)))
    return float(2 * stats.t.sf(abs(known.mean()) / spread, len(known) - 1))


def _gaining(looks: Sequence[Looked], measure: str, least: float) -> list[str]:
    names = [look.method for look in looks if look.measure == measure and look.gains and _size(look) >= least]
    return list(dict.fromkeys(names))


def _size(look: Looked) -> float:
    return abs(look.difference.value)


def _best(study: Study, names: Sequence[str], helped: Sequence[str]) -> str:
    """The one with the lowest log loss among those not surely worse in AUROC than the best."""

    def auroc(name: str) -> float:
        return float(np.mean([study.mean(name, group, "auroc") for group in helped]))

    best = max(names, key=auroc)
    near = [n for n in names if n == best or not _surely_below(study, n, best, helped)]
    return min(near, key=lambda n: float(np.mean([study.mean(n, group, "log_loss") for group in helped])))


def _surely_below(study: Study, name: str, best: str, helped: Sequence[str]) -> bool:
    gap = np.mean([study.of(name, g, "auroc") - study.of(best, g, "auroc") for g in helped], axis=0)
    interval = study.interval(gap)
    return interval is not None and interval.high < 0


def _forbids(study: Study, name: str, helped: Sequence[str], settings: RebalanceProtocol) -> list[str]:
    """Why a method that gains is not recommended all the same."""
    found = []
    for group in helped:
        slope, before = (middle_slope(study, n, group) for n in (name, UNTREATED))
        if abs(slope - 1) - abs(before - 1) > settings.slope_worse:
            found.append(
                f"{name}: its calibration slope in {group} is {slope:.2f}, further from 1 than that of none"
                f" ({before:.2f})"
            )
        if wrong := _risk_off(study, name, group, settings):
            found.append(f"{name}: {wrong}; recalibrate it (--method 'recalibration of={name}')")
    for group in study.groups:
        if group in helped:
            continue
        lost = study.difference(name, group, "auroc")
        if lost is not None and lost.high < 0 and -lost.value > settings.others_worse:
            found.append(
                f"{name}: it costs {group} {-lost.value:.3f} of AUROC ({-lost.high:.3f} to {-lost.low:.3f})"
            )
    return found


def middle_slope(study: Study, name: str, group: str) -> float:
    """A method's calibration slope on the middle split: 1 is best, and what is taken where it is not known.

    Of few patients a slope can be anything: the middle one of the splits is not moved by the odd one.
    """
    slopes = study.of(name, group, "calibration_slope")
    known = slopes[~np.isnan(slopes)]
    return float(np.median(known)) if len(known) else 1.0


def _risk_off(study: Study, name: str, group: str, settings: RebalanceProtocol) -> str:
    """What is wrong with the mean risk of a method, in words; empty where nothing surely is."""
    excess = study.interval(study.of(name, group, "excess_risk"))
    change = study.difference(name, group, "excess_risk")
    if excess is None or change is None:
        return ""
    how = f"its mean risk in {group} is {abs(excess.value):.3f} too"
    if change.low > 0 and excess.low > settings.risk_off:
        return f"{how} high ({excess.low:.3f} to {excess.high:.3f})"
    if change.high < 0 and excess.high < -settings.risk_off:
        return f"{how} low ({-excess.high:.3f} to {-excess.low:.3f})"
    return ""


def _why(look: Looked) -> str:
    d = look.difference
    if look.measure == "log_loss":
        return (
            f"{look.method} lowers the log loss in {look.group} by {-d.value:.3f} ({-d.high:.3f} to"
            f" {-d.low:.3f}); adjusted p = {look.adjusted:.2g}."
        )
    return (
        f"{look.method} raises the AUROC in {look.group} by {d.value:.3f} ({d.low:.3f} to {d.high:.3f});"
        f" adjusted p = {look.adjusted:.2g}."
    )


def _nothing(looks: Sequence[Looked], helped: Sequence[str]) -> list[str]:
    found = []
    for group in helped:
        mine = [look for look in looks if look.group == group and look.measure == "auroc"]
        if not mine:
            found.append(
                f"In {group} nothing could be measured: too few patients with and without the event."
            )
            continue
        gaining = [look for look in mine if look.gains]
        best = max(gaining or mine, key=lambda look: look.difference.value)
        d = best.difference
        said = "a gain that holds, but not one to recommend" if gaining else "no gain that holds and matters"
        found.append(
            f"In {group} the best of {len(mine)} methods, {best.method}, changes the AUROC by"
            f" {d.value:+.3f} ({d.low:+.3f} to {d.high:+.3f}; adjusted p = {best.adjusted:.2g}): {said}."
        )
    return found


def _against(flags: Mapping[str, Sequence[str]], gaining: Sequence[str], allowed: Sequence[str]) -> list[str]:
    barred = [name for name in gaining if name not in allowed]
    return [f"Not recommended though it gains: {why}." for name in barred for why in flags[name]]


def advice(study: Study, helped: Sequence[str], curves: Sequence[Curve] = ()) -> list[str]:
    """What to do instead, where nothing gains: one sentence for each group.

    Parameters
    ----------
    curves
        The groups' learning curves: more patients are not asked for where they surely add nothing either.
    """
    return [f"{group}: {_instead(study, group, curves)}." for group in helped]


def _instead(study: Study, group: str, curves: Sequence[Curve]) -> str:
    excess, slope = (
        study.interval(study.of(UNTREATED, group, measure))
        for measure in ("excess_risk", "calibration_slope")
    )
    if excess is not None and (excess.low > 0 or excess.high < 0):
        return f"the risks are off by {excess.value:+.3f} on average: recalibrate"
    if slope is not None and _surely_off(slope):
        how = "extreme" if slope.value < 1 else "timid"
        ends = f"{slope.low:.2f} to {slope.high:.2f}"
        if slope.value <= 0:
            return (
                f"the risks run the wrong way or say nothing (slope {slope.value:.2f}, {ends}), which no"
                " recalibration mends: what predicts here differs from the other groups, so try a model that"
                " can learn it (interaction, group_only)"
            )
        return f"the risks are too {how} (slope {slope.value:.2f}, {ends}): recalibrate"
    reached, enough = study.mean(UNTREATED, group, "auroc"), rebalance_protocol().worthwhile
    if reached >= 1 - enough:
        return (
            f"with nothing done the AUROC is {reached:.3f}, and there is nothing left to gain. Where that is"
            " too good to be true, a column tells the outcome itself: leave it out with --predictors"
        )
    more = next((c.per_doubling["auroc"] for c in curves if c.group == group), None)
    if more is not None and more.high < enough:
        return (
            f"neither a method nor twice as many patients raise the AUROC by {enough:g}: what is missing is"
            " knowledge of each patient, so look for other predictors"
        )
    return "collect more patients of this group, or try an interaction model once there are more"


def _surely_off(slope: Estimate) -> bool:
    """A fifth too extreme or too timid, and not by the chance of few test patients."""
    far = slope.value < 0.8 or slope.value > 1.25  # noqa: PLR2004
    return far and (slope.high < 1 or slope.low > 1)
