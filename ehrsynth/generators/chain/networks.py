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
from ehrsynth.engine.spilling import spill_folder
from ehrsynth.errors import ModelError, RequestError
from ehrsynth.generators.chain.any_order import NetworkLink, StateFeature
from ehrsynth.generators.chain.cells import cells_of
from ehrsynth.generators.chain.link import checked_cells
from ehrsynth.generators.chain.network import AnyOrder, Coded, new_network
from ehrsynth.generators.chain.order import chain_order
from ehrsynth.generators.chain.packing import stack, unstack
from ehrsynth.generators.chain.particles import Chain
from ehrsynth.generators.chain.states import States
from ehrsynth.generators.chain.teaching import Teaching, teach
from ehrsynth.generators.counting import Counts
from ehrsynth.generators.marginals import marginal_of_counts
from ehrsynth.generators.streamed import counted, together
from ehrsynth.progress import Progress, part
from ehrsynth.randomness import derived_seed, torch_generator
from ehrsynth.schema import LearntColumn, Schema
from ehrsynth.tables.streaming import TableStream

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
    counts = Counts.of(codes)
    columns = _columns(counts, schema)
    coded = columns, states_of(codes, columns)
    return _taught(schema, counts, coded, neural, seed=seed, progress=progress)


def learn_network_streamed(table: TableStream, neural: Neural, *, seed: int, progress: Progress) -> Chain:
    """As `learn_network`, of a table that need not fit into memory: the same network.

    The states come from counts over all patients. Each patient's states are then written to a private file,
    which is removed at the end; a step reads its patients from there.

    Raises
    ------
    RequestError
        If the table, of a database that others write to, changed between the two readings.
    """
    schema = table.schema
    counts = counted(table, part(progress, 0.0, 0.1))
    columns, seen, report = _columns(counts, schema), 0, part(progress, 0.1, 0.2)
    with spill_folder() as folder:
        shape = (counts.patients, len(columns))
        states, again = np.memmap(folder / "states", np.int32, "w+", shape=shape), None
        for piece in table:
            codes = encode(piece, schema)
            room = counts.patients - seen  # none is left for patients who came after the counting
            states[seen : seen + len(piece)] = states_of(codes[: max(room, 0)], columns).numpy()
            again = Counts.of(codes) if again is None else together(again, Counts.of(codes))
            seen += len(piece)
            report(min(1.0, seen / counts.patients), f"{seen} of {counts.patients} patients encoded")
        _refuse_changed(counts, again, seen)
        coded, rest = (columns, torch.from_numpy(states)), part(progress, 0.2, 1.0)
        return _taught(schema, counts, coded, neural, seed=seed, progress=rest)


def _refuse_changed(counts: Counts, again: Counts | None, seen: int) -> None:
    """Raise where the second reading of a table held other patients than the first."""
    remedy = "Learn from a copy of it, or while nobody writes to it"
    if seen != counts.patients:
        raise RequestError(
            f"the table changed while it was read: it had {counts.patients:,} patients, and {seen:,} when it "
            f"was read again. {remedy}"
        )
    first = (*counts.values, *counts.held)
    other = again is None or not all(map(np.array_equal, first, (*again.values, *again.held)))
    if other:
        raise RequestError(
            f"the table changed while it was read: its {seen:,} patients held other values when it was read "
            f"again. {remedy}"
        )


def _columns(counts: Counts, schema: Schema) -> list[Coded]:
    return [
        _coded(values, held, column)
        for values, held, column in zip(counts.values, counts.held, schema.learnt, strict=True)
    ]


def _taught(
    schema: Schema,
    counts: Counts,
    coded: tuple[Sequence[Coded], torch.Tensor],
    neural: Neural,
    *,
    seed: int,
    progress: Progress,
) -> Chain:
    columns, states = coded
    order = tuple(chain_order(schema, [len(values) for values in counts.values]))
    network = new_network(
        columns, width=neural.width, depth=neural.depth, seed=derived_seed(seed, "network", "weights")
    )
    found = AnyOrder(tuple(columns), network)
    # One thread is as fast for networks of this size, and the number of threads decides how sums round.
    with threadpool_limits(1):
        teach(
            found,
            states,
            order,
            teaching=neural.teaching,
            generator=torch_generator(seed, "network", "teaching"),
            progress=progress,
        )
    return chain_of(schema, found, order)


def _coded(values: Codes, held: Codes, column: LearntColumn) -> Coded:
    ordered = encoding(column).numeric
    states = States.of(marginal_of_counts(values, held, column.size, listed=not ordered))
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
