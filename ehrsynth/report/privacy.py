"""The privacy officer's page: what all attacks say together, what the law asks for, and what may leave."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ehrsynth.evaluation.base import Risk
from ehrsynth.evaluation.privacy.bounds import ALL, Bound, Simultaneous
from ehrsynth.evaluation.suite import Evaluation
from ehrsynth.report.charts import percent
from ehrsynth.report.decision import Check, Decision
from ehrsynth.report.numbers import EMPTY, interval, limit_text, measured, rounded_up
from ehrsynth.report.words import LEAK, title

_MOST_ROWS = 100


@dataclass(frozen=True, slots=True)
class Together:
    """All attacks taken together.

    Parameters
    ----------
    facts
        Names and texts: what was asked, at which level, what came of it.
    rows, groups
        Lines of the table for all patients, and for the groups of patients; texts.
    left_out
        What was too small to look at: what, and why.
    """

    facts: tuple[tuple[str, str], ...]
    rows: tuple[Mapping[str, str], ...]
    groups: tuple[Mapping[str, str], ...]
    left_out: tuple[tuple[str, str], ...]


def together(evaluation: Evaluation, decision: Decision, *, shareable: bool) -> Together | None:
    """What the simultaneous bound says; None where it was not computed.

    What may be shared is, of all patients, the upper end of each attack rounded up: no count, no rate, no
    p-value, no number of attempts, and no group that is too small.
    """
    bound = evaluation.bound
    if bound is None:
        return None
    everybody = [one for one in bound.bounds if one.stratum == ALL]
    rows = _shared_rows(everybody) if shareable else [_row(one) for one in _by_size(everybody)]
    groups = [] if shareable else [_row(one) for one in _by_size(b for b in bound.bounds if b.stratum != ALL)]
    left_out = () if shareable else tuple(_left_out(evaluation, bound))
    return Together(
        tuple(_facts(bound, decision, shareable=shareable)), tuple(rows), tuple(groups[:_MOST_ROWS]), left_out
    )


def _facts(bound: Simultaneous, decision: Decision, *, shareable: bool) -> Iterator[tuple[str, str]]:
    said = next((check.explanation for check in decision.checks if check.name == LEAK), "")
    if said:
        yield "What was found", said
    many, strata = len({one.attack for one in bound.bounds}), len({one.stratum for one in bound.bounds})
    yield (
        "Looked at together",
        f"{len(bound.bounds):,} statistics: {many} attacks in {strata} groups of patients",
    )
    yield (
        "Family-wise level",
        f"{100 * bound.level:g} %: the chance that a leak is found anywhere among them where there is none",
    )
    judged = sum(one.judged for one in bound.bounds)
    why = (
        "as many as can be, so that a table that leaks nothing stays below all their limits with a chance of "
        "0.9. The others have too few patients and are only searched for a leak"
    )
    yield "Held against a limit", f"{judged:,} of them: {why}"
    yield "Permutations", f"{bound.permutations:,}, of who is a training patient, jointly for all attacks"
    if not shareable:
        yield "p-value of the whole", f"{bound.p_value:.4f}; a finding when it is at most the level"
        share = f"{100 * bound.level / bound.attempts:.3g} %"
        yield (
            "Attempts on this data",
            f"{bound.attempts:,}: the judged upper ends hold together except in {share} of such tables",
        )
    if bound.left_out:
        yield "Left out", f"{len(bound.left_out):,} statistics of groups that are too small for them"


def _by_size(bounds: Iterable[Bound]) -> list[Bound]:
    return sorted(bounds, key=lambda one: (not one.judged, -one.high, one.name))


def _row(one: Bound) -> dict[str, str]:
    return {
        "attack": title(one.attack) + (f" ({one.variant})" if one.variant else ""),
        "group": one.stratum,
        "statistic": one.statistic,
        "value": f"{one.value:.3f}",
        "high": f"{one.high:.3f}" if one.judged else "not judged",
        "detectable": f"{min(1.0, one.detectable):.3f}",
        "rates": _rates(one),
    }


def _rates(one: Bound) -> str:
    patients = f"{one.n_members:,} and {one.n_non_members:,} patients"
    if one.members is None or one.non_members is None:
        return f"{(1 + one.value) / 2:.3f}; {patients}"
    said = percent(one.members)
    if one.graded:
        from ehrsynth.statistics import clopper_pearson  # here: SciPy is slow to import

        ends = clopper_pearson(round(one.members * one.n_members), one.n_members)
        said += f" ({100 * ends.low:.1f} to {100 * ends.high:.1f})"
    return f"{said} and {percent(one.non_members)}; {patients}"


def _shared_rows(bounds: Sequence[Bound]) -> list[dict[str, str]]:
    """The variant with the largest upper end of each attack and statistic, of those that were judged."""
    largest: dict[tuple[str, str], Bound] = {}
    for one in sorted((one for one in bounds if one.judged), key=lambda one: one.high):
        largest[title(one.attack), one.statistic] = one
    found = sorted(largest.items(), key=lambda item: (-item[1].high, item[0]))
    return [
        {
            "attack": attack,
            "statistic": statistic,
            "high": f"{min(1.0, rounded_up(one.high)):.2f}",
            "detectable": f"{min(1.0, rounded_up(one.detectable)):.2f}",
        }
        for (attack, statistic), one in found
    ]


def _left_out(evaluation: Evaluation, bound: Simultaneous) -> Iterator[tuple[str, str]]:
    """Each group and statistic once, with the attacks that it concerns; then single variants of attacks."""
    attacks: dict[tuple[str, str, str], list[str]] = {}
    for one in bound.left_out:
        statistic = "" if one.statistic == "all" else f", {one.statistic}"
        attacks.setdefault((one.stratum, statistic, one.reason), []).append(title(one.attack))
    every = len(evaluation.risks)
    for (stratum, statistic, reason), names in attacks.items():
        whose = "all attacks" if len(names) == every else ", ".join(names)
        yield f"{stratum}{statistic} ({whose})", reason
    for name, risk in evaluation.risks.items():
        for variant, reason in risk.details.get("left_out", {}).items():
            yield f"{title(name)}, {variant}: an interval of its own", str(reason)


@dataclass(frozen=True, slots=True)
class _Rule:
    """A framework, what it asks for, the attacks or checks that speak to it, and what they leave open."""

    framework: str
    asks: str
    checks: tuple[str, ...]
    open: str


_LAW = (
    _Rule(
        "HIPAA, Expert Determination",
        "An expert determines that the risk of identifying a person is very small. The rule names no number.",
        (
            "identity_disclosure",
            "singling_out",
            "linkability",
            "inference",
            "linear_reconstruction",
            "exact_match",
            "nearest_record",
            "density_ratio",
            "classifier_odds",
            "mahalanobis",
            "membership_disclosure",
        ),
        "Who receives the table, and what they already know, is for the expert to weigh.",
    ),
    _Rule(
        "HIPAA, Safe Harbor",
        "18 kinds of identifiers are removed, among them dates finer than a year and ages above 89, and "
        "nobody actually knows of a way to identify a person.",
        ("Signs of identifiers",),
        "The scan looks at names and shapes of columns; a person must look at what they mean.",
    ),
    _Rule(
        "GDPR, WP29 Opinion 05/2014: singling out",
        "Can a record be isolated that belongs to one person?",
        ("singling_out", "exact_match", "nearest_record"),
        "Measured by the attacks named here, by no other.",
    ),
    _Rule(
        "GDPR, WP29 Opinion 05/2014: linkability",
        "Can two records of one person be joined?",
        ("linkability",),
        "Between two parts of this table; other registers were not tried.",
    ),
    _Rule(
        "GDPR, WP29 Opinion 05/2014: inference",
        "Can a value of one person be deduced from the others?",
        ("inference", "linear_reconstruction"),
        "Beyond what the same guess achieves on unseen patients. What holds for everybody is no leak.",
    ),
    _Rule(
        "EMA Policy 0070; Health Canada, Public Release of Clinical Information",
        "A risk of identity disclosure of at most 0.09 for a public release.",
        ("identity_disclosure",),
        "The number was set for identity disclosure. Where the policy uses it for other attacks, that is its "
        "own choice; no regulator has set a limit for membership.",
    ),
    _Rule(
        "CMS, cell size suppression",
        "No count of 1 to 10 patients is shown, and none can be worked out.",
        ("Patients in the rarest category",),
        "The version of this report that may be shared leaves such cells out; the synthetic table's own "
        "counts are of nobody.",
    ),
)


def second_opinions(evaluation: Evaluation) -> list[dict[str, str]]:
    """Our number and that of the package anonymeter for the same risk; internal."""
    rows = []
    for name, other in evaluation.second_opinions.items():
        own = evaluation.risks.get(name)
        rows.append({"risk": title(name), "ours": _alone(own), "other": _alone(other)})
    return rows


def _alone(risk: Risk | None) -> str:
    if risk is None or risk.value is None:
        return "not measured"
    return f"{risk.value:.3f} ({interval(risk.low, risk.high)}), {risk.n_attacks:,} attacks"


def crosswalk(decision: Decision, *, shows_real: bool) -> list[dict[str, Any]]:
    """What each framework asks for, and which of the checks is evidence for it."""
    checks = {check.name: check for check in decision.checks}
    rows = []
    for rule in _LAW:
        # An attack's check bears its title, the other checks their own name.
        found = [checks[name] for n in rule.checks for name in {title(n), n} & checks.keys()]
        # Which checks there were may depend on the patients too.
        evidence = [_evidence(check) for check in found] if shows_real else [_OUTSIDE]
        rows.append(
            {
                "framework": rule.framework,
                "asks": rule.asks,
                "evidence": evidence or ["Nothing was measured for it here."],
                "open": rule.open,
            }
        )
    return rows


_OUTSIDE = "What was measured for it lies outside the guarantee and stays inside the hospital"


def _evidence(check: Check) -> str:
    answer = "yes" if check.passed else "no"
    if check.value is None:
        return f"{check.name}: not computed; no"
    limit = EMPTY if check.limit is None else limit_text(check.limit)
    return f"{check.name}: {measured(check.value)}, limit {check.comparison} {limit}; {answer}"


_SHAREABLE = (
    "the synthetic table, as CSV and as Parquet",
    "the schema: what its columns mean",
    "the version of this report that says “May be shared”, and the one-page card",
    "the manifest with the hashes of these files",
)
_INTERNAL = (
    "the model: who can ask it for likelihoods can test for one patient",
    "the seed, the key of the split and the command: with them the run could be repeated without one patient",
    "the number of attempts on the same data",
    "the internal report and its numbers (report.json), which describe real patients in full",
    "the hash of the real table",
    "the real table itself, which no file of the release holds",
)


def kept(*, released: bool) -> dict[str, tuple[str, ...]]:
    """What may leave the hospital, and what stays."""
    if released:
        return {"shareable": _SHAREABLE, "internal": _INTERNAL}
    nothing = ("nothing: the gate said no, and the synthetic table stays inside with all the rest",)
    return {"shareable": nothing, "internal": _INTERNAL}
