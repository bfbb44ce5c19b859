"""A chain as a handful of arrays, and back: the arrays of all links stand one after the other.

A table of 300 columns has thousands of small arrays; stacked by name they are some seventy.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ehrsynth.encoding import encoding
from ehrsynth.errors import ModelError
from ehrsynth.generators.chain.boosted import pack_trees, unpack_trees
from ehrsynth.generators.chain.classifier import Classifier, checked_shares
from ehrsynth.generators.chain.features import Feature
from ehrsynth.generators.chain.forest import pack_forest, unpack_forest
from ehrsynth.generators.chain.linear import pack_score_card, unpack_score_card
from ehrsynth.generators.chain.link import Link, checked_cells
from ehrsynth.generators.chain.particles import Chain
from ehrsynth.generators.chain.states import States
from ehrsynth.schema import Schema

Array = NDArray[Any]
Fields = Mapping[str, Array]
_TWO = 2
# What checks of arrays of the wrong length, name or type raise.
_DAMAGE = (KeyError, IndexError, TypeError, ValueError, OverflowError)


def pack_chain(chain: Chain) -> tuple[dict[str, Any], dict[str, Array]]:
    """A chain of trees as plain values and named arrays, for a model's folder."""
    links = [(step, link) for step, link in enumerate(chain.links) if isinstance(link, Link)]
    seen = [feature for feature in chain.features if isinstance(feature, Feature)]
    cards = [(step, link.classifier.card) for step, link in links if link.classifier.card is not None]
    trees = [(step, link.classifier.trees) for step, link in links if link.classifier.trees is not None]
    forests = [((s, cell), f) for s, link in links for cell, f in enumerate(link.forests) if f is not None]
    arrays = (
        stack("feature", [{"cuts": feature.cuts} for feature in seen])
        | stack("link", [_pack_link(link) for _, link in links])
        | stack("card", [pack_score_card(card) for _, card in cards])
        | stack("trees", [pack_trees(grown) for _, grown in trees])
        | stack("forest", [pack_forest(forest) for _, forest in forests])
    )
    values = {
        "order": list(chain.order),
        "cards": [step for step, _ in cards],
        "trees": [step for step, _ in trees],
        "forest": [list(where) for where, _ in forests],
    }
    return values, arrays


def _pack_link(link: Link) -> dict[str, Array]:
    states = link.states
    held = {"low": states.low, "high": states.high, "share": states.share}
    return held | {"cell": link.cell, "cell_share": link.classifier.shares}


def unpack_chain(schema: Schema, values: Mapping[str, Any], arrays: Fields) -> Chain:
    """The chain that `pack_chain` made.

    Raises
    ------
    ModelError
        If it is damaged.
    """
    try:
        return _unpacked(schema, values, arrays)
    except _DAMAGE as error:
        message = f"the parts of the chain do not fit together ({type(error).__name__}): the model is damaged"
        raise ModelError(message) from error


def _unpacked(schema: Schema, values: Mapping[str, Any], arrays: Fields) -> Chain:
    order = [int(place) for place in values["order"]]
    if sorted(order) != list(range(len(schema.learnt))):
        message = "the stored order is none of the schema's columns: the model is damaged"
        raise ModelError(message)
    columns = [schema.learnt[place] for place in order]
    features = tuple(
        Feature(fields["cuts"], listed=not encoding(column).numeric).checked()
        for column, fields in zip(columns, unstack("feature", arrays, len(order)), strict=True)
    )
    cards = dict(zip(values["cards"], unstack("card", arrays, len(values["cards"])), strict=True))
    trees = dict(zip(values["trees"], unstack("trees", arrays, len(values["trees"])), strict=True))
    forests = _by_step("forest", values, arrays, len(order))
    links = []
    for step, fields in enumerate(unstack("link", arrays, len(order))):
        classifier = _unpack_classifier(fields["cell_share"], cards.get(step), trees.get(step), step)
        links.append(_unpack_link(fields, columns[step].size, classifier, forests[step], step))
    return Chain(schema, tuple(order), features, tuple(links))


def _by_step(name: str, values: Mapping[str, Any], arrays: Fields, steps: int) -> list[dict[int, Fields]]:
    """For each step the stacked things that belong to some of its cells."""
    found: list[dict[int, Fields]] = [{} for _ in range(steps)]
    for (step, cell), fields in zip(values[name], unstack(name, arrays, len(values[name])), strict=True):
        found[step][cell] = fields
    return found


def _unpack_classifier(shares: Array, card: Fields | None, trees: Fields | None, features: int) -> Classifier:
    classes = len(checked_shares(shares))
    return Classifier(
        shares,
        None if card is None else unpack_score_card(card, features, classes),
        None if trees is None else unpack_trees(trees, features, 1 if classes == _TWO else classes),
    )


def _unpack_link(
    fields: Fields, size: int, classifier: Classifier, forests: Mapping[int, Fields], features: int
) -> Link:
    states = States(fields["low"], fields["high"], fields["share"]).checked(size)
    cells = len(classifier.shares)
    grown = tuple(
        unpack_forest(forests[cell], features, len(states)) if cell in forests else None
        for cell in range(cells)
    )
    return Link(states, checked_cells(fields["cell"], len(states), cells), classifier, grown)


def stack(name: str, pieces: Sequence[Fields]) -> dict[str, Array]:
    """The arrays of several things with the same fields, each field of all of them as one flat array.

    >>> {k: v.tolist() for k, v in stack("a", [{"x": np.array([1, 2])}, {"x": np.array([3])}]).items()}
    {'a.x': [1, 2, 3], 'a.x.length': [2, 1]}
    """
    arrays: dict[str, Array] = {}
    for field in pieces[0] if pieces else ():
        flat = [piece[field].ravel() for piece in pieces]
        arrays[f"{name}.{field}"] = np.concatenate(flat)
        arrays[f"{name}.{field}.length"] = np.array([len(array) for array in flat], np.int64)
    return arrays


def unstack(name: str, arrays: Fields, count: int) -> list[dict[str, Array]]:
    """The fields of each of `count` things that `stack` put together, all flat.

    Raises
    ------
    ModelError
        If lengths do not fit.
    """
    pieces: list[dict[str, Array]] = [{} for _ in range(count)]
    prefix, suffix = f"{name}.", ".length"
    for key in [k for k in arrays if k.startswith(prefix) and not k.endswith(suffix)]:
        whole, lengths = arrays[key], arrays[key + suffix]
        if len(lengths) != count or (lengths < 0).any() or lengths.sum() != len(whole):
            message = "stored arrays have other lengths than their pieces: the model is damaged"
            raise ModelError(message)
        for piece, array in zip(pieces, np.split(whole, np.cumsum(lengths)[:-1]), strict=True):
            piece[key.removeprefix(prefix)] = array
    return pieces
