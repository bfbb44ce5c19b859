"""TVAE (Xu et al. 2019, "Modeling Tabular Data using Conditional GAN"), trained by the ctgan package."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from ehrsynth.conditions import Condition
from ehrsynth.generators._ctgan_package import require_ctgan, train_tvae, tvae_network
from ehrsynth.generators.base import AbstractFitted, AbstractGenerator, Draw, Parts
from ehrsynth.generators.ctgan import WEIGHT, AbstractNetworkRecipe, Layers, package_settings, stored_weights
from ehrsynth.generators.plain import PlainColumn, from_rows, pack_columns, unpack_columns
from ehrsynth.generators.rejection import collect
from ehrsynth.generators.spans import Span, draw_rows, pack_spans, unpack_spans
from ehrsynth.progress import Progress, part
from ehrsynth.randomness import numpy_generator, small_seed
from ehrsynth.schema import Schema

if TYPE_CHECKING:
    import torch

Codes = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class FittedTVAE(AbstractFitted):
    """A decoder network and its layout.

    Words are drawn from the decoder's distribution, as the paper's model says; the package takes the
    likeliest word instead, which loses the rare ones. There is no way to condition: rows are drawn and
    checked in bounded time.
    """

    columns: tuple[PlainColumn, ...]
    spans: tuple[Span, ...]
    weights: Mapping[str, NDArray[Any]]

    @cached_property
    def _network(self) -> "torch.nn.Module":
        return tvae_network(self.recipe.model_dump(), sum(s.width for s in self.spans), self.weights)

    def _draw(self, n: int, condition: Condition | None, seed: int, progress: Progress) -> Draw:
        rng = numpy_generator(seed, "tvae", "sample")
        found = collect(self, self._rows, n, condition, rng=rng, progress=progress)
        probability = 1.0 if condition is None else found.met
        return Draw(found.codes, float(n), found.acceptance, probability)

    def _rows(self, k: int, rng: np.random.Generator) -> Codes:
        if not self.spans:
            return from_rows(draw_rows(np.empty((k, 0)), (), rng), self.columns, rng)
        import torch

        size = self.recipe.model_dump()["embedding_dim"]
        noise = torch.from_numpy(rng.standard_normal((k, size)).astype(np.float32))
        with torch.no_grad():
            outputs, spread = self._network(noise)
        spread = spread.detach().numpy().astype(np.float64)
        rows = draw_rows(outputs.numpy().astype(np.float64), self.spans, rng, spread)
        return from_rows(rows, self.columns, rng)

    def parts(self) -> Parts:
        """Network weights, mixture components and word shares."""
        weights = {WEIGHT + name: array for name, array in self.weights.items()}
        return Parts({}, pack_columns(self.columns) | pack_spans(self.spans) | weights)

    @classmethod
    def from_parts(cls, schema: Schema, recipe: AbstractGenerator, parts: Parts) -> Self:
        """Rebuild from `parts`."""
        columns = unpack_columns(parts.arrays, schema)
        spans = unpack_spans(parts.arrays, columns)
        fitted = cls(schema, recipe, columns, spans, stored_weights(parts.arrays))
        if spans:
            _ = fitted._network  # weights of another shape are found now
        return fitted


class TVAE(AbstractNetworkRecipe):
    """A variational autoencoder; the defaults are its authors'."""

    name: ClassVar[str] = "tvae"
    fitted: ClassVar[type[AbstractFitted]] = FittedTVAE

    compress_dims: Layers = Field(default=(128, 128), max_length=10, description="encoder's hidden layers")
    decompress_dims: Layers = Field(default=(128, 128), max_length=10, description="decoder's hidden layers")
    l2scale: float = Field(default=1e-5, ge=0, le=1, description="weight decay")
    loss_factor: float = Field(default=2.0, gt=0, le=1000, description="weight of the reconstruction")

    def require(self) -> None:
        """Look for the package."""
        require_ctgan(self.name)

    def _fit(self, table: pd.DataFrame, schema: Schema, seed: int, progress: Progress) -> FittedTVAE:
        self.require()
        columns, frame, words = self._prepared(table, schema, seed, progress)
        if frame.columns.empty:
            return FittedTVAE(schema, self, columns, (), {})
        settings = package_settings(self)
        trained = train_tvae(frame, words, settings, small_seed(seed, self.name), part(progress, 0.05, 1.0))
        return FittedTVAE(schema, self, columns, trained.spans, trained.weights)
