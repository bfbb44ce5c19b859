"""The probability of each cell of a column: a score card, then small boosted trees for what it leaves.

LightGBM (Ke et al. 2017, NeurIPS) starts from the scores of a ridge logistic regression (`linear`) and runs
deterministically with a fixed number of threads. Both see coarse features only, so that no threshold lies
between two patients. Patients who were held out say when the trees stop, and whether they are of use at all;
where patients are many, they then teach the trees as well.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import lightgbm as lgb
import numpy as np
from numpy.typing import NDArray

from ehrsynth.errors import ModelError
from ehrsynth.generators.chain.boosted import THREADS, BoostedTrees
from ehrsynth.generators.chain.features import Feature, Features
from ehrsynth.generators.chain.linear import ScoreCard, learn_score_card

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]
_Part = tuple[Features, Codes, Floats]  # features, label, scores to begin from

_HELD_OUT = 6  # one patient in six decides how strong the ridge is and when to stop
# Ridges that are tried, in multiples of the usual one. Where cells share two shapes there are few points, and
# these bear weaker ones.
_WEAK, _STRONG, _OF_SHAPES = 1.0, 20.0, 0.3
_TWO = 2
# Trees that stop early and never see a sixth of the patients miss what columns do together (death of patients
# who left the ward early, for instance). Where patients are many, as many rounds grow again on everybody; a
# leaf is then so large that nobody stands out in it.
_TAUGHT_BY_ALL, _MOST_LEAVES = 2_500, 160
FEWEST = 40  # below this many rows shares are all that can be learnt


@dataclass(frozen=True, slots=True)
class Boosting:
    """How cells are learnt; the defaults need no tuning from 150 to 300,000 rows."""

    leaves: int = 4
    rate: float = 0.1
    rounds: int = 400
    patience: int = 20
    leaf_rows: int = 10
    l2: float = 1.0
    ridge: float = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Classifier:
    """Probabilities of cells: a card with its trees, or `shares` alone where nothing was learnt."""

    shares: Floats
    card: ScoreCard | None = None
    trees: BoostedTrees | None = None

    def probabilities(self, features: Features) -> Floats:
        """The probability of each cell, n x cells; rows add up to 1."""
        if self.card is None:
            return np.tile(self.shares, (len(features), 1))
        scores = self.card.scores(features)
        if self.trees is not None:
            scores[:, -self.trees.outputs :] += self.trees.scores(features)
        return softmax(scores)


def softmax(scores: Floats) -> Floats:
    """Scores (n x classes) as probabilities."""
    odds = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(odds / odds.sum(axis=1, keepdims=True))


def learn_classifier(
    features: Features,
    label: Codes,
    shapes: Floats,
    seen: Sequence[Feature],
    *,
    boosting: Boosting,
    rng: np.random.Generator,
) -> Classifier:
    """Fit on five rows in six; the sixth chooses the card and when to stop. Of many, all teach the trees.

    Parameters
    ----------
    features
        n x features.
    label
        The cell of each row, 0 to cells - 1.
    shapes
        Shapes x cells (see `card_shapes`): fewer than cells where these have an order.
    seen
        What the columns of `features` are.
    """
    classes = shapes.shape[1]
    shares = np.bincount(label, minlength=classes) / len(label)
    if classes < _TWO or len(label) < FEWEST or features.shape[1] == 0:
        return Classifier(shares)
    order = rng.permutation(len(label))
    held_out, kept = order[: len(order) // _HELD_OUT], order[len(order) // _HELD_OUT :]
    ways = [(shapes, _WEAK), (shapes, _STRONG)]
    if len(shapes) < classes:
        ways = [(shapes, _OF_SHAPES * _WEAK), (shapes, _OF_SHAPES * _STRONG), (np.eye(classes), _WEAK)]
    cards = [
        learn_score_card(features[kept], label[kept], points, seen, ridge=times * boosting.ridge)
        for points, times in ways
    ]
    card = _chosen(cards, features[held_out], label[held_out])
    first, last = ((features[rows], label[rows], card.scores(features[rows])) for rows in (kept, held_out))
    many = len(label) >= _TAUGHT_BY_ALL
    leaf_rows = max(boosting.leaf_rows, len(label) // _MOST_LEAVES) if many else boosting.leaf_rows
    settings = _settings(classes, boosting, leaf_rows, int(rng.integers(2**31)))
    trees = _boosted((first, last), seen, settings, boosting)
    if trees is not None and many:
        everybody = _dataset((features, label, card.scores(features)), seen)
        rounds = len(trees.arrays["num_leaves"]) // trees.outputs
        trees = BoostedTrees.of(lgb.train(settings, everybody, rounds), rounds)
    return Classifier(shares, card, trees)


def _chosen(cards: Sequence[ScoreCard], features: Features, label: Codes) -> ScoreCard:
    """The first card, or a later one that is better by more than a standard error.

    A ridge draws what columns tell of each other towards nothing: regressions on synthetic patients find
    smaller effects than on real ones. Few patients cannot tell which ridge predicts better, so it must not be
    chance that decides.
    """
    losses = [_losses(card.scores(features), label) for card in cards]
    best = 0
    for other in range(1, len(cards)):
        better = losses[best] - losses[other]
        if better.mean() > better.std() / np.sqrt(len(better)):
            best = other
    return cards[best]


def _settings(classes: int, boosting: Boosting, leaf_rows: int, seed: int) -> dict[str, Any]:
    kind = {"objective": "binary"} if classes == _TWO else {"objective": "multiclass", "num_class": classes}
    return kind | {
        "num_leaves": boosting.leaves,
        "learning_rate": boosting.rate,
        "min_data_in_leaf": leaf_rows,
        "lambda_l2": boosting.l2,
        "boost_from_average": False,
        "num_threads": THREADS,
        "deterministic": True,
        "force_row_wise": True,
        "seed": seed,
        "verbose": -1,
    }


def _boosted(
    parts: tuple[_Part, _Part],
    seen: Sequence[Feature],
    settings: dict[str, Any],
    boosting: Boosting,
) -> BoostedTrees | None:
    """Trees of those kept, as many as those held out ask for; None where none is of use."""
    kept, held_out = parts
    data = _dataset(kept, seen)
    stop = lgb.early_stopping(boosting.patience, verbose=False)
    watched = [_dataset(held_out, seen, like=data)]
    booster = lgb.train(settings, data, boosting.rounds, valid_sets=watched, callbacks=[stop])
    _, label, scores = held_out
    best = next(iter(booster.best_score["valid_0"].values()))
    return BoostedTrees.of(booster, booster.best_iteration) if best < _log_loss(scores, label) else None


def _dataset(part: _Part, seen: Sequence[Feature], *, like: lgb.Dataset | None = None) -> lgb.Dataset:
    rows, label, scores = part
    start = scores[:, 1] - scores[:, 0] if scores.shape[1] == _TWO else scores.ravel(order="F")
    listed = [place for place, feature in enumerate(seen) if feature.listed]
    # LightGBM takes all threads to bin features unless it is told here too.
    quiet = {"num_threads": THREADS, "verbose": -1}
    return lgb.Dataset(rows, label, like, init_score=start, categorical_feature=listed, params=quiet)


def _log_loss(scores: Floats, label: Codes) -> float:
    return float(_losses(scores, label).mean())


def _losses(scores: Floats, label: Codes) -> Floats:
    top = scores.max(axis=1)
    total = top + np.log(np.exp(scores - top[:, None]).sum(axis=1))
    return np.asarray(total - scores[np.arange(len(label)), label])


def checked_shares(shares: Floats) -> Floats:
    """The shares, if they are a distribution.

    Raises
    ------
    ModelError
        If they are not.
    """
    rounding = 1e-6
    if not len(shares) or not (shares >= 0).all() or abs(shares.sum() - 1) > rounding:
        message = "stored shares do not add up to 1: the model is damaged"
        raise ModelError(message)
    return shares
