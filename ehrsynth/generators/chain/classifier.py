"""The probability of each cell of a column: a score card, then small boosted trees for what it leaves.

LightGBM (Ke et al. 2017, NeurIPS) starts from the scores of a ridge logistic regression (`linear`), or where
patients are many from nothing if that predicts better, and runs deterministically with a fixed number of
threads. Both see coarse features only, so that no threshold lies between two patients. Patients who were held
out say when the trees stop, and whether they are of use at all; where patients are many, they then teach the
trees as well.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

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
# leaf is then so large that nobody stands out in it. Beyond 20,000 five sixths are enough.
_MANY, _MOST_LEAVES, _TAUGHT_ENOUGH = 2_500, 160, 20_000
# Where one column turns round what another says, a card has taken what either says alone, and no first split
# gains anything: trees that begin from it stand still for some fifty rounds before they find the two
# together. So where patients are many the trees are waited for, and may also begin from nothing.
_PATIENCE_WITH_MANY = 80
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

    def of_many(self, patients: int) -> Self:
        """What so many patients bear: larger leaves, and more rounds in vain."""
        leaf_rows = max(self.leaf_rows, patients // _MOST_LEAVES)
        return replace(self, leaf_rows=leaf_rows, patience=max(self.patience, _PATIENCE_WITH_MANY))


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
        return softmax(_scores(self.card, self.trees, features))


def _scores(card: ScoreCard, trees: BoostedTrees | None, features: Features) -> Floats:
    scores = card.scores(features)
    if trees is not None:
        scores[:, -trees.outputs :] += trees.scores(features)
    return scores


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
    """Fit on five rows in six; the sixth chooses the card, from what the trees begin, and when they stop.

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
    judges, truth = features[held_out], label[held_out]
    card = cards[_surely_best([_losses(card.scores(judges), truth) for card in cards])]
    many, starts = len(label) >= _MANY, [card]
    if many:
        boosting, starts = boosting.of_many(len(label)), [card, _silent(card, shares)]
    settings = _settings(classes, boosting, int(rng.integers(2**31)))
    found = []
    for start in starts:
        begun = [(features[rows], label[rows], start.scores(features[rows])) for rows in (kept, held_out)]
        found.append((start, _boosted(begun, seen, settings, boosting)))
    card, trees = found[_surely_best([_losses(_scores(*pair, judges), truth) for pair in found])]
    if trees is not None and many and len(label) < _TAUGHT_ENOUGH:
        everybody = _dataset((features, label, card.scores(features)), seen)
        rounds = len(trees.arrays["num_leaves"]) // trees.outputs
        trees = BoostedTrees.of(lgb.train(settings, everybody, rounds), rounds)
    return Classifier(shares, card, trees)


def _silent(card: ScoreCard, shares: Floats) -> ScoreCard:
    """The card without its points: all patients have the same shares."""
    bias = np.log(np.maximum(shares, 1e-6)).astype(np.float32)
    return replace(card, weights=np.zeros_like(card.weights), bias=bias)


def _surely_best(losses: Sequence[Floats]) -> int:
    """The first of several ways, or a later one that loses less by more than its standard error.

    A ridge draws what columns tell of each other towards nothing: regressions on synthetic patients find
    smaller effects than on real ones. Few patients cannot tell which ridge predicts better, so it must not be
    chance that decides.
    """
    best = 0
    for other in range(1, len(losses)):
        better = losses[best] - losses[other]
        if better.mean() > better.std() / np.sqrt(len(better)):
            best = other
    return best


def _settings(classes: int, boosting: Boosting, seed: int) -> dict[str, Any]:
    kind = {"objective": "binary"} if classes == _TWO else {"objective": "multiclass", "num_class": classes}
    return kind | {
        "num_leaves": boosting.leaves,
        "learning_rate": boosting.rate,
        "min_data_in_leaf": boosting.leaf_rows,
        "lambda_l2": boosting.l2,
        "boost_from_average": False,
        "num_threads": THREADS,
        "deterministic": True,
        "force_row_wise": True,
        "seed": seed,
        "verbose": -1,
    }


def _boosted(
    parts: Sequence[_Part],
    seen: Sequence[Feature],
    settings: dict[str, Any],
    boosting: Boosting,
) -> BoostedTrees | None:
    """Trees of those kept, as many as those held out ask for; None where none is of use."""
    kept, held_out = parts
    data = _dataset(kept, seen)
    watched = [_dataset(held_out, seen, like=data)]
    stop = lgb.early_stopping(boosting.patience, verbose=False)
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
