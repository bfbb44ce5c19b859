"""The gate's checks of what the attacks found: one for a leak that was shown, one for each attack's bound.

Three answers are kept apart, in words too. A *finding* is a leak shown at the family-wise level. *Above the
limit* says that a leak of that size cannot be ruled out. *Not measurable here* says that the table is too
small to tell the limit from chance: a no by policy, and no finding.

What is judged is chosen so that a yes can be reached: as many statistics as leave a table that leaks nothing
a chance of 0.9 to stay below all limits. Which those are depends on the numbers of patients and the limits,
never on how well an attack did. The others are named, and stay in the search for a leak.
"""

from collections.abc import Iterator
from dataclasses import replace

from ehrsynth.evaluation.base import Risk
from ehrsynth.evaluation.privacy.bounds import ALL, Bound, Simultaneous
from ehrsynth.evaluation.suite import Evaluation
from ehrsynth.release.error_rates import measured_error_rates
from ehrsynth.release.policy import Limit, Policy
from ehrsynth.report.decision import Check, compare
from ehrsynth.report.words import LEAK, RISKS, title

NOT_COMPUTED = "It was not computed, and a check that was not computed is a no."
_REAL = ("train", "holdout")
_FEW = 4
_MANY_TIMES = 10


def held(evaluation: Evaluation, policy: Policy) -> Evaluation:
    """The evaluation with its simultaneous bound held against the policy's limits."""
    bound = evaluation.bound
    if bound is None:
        return evaluation
    limits = [limit_of(one, policy).value for one in bound.bounds]
    return replace(evaluation, bound=bound.held(limits))


def leak(bound: Simultaneous | None, policy: Policy, *, unread: int = 0) -> Check:
    """Whether some attack was shown to do better on members, over everything that was looked at together.

    Parameters
    ----------
    unread
        Synthetic rows that were not looked at: a leak that was found stays one, and none found says nothing.
    """
    limit = policy.family_wise_level
    # A level that so few permutations cannot reach could never find anything.
    fine = bound is not None and 1 / (1 + bound.permutations) <= bound.level <= limit.value
    known = bound if fine else None
    hidden = _unseen(unread) if known is None or known.finding is None else ""
    return Check(
        LEAK,
        None if known is None or hidden else known.p_value,
        limit.value,
        "at least",
        known is not None and known.finding is None and not hidden,
        hidden or _leak_in_words(known, limit.value, measured_error_rates(policy.limits_hash())),
        limit.source,
        limit.citation,
    )


def _leak_in_words(bound: Simultaneous | None, level: float, rates: str) -> str:
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
    return f"{said} {rates}"


def attacks(evaluation: Evaluation, policy: Policy) -> Iterator[Check]:
    """One check for each attack; one that ran counts even where the policy does not ask for it.

    The first that is not measurable says how many more patients would measure all of them.

    Parameters
    ----------
    evaluation
        As `held` gives it.
    """
    more = _more_patients(evaluation, policy)
    for name in (*policy.attacks, *(n for n in evaluation.risks if n not in policy.attacks)):
        bounds = evaluation.bound.of(name) if evaluation.bound is not None else ()
        risk = evaluation.risks.get(name)
        upper = _upper_of_identity(risk)
        if evaluation.unread:
            yield _check(name, None, _own_limit(name, policy), _unseen(evaluation.unread))
        elif name in policy.identity_attacks and risk is not None and upper is not None:
            yield _identity(risk, upper, evaluation.bound, policy)
        elif bounds and evaluation.bound is not None:
            check = _bounded(name, bounds, evaluation.bound, policy)
            if more and not check.computed:
                check, more = replace(check, explanation=f"{check.explanation} {more}"), ""
            yield check
        else:
            yield _alone(name, risk, policy)


def _unseen(unread: int) -> str:
    """Why nothing is said where a part of the synthetic rows was not read; empty where all were."""
    if not unread:
        return ""
    return (
        f"{NOT_COMPUTED} {unread:,} synthetic rows were not read, for they do not fit into memory, and what "
        "leaks in them would not be seen: evaluate fewer synthetic rows, all that are to leave."
    )


def limit_of(bound: Bound, policy: Policy) -> Limit:
    """The policy's limit for one statistic."""
    if bound.attack in policy.identity_attacks:
        return policy.identity_disclosure
    if not bound.graded:
        return policy.risk_upper_end
    return policy.membership_surest if bound.statistic == "TPR at 1 % FPR" else policy.membership


def _bounded(name: str, bounds: tuple[Bound, ...], whole: Simultaneous, policy: Policy) -> Check:
    """One attack by the simultaneous bound: the worst of what can be judged, and what cannot by name."""
    if _unknown(name, bounds, policy) is None:
        return _not_measurable(name, bounds, policy)
    return _worst(name, bounds, whole, policy)


def _worst(name: str, bounds: tuple[Bound, ...], whole: Simultaneous, policy: Policy) -> Check:
    """The judged statistic that is nearest to its limit, or furthest above it; at least one is judged."""
    kept = [bound for bound in bounds if bound.judged]
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
    return _also(_check(name, worst.high, limit, found), bounds, whole)


def _also(check: Check, bounds: tuple[Bound, ...], whole: Simultaneous) -> Check:
    """The check with what was searched for a leak and is too small to be judged; groups by number outside."""
    attack = bounds[0].attack
    groups = {b.stratum for b in bounds} | {o.stratum for o in whole.left_out if o.attack == attack}
    small = groups - {ALL} - {b.stratum for b in bounds if b.judged}
    said = f"{check.explanation} {_not_told(bounds)}".strip()
    # The name of a group may say who is in it: "parity: 12" is a patient.
    outside = f"{said} {_too_small(small, by_name=False)}".strip()
    return replace(check, explanation=f"{said} {_too_small(small)}".strip(), outside=outside)


def _unknown(name: str, bounds: tuple[Bound, ...], policy: Policy) -> set[str] | None:
    """The variants that cannot be judged over all patients, None where that is too many.

    What one variant says holds for no other, so each must be judged; but a column that is nearly always
    guessed right has too few patients to tell a leak by, and then the attack is judged by the others.
    """
    everybody = [bound for bound in bounds if bound.stratum == ALL]
    judged = {bound.variant for bound in everybody if bound.judged}
    unknown = {bound.variant for bound in everybody} - judged
    if name in policy.attribute_attacks:
        return unknown if judged else None
    return unknown if judged and not unknown else None


def _upper_of_identity(risk: Risk | None) -> float | None:
    """The upper end of the risk itself, without a control taken off: the number that regulators speak of."""
    interval = None if risk is None else risk.details.get("risk_interval")
    return None if interval is None else float(interval["high"])


def _identity(risk: Risk, upper: float, whole: Simultaneous | None, policy: Policy) -> Check:
    """The worse of the risk itself and of the simultaneous bound, wherever the latter judges some group."""
    name = risk.name
    bounds = () if whole is None else whole.of(name)
    itself = _identity_itself(risk, upper, policy)
    if whole is None or not any(bound.judged for bound in bounds):
        return itself
    bound = _worst(name, bounds, whole, policy)
    return bound if bound.value is not None and bound.value > upper else _also(itself, bounds, whole)


def _identity_itself(risk: Risk, upper: float, policy: Policy) -> Check:
    name, limit = risk.name, policy.identity_disclosure
    if upper <= limit.value:
        # Without the number: what may be shared has it rounded up, and so must this sentence.
        return _check(name, upper, limit, f"{_claim(name)} It stays within the limit.")
    claim = f"{_claim(name)} It may be as high as {upper:.3f}, above the limit of {limit.value:g}."
    if not str(risk.details.get("population_is", "")).startswith("declared"):
        claim += (
            " The patients of this table were taken for the whole population: `population` in the schema "
            "says from how many they are drawn."
        )
    return _check(name, upper, limit, claim)


def _not_measurable(name: str, bounds: tuple[Bound, ...], policy: Policy) -> Check:
    nearest = _nearest(name, bounds, policy)
    limit = limit_of(nearest, policy)
    said = (
        f"Not measurable here, which is a no by policy and not a finding: only an exposed share of "
        f"{min(1.0, nearest.detectable):.3f} or more would be told from chance with power 0.9, and the limit "
        f"is {limit.value:g}."
    )
    return _check(name, None, limit, said)


def _nearest(name: str, bounds: tuple[Bound, ...], policy: Policy) -> Bound:
    """The statistic on which it depends whether an attack can be judged."""
    every = [bound for bound in bounds if bound.stratum == ALL] or list(bounds)
    sharpest: dict[str, Bound] = {}
    for bound in sorted(every, key=lambda b: -_blindness(b, policy)):
        sharpest[bound.variant] = bound
    needed = min if name in policy.attribute_attacks else max
    return needed(sharpest.values(), key=lambda bound: _blindness(bound, policy))


def _more_patients(evaluation: Evaluation, policy: Policy) -> str:
    """How many more would measure every attack: an error shrinks with the root of the number of patients.

    Empty where all can be judged.
    """
    names = {bound.attack for bound in evaluation.bound.bounds} if evaluation.bound is not None else set()
    by_name = {name: evaluation.bound.of(name) for name in names} if evaluation.bound is not None else {}
    blind = {
        name: _blindness(_nearest(name, bounds, policy), policy)
        for name, bounds in by_name.items()
        if _unknown(name, bounds, policy) is None
    }
    if not blind:
        return ""
    most = max(blind, key=lambda name: (blind[name], name))
    times = blind[most] ** 2
    # The root of the number is a rough rule: of many times one digit can be told.
    number = f"{times:.1f}" if times < _MANY_TIMES else f"{float(f'{times:.1g}'):,.0f}"
    said = (
        f"What decides here is their number: about {number} times as many patients, trained on and held out, "
        f"would measure every attack ({title(most)} asks for most)."
    )
    looked, there = (
        sum(rows.get(name, 0) for name in _REAL) for rows in (evaluation.rows, evaluation.rows_given)
    )
    if there > looked > 0:
        said += f" Only {looked:,} of {there:,} were measured: measure more of them (--evaluated-rows)."
    return said


def _blindness(bound: Bound, policy: Policy) -> float:
    return bound.detectable / max(limit_of(bound, policy).value, 1e-9)


def _too_small(strata: set[str], *, by_name: bool = True) -> str:
    if not strata:
        return ""
    if by_name:
        return f"Too small to be judged on their own: {_named(strata, 'groups')}."
    return f"Too small to be judged on their own: {len(strata):,} group{'s' if len(strata) > 1 else ''}."


def _not_told(bounds: tuple[Bound, ...]) -> str:
    """What was measured over all patients, of whom too few can tell anything by it.

    Of a variant of which nothing is judged the name alone: a secret that is nearly always guessed leaves too
    few. Else the statistic.
    """
    everybody = [bound for bound in bounds if bound.stratum == ALL]
    told = {bound.variant for bound in everybody if bound.judged}
    unknown = {
        f"{b.statistic} of {b.variant}" if b.variant and b.variant in told else b.variant or b.statistic
        for b in everybody
        if not b.judged
    }
    return f"Searched for a leak, but too few patients to judge by: {_named(unknown)}." if unknown else ""


def _named(names: set[str], what: str = "") -> str:
    more = f" and {len(names) - _FEW:,} more {what}".rstrip() if len(names) > _FEW else ""
    return f"{', '.join(sorted(names)[:_FEW])}{more}"


def _alone(name: str, risk: Risk | None, policy: Policy) -> Check:
    """An attack outside the simultaneous bound, by the upper end of its own 95 % interval."""
    limit = _own_limit(name, policy)
    upper = None if risk is None or risk.value is None else risk.high
    if upper is None:
        reason = risk.reason.strip() if risk is not None else ""
        said = f"{NOT_COMPUTED} {_as_sentence(reason)}" if reason else NOT_COMPUTED
    elif upper <= limit.value:
        said = f"{_claim(name)} It stays within the limit."
    else:
        said = f"It may be as high as {upper:.3f}, above the limit of {limit.value:g}. {_claim(name)}"
    return _check(name, upper, limit, said)


def _own_limit(name: str, policy: Policy) -> Limit:
    return policy.identity_disclosure if name in policy.identity_attacks else policy.risk_upper_end


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
