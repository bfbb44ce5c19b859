"""A generative adversarial network for tables whose critic is trained with differential privacy.

After CTGAN (Xu et al. 2019), without all that would break the guarantee: no mixtures fitted to raw numbers,
no packing (one judgement would mix patients), no gradient penalty, no batch normalisation, no sampling by
real frequencies. Only the critic sees patients; what the generator learns from it is post-processing (Xie et
al. 2018, "Differentially Private Generative Adversarial Network").
"""

from typing import ClassVar

import numpy as np
import torch
from pydantic import Field
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
    new_decoder,
    one_hot,
    prepared,
    spans,
)
from ehrsynth.generators.private import Till
from ehrsynth.progress import Progress, part
from ehrsynth.randomness import global_seed
from ehrsynth.schema import Schema

_BETAS = (0.5, 0.9)
_TINY = 1e-9


class _Critic(nn.Module):
    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.first = nn.Linear(inputs, width)
        self.last = nn.Linear(width, 1)

    def forward(self, rows: Tensor) -> Tensor:
        found: Tensor = self.last(nn.functional.leaky_relu(self.first(rows), 0.2))
        return found.squeeze(1)


class DPCTGAN(AbstractBinnedRecipe):
    """A generative adversarial network with a private critic: research quality, for comparison only."""

    name: ClassVar[str] = "dp-ctgan"
    fitted: ClassVar[type[AbstractFitted]] = FittedBinnedNetwork

    generator_rate: float = Field(default=1e-3, gt=0, le=1, description="learning rate of the generator")
    temperature: float = Field(default=0.5, gt=0, description="of the choices that gradients pass through")

    def _fit_private(self, till: Till, schema: Schema, progress: Progress) -> FittedBinnedNetwork:
        begun = begin(self, till, schema)
        columns, parted = begun.ones.columns, spans(begun.ones.columns)
        if not columns:
            return FittedBinnedNetwork(schema, self, columns, {}, till.receipt(begun.ledger.close()))
        seed = int(till.stream.words(1)[0] >> np.uint64(1))
        maker = new_decoder(columns, noise=self.embedding_dim, width=self.width, seed=seed)
        with global_seed(seed):
            critic = _Critic(sum(c.size for c in columns), self.width)
        optimiser = torch.optim.Adam(maker.parameters(), lr=self.generator_rate, betas=_BETAS)
        averaged, private = Averaged(maker), till.stream.torch_generator()
        size = min(self.batch_size, 1_000)

        def real_loss(module: nn.Module, bins: Tensor, generator: torch.Generator) -> Tensor:
            return nn.functional.softplus(-module(one_hot(bins, columns)))

        def made_loss(module: nn.Module, generator: torch.Generator) -> Tensor:
            with torch.no_grad():
                made = self._made(maker, parted, size, generator)
            return nn.functional.softplus(module(made)).mean()

        def teach_maker(step: int) -> None:
            optimiser.zero_grad()
            nn.functional.softplus(-critic(self._made(maker, parted, size, private))).mean().backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            averaged.add(step)

        with threadpool_limits(1):  # how many threads decides how sums round
            descend(
                begun.ledger,
                critic,
                real_loss,
                descent=begun.descent,
                stream=till.stream,
                prepare=lambda rows: prepared(schema, columns, rows),
                progress=part(progress, 0.1, 1.0),
                public_loss=made_loss,
                after=teach_maker,
            )
        spent = till.receipt(begun.ledger.close())
        return FittedBinnedNetwork(schema, self, columns, averaged.arrays(), spent)

    def _made(self, maker: Decoder, parted: list[slice], n: int, generator: torch.Generator) -> Tensor:
        """Synthetic rows of 0 and 1; gradients pass as through soft choices (Jang et al. 2017)."""
        scores = maker(torch.randn((n, self.embedding_dim), generator=generator))
        rows = []
        for span in parted:
            uniform = torch.rand((n, span.stop - span.start), generator=generator)
            gumbel = -(-(uniform + _TINY).log() + _TINY).log()
            soft = ((scores[:, span] + gumbel) / self.temperature).softmax(dim=1)
            hard = nn.functional.one_hot(soft.argmax(dim=1), soft.shape[1]).float()
            rows.append(hard - soft.detach() + soft)
        return torch.cat(rows, dim=1)
