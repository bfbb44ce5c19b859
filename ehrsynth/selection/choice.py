"""The rule by which `auto` chooses among candidates that were judged on the same splits."""

from collections.abc import Mapping, Sequence
from typing import Annotated, NamedTuple

import numpy as np
from pydantic import Field

from ehrsynth.evaluation.matrix import Floats
from ehrsynth.schema.columns import Strict
from ehrsynth.selection.judging import Marks
from ehrsynth.statistics import Estimate, corrected_paired_interval

Rate = Annotated[float, Field(ge=0, le=1)]


class Judged(Strict):
    """What was found about one candidate: means over the splits (see `Marks`), and why it was left out."""

    candidate: str
    telling: Rate | None = None
    utility: Rate | None = None
    nearest: Rate | None = None
    odds: Rate | None = None
    left_out: str = ""


class Choice(Strict):
    """What was chosen among whom, and why; no patient's value."""

    chosen: str
    why: str
    splits: int = Field(ge=0)
    learnt_from: int = Field(ge=0)
    tested_on: int = Field(ge=0)
    judged: tuple[Judged, ...] = ()

    def in_words(self) -> str:
        """One sentence for a person."""
        return f"auto chose {self.chosen}: {self.why}"


class Sizes(NamedTuple):
    """Patients learnt from and tested on in each split."""

    train: int
    test: int


def choose(
    marks: Mapping[str, Sequence[Marks]],
    failed: Mapping[str, str],
    sizes: Sizes,
    *,
    limit: float,
    alone: Sequence[Marks] | None = None,
) -> Choice:
    """Choose a candidate.

    1. Out is who fails, and who copies: whose AUROC of telling patients learnt from apart from others, by
       nearest record or by odds, lies above `limit` with its whole interval. It is counted from the AUROC of
       independent columns, where that is above 0.5: the fewer the patients, the more of them their columns'
       counts alone give away.
    2. Out is who is told apart from unseen patients more easily than the best, beyond the paired interval.
    3. Of the rest the one with the highest worth wins: utility less telling less leak, where the leak is the
       higher of both AUROCs of membership, less 0.5. All three are AUROCs. Where worth is equal to three
       digits the earlier candidate wins.

    Intervals are 95 % over repeated splits, widened for their overlap (Nadeau and Bengio 2003). If nobody is
    left after step 1, the candidate that leaks least is chosen, and the choice says so.

    Parameters
    ----------
    marks
        Of each candidate, one for each split; at least one candidate, at least two splits.
    failed
        Of each candidate that could not be judged, why.
    limit
        0.5 to 1.
    alone
        Of independent columns, on the same splits; None counts from 0.5.
    """
    copies = {name: _copies(found, alone, sizes, limit) for name, found in marks.items()}
    out = dict(failed) | {name: why for name, why in copies.items() if why}
    left = [name for name in marks if name not in out]
    if not left:
        chosen = min(marks, key=lambda name: _leak(marks[name]))
        return _choice(chosen, "every candidate copies patients; it does so least", marks, out, sizes)
    best = min(left, key=lambda name: _mean(marks[name], "telling"))
    for name in left:
        gap = _gap(marks[name], marks[best], sizes)
        if name != best and gap.low > 0:
            out[name] = f"told apart more easily than {best}, by {gap.value:.3f} or at least {gap.low:.3f}"
    kept = [name for name in left if name not in out]
    chosen = max(kept, key=lambda name: round(_worth(marks[name]), 3))
    return _choice(chosen, _why(chosen, kept, marks), marks, out, sizes)


def _why(chosen: str, kept: Sequence[str], marks: Mapping[str, Sequence[Marks]]) -> str:
    telling, utility, leak = _mean(marks[chosen], "telling"), _utility(marks[chosen]), _leak(marks[chosen])
    found = f"told apart from unseen patients with AUROC {0.5 + telling:.3f}"
    if utility is not None:
        found += f", {utility:.3f} in predicting outcomes"
    found += f", AUROC of membership {0.5 + leak:.3f}"
    if len(kept) == 1:
        return f"{found}; every other candidate was worse in the first, or left out"
    return f"{found}; the best of all among {len(kept)} of {len(marks)} candidates not worse in the first"


def _choice(
    chosen: str, why: str, marks: Mapping[str, Sequence[Marks]], out: Mapping[str, str], sizes: Sizes
) -> Choice:
    judged = [
        Judged(
            candidate=name,
            telling=_mean(found, "telling"),
            utility=_utility(found),
            nearest=_mean(found, "nearest"),
            odds=_mean(found, "odds"),
            left_out=out.get(name, ""),
        )
        for name, found in marks.items()
    ]
    judged += [Judged(candidate=name, left_out=why) for name, why in out.items() if name not in marks]
    splits = len(next(iter(marks.values())))
    return Choice(
        chosen=chosen,
        why=why,
        splits=splits,
        learnt_from=sizes.train,
        tested_on=sizes.test,
        judged=tuple(judged),
    )


def _copies(found: Sequence[Marks], alone: Sequence[Marks] | None, sizes: Sizes, limit: float) -> str:
    for what in ("nearest", "odds"):
        rates = np.array([getattr(one, what) for one in found])
        # Below 0.5 is chance, and no credit.
        floors = np.maximum([getattr(one, what) for one in alone], 0.5) if alone else 0.5
        beyond, than = _interval(rates - floors, sizes), "that of independent columns" if alone else "0.5"
        if 0.5 + beyond.low > limit:
            return (
                f"copies: AUROC of membership by {what} {rates.mean():.3f}, {beyond.value:.3f} above {than},"
                f" at least {beyond.low:.3f}"
            )
    return ""


def _gap(one: Sequence[Marks], other: Sequence[Marks], sizes: Sizes) -> Estimate:
    return _interval([a.telling - b.telling for a, b in zip(one, other, strict=True)], sizes)


def _interval(numbers: Sequence[float] | Floats, sizes: Sizes) -> Estimate:
    return corrected_paired_interval(numbers, n_train=sizes.train, n_test=sizes.test)


def _mean(found: Sequence[Marks], what: str) -> float:
    return float(np.mean([getattr(one, what) for one in found]))


def _utility(found: Sequence[Marks]) -> float | None:
    known = [one.utility for one in found if one.utility is not None]
    return float(np.mean(known)) if known else None


def _worth(found: Sequence[Marks]) -> float:
    return (_utility(found) or 0.0) - _mean(found, "telling") - _leak(found)


def _leak(found: Sequence[Marks]) -> float:
    return max(_mean(found, "nearest"), _mean(found, "odds"), 0.5) - 0.5
