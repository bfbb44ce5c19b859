"""Gaussian and multinomial diffusion for tables, conditioned by inpainting.

TabDDPM (Kotelnikov, Baranchuk, Rubachev, Babenko 2023, "TabDDPM: Modelling Tabular Data with Diffusion
Models", ICML): numbers as normal scores under Gaussian noise, words under multinomial noise, one network for
both. Conditions by inpainting (RePaint: Lugmayr et al. 2022, CVPR). Where this differs from the papers is
said in `denoising`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from ehrsynth.conditions import Condition
from ehrsynth.encoding import encode
from ehrsynth.errors import ModelError, SamplingExhausted
from ehrsynth.generators.base import AbstractFitted, AbstractGenerator, Draw, Parts
from ehrsynth.generators.denoising.cells import Cells, Given, learn_cells, pack_cells, unpack_cells
from ehrsynth.generators.rejection import collect, repaired
from ehrsynth.generators.ties import lead
from ehrsynth.progress import Progress, part
from ehrsynth.randomness import derived_seed, numpy_generator, torch_generator
from ehrsynth.schema import Schema

if TYPE_CHECKING:
    from ehrsynth.generators.denoising.network import Denoiser

Codes = NDArray[np.int64]

WEIGHT = "network."
POOLED = 2_000
FREQUENT = 0.1  # a condition of this probability is met by drawing freely


@dataclass(frozen=True, eq=False)
class FittedDiffusion(AbstractFitted):
    """A denoising network and what its words and numbers mean.

    A condition that at least one in ten free rows meets is met by redraw, exactly. A rarer one is inpainted:
    every row meets it, but how its other columns follow is an approximation, and so is the effective sample
    size (rows are drawn one by one and count as one each). The probability of a condition is its share of
    2,000 free rows, half a row at least.
    """

    cells: Cells
    weights: Mapping[str, NDArray[Any]]

    @cached_property
    def _network(self) -> "Denoiser":
        import torch

        from ehrsynth.generators.denoising.network import new_denoiser

        settings = self.recipe.model_dump()
        network = new_denoiser(
            self.cells.sizes,
            len(self.cells.scales),
            width=settings["width"],
            depth=settings["depth"],
            seed=0,
        )
        network.load_state_dict({name: torch.from_numpy(array) for name, array in self.weights.items()})
        return network.to(settings["device"])

    @cached_property
    def _pool(self) -> Codes:
        rng = numpy_generator(0, self.recipe.name, "pool")
        codes, valid = repaired(self._rows(POOLED, None, rng), self.schema)
        return codes[valid]

    def _draw(self, n: int, condition: Condition | None, seed: int, progress: Progress) -> Draw:
        rng = numpy_generator(seed, self.recipe.name, "sample")
        if condition is None:
            found = collect(self, lambda k, r: self._rows(k, None, r), n, None, rng=rng, progress=progress)
            return Draw(found.codes, float(n), found.acceptance, 1.0)
        boxes = self._boxes(condition)
        met = condition.mask(self._pool)
        probability = max(float(met.sum()), 0.5) / max(len(self._pool), 1)
        if probability >= FREQUENT:
            boxes = [(None, 1.0)]
        shares = np.array([share for _, share in boxes])

        def propose(k: int, rng: np.random.Generator) -> Codes:
            sizes = rng.multinomial(k, shares / shares.sum())
            rows = [self._rows(m, box, rng) for (box, _), m in zip(boxes, sizes, strict=True) if m]
            return np.concatenate(rows)

        found = collect(self, propose, n, condition, rng=rng, progress=progress)
        return Draw(found.codes[rng.permutation(n)], float(n), found.acceptance, min(probability, 1.0))

    def _boxes(self, condition: Condition) -> list[tuple[Given | None, float]]:
        """The boxes that the model can meet, each with its share of the free rows, half a row at least."""
        places, found = (
            {c.name: p for p, c in enumerate(self.schema.learnt)},
            list[tuple[Given | None, float]](),
        )
        for named in condition.boxes:
            box = {places[name]: codes for name, codes in named.items()}
            given = self.cells.given(lead(box, self.schema))
            if given is not None:
                inside = [codes.contains(self._pool[:, place]) for place, codes in box.items()]
                found.append((given, max(float(np.all(inside, axis=0).sum()), 0.5)))
        if not found:
            summary = f"{self.recipe.name} never saw a patient who meets the condition: nothing is returned"
            raise SamplingExhausted(summary, [f"condition: {condition.text}"])
        return found

    def _rows(self, k: int, given: Given | None, rng: np.random.Generator) -> Codes:
        box = {} if given is None else given.box
        if self.cells.is_empty:
            return self.cells.decode(np.empty((k, 0), np.int64), np.empty((k, 0)), rng, box)
        from ehrsynth.generators.denoising.sampling import Steps, draw_cells

        settings = self.recipe.model_dump()
        steps = Steps(settings["steps"], settings["repeats"])
        generator = torch_generator(int(rng.integers(2**62)), "noise")
        words, scores = draw_cells(self._network, k, given, steps=steps, generator=generator)
        return self.cells.decode(words.numpy(), scores.numpy().astype(np.float64), rng, box)

    def parts(self) -> Parts:
        """Network weights, words and their shares, states of numbers."""
        weights = {WEIGHT + name: array for name, array in self.weights.items()}
        return Parts({}, pack_cells(self.cells) | weights)

    @classmethod
    def from_parts(cls, schema: Schema, recipe: AbstractGenerator, parts: Parts) -> Self:
        """Rebuild from `parts`.

        Raises
        ------
        ModelError
            If the network's weights are not finite, or anything does not fit the schema.
        """
        named = {k.removeprefix(WEIGHT): a for k, a in parts.arrays.items() if k.startswith(WEIGHT)}
        if not all(np.isfinite(array).all() for array in named.values()):
            message = "the network's weights are no numbers: the model is damaged"
            raise ModelError(message)
        fitted = cls(schema, recipe, unpack_cells(parts.arrays, schema), named)
        if not fitted.cells.is_empty:
            _ = fitted._network  # weights of another shape are found now
        return fitted


class Diffusion(AbstractGenerator):
    """Gaussian and multinomial diffusion of a whole patient at once."""

    name: ClassVar[str] = "diffusion"
    fitted: ClassVar[type[AbstractFitted]] = FittedDiffusion

    epochs: int = Field(default=600, ge=1, le=100_000, description="most passes over the patients")
    training_steps: int = Field(default=6_000, ge=1, le=10_000_000, description="most steps of training")
    batch_size: int = Field(default=256, ge=2, le=100_000, description="patients in one step")
    rate: float = Field(default=1e-3, gt=0, le=1, description="highest learning rate")
    averaging: float = Field(default=0.999, ge=0, lt=1, description="how slowly the averaged weights forget")
    width: int = Field(default=256, ge=4, le=8192, description="units of a layer of the network")
    depth: int = Field(default=3, ge=1, le=50, description="blocks of the network")
    steps: int = Field(default=100, ge=2, le=10_000, description="steps from noise to a row")
    repeats: int = Field(default=3, ge=1, le=100, description="how often a step is done inside a condition")
    most_words: int = Field(
        default=100, ge=2, le=10_000, description="a category with more values pools the rare ones"
    )
    device: str = Field(default="cpu", pattern=r"^(cpu|mps|cuda(:\d+)?)$", description="where torch computes")

    def _fit(self, table: pd.DataFrame, schema: Schema, seed: int, progress: Progress) -> FittedDiffusion:
        codes = encode(table, schema)
        cells = learn_cells(codes, schema, self.most_words)
        progress(0.0, f"{len(cells.sizes)} columns of words and {len(cells.scales)} of numbers")
        if cells.is_empty:
            progress(1.0, "nothing to train")
            return FittedDiffusion(schema, self, cells, {})
        return FittedDiffusion(
            schema, self, cells, self._trained(cells, codes, seed, part(progress, 0.0, 1.0))
        )

    def _trained(self, cells: Cells, codes: Codes, seed: int, progress: Progress) -> dict[str, NDArray[Any]]:
        import torch

        from ehrsynth.generators.denoising.network import new_denoiser
        from ehrsynth.generators.denoising.training import Patients, Training, train

        network = new_denoiser(
            cells.sizes,
            len(cells.scales),
            width=self.width,
            depth=self.depth,
            seed=derived_seed(seed, self.name, "network"),
        ).to(self.device)
        encoded = cells.encode(codes, numpy_generator(seed, self.name, "gaps"))
        training = Training(self.epochs, self.training_steps, self.batch_size, self.rate, self.averaging)
        weights = train(
            network,
            Patients.of(encoded, torch.device(self.device)),
            training,
            generator=torch_generator(seed, self.name, "training"),
            progress=progress,
        )
        return {name: weight.cpu().numpy() for name, weight in weights.items()}
