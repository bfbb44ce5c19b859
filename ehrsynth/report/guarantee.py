"""What an epsilon means, in words and in the one number that a person can check: the cap on any attacker."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from ehrsynth.report.provenance import Guarantee

NO_MEANING = 10.0
FALSE_ALARMS = (0.001, 0.01, 0.1)
_STRONG, _MODERATE = 1.0, 3.0
_SURE = 0.9995


@dataclass(frozen=True, slots=True)
class Meaning:
    """The guarantee for a reader: names and texts, the caps, what is outside, and what to be careful of."""

    facts: tuple[tuple[str, str], ...]
    caps: tuple[tuple[str, str], ...]
    outside: tuple[str, ...]
    cautions: tuple[str, ...]


def cap(epsilon: float, delta: float, false_alarms: float) -> float:
    """The largest true-positive rate that any attacker can have at a rate of false alarms, 0 to 1.

    The smaller of exp(epsilon) f + delta and 1 - exp(-epsilon) (1 - f - delta), Kairouz, Oh and Viswanath
    2015.

    >>> round(cap(1.0, 0.0, 0.01), 3), round(cap(10.0, 0.0, 0.01), 3)
    (0.027, 1.0)
    """
    return min(
        1.0, math.exp(epsilon) * false_alarms + delta, 1 - math.exp(-epsilon) * (1 - false_alarms - delta)
    )


def strength(epsilon: float) -> str:
    """How strong a guarantee is, in a word."""
    if epsilon <= _STRONG:
        return "strong"
    if epsilon <= _MODERATE:
        return "moderate"
    return "weak" if epsilon <= NO_MEANING else "no meaningful worst-case bound"


def meaning(given: Guarantee) -> Meaning:
    """What a guarantee says, for the report."""
    caps = tuple((f"{f:.1%}", _share(cap(given.epsilon, given.delta, f))) for f in FALSE_ALARMS)
    return Meaning(tuple(_facts(given)), caps, _OUTSIDE, tuple(_cautions(given)))


def _share(value: float) -> str:
    return "no cap" if value >= _SURE else f"{100 * value:.1f} %"


def _facts(given: Guarantee) -> Iterator[tuple[str, str]]:
    rows = given.rows_per_patient
    of = "their row" if rows == 1 else f"all of their rows, at most {rows}"
    if not given.names_patients:
        of += (
            ". No column of the table says whose a row is: that no patient has more was taken on trust, and "
            "would weaken the guarantee if it were wrong"
        )
    yield "Epsilon", f"{given.epsilon:.4g}: {strength(given.epsilon)}"
    yield (
        "Delta",
        f"{given.delta:.3g}: the chance that is left out of the bound, at most 1 / (10 x public rows)",
    )
    yield "Whose presence is hidden", f"one patient's, with {of}"
    yield "Between which tables", "any two that differ by one patient, added or removed"
    yield "Who added up", given.accountant + _beside(given)
    if given.composed is not None:
        where = "in the register of this data set, blocked attempts and fits that broke off included"
        together = f"epsilon {given.composed:.4g} at a delta of 1 / (10 x public rows) {where}"
        yield "With all that was learnt before", together


def _beside(given: Guarantee) -> str:
    found = ", ".join(f"{name} {value:.4g}" for name, value in sorted(given.by.items()))
    return f" ({found})" if found else ""


_OUTSIDE = (
    "every score, attack and picture that touched a real patient",
    "whether the gate said yes or no, and that a table was released at all",
    "the patients who were held out to measure it: they were not learnt from, and are in the scores",
    "what the schema says: it is public and was not read off the patients",
    "the time that the computation took, and the rounding of numbers in training",
)


def _cautions(given: Guarantee) -> Iterator[str]:
    yield (
        "Noise was added. Tests of hypotheses on this table find what is not there more often than they say "
        "(inflated type-I error), the more so the smaller epsilon is and the fewer patients there were."
    )
    yield "The guarantee adds up with every other release from the same patients."
    if given.epsilon > NO_MEANING:
        yield (
            f"An epsilon above {NO_MEANING:g} gives no meaningful worst-case bound: what speaks for the "
            "table is what the attacks found, as without a guarantee."
        )
