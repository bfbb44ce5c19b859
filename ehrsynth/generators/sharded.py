"""Several models, each of some of the patients, as one: to forget a patient, one of them is learnt again.

SISA training (Bourtoule et al. 2021, "Machine Unlearning", IEEE S&P, arXiv 1912.03817), without slices. A
keyed hash of the patient decides the shard. All that is learnt is learnt in a shard alone: bins, choices,
early stopping; and a shard's weight is its own number of patients. So no shard knows of another's patients,
and forgetting is exact. The whole is the mixture of the shards' distributions.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field, model_validator

from ehrsynth.conditions import Condition
from ehrsynth.encoding import encode
from ehrsynth.engine import kept
from ehrsynth.errors import ModelError, NotEnoughData, RequestError
from ehrsynth.files import keyed_hash
from ehrsynth.generators.base import AbstractFitted, AbstractGenerator, Draw, Parts, Sample
from ehrsynth.generators.density import AbstractDensity, Completions, knows_density
from ehrsynth.generators.edges import draw_edge
from ehrsynth.generators.forgetting import AbstractForgetting
from ehrsynth.generators.mixing import choose_completions, draw_mixed, log_mixture
from ehrsynth.generators.recipes import recipe as recipe_of
from ehrsynth.generators.storage import packed, unpacked
from ehrsynth.progress import Progress, part, silent
from ehrsynth.randomness import derived_seed, numpy_generator
from ehrsynth.schema import Schema
from ehrsynth.tables.splitting import patient_bytes

Floats = NDArray[np.float64]
Places = NDArray[np.int64]

FEWEST = 2  # patients of a shard: one is no distribution
# The mixture averages out what its parts learn too eagerly, so that each may be held back less than a model
# that stands alone: see reports/benchmark/forget.md.
_BOOSTED_SHARD = {"ridge": 0.01, "rate": 0.2, "leaves": 4}
_PURPOSE = b"ehrsynth shard 1\0"


@dataclass(frozen=True, eq=False)
class FittedSharded(AbstractFitted, AbstractDensity, AbstractForgetting):
    """One fitted model a shard, the number of patients behind each, and the key that decides the shard.

    The key is secret, as the model is: with it one can tell which shard a patient would be in.
    """

    shards: tuple[AbstractFitted, ...]
    patients: tuple[int, ...]
    key: bytes = field(repr=False)

    @property
    def weights(self) -> Floats:
        """Each shard's share of the patients."""
        return np.array(self.patients, np.float64) / sum(self.patients)

    @property
    def decided(self) -> str:
        """What each shard's data decided."""
        said = [f"shard {k}: {shard.decided}" for k, shard in enumerate(self.shards, 1) if shard.decided]
        return "; ".join(said)

    def shard_of(self, table: pd.DataFrame) -> Places:
        """The shard of each patient of a table, from 0."""
        return _shards(table, self.schema, self.key, len(self.shards))

    def _draw(self, n: int, condition: Condition | None, seed: int, progress: Progress) -> Draw:
        return draw_mixed(self.shards, self.weights, n, condition, seed=seed, progress=progress)

    def log_prob(self, table: pd.DataFrame) -> Floats:
        """The log probability of each row under the mixture, in nats; at most 0 and higher is likelier."""
        return log_mixture(self.weights, [knows_density(shard).log_prob(table) for shard in self.shards])

    def _complete(self, rows: pd.DataFrame, draws: int, seed: int, progress: Progress) -> Completions:
        """Each completion comes from a shard chosen by how probable what is known of the patient is in it."""
        found = [
            knows_density(shard)._complete(  # noqa: SLF001 - the mixture stands in for its shards
                rows, draws, derived_seed(seed, "shard", str(k)), part(progress, *self._span(k))
            )
            for k, shard in enumerate(self.shards)
        ]
        return choose_completions(found, self.weights, draws, numpy_generator(seed, "sharded", "complete"))

    def edge(
        self, n: int, *, where: str | None = None, seed: int, progress: Progress | None = None
    ) -> Sample:
        """Draw valid patients of low density, for testing edge cases: see `ehrsynth.generators.edges`."""
        return draw_edge(self, n, where=where, seed=seed, progress=progress)

    def _span(self, shard: int) -> tuple[float, float]:
        return shard / len(self.shards), (shard + 1) / len(self.shards)

    @property
    def forgets(self) -> bool:
        """Always."""
        return True

    def forget(
        self,
        rows: pd.DataFrame,
        remaining: pd.DataFrame,
        *,
        seed: int,
        progress: Progress | None = None,
    ) -> Self:
        """The model that a fit of the remaining patients gives: only the shards of `rows` are learnt again.

        Raises
        ------
        RequestError
            If rows and remaining patients together are not those who were learnt.
        NotEnoughData
            If a shard would keep fewer than two patients.
        """
        everyone = pd.concat([remaining, rows], ignore_index=True)
        shard = self.shard_of(everyone)
        if tuple(np.bincount(shard, minlength=len(self.shards))) != self.patients:
            raise RequestError(
                "the patients given are not those who were learnt, shard by shard: give the same table"
            )
        left, gone = shard[: len(remaining)], np.unique(shard[len(remaining) :])
        fresh = _learn(self._sharded, remaining, self.schema, left, gone.tolist(), seed, progress or silent)
        counts = np.bincount(left, minlength=len(self.shards))
        shards = tuple(fresh.get(k, old) for k, old in enumerate(self.shards))
        return type(self)(self.schema, self.recipe, shards, tuple(map(int, counts)), self.key)

    @property
    def _sharded(self) -> "Sharded":
        if not isinstance(self.recipe, Sharded):
            raise ModelError("the recipe of a sharded model is none of sharded: the model is damaged")
        return self.recipe

    def parts(self) -> Parts:
        """The parts of each shard, side by side."""
        own = [shard.parts() for shard in self.shards]
        values = {
            "key": self.key.hex(),
            "patients": list(self.patients),
            "shards": [dict(one.values) for one in own],
        }
        arrays = {f"{k}/{name}": array for k, one in enumerate(own) for name, array in one.arrays.items()}
        return Parts(values, arrays)

    @classmethod
    def from_parts(cls, schema: Schema, recipe: AbstractGenerator, parts: Parts) -> Self:
        """Rebuild from `parts`.

        Raises
        ------
        ModelError
            If they do not fit together.
        """
        patients = tuple(int(count) for count in parts.values["patients"])
        values = parts.values["shards"]
        if not isinstance(recipe, Sharded) or not recipe.shards == len(patients) == len(values):
            raise ModelError("the stored shards do not fit the recipe: the model is damaged")
        if min(patients) < FEWEST:
            raise ModelError("a stored shard has no patients: the model is damaged")
        inner, shards = recipe.inner, []
        for k, own in enumerate(values):
            head = f"{k}/"
            arrays = {n.removeprefix(head): a for n, a in parts.arrays.items() if n.startswith(head)}
            shards.append(type(inner).fitted.from_parts(schema, inner, Parts(own, arrays)))
        return cls(schema, recipe, tuple(shards), patients, bytes.fromhex(parts.values["key"]))


class Sharded(AbstractGenerator):
    """A mixture of models of the same recipe, each learnt from a part of the patients (SISA).

    Made for forgetting quickly: to forget a patient, one shard of `shards` is learnt again. Each model sees
    fewer patients, so rare groups are learnt less well.
    """

    name: ClassVar[str] = "sharded"
    fitted: ClassVar[type[AbstractFitted]] = FittedSharded

    generator: str = Field(default="autoregressive", description="who learns each shard")
    settings: dict[str, Any] = Field(
        default_factory=dict, description="settings of that generator that differ from its defaults"
    )
    shards: int = Field(default=8, ge=2, le=1000, description="how many models")

    @model_validator(mode="before")
    @classmethod
    def _good_for_shards(cls, given: Any) -> Any:
        """Other settings of a chain of boosted trees are good in a shard, where none are given."""
        if not isinstance(given, dict) or given.get("generator", "autoregressive") != "autoregressive":
            return given
        settings = given.get("settings", {})
        if not isinstance(settings, dict) or settings.get("learner", "boosted") != "boosted":
            return given
        return given | {"settings": _BOOSTED_SHARD | settings}

    @model_validator(mode="after")
    def _whole(self) -> Self:
        """Hold every setting of the inner recipe, so that the recipe says all and compares after a reload."""
        if self.generator == self.name:
            message = "shards of shards: name another generator"
            raise ValueError(message)
        try:
            inner = recipe_of(self.generator, self.settings)
        except RequestError as error:
            raise ValueError(str(error)) from error
        if inner.asked is not None:
            message = "shards are of no use under differential privacy: to forget, the whole is learnt again"
            raise ValueError(message)
        object.__setattr__(self, "settings", inner.model_dump(mode="json"))
        return self

    def __hash__(self) -> int:
        """Of all settings: those of the inner recipe are a mapping, which has no hash of its own."""
        return hash(self.model_dump_json())

    @property
    def inner(self) -> AbstractGenerator:
        """The recipe of each shard."""
        return recipe_of(self.generator, self.settings)

    def require(self) -> None:
        """Look for what the shards need."""
        self.inner.require()

    def _fit(self, table: pd.DataFrame, schema: Schema, seed: int, progress: Progress) -> FittedSharded:
        # A secret of its own, from which the seed cannot be told; the same seed gives the same shards.
        key = keyed_hash(_PURPOSE, str(seed).encode())
        shard = _shards(table, schema, key, self.shards)
        learnt = _learn(self, table, schema, shard, range(self.shards), seed, progress)
        counts = np.bincount(shard, minlength=self.shards)
        models = tuple(learnt[k] for k in range(self.shards))
        return FittedSharded(schema, self, models, tuple(map(int, counts)), key)


def _shards(table: pd.DataFrame, schema: Schema, key: bytes, shards: int) -> Places:
    """The shard of each patient: by that patient and the key alone."""
    digests = b"".join(keyed_hash(key, _PURPOSE + patient)[:8] for patient in patient_bytes(table, schema))
    # 64 bits over at most 1,000 shards: the shares are equal to one part in 10**16.
    return (np.frombuffer(digests, dtype=">u8") % np.uint64(shards)).astype(np.int64)


def _learn(  # noqa: PLR0913, PLR0917 - what a fit of some shards needs
    sharded: Sharded,
    table: pd.DataFrame,
    schema: Schema,
    shard: Places,
    wanted: Sequence[int],
    seed: int,
    progress: Progress,
) -> dict[int, AbstractFitted]:
    """Fit some shards, each from a seed of its own."""
    counts = np.bincount(shard, minlength=sharded.shards)
    if counts.min() < FEWEST:
        fewer = max(1, len(table) // (10 * FEWEST))
        raise NotEnoughData(
            f"{len(table)} patients are too few for {sharded.shards} shards: one has fewer than {FEWEST}. "
            f"Ask for at most {fewer}, or learn without shards"
        )
    found, inner = {}, sharded.inner
    for done, k in enumerate(wanted):
        report = part(progress, done / len(wanted), (done + 1) / len(wanted))
        rows = table.loc[shard == k].reset_index(drop=True)
        rows.attrs = dict(table.attrs)
        own = derived_seed(seed, "shard", str(k))
        found[k] = _remembered(inner, rows, schema, own) or _kept(
            inner.fit(rows, schema, seed=own, progress=report), rows, own
        )
    return found


def _remembered(
    inner: AbstractGenerator, rows: pd.DataFrame, schema: Schema, seed: int
) -> AbstractFitted | None:
    """The shard, if a run that was killed had learnt it."""
    keep = kept()
    content = None if keep is None else keep.get(_name(inner, rows, schema, seed))
    return None if content is None else unpacked(schema, inner, content)


def _kept(shard: AbstractFitted, rows: pd.DataFrame, seed: int) -> AbstractFitted:
    if (keep := kept()) is not None:
        keep.put(_name(shard.recipe, rows, shard.schema, seed), packed(shard))
    return shard


def _name(inner: AbstractGenerator, rows: pd.DataFrame, schema: Schema, seed: int) -> str:
    """What a shard depends on, as the name that it is kept under."""
    said = [version("ehrsynth"), schema.hash(), inner.name, inner.model_dump_json(), str(seed)]
    found = hashlib.sha256("\0".join(said).encode())
    found.update(np.ascontiguousarray(encode(rows, schema)).data)
    return f"shard-{found.hexdigest()[:16]}"
