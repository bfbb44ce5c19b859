"""CTGAN (Xu et al. 2019, "Modeling Tabular Data using Conditional GAN"), trained by the ctgan package."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field, model_validator

from ehrsynth.conditions import CodeSet, Condition
from ehrsynth.encoding import encode
from ehrsynth.errors import SamplingExhausted
from ehrsynth.generators._ctgan_package import (
    condition_vectors,
    ctgan_network,
    require_ctgan,
    train_ctgan,
)
from ehrsynth.generators.base import AbstractFitted, AbstractGenerator, Draw, Parts
from ehrsynth.generators.plain import (
    PlainColumn,
    check_memory,
    from_rows,
    learn_columns,
    pack_columns,
    to_frame,
    unpack_columns,
)
from ehrsynth.generators.rejection import collect
from ehrsynth.generators.spans import Span, draw_rows, pack_spans, unpack_spans
from ehrsynth.generators.ties import lead
from ehrsynth.progress import Progress, part
from ehrsynth.randomness import numpy_generator, small_seed
from ehrsynth.schema import Schema

if TYPE_CHECKING:
    import torch

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]
Layers = tuple[int, ...]
WEIGHT = "network."


@dataclass(frozen=True, slots=True, eq=False)
class Proposal:
    """How rows for one box of a condition are proposed.

    `span` is the word column that is forced, as its position among the word columns, and `shares` how often
    each of its outputs is asked for; None forces nothing. `mass` is the share of patients who have such a
    word; `allowed` the box by place.
    """

    mass: float
    span: int | None
    shares: Floats
    allowed: Mapping[int, CodeSet]


@dataclass(frozen=True, eq=False)
class FittedCTGAN(AbstractFitted):
    """A generator network, its layout, and how often each word occurs.

    CTGAN's condition vector makes a word likelier and does not fix it. So it is only a proposal: the
    rarest word that a condition asks for is forced, every row is checked, and the acceptance is reported.
    """

    columns: tuple[PlainColumn, ...]
    spans: tuple[Span, ...]
    weights: Mapping[str, NDArray[Any]]

    @cached_property
    def _word_spans(self) -> list[Span]:
        return [s for s in self.spans if s.is_word]

    @cached_property
    def _shares(self) -> list[Floats]:
        return [self.columns[s.place].shares[s.order] for s in self._word_spans]

    @cached_property
    def _network(self) -> "torch.nn.Module":
        n_conditions = sum(s.width for s in self._word_spans)
        settings = self.recipe.model_dump()
        return ctgan_network(settings, n_conditions, sum(s.width for s in self.spans), self.weights)

    def _draw(self, n: int, condition: Condition | None, seed: int, progress: Progress) -> Draw:
        proposals = self._proposals(condition)
        masses = np.array([p.mass for p in proposals])

        def propose(k: int, rng: np.random.Generator) -> Codes:
            sizes = rng.multinomial(k, masses / masses.sum())
            return np.concatenate(
                [self._rows(p, size, rng) for p, size in zip(proposals, sizes, strict=True)]
            )

        rng = numpy_generator(seed, "ctgan", "sample")
        found = collect(self, propose, n, condition, rng=rng, progress=progress)
        probability = 1.0 if condition is None else min(1.0, float(masses.sum()) * found.met)
        return Draw(found.codes[rng.permutation(n)], float(n), found.acceptance, probability)

    def _proposals(self, condition: Condition | None) -> list[Proposal]:
        free = Proposal(1.0, None, np.empty(0), {})
        if condition is None:
            return [free]
        places = {c.name: p for p, c in enumerate(self.schema.learnt)}
        boxes = [{places[name]: codes for name, codes in box.items()} for box in condition.boxes]
        proposals = [p for p in (self._forced(lead(box, self.schema)) for box in boxes) if p.mass > 0]
        if not proposals:
            summary = f"{self.recipe.name} never saw a patient who meets the condition: nothing is returned"
            raise SamplingExhausted(summary, [f"condition: {condition.text}"])
        # Forced and free rows cannot be mixed in the right proportion: one box without a word frees all.
        free_of_words = any(p.span is None for p in proposals)
        return [free] if free_of_words and len(proposals) > 1 else proposals

    def _forced(self, box: Mapping[int, CodeSet]) -> Proposal:
        best = Proposal(1.0, None, np.empty(0), box)
        for place, allowed in box.items():
            shares = self.columns[place].masses(allowed)
            mass = float(shares.sum())
            if mass < best.mass:
                span = next((k for k, s in enumerate(self._word_spans) if s.place == place), None)
                wanted = np.empty(0) if span is None else shares[self._word_spans[span].order]
                best = Proposal(mass, span, wanted, box)
        return best

    def _rows(self, proposal: Proposal, k: int, rng: np.random.Generator) -> Codes:
        if not self.spans:
            outputs: Floats = np.empty((k, 0))
        else:
            outputs = self._outputs(self._conditions(proposal, k, rng), rng)
        return from_rows(draw_rows(outputs, self.spans, rng), self.columns, rng, allowed=proposal.allowed)

    def _conditions(self, proposal: Proposal, k: int, rng: np.random.Generator) -> NDArray[np.float32]:
        if proposal.span is None:
            return condition_vectors(self._shares, k, rng)
        start = sum(s.width for s in self._word_spans[: proposal.span])
        vectors = np.zeros((k, sum(s.width for s in self._word_spans)), np.float32)
        word = rng.choice(len(proposal.shares), k, p=proposal.shares / proposal.shares.sum())
        vectors[np.arange(k), start + word] = 1
        return vectors

    def _outputs(self, conditions: NDArray[np.float32], rng: np.random.Generator) -> Floats:
        import torch

        size = self.recipe.model_dump()["embedding_dim"]
        noise = rng.standard_normal((len(conditions), size)).astype(np.float32)
        with torch.no_grad():
            outputs = self._network(torch.from_numpy(np.concatenate([noise, conditions], axis=1)))
        return np.asarray(outputs.numpy(), np.float64)

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


def stored_weights(arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """The network's weights among a model's arrays."""
    return {name.removeprefix(WEIGHT): array for name, array in arrays.items() if name.startswith(WEIGHT)}


class AbstractNetworkRecipe(AbstractGenerator):
    """What the recipes of both networks share."""

    epochs: int = Field(default=300, ge=1, le=100_000, description="passes over the patients")
    batch_size: int = Field(default=500, ge=10, le=100_000, description="patients in one step")
    embedding_dim: int = Field(default=128, ge=1, le=4096, description="length of the noise vector")
    most_words: int = Field(
        default=100, ge=2, le=10_000, description="a category with more values pools the rare ones"
    )
    memory_gb: float = Field(default=4.0, gt=0, description="the encoded table may take so much memory")

    def _prepared(
        self, table: pd.DataFrame, schema: Schema, seed: int, progress: Progress
    ) -> tuple[tuple[PlainColumn, ...], pd.DataFrame, list[str]]:
        codes = encode(table, schema)
        columns = learn_columns(codes, schema, self.most_words)
        check_memory(columns, len(codes), self.memory_gb)
        rng = numpy_generator(seed, self.name, "frame")
        # Shuffled: the package numbers words as they appear, and the rows' order must not show in that.
        frame, words = to_frame(rng.permutation(codes), columns, rng)
        progress(0.0, f"mixtures of {len(frame.columns) - len(words)} numbers, before the first epoch")
        return columns, frame, words


class CTGAN(AbstractNetworkRecipe):
    """A conditional generative adversarial network; the defaults are its authors'."""

    name: ClassVar[str] = "ctgan"
    fitted: ClassVar[type[AbstractFitted]] = FittedCTGAN

    generator_dim: Layers = Field(default=(256, 256), max_length=10, description="generator's hidden layers")
    discriminator_dim: Layers = Field(default=(256, 256), max_length=10, description="critic's hidden layers")
    generator_lr: float = Field(default=2e-4, gt=0, le=1, description="generator's learning rate")
    generator_decay: float = Field(default=1e-6, ge=0, le=1, description="generator's weight decay")
    discriminator_lr: float = Field(default=2e-4, gt=0, le=1, description="critic's learning rate")
    discriminator_decay: float = Field(default=1e-6, ge=0, le=1, description="critic's weight decay")
    discriminator_steps: int = Field(
        default=1, ge=1, le=100, description="critic's steps for one of the other"
    )
    log_frequency: bool = Field(default=True, description="train on rare words more often than they occur")
    pac: int = Field(default=10, ge=1, le=100, description="patients that the critic judges together")

    @model_validator(mode="after")
    def _batches_divide(self) -> Self:
        if self.batch_size % 2 or self.batch_size % self.pac:
            message = f"batch_size {self.batch_size} must be even and a multiple of pac ({self.pac})"
            raise ValueError(message)
        return self

    def require(self) -> None:
        """Look for the package."""
        require_ctgan(self.name)

    def _fit(self, table: pd.DataFrame, schema: Schema, seed: int, progress: Progress) -> FittedCTGAN:
        self.require()
        columns, frame, words = self._prepared(table, schema, seed, progress)
        if frame.columns.empty:
            return FittedCTGAN(schema, self, columns, (), {})
        settings = package_settings(self)
        trained = train_ctgan(frame, words, settings, small_seed(seed, self.name), part(progress, 0.05, 1.0))
        return FittedCTGAN(schema, self, columns, trained.spans, trained.weights)


def package_settings(recipe: AbstractNetworkRecipe) -> dict[str, Any]:
    """The recipe's fields as arguments of the package's class."""
    return recipe.model_dump(exclude={"most_words", "memory_gb"})
