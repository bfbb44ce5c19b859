"""What raters answered: how often they were right, within which margin of a coin, and whether they agree.

That people cannot tell is an equivalence: the whole interval of their accuracy must lie within a margin of
one half. It is claimed by two one-sided tests at 5 %, which is a 90 % interval (Schuirmann 1987).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from ehrsynth.errors import DataError
from ehrsynth.imaging.turing.page import CONFIDENCES, FORMAT, Key
from ehrsynth.statistics import Estimate, auroc_interval, clopper_pearson, jackknife

MARGIN = 0.1  # of accuracy from one half
POWER = 0.9
_LEVEL = 0.9
_MOST = 20_000
_GROUPS = 20
_RATERS = 2  # that agreement is between


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """One rater's answers in the page's order: whether each image was called real, how surely (1 to 5)."""

    rater: str
    real: NDArray[np.bool_]
    confidence: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the answers show.

    Parameters
    ----------
    accuracy
        Share of right answers with its exact 90 % interval; with several raters the wider of that and the
        interval over images (each seen by all). 0.5 is a coin.
    achieved
        The smallest margin around one half that holds the interval: what was shown.
    equivalent
        Whether `achieved` is at most `margin`: people cannot tell.
    needed
        Answers that show it with 90 % power if nobody can tell.
    auroc
        Of how surely an image was called real, with its 95 % interval; 0.5 is a coin.
    kappa
        Agreement of the raters beyond chance (Fleiss 1971), at most 1, with its 95 % interval; None for one.
    """

    raters: int
    answers: int
    accuracy: Estimate
    margin: float
    achieved: float
    equivalent: bool
    needed: int
    auroc: Estimate
    kappa: Estimate | None


def answers_needed(margin: float = MARGIN, power: float = POWER) -> int:
    """How many answers show with `power` that nobody can tell, if that is so.

    Exact: the fewest from which on the exact interval of a fair coin lies within the margin so often.

    >>> 270 < answers_needed(0.1) < 320
    True
    """
    if not 0 < margin < 0.5:  # noqa: PLR2004 - one half is all there is on either side
        message = f"margin is {margin}; it lies between 0 and 0.5"
        raise ValueError(message)
    low, high = 1, _MOST
    while low < high:
        middle = (low + high) // 2
        if _power(middle, margin) >= power:
            high = middle
        else:
            low = middle + 1
    # The power of an exact test goes up in a saw: a fewer number may do, a few more must.
    return max(n for n in range(max(1, low - 40), low + 41) if _power(n, margin) < power) + 1


def _power(n: int, margin: float) -> float:
    """How often the exact 90 % interval of n fair coins lies within the margin."""
    right = np.arange(1, n)
    tail = (1 - _LEVEL) / 2
    low, high = stats.beta.ppf(tail, right, n - right + 1), stats.beta.ppf(1 - tail, right + 1, n - right)
    inside = (low >= 0.5 - margin) & (high <= 0.5 + margin)
    return float(stats.binom.pmf(right[inside], n, 0.5).sum())


def read_answers(path: Path | str, key: Key) -> Answers:
    """Read what a page saved.

    Raises
    ------
    DataError
        If it is no such file, of another page, or not complete; never repeats what it holds.
    """
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
    except (ValueError, UnicodeDecodeError) as error:
        message = f"{Path(path).name} holds no answers: it is no JSON"
        raise DataError(message) from error
    if (
        not isinstance(found, dict)
        or found.get("format") != FORMAT
        or not isinstance(found.get("answers"), list)
    ):
        raise DataError(f"{Path(path).name} holds no answers of such a page")
    if found.get("test") != key.test or len(found["answers"]) != len(key.real):
        raise DataError(f"{Path(path).name} holds the answers to another page than the key's")
    given = [_answer(one) for one in found["answers"]]
    missing = sum(1 for one in given if one is None)
    if missing:
        raise DataError(f"{Path(path).name}: {missing} of {len(given)} answers are missing or unreadable")
    known = [one for one in given if one is not None]
    return Answers(
        str(found.get("rater", "")), np.array([r for r, _ in known]), np.array([c for _, c in known])
    )


def _answer(one: Any) -> tuple[bool, int] | None:
    if not isinstance(one, Mapping) or one.get("answer") not in {"real", "synthetic"}:
        return None
    sure = one.get("confidence")
    if isinstance(sure, bool) or not isinstance(sure, int) or not 1 <= sure <= CONFIDENCES:
        return None
    return one["answer"] == "real", sure


def read_key(path: Path | str) -> Key:
    """Read a key.

    Raises
    ------
    DataError
        If it is none.
    """
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
        real = tuple(found["real"])
    except (ValueError, KeyError, TypeError, UnicodeDecodeError) as error:
        message = f"{Path(path).name} is no key of a visual Turing test"
        raise DataError(message) from error
    if found.get("format") != FORMAT or not all(isinstance(one, bool) for one in real):
        raise DataError(f"{Path(path).name} is no key of a visual Turing test")
    return Key(str(found.get("test", "")), real)


def judge(answers: Sequence[Answers], key: Key, *, margin: float = MARGIN) -> Judgement:
    """Hold answers against the key.

    Raises
    ------
    DataError
        If there are no answers, or one rater's were given twice.
    """
    if not answers:
        raise DataError("no answers were given")
    if len({one.rater for one in answers}) < len(answers):
        raise DataError("two files carry the same rater's code: give each rater's answers once")
    truth = np.array(key.real)
    right = np.stack([one.real == truth for one in answers])
    accuracy = _accuracy(right)
    achieved = max(abs(accuracy.low - 0.5), abs(accuracy.high - 0.5))
    sure = np.stack([np.where(one.real, one.confidence, -one.confidence) for one in answers])
    return Judgement(
        raters=len(answers),
        answers=int(right.size),
        accuracy=accuracy,
        margin=margin,
        achieved=achieved,
        equivalent=bool(achieved <= margin),
        needed=answers_needed(margin),
        auroc=auroc_interval(truth, sure.mean(axis=0)),
        kappa=_kappa(np.stack([one.real for one in answers])) if len(answers) >= _RATERS else None,
    )


def _accuracy(right: NDArray[np.bool_]) -> Estimate:
    value = float(right.mean())
    low, high = clopper_pearson(int(right.sum()), int(right.size), level=_LEVEL)
    if len(right) >= _RATERS:
        # Two raters on one image are not two images: the spread over images may be the larger.
        each = right.mean(axis=0)
        half = float(stats.t.ppf(0.5 + _LEVEL / 2, len(each) - 1) * each.std(ddof=1) / np.sqrt(len(each)))
        low, high = min(low, value - half), max(high, value + half)
    return Estimate(value, max(0.0, low), min(1.0, high))


def _kappa(called: NDArray[np.bool_]) -> Estimate:
    """Fleiss' kappa of raters x images with two answers; the interval leaves groups of images out."""
    images = called.shape[1]
    groups = np.arange(images) % min(_GROUPS, images)
    left_out = [_fleiss(called[:, groups != g]) for g in range(int(groups.max()) + 1)]
    found = jackknife(_fleiss(called), left_out)
    return Estimate(found.value, max(-1.0, found.low), min(1.0, found.high))


def _fleiss(called: NDArray[np.bool_]) -> float:
    raters = len(called)
    yes = called.sum(axis=0)
    agreed = (yes * (yes - 1) + (raters - yes) * (raters - yes - 1)) / (raters * (raters - 1))
    share = float(yes.mean() / raters)
    expected = share**2 + (1 - share) ** 2
    return 1.0 if expected == 1 else float((agreed.mean() - expected) / (1 - expected))
