"""Who is learnt from and who is tested on: repeated splits, sites left out, or draws from a pool."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ehrsynth.errors import NotEnoughData
from ehrsynth.randomness import numpy_generator
from ehrsynth.rebalance.plan import Rows

Whole = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Places of the training and of the test patients."""

    train: Whole
    test: Whole


@dataclass(frozen=True, slots=True, eq=False)
class Splits:
    """Splits of one table.

    Parameters
    ----------
    each
        At least two.
    test_over_train
        By how much the variance over splits is widened, as ``1/J + test_over_train`` (Nadeau and Bengio
        2003): the test patients for each training patient where one table is split again and again. Training
        sets drawn from a pool so large that they hardly overlap are nearly independent: there it is the odds
        of a training patient to be in another draw, too.
    """

    each: tuple[Split, ...]
    test_over_train: float

    def __len__(self) -> int:
        return len(self.each)


def repeated_splits(rows: Rows, *, count: int, test_share: float, seed: int) -> Splits:
    """Random splits in which each group and outcome has its share on both sides, at least one patient.

    Raises
    ------
    NotEnoughData
        If a group has an outcome of a single patient.
    """
    stratum = 2 * (rows.group + 1) + rows.event
    found = []
    for number in range(count):
        test = np.zeros(len(rows), np.bool_)
        rng = numpy_generator(seed, "splits", str(number))
        for one in np.unique(stratum):
            places = rng.permutation(np.flatnonzero(stratum == one))
            if len(places) < 2 and one >= 2:  # noqa: PLR2004 - 0 and 1 are the patients in no group
                raise NotEnoughData(
                    "a group has a single patient with or without the event: it cannot be split"
                )
            # What is left of a share is drawn for, so that small strata keep it on average.
            share = len(places) * test_share
            size = int(share) + int(rng.random() < share - int(share))
            test[places[: min(max(size, 1), max(len(places) - 1, 0))]] = True
        found.append(Split(np.flatnonzero(~test), np.flatnonzero(test)))
    return Splits(tuple(found), test_share / (1 - test_share))


def sites_left_out(site: Whole, *, most: int, minimum: int) -> dict[int, Split]:
    """For each of the largest sites: all other patients to learn from, and the site's to test on.

    Parameters
    ----------
    site
        The number of each patient's site, -1 where it is missing: such patients are left out.
    """
    numbers, counts = np.unique(site[site >= 0], return_counts=True)
    order = np.argsort(-counts, kind="stable")
    large = [int(numbers[i]) for i in order if counts[i] >= minimum][:most]
    known = site >= 0
    return {s: Split(np.flatnonzero(known & (site != s)), np.flatnonzero(site == s)) for s in large}


def draws(each: Sequence[Split], *, pool: int) -> Splits:
    """Splits whose training sets were drawn from a pool of so many patients."""
    share = float(np.mean([len(s.train) for s in each])) / pool
    return Splits(tuple(each), share / (1 - share))
