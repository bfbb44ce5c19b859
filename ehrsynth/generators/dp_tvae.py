"""A variational autoencoder for tables, trained with differential privacy; only its decoder is kept.

After TVAE (Xu et al. 2019, "Modeling Tabular Data using Conditional GAN"), without what cannot be private
there: no mixtures fitted to raw numbers. One loss a patient makes it the plainest deep model to train
privately.
"""

from typing import ClassVar

import numpy as np
import torch
from threadpoolctl import threadpool_limits
from torch import Tensor, nn

from ehrsynth.dp.descent import descend
from ehrsynth.generators.base import AbstractFitted
from ehrsynth.generators.binned_network import (
    AbstractBinnedRecipe,
    Averaged,
    Decoder,
    FittedBinnedNetwork,
    begin,
    one_hot,
    prepared,
    spans,
)
from ehrsynth.generators.graphical.bins import Binned
from ehrsynth.generators.private import Till
from ehrsynth.progress import Progress, part
from ehrsynth.randomness import global_seed
from ehrsynth.schema import Schema


class _Autoencoder(nn.Module):
    def __init__(self, columns: tuple[Binned, ...], *, noise: int, width: int) -> None:
        super().__init__()
        self.encode = nn.Linear(sum(c.size for c in columns), width)
        self.code = nn.Linear(width, 2 * noise)
        self.decoder = Decoder(columns, noise=noise, width=width)

    def forward(self, inputs: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mean, log_spread = self.code(nn.functional.silu(self.encode(inputs))).chunk(2, dim=1)
        return self.decoder(mean + noise * (log_spread / 2).exp()), mean, log_spread


class DPTVAE(AbstractBinnedRecipe):
    """A variational autoencoder with private training: research quality, for comparison only."""

    name: ClassVar[str] = "dp-tvae"
    fitted: ClassVar[type[AbstractFitted]] = FittedBinnedNetwork

    def _fit_private(self, till: Till, schema: Schema, progress: Progress) -> FittedBinnedNetwork:
        begun = begin(self, till, schema)
        columns, parted = begun.ones.columns, spans(begun.ones.columns)
        if not columns:
            return FittedBinnedNetwork(schema, self, columns, {}, till.receipt(begun.ledger.close()))

        def loss(module: nn.Module, bins: Tensor, generator: torch.Generator) -> Tensor:
            noise = torch.randn((len(bins), self.embedding_dim), generator=generator)
            scores, mean, log_spread = module(one_hot(bins, columns), noise)
            total = 0.5 * (mean**2 + log_spread.exp() - 1 - log_spread).sum(dim=1)
            for k, span in enumerate(parted):
                total = total - scores[:, span].log_softmax(dim=1).gather(1, bins[:, k, None]).squeeze(1)
            return torch.as_tensor(total)

        with global_seed(int(till.stream.words(1)[0] >> np.uint64(1))):
            model = _Autoencoder(columns, noise=self.embedding_dim, width=self.width)
        averaged = Averaged(model)
        with threadpool_limits(1):  # how many threads decides how sums round
            descend(
                begun.ledger,
                model,
                loss,
                descent=begun.descent,
                stream=till.stream,
                prepare=lambda rows: prepared(schema, columns, rows),
                progress=part(progress, 0.1, 1.0),
                after=averaged.add,
            )
        spent = till.receipt(begun.ledger.close())
        return FittedBinnedNetwork(schema, self, columns, averaged.arrays("decoder."), spent)
