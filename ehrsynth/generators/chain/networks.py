"""A chain of network links: learnt from a table, and stored as a handful of arrays."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from ehrsynth.encoding import encode, encoding
from ehrsynth.encoding.code import families
from ehrsynth.errors import ModelError
from ehrsynth.generators.chain.any_order import NetworkLink, StateFeature
from ehrsynth.generators.chain.cells import cells_of
from ehrsynth.generators.chain.link import checked_cells
from ehrsynth.generators.chain.network import AnyOrder, Coded, new_network
from ehrsynth.generators.chain.order import chain_order
from ehrsynth.generators.chain.packing import stack, unstack
from ehrsynth.generators.chain.particles import Chain
from ehrsynth.generators.chain.states import States
from ehrsynth.generators.chain.teaching import Teaching, teach
from ehrsynth.progress import Progress
from ehrsynth.randomness import derived_seed, torch_generator
from ehrsynth.schema import LearntColumn, Schema

Array = NDArray[Any]
Codes = NDArray[np.int64]

WEIGHT = "network."
# What arrays of the wrong shape, name or type raise, in numpy and in torch.
_DAMAGE = (KeyError, IndexError, TypeError, ValueError, OverflowError, RuntimeError)


@dataclass(frozen=True, slots=True)
class Neural:
    """How a network is made and taught."""

    width: int
    depth: int
    teaching: Teaching


def learn_network(
    table: pd.DataFrame, schema: Schema, neural: Neural, *, seed: int, progress: Progress
) -> Chain:
    """Learn all columns by one network.

    Parameters
    ----------
    table
        As `ehrsynth.tables.read_table` gives it for `schema`; at least one row.
    """
    codes = encode(table, schema)
    columns = [_coded(codes[:, place], column) for place, column in enumerate(schema.learnt)]
    held = [len(np.unique(codes[:, place])) for place in range(len(columns))]
    order = tuple(chain_order(schema, held))
    network = new_network(
        columns, width=neural.width, depth=neural.depth, seed=derived_seed(seed, "network", "weights")
    )
    found = AnyOrder(tuple(columns), network)
    # One thread is as fast for networks of this size, and the number of threads decides how sums round.
    with threadpool_limits(1):
        teach(
            found,
            states_of(codes, columns),
            order,
            teaching=neural.teaching,
            generator=torch_generator(seed, "network", "teaching"),
            progress=progress,
        )
    return chain_of(schema, found, order)


def _coded(codes: Codes, column: LearntColumn) -> Coded:
    ordered = encoding(column).numeric
    states = States.learn(codes, column.size, listed=not ordered)
    return Coded(states, cells_of(states, ordered=ordered, families=families(column)), ordered)


def states_of(codes: Codes, columns: Sequence[Coded]) -> torch.Tensor:
    """The state of each cell of a table: int64, n x columns."""
    return torch.from_numpy(
        np.column_stack([column.states.assign(codes[:, place]) for place, column in enumerate(columns)])
    )


def chain_of(schema: Schema, network: AnyOrder, order: Sequence[int]) -> Chain:
    """The network as a chain in this order."""
    order = tuple(order)
    features = tuple(
        StateFeature(network.columns[place].states, listed=not network.columns[place].ordered)
        for place in order
    )
    return Chain(schema, order, features, tuple(NetworkLink(network, place, order) for place in order))


def pack_network(chain: Chain) -> tuple[dict[str, Any], dict[str, Array]]:
    """A chain of network links as plain values and named arrays, for a model's folder."""
    network = next(link.network for link in chain.links if isinstance(link, NetworkLink))
    columns = [
        {"low": c.states.low, "high": c.states.high, "share": c.states.share, "cell": c.cell}
        for c in network.columns
    ]
    weights = {WEIGHT + name: weight for name, weight in network.weights().items()}
    told_apart = [c.told_apart for c in network.columns]
    return {"order": list(chain.order), "told_apart": told_apart}, stack("column", columns) | weights


def unpack_network(
    schema: Schema, values: Mapping[str, Any], arrays: Mapping[str, Array], *, width: int, depth: int
) -> Chain:
    """The chain that `pack_network` made.

    Raises
    ------
    ModelError
        If it is damaged.
    """
    try:
        return _unpacked(schema, values, arrays, width=width, depth=depth)
    except _DAMAGE as error:
        message = (
            f"the parts of the network do not fit together ({type(error).__name__}): the model is damaged"
        )
        raise ModelError(message) from error


def _unpacked(
    schema: Schema, values: Mapping[str, Any], arrays: Mapping[str, Array], *, width: int, depth: int
) -> Chain:
    order = [int(place) for place in values["order"]]
    if sorted(order) != list(range(len(schema.learnt))):
        message = "the stored order is none of the schema's columns: the model is damaged"
        raise ModelError(message)
    stored = unstack("column", arrays, len(schema.learnt))
    columns = [
        _stored(fields, column, told_apart=bool(told))
        for fields, column, told in zip(stored, schema.learnt, values["told_apart"], strict=True)
    ]
    weights = {name.removeprefix(WEIGHT): a for name, a in arrays.items() if name.startswith(WEIGHT)}
    return chain_of(schema, AnyOrder.of_weights(columns, weights, width=width, depth=depth), order)


def _stored(fields: Mapping[str, Array], column: LearntColumn, *, told_apart: bool) -> Coded:
    states = States(fields["low"], fields["high"], fields["share"]).checked(column.size)
    cell = checked_cells(fields["cell"], len(states), len(np.unique(fields["cell"])))
    return Coded(states, cell, encoding(column).numeric, told_apart)
