"""When twins are refused, and what must be said to have them all the same.

| refusal | refused where | what is withheld |
|---|---|---|
| small-arms | an arm has fewer than 50 patients, or 10 events | everything of the outcome |
| overlap | an arm is worth under 10 % of its patients, over 20 % lie outside support, or | everything |
| | weighted arms still differ in a covariate by a quarter of its spread beyond chance | |
| imbalance | randomised arms differ in a covariate, or in size, beyond chance | everything |
| placebo | a refuter fails | everything of the outcome |
| individual-effects | a constant effect is not beaten on patients not seen | effects of single patients |
| outside-support | a patient lies outside the support of some arm | every number of that patient |

An arm with fewer than two patients of known outcome on common support is refused without override, by
`check_support`: nothing can be averaged or drawn there. Each refusal of the table can be overridden by
name; the report then says so. `error_rates` says how often they err. Patients of a cohort who lie outside
support are withheld one by one: the answers about the others stand. Only where all of them do is the whole
refused.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from ehrsynth.errors import Refused
from ehrsynth.evaluation.learners import Flags
from ehrsynth.evaluation.matrix import Matrix
from ehrsynth.statistics import holm
from ehrsynth.twins.evidence import Evidence
from ehrsynth.twins.overlap import Overlap
from ehrsynth.twins.patients import Patients
from ehrsynth.twins.question import Question
from ehrsynth.twins.refutation import LEVEL as REFUTED_AT
from ehrsynth.twins.refutation import Refuter
from ehrsynth.twins.wording import listed

Floats = NDArray[np.float64]
Name = Literal["small-arms", "overlap", "imbalance", "placebo", "individual-effects", "outside-support"]
NAMES: tuple[Name, ...] = (
    "small-arms",
    "overlap",
    "imbalance",
    "placebo",
    "individual-effects",
    "outside-support",
)

FEWEST_PATIENTS = 50
FEWEST_EVENTS = 10
FEWEST_SUPPORTED = 2  # one patient has no spread
LEAST_EFFECTIVE = 0.10
MOST_OUTSIDE = 0.20
MOST_APART = 0.25  # standardised difference after weighting (Rubin 2001, doi 10.1023/A:1020363010465)
CHANCE_APART = 3.0  # standard errors that it may be off besides
IMBALANCE_LEVEL = 0.001
_FEWER = "ask about a commoner outcome or join arms (--arm), or wait for more patients"
_WHOM = "ask about a --population in which all arms are found"


@dataclass(frozen=True, slots=True)
class Refusal:
    """One refusal.

    Parameters
    ----------
    outcome
        The outcome that it concerns; empty: all.
    reason
        A sentence with what was found and what is asked for; no patient's value.
    overridden
        Whether the user said to go on.
    """

    name: Name
    outcome: str
    reason: str
    overridden: bool = False

    @property
    def flag(self) -> str:
        """The option that overrides it."""
        return f"--accept-{self.name}"

    @property
    def stops(self) -> bool:
        """Whether no number of the outcome may be told."""
        return self.name not in {"individual-effects", "outside-support"} and not self.overridden


def settled(refusals: Iterator[Refusal], accepted: frozenset[str]) -> tuple[Refusal, ...]:
    """Refusals with those overridden that were accepted by name."""
    return tuple(replace(one, overridden=one.name in accepted) for one in refusals)


def small_arms(patients: Patients, question: Question, outcome: str) -> Iterator[Refusal]:
    """An arm with too few patients, or too few with or without the event."""
    target = patients.targets[outcome]
    for number, arm in enumerate(question.arms):
        known = (patients.arm == number) & (target.weights > 0)
        count = int(known.sum())
        if count < FEWEST_PATIENTS:
            yield Refusal(
                "small-arms",
                outcome,
                f"arm {arm.name!r} has {count} patients with a known outcome: {FEWEST_PATIENTS} are needed;"
                f" {_FEWER}",
            )
        if not target.outcome.discrete:
            continue
        values = np.rint(target.values[known])
        commonest = int(np.unique(values, return_counts=True)[1].max(initial=0))
        if count - commonest < FEWEST_EVENTS:
            yield Refusal(
                "small-arms",
                outcome,
                f"arm {arm.name!r} has fewer than {FEWEST_EVENTS} patients with another outcome than the"
                f" commonest one: {FEWEST_EVENTS} events are needed; {_FEWER}",
            )


def check_support(patients: Patients, inside: NDArray[np.bool_], question: Question) -> None:
    """Refuse where an arm has too few on common support for an average with an error, or for a draw.

    Raises
    ------
    Refused
        With the arm and how many it has; no override helps.
    """
    for outcome, target in patients.targets.items():
        for number, arm in enumerate(question.arms):
            count = int((inside & (patients.arm == number) & (target.weights > 0)).sum())
            if count < FEWEST_SUPPORTED:
                raise Refused(
                    f"refused: arm {arm.name!r} has {count} patients on common support with a known"
                    f" {outcome!r}, and fewer than {FEWEST_SUPPORTED} cannot be averaged at all: {_WHOM}"
                )


def poor_overlap(found: Overlap, question: Question) -> Iterator[Refusal]:
    """Too small an effective sample, too many outside common support, or weights that do not balance.

    Where arms hardly meet, estimated chances of an arm stay above what they should be, so that the weights
    look harmless and the few patients who crossed over stand for nobody: their covariates give that away.
    """
    for arm, count, effective in zip(question.arms, found.patients, found.effective, strict=True):
        if effective < LEAST_EFFECTIVE * count:
            yield Refusal(
                "overlap",
                "",
                f"the {count:,} patients of arm {arm.name!r} are worth {effective:,.0f}"
                f" ({effective / count:.1%}) for this population: {LEAST_EFFECTIVE:.0%} are needed;"
                f" {_WHOM}",
            )
    if found.outside_share > MOST_OUTSIDE:
        yield Refusal(
            "overlap",
            "",
            f"{found.outside_share:.0%} of the population lie outside common support (a chance of some arm"
            f" below {found.lowest:.3f}, or covariates that an arm never has): {MOST_OUTSIDE:.0%} may;"
            f" {_WHOM}",
        )
    if not question.randomised:
        yield from _still_apart(found)


def _still_apart(found: Overlap) -> Iterator[Refusal]:
    worth = np.maximum(found.effective, 1e-9)
    chance = CHANCE_APART * float(np.sqrt((1 / worth[1:] + 1 / worth[0]).max()))
    apart = [one for one in found.balance if one.after > MOST_APART + chance]
    if apart:
        worst = max(apart, key=lambda one: one.after)
        yield Refusal(
            "overlap",
            "",
            f"weighted to the same population, the arms still differ in {listed([b.column for b in apart])},"
            f" by {worst.after:.2f} standard deviations in {worst.column!r}: {MOST_APART} and chance"
            f" ({chance:.2f}) may; {_WHOM}",
        )


def imbalance(patients: Patients, question: Question) -> Iterator[Refusal]:
    """Randomised arms that differ before treatment: a covariate measured after it, or no randomisation."""
    if not question.randomised:
        return
    if question.probabilities is not None:
        counts = np.bincount(patients.arm, minlength=len(question.arms))
        expected = np.array(question.probabilities) * len(patients)
        p_value = float(stats.chisquare(counts, expected * counts.sum() / expected.sum()).pvalue)
        if p_value < IMBALANCE_LEVEL:
            yield Refusal(
                "imbalance",
                "",
                f"arms are not of the sizes that randomisation gives (p = {p_value:.1g}): check"
                " --probability, and whether patients were left out after it",
            )
    found = balance_tests(patients.covariates, patients.arm)
    adjusted = holm(list(found.values())) if found else np.zeros(0)
    unlike = [name for name, p in zip(found, adjusted, strict=True) if p < IMBALANCE_LEVEL]
    if unlike:
        yield Refusal(
            "imbalance",
            "",
            f"randomised arms differ in {listed(unlike)} beyond chance (level {IMBALANCE_LEVEL} over"
            f" {len(found)} covariates): measured after treatment, or not randomised; name with"
            " --covariate what was measured before it, or say --design observational",
        )


def balance_tests(rows: Matrix, arm: NDArray[np.int64]) -> Mapping[str, float]:
    """For each covariate the p-value of arms being alike: Kruskal-Wallis, or chi-squared for flags."""
    found = {}
    for place, column in enumerate(rows.columns):
        alone = Matrix((column,), rows.values[:, [place]])
        features = Flags(alone)(alone)
        values = [_test(feature, arm) for feature in features.T if np.ptp(feature) > 0]
        if values:
            found[column.name] = min(1.0, min(values) * len(values))
    return found


def _test(feature: Floats, arm: NDArray[np.int64]) -> float:
    levels, codes = np.unique(feature, return_inverse=True)
    if len(levels) == 2:  # noqa: PLR2004 - yes or no
        table = np.stack([np.bincount(arm[codes == k], minlength=arm.max() + 1) for k in (0, 1)])
        return float(stats.chi2_contingency(table, correction=False).pvalue)
    return float(stats.kruskal(*(feature[arm == one] for one in np.unique(arm))).pvalue)


def failed_refuters(refuters: tuple[Refuter, ...], question: Question, outcome: str) -> Iterator[Refusal]:
    """A placebo that finds an effect, or an effect that moves when nothing should move it."""
    for one in refuters:
        if one.failed:
            yield Refusal(
                "placebo",
                outcome,
                f"{one.name} ({question.contrasts[one.contrast - 1]}): {one.expected:.3g} was expected, the"
                f" estimates are {one.mean:.3g} with a spread of {one.spread:.2g} (p = {one.adjusted:.1g},"
                f" all refuters together, level {REFUTED_AT})",
            )


def no_individual_effects(found: Evidence, outcome: str) -> Iterator[Refusal]:
    """Held-out patients do not show that effects differ as told."""
    if not found.individual:
        gain, slope = found.against_constant, found.slope
        yield Refusal(
            "individual-effects",
            outcome,
            f"on patients not seen the effect told is not better than a constant one (gain {gain.value:.2g},"
            f" 95 % interval {gain.low:.2g} to {gain.high:.2g}; slope {slope.value:.2g},"
            f" p = {found.p_value:.2g}): the average effect alone is told;"
            " --no-individual-effects asks for no more",
        )


def outside_support(count: int, of: int) -> Iterator[Refusal]:
    """Patients of a cohort of whom nothing is said."""
    if count:
        yield Refusal(
            "outside-support",
            "",
            f"{count:,} of {of:,} patients of the cohort lie outside the support of some arm, where no data"
            " stand behind a number",
        )
