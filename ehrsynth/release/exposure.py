"""The gate's checks of what the attacks found: one for a leak that was shown, one for each attack's bound.

Three answers are kept apart, in words too. A *finding* is a leak shown at the family-wise level. *Above the
limit* says that a leak of that size cannot be ruled out. *Not measurable here* says that the table is too
small to tell the limit from chance: a no by policy, and no finding.
"""

from collections.abc import Iterator

from ehrsynth.evaluation.base import Risk
from ehrsynth.evaluation.privacy.bounds import ALL, Bound, Simultaneous
from ehrsynth.evaluation.suite import Evaluation
from ehrsynth.release.error_rates import measured_error_rates
from ehrsynth.release.policy import Limit, Policy
from ehrsynth.report.decision import Check, compare
from ehrsynth.report.words import LEAK, RISKS, title

NOT_COMPUTED = "It was not computed, and a check that was not computed is a no."
_FEW = 4


def leak(bound: Simultaneous | None, policy: Policy) -> Check:
    """Whether some attack was shown to do better on members, over everything that was looked at together."""
    limit = policy.family_wise_level
    # A level that so few permutations cannot reach could never find anything.
    fine = bound is not None and 1 / (1 + bound.permutations) <= bound.level <= limit.value
    known = bound if fine else None
    return Check(
        LEAK,
        None if known is None else known.p_value,
        limit.value,
        "at least",
        known is not None and known.finding is None,
        _leak_in_words(known, limit.value),
        limit.source,
        limit.citation,
    )


def _leak_in_words(bound: Simultaneous | None, level: float) -> str:
    if bound is None:
        return f"{NOT_COMPUTED} No attack gave what the simultaneous bound needs."
    clearest = bound.finding
    family = f"the family-wise level of {level:.0%} over {len(bound.bounds):,} statistics"
    if clearest is None:
        said = f"No leak was shown at {family}."
    else:
        said = (
            f"A leak was found at {family}: {clearest.name} is better on training patients than on patients "
            "whom the generator never saw."
        )
    return " ".join(part for part in (said, measured_error_rates()) if part)


def attacks(evaluation: Evaluation, policy: Policy) -> Iterator[Check]:
    """One check for each attack; one that ran counts even where the policy does not ask for it."""
    for name in (*policy.attacks, *(n for n in evaluation.risks if n not in policy.attacks)):
        bounds = evaluation.bound.of(name) if evaluation.bound is not None else ()
        upper = _upper_of_identity(evaluation.risks.get(name))
        if name in policy.identity_attacks and upper is not None:
            yield _identity(name, upper, policy)
        elif bounds and evaluation.bound is not None:
            yield _bounded(name, bounds, evaluation.bound, policy)
        else:
            yield _alone(name, evaluation.risks.get(name), policy)


def limit_of(bound: Bound, policy: Policy) -> Limit:
    """The policy's limit for one statistic."""
    if bound.attack in policy.identity_attacks:
        return policy.identity_disclosure
    if not bound.graded:
        return policy.risk_upper_end
    return policy.membership_surest if bound.statistic == "TPR at 1 % FPR" else policy.membership


def judged(bounds: tuple[Bound, ...], policy: Policy) -> tuple[Bound, ...]:
    """Those that could tell their limit from chance with power 0.9."""
    return tuple(bound for bound in bounds if bound.detectable <= limit_of(bound, policy).value)


def _bounded(name: str, bounds: tuple[Bound, ...], whole: Simultaneous, policy: Policy) -> Check:
    kept = judged(bounds, policy)
    # What one variant says holds for no other: each must be measurable over all patients in some statistic.
    everybody = {bound.variant for bound in bounds if bound.stratum == ALL}
    if not everybody or everybody - {bound.variant for bound in kept if bound.stratum == ALL}:
        return _not_measurable(name, bounds, policy)
    worst = max(kept, key=lambda bound: bound.high / max(limit_of(bound, policy).value, 1e-9))
    limit = limit_of(worst, policy)
    claim = _claim(name)
    if worst.high <= limit.value:
        found = f"{claim} The share of patients so exposed stays within the limit."
    else:
        found = (
            f"A leak above the limit cannot be ruled out: up to {worst.high:.3f} of the patients may be "
            f"exposed ({worst.name}), the limit is {limit.value:g}. {claim}"
        )
    groups = {b.stratum for b in bounds} | {o.stratum for o in whole.left_out if o.attack == name}
    said = f"{found} {_too_small(groups - {b.stratum for b in kept})}".strip()
    return _check(name, worst.high, limit, said)


def _upper_of_identity(risk: Risk | None) -> float | None:
    """The upper end of the risk itself, without a control taken off: the number that regulators speak of."""
    interval = None if risk is None else risk.details.get("risk_interval")
    return None if interval is None else float(interval["high"])


def _identity(name: str, upper: float, policy: Policy) -> Check:
    limit = policy.identity_disclosure
    stands = "stays within" if upper <= limit.value else "is above"
    claim = f"{_claim(name)} It may be as high as {upper:.3f}, which {stands} the limit of {limit.value:g}."
    return _check(name, upper, limit, claim)


def _not_measurable(name: str, bounds: tuple[Bound, ...], policy: Policy) -> Check:
    every = [bound for bound in bounds if bound.stratum == ALL] or list(bounds)
    sharpest: dict[str, Bound] = {}
    for bound in sorted(every, key=lambda b: -_blindness(b, policy)):
        sharpest[bound.variant] = bound
    nearest = max(sharpest.values(), key=lambda bound: _blindness(bound, policy))
    limit = limit_of(nearest, policy)
    said = (
        f"Not measurable here, which is a no by policy and not a finding: only an exposed share of "
        f"{min(1.0, nearest.detectable):.3f} or more would be told from chance with power 0.9, and the limit "
        f"is {limit.value:g}. More patients held out would measure it."
    )
    return _check(name, None, limit, said)


def _blindness(bound: Bound, policy: Policy) -> float:
    return bound.detectable / max(limit_of(bound, policy).value, 1e-9)


def _too_small(strata: set[str]) -> str:
    if not strata:
        return ""
    names = sorted(strata)
    more = f" and {len(names) - _FEW:,} more groups" if len(names) > _FEW else ""
    return f"Too small to be judged on their own: {', '.join(names[:_FEW])}{more}."


def _alone(name: str, risk: Risk | None, policy: Policy) -> Check:
    """An attack outside the simultaneous bound, by the upper end of its own 95 % interval."""
    limit = policy.identity_disclosure if name in policy.identity_attacks else policy.risk_upper_end
    upper = None if risk is None or risk.value is None else risk.high
    if upper is None:
        reason = risk.reason.strip() if risk is not None else ""
        said = f"{NOT_COMPUTED} {_as_sentence(reason)}" if reason else NOT_COMPUTED
    elif upper <= limit.value:
        said = f"{_claim(name)} It stays within the limit."
    else:
        said = f"It may be as high as {upper:.3f}, above the limit of {limit.value:g}. {_claim(name)}"
    return _check(name, upper, limit, said)


def _check(name: str, value: float | None, limit: Limit, explanation: str) -> Check:
    return compare(
        title(name),
        value,
        limit.value,
        "at most",
        explanation=explanation,
        source=limit.source,
        citation=limit.citation,
    )


def _claim(name: str) -> str:
    words = RISKS.get(name)
    return words.plain if words else "What this attack gains over its control."


def _as_sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")
