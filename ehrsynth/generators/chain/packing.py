"""A chain as a handful of arrays, and back: the arrays of all links stand one after the other.

A table of 300 columns has thousands of small arrays; stacked by name they are some seventy.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load, save

from ehrsynth.encoding import encoding
from ehrsynth.errors import ModelError
from ehrsynth.generators.chain.boosted import pack_trees, unpack_trees
from ehrsynth.generators.chain.classifier import Classifier, checked_shares
from ehrsynth.generators.chain.echo import Echo
from ehrsynth.generators.chain.elapsed import elapsed_between
from ehrsynth.generators.chain.features import Feature, with_gaps_seen
from ehrsynth.generators.chain.forest import pack_forest, unpack_forest
from ehrsynth.generators.chain.lattice import Lattice
from ehrsynth.generators.chain.linear import pack_score_card, unpack_score_card
from ehrsynth.generators.chain.link import Link, checked_cells
from ehrsynth.generators.chain.particles import Chain
from ehrsynth.generators.chain.states import States
from ehrsynth.schema import Schema

Array = NDArray[Any]
Fields = Mapping[str, Array]
_TWO = 2
_VALUES = "values"
_NONE = {name: np.empty(0, np.int64) for name in ("first", "step", "count")} | {"chance": np.empty(0)}
_OF_LATTICE = tuple(_NONE)
_HEAD = 8  # bytes of a safetensors file that say how long its JSON is
# What checks of arrays of the wrong length, name or type raise.
_DAMAGE = (KeyError, IndexError, TypeError, ValueError, OverflowError)


def pack_chain(chain: Chain) -> tuple[dict[str, Any], dict[str, Array]]:
    """A chain of trees as plain values and named arrays, for a model's folder."""
    links = [(step, link) for step, link in enumerate(chain.links) if isinstance(link, Link)]
    seen = [feature for feature in chain.features if isinstance(feature, Feature)]
    missing = [(step, link.missing) for step, link in links if link.missing is not None]
    # Those of the links, one a step, then those of the echoes, then those of who is missing.
    classifiers = [link.classifier for _, link in links] + [echo.chance for echo in chain.echoes.values()]
    classifiers += [classifier for _, classifier in missing]
    cards = [(place, c.card) for place, c in enumerate(classifiers) if c.card is not None]
    trees = [(place, c.trees) for place, c in enumerate(classifiers) if c.trees is not None]
    forests = [((s, cell), f) for s, link in links for cell, f in enumerate(link.forests) if f is not None]
    arrays = (
        stack("feature", [{"cuts": feature.cuts} for feature in seen])
        | stack("link", [_pack_link(link) for _, link in links])
        | stack("card", [pack_score_card(card) for _, card in cards])
        | stack("trees", [pack_trees(grown) for _, grown in trees])
        | stack("forest", [pack_forest(forest) for _, forest in forests])
        | stack("classifier", [{"share": classifier.shares} for classifier in classifiers])
    )
    values = {
        "order": list(chain.order),
        "cards": [place for place, _ in cards],
        "trees": [place for place, _ in trees],
        "forest": [list(where) for where, _ in forests],
        "echo": [[step, echo.source] for step, echo in chain.echoes.items()],
        "missing": [step for step, _ in missing],
        "elapsed": [[step, column.origin] for step, column in chain.elapsed.items()],
    }
    return values, arrays


def _pack_link(link: Link) -> dict[str, Array]:
    states = link.states
    fields = {"low": states.low, "high": states.high, "share": states.share, "cell": link.cell}
    lattices = {name: [getattr(lattice, name) for lattice in states.rounded] for name in _OF_LATTICE}
    return fields | {name: np.concatenate([_NONE[name], *arrays]) for name, arrays in lattices.items()}


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
    echoes = [(int(step), int(source)) for step, source in values["echo"]]
    if any(source not in order[:step] for step, source in echoes):
        raise ModelError("a number repeats one that is not before it: the model is damaged")
    counted = {int(step): (order[step], int(origin)) for step, origin in values.get("elapsed", ())}
    if any(origin not in order[:step] for step, (_, origin) in counted.items()):
        raise ModelError("a column is counted from one that is not before it: the model is damaged")
    elapsed = {step: elapsed_between(schema, *places) for step, places in counted.items()}
    sizes = [elapsed[step].size if step in elapsed else column.size for step, column in enumerate(columns)]
    gone = [int(step) for step in values.get("missing", ())]
    steps = [*range(len(order)), *(step for step, _ in echoes), *gone]
    inputs = [len(with_gaps_seen(features[:step])) for step in steps]
    classifiers = _unpack_classifiers(values, arrays, inputs)
    forests = _by_step("forest", values, arrays, len(order))
    chances, missing = classifiers[len(order) :][: len(echoes)], classifiers[len(order) + len(echoes) :]
    absent = dict(zip(gone, missing, strict=True))
    links = tuple(
        _unpack_link(fields, sizes[step], (absent.get(step), classifiers[step]), forests[step], inputs[step])
        for step, fields in enumerate(unstack("link", arrays, len(order)))
    )
    repeated = {step: Echo(source, c) for (step, source), c in zip(echoes, chances, strict=True)}
    return Chain(schema, tuple(order), features, links, repeated, elapsed)


def pack_step(schema: Schema, link: Link, echo: Echo | None) -> bytes:
    """One link of trees, and its echo if it has one, as bytes that travel and are kept."""
    echoes = {} if echo is None else {0: echo}
    values, arrays = pack_chain(Chain(schema, (0,), (), (link,), echoes))
    contiguous = {name: np.array(array, order="C", copy=True) for name, array in arrays.items()}
    return save(contiguous, metadata={_VALUES: json.dumps(values)})


def unpack_step(packed: bytes, size: int, inputs: int) -> tuple[Link, Echo | None]:
    """What `pack_step` packed, for a grid of `size` points and a link that sees so many inputs.

    Raises
    ------
    ModelError
        If it is damaged.
    """
    try:
        values = json.loads(_metadata(packed)[_VALUES])
        arrays = load(packed)
        sources = [int(source) for _, source in values["echo"]]
        gone = len(values["missing"])
        classifiers = _unpack_classifiers(values, arrays, [inputs] * (1 + len(sources) + gone))
        (forests,), (fields,) = _by_step("forest", values, arrays, 1), unstack("link", arrays, 1)
        missing = classifiers[-1] if gone else None
        link = _unpack_link(fields, size, (missing, classifiers[0]), forests, inputs)
    except _DAMAGE as error:
        raise ModelError(f"a kept link does not fit together ({type(error).__name__})") from error
    return link, Echo(sources[0], classifiers[1]) if sources else None


def _metadata(packed: bytes) -> dict[str, str]:
    length = int.from_bytes(packed[:_HEAD], "little")
    found: dict[str, str] = json.loads(packed[_HEAD : _HEAD + length])["__metadata__"]
    return found


def _by_step(name: str, values: Mapping[str, Any], arrays: Fields, steps: int) -> list[dict[int, Fields]]:
    """For each step the stacked things that belong to some of its cells."""
    found: list[dict[int, Fields]] = [{} for _ in range(steps)]
    for (step, cell), fields in zip(values[name], unstack(name, arrays, len(values[name])), strict=True):
        found[step][cell] = fields
    return found


def _unpack_classifiers(values: Mapping[str, Any], arrays: Fields, inputs: Sequence[int]) -> list[Classifier]:
    """The classifiers that were stored, one for each number of inputs."""
    cards, trees = (
        dict(zip(values[name], unstack(stacked, arrays, len(values[name])), strict=True))
        for name, stacked in (("cards", "card"), ("trees", "trees"))
    )
    found = []
    for place, fields in enumerate(unstack("classifier", arrays, len(inputs))):
        classes = len(checked_shares(fields["share"]))
        card = unpack_score_card(cards[place], inputs[place], classes) if place in cards else None
        outputs = 1 if classes == _TWO else classes
        grown = unpack_trees(trees[place], inputs[place], outputs) if place in trees else None
        found.append(Classifier(fields["share"], card, grown))
    return found


def _unpack_lattices(fields: Fields) -> tuple[Lattice, ...]:
    """The coarser lattices of a column's states; none in a model of before there were any."""
    flat, states = [fields.get(name, _NONE[name]) for name in _OF_LATTICE], len(fields["low"])
    return tuple(Lattice(*parts) for parts in zip(*(a.reshape(-1, states) for a in flat), strict=True))


def _unpack_link(
    fields: Fields,
    size: int,
    learnt: tuple[Classifier | None, Classifier],
    forests: Mapping[int, Fields],
    features: int,
) -> Link:
    states = States(fields["low"], fields["high"], fields["share"], _unpack_lattices(fields)).checked(size)
    missing, classifier = learnt
    cells = len(classifier.shares) + (missing is not None)
    if missing is not None:
        last_is_missing = np.array_equal(fields["cell"] == cells - 1, states.is_missing)
        if len(missing.shares) != _TWO or not last_is_missing:
            raise ModelError("a link tells who is missing, and nobody can be: the model is damaged")
    grown = tuple(
        unpack_forest(forests[cell], features, len(states)) if cell in forests else None
        for cell in range(cells)
    )
    return Link(states, checked_cells(fields["cell"], len(states), cells), missing, classifier, grown)


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
