"""The network that learnt privately: single columns go back to the counts that were paid for."""

import numpy as np
import torch

from ehrsynth.generators.chain.network import AnyOrder, Coded, new_network
from ehrsynth.generators.chain.networks import chain_of, states_of
from ehrsynth.generators.chain.private_network import _hold_to_counts
from ehrsynth.generators.public_states import public_states
from ehrsynth.schema import Schema

SCHEMA = Schema(
    name="clinic",
    citation="made for this test",
    columns=(
        {"name": "ward", "kind": "category", "values": ("a", "b", "c")},
        {"name": "dead", "kind": "boolean", "missing": True},
    ),
)
SHARES = (np.array([0.7, 0.25, 0.05]), np.array([0.1, 0.85, 0.05]))


def test_free_rows_get_the_shares_that_were_counted() -> None:
    columns = []
    for column, share in zip(SCHEMA.learnt, SHARES, strict=True):
        states = public_states(column)
        object.__setattr__(states, "share", share)
        columns.append(Coded(states, np.arange(len(states)), ordered=False, told_apart=False))
    coded = tuple(columns)
    model = AnyOrder(coded, new_network(coded, width=8, depth=1, seed=1))
    with torch.no_grad():  # what noise in the gradients may do
        model.network.coarse.weight.normal_(0, 0.5, generator=torch.Generator().manual_seed(1))
        model.network.coarse.bias.add_(torch.tensor([1.0, -0.5, 0.3, 0.8, -1.0, 0.0]))
    chain = chain_of(SCHEMA, model, (0, 1))

    def off(seed: int) -> float:
        states = states_of(chain.draw(20_000, np.random.default_rng(seed)), coded).numpy()
        drawn = [np.bincount(states[:, k], minlength=3) / len(states) for k in range(2)]
        return max(float(np.abs(d - s).sum() / 2) for d, s in zip(drawn, SHARES, strict=True))

    before = off(1)
    _hold_to_counts(model, chain, np.random.default_rng(2))
    assert before > 0.15
    assert off(3) < 0.02
