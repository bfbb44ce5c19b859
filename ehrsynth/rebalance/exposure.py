"""Who was learnt from? How well a group's training patients are told from patients of it that were not used.

Raising a group of few patients repeats them: in the model's memory, and among the rows that were made.
"""

import numpy as np
from numpy.typing import NDArray

from ehrsynth.evaluation.matrix import Matrix
from ehrsynth.evaluation.privacy.nearest import TIE, Placed, blocks, distances, listed_columns, place
from ehrsynth.randomness import numpy_generator
from ehrsynth.rebalance.measures import patient_losses
from ehrsynth.statistics import auroc

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
MOST_TARGETS, MOST_MADE = 2_000, 5_000
_FEWEST = 4


def loss_exposure(seen: tuple[Mask, Floats], unseen: tuple[Mask, Floats]) -> float:
    """The AUROC at which a model's loss tells patients it learnt from, 0.5 (not at all) to 1; lower is safer.

    Members fit better (Yeom et al. 2018, arXiv 1709.01604). Each side is outcomes and risks; the control are
    the patients that were not used. NaN where a side has nobody.
    """
    if not len(seen[0]) or not len(unseen[0]):
        return float("nan")
    return _told(-patient_losses(*seen), -patient_losses(*unseen))


def row_exposure(members: Matrix, unseen: Matrix, made: Matrix, *, seed: int) -> float:
    """The AUROC at which made rows tell the patients they were made from, 0.5 to 1; lower is safer.

    A member is nearer to a made row than to a real patient of the same group; the patients not used are
    control and reference in turn, one half for the other. NaN where no row was made or a side is too small.
    Of many patients and rows 2,000 and 5,000 are drawn.
    """
    if not len(made) or not len(members) or len(unseen) < _FEWEST:
        return float("nan")
    rng = numpy_generator(seed, "exposure")
    members, made = members.shuffled(rng, MOST_TARGETS), made.shuffled(rng, MOST_MADE)
    order = rng.permutation(len(unseen))[:MOST_TARGETS]
    halves = order[: len(order) // 2], order[len(order) // 2 :]
    there = place(made, made)
    found = []
    for control, reference in (halves, halves[::-1]):
        real = place(unseen.rows(reference), made)
        scores = [_closer(targets, there, real, made) for targets in (members, unseen.rows(control))]
        found.append(_told(scores[0], scores[1]))
    return float(np.mean(found))


def _closer(targets: Matrix, there: Placed, real: Placed, made: Matrix) -> Floats:
    """How much nearer the nearest made row is than the nearest reference patient, -1 to 1."""
    placed = place(targets, made)
    near, far = (_nearest(placed, among, made) for among in (there, real))
    return np.asarray((far - near) / np.maximum(far + near, TIE))


def _nearest(placed: Placed, among: Placed, space: Matrix) -> Floats:
    listed, columns = listed_columns(space), range(len(space.columns))
    found = [
        distances(placed.rows(b), among, columns, listed).min(axis=1) for b in blocks(len(placed), len(among))
    ]
    return np.concatenate(found)


def _told(members: Floats, others: Floats) -> float:
    labels = np.repeat([1, 0], [len(members), len(others)])
    return auroc(labels, np.concatenate([members, others]))
