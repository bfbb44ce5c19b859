"""A generator that chooses among others by held-out score, and says what it chose and why."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field, ValidationError, field_validator

from ehrsynth.conditions import Condition
from ehrsynth.errors import EhrSynthError, MissingPackage, ModelError, RequestError
from ehrsynth.generators.base import AbstractFitted, AbstractGenerator, Draw, Parts, PrivacySpent, Sample
from ehrsynth.generators.density import AbstractDensity, Completions, knows_density
from ehrsynth.generators.recipes import parse_settings, recipe
from ehrsynth.progress import Progress, part
from ehrsynth.randomness import derived_seed, numpy_generator
from ehrsynth.schema import Schema
from ehrsynth.selection.choice import Choice, Sizes, choose
from ehrsynth.selection.judging import Marks, judge

Places = NDArray[np.int64]

FEWEST = 40  # patients below which a split says nothing
MOST_CELLS = 200_000  # of the part of the table that candidates are judged on
FEWEST_JUDGED = 400
_JUDGED = 0.8  # of the progress; the rest is learning the whole table
_TEST = 3  # one patient in three is not learnt from
# Patients up to which so many splits are made; few patients need many to tell candidates apart.
_SPLITS = ((1_000, 10), (3_000, 5))
_FEWEST_SPLITS = 3
_ALONE = "independent"  # knows single columns: what they give away is no copying
_DEFAULT = ("autoregressive", "autoregressive learner=bagged", "cart", "copula", _ALONE)


@dataclass(frozen=True, eq=False)
class FittedAuto(AbstractFitted, AbstractDensity):
    """The fitted model of the generator that was chosen, and the choice.

    It completes and scores patients where the chosen model can; else that is a RequestError which names one
    that can.
    """

    chosen: AbstractFitted
    choice: Choice

    @property
    def privacy(self) -> PrivacySpent | None:
        """That of the chosen model."""
        return self.chosen.privacy

    @property
    def decided(self) -> str:
        """What was chosen, and why."""
        return self.choice.in_words()

    def _draw(self, n: int, condition: Condition | None, seed: int, progress: Progress) -> Draw:
        return self.chosen._draw(n, condition, seed, progress)  # noqa: SLF001 - it stands in for the chosen one

    def log_prob(self, table: pd.DataFrame) -> NDArray[np.float64]:
        """As the chosen model."""
        return knows_density(self.chosen).log_prob(table)

    def _complete(self, rows: pd.DataFrame, draws: int, seed: int, progress: Progress) -> Completions:
        return knows_density(self.chosen)._complete(rows, draws, seed, progress)  # noqa: SLF001 - as `_draw`

    def edge(
        self, n: int, *, where: str | None = None, seed: int, progress: Progress | None = None
    ) -> Sample:
        """As the chosen model."""
        return knows_density(self.chosen).edge(n, where=where, seed=seed, progress=progress)

    def parts(self) -> Parts:
        """The parts of the chosen model, with its recipe and the choice."""
        own, made = self.chosen.parts(), self.chosen.recipe
        values = {
            "generator": made.name,
            "recipe": made.model_dump(mode="json"),
            "choice": self.choice.model_dump(mode="json"),
            "values": dict(own.values),
        }
        return Parts(values, own.arrays)

    @classmethod
    def from_parts(cls, schema: Schema, recipe: AbstractGenerator, parts: Parts) -> Self:
        """Rebuild from `parts`.

        Raises
        ------
        ModelError
            If they name no generator that can be chosen, or no choice.
        """
        try:
            made = _candidate(parts.values["generator"], parts.values["recipe"])
            choice = Choice.model_validate(parts.values["choice"])
        except (RequestError, ValidationError) as error:
            raise ModelError("the stored choice of a generator is none: the model is damaged") from error
        own = Parts(parts.values["values"], parts.arrays)
        return cls(schema, recipe, type(made).fitted.from_parts(schema, made, own), choice)


class Auto(AbstractGenerator):
    """Judges candidates on held-out patients, learns all patients with the best, and says why.

    Of the default candidates those are left out whose optional package is not installed; any other list of
    candidates needs theirs.
    """

    name: ClassVar[str] = "auto"
    fitted: ClassVar[type[AbstractFitted]] = FittedAuto

    candidates: tuple[str, ...] | None = Field(
        default=None,
        min_length=1,
        description='generators to choose from, with settings if wanted: "autoregressive learner=bagged";'
        f" default: those that are installed of {', '.join(_DEFAULT)}",
    )
    splits: int | None = Field(
        default=None, ge=2, le=100, description="splits to judge on; default: 10 for few patients, 3 for many"
    )
    rows: int = Field(default=5_000, ge=FEWEST, description="most patients to judge on, drawn by the seed")
    membership: float = Field(
        default=0.6,
        ge=0.5,
        le=1,
        description="a candidate whose AUROC of membership, counted from that of independent columns, surely"
        " lies above is not chosen",
    )

    @field_validator("candidates")
    @classmethod
    def _known(cls, candidates: tuple[str, ...] | None) -> tuple[str, ...] | None:
        try:
            for text in candidates or ():
                _parsed(text)
        except RequestError as error:
            raise ValueError(str(error)) from error
        if candidates and len(set(candidates)) < len(candidates):
            raise ValueError("a candidate is named twice: name it once")
        return candidates

    def _fit(self, table: pd.DataFrame, schema: Schema, seed: int, progress: Progress) -> FittedAuto:
        choice = self._choice(table, schema, seed, part(progress, 0.0, _JUDGED))
        last = part(progress, _JUDGED, 1.0)
        model = _parsed(choice.chosen).fit(table, schema, seed=seed, progress=last)
        return FittedAuto(schema, self, model, choice)

    def _choice(self, table: pd.DataFrame, schema: Schema, seed: int, progress: Progress) -> Choice:
        candidates, failed = self._installed()
        if len(candidates) == 1:
            return _only(candidates[0], "it is the only candidate")
        if len(table) < FEWEST:
            return _only(candidates[0], f"with fewer than {FEWEST} patients the first candidate is taken")
        splits = _splits(len(table), len(schema.learnt), self, seed)
        sizes = Sizes(*(len(side) for side in splits[0]))
        absent = list(failed)
        # Judged even where they are no candidate: copying is counted from there.
        judged = tuple(dict.fromkeys((*candidates, _ALONE)))
        every, broken = _all_marks(judged, table, schema, splits, seed=seed, progress=progress)
        failed |= {name: why for name, why in broken.items() if name in candidates}
        marks = {name: every[name] for name in candidates if name in every}
        if not marks:
            raise RequestError(
                "no candidate can learn this table: name others with --set candidates=...",
                [f"{name}: {why}" for name, why in failed.items()],
            )
        choice = choose(marks, failed, sizes, limit=self.membership, alone=every.get(_ALONE))
        if not absent:
            return choice
        return choice.model_copy(
            update={"why": f"{choice.why}; left out, for it is not installed: {', '.join(absent)}"}
        )

    def _installed(self) -> tuple[tuple[str, ...], dict[str, str]]:
        """The candidates that can be fitted here, and why others of the default ones cannot.

        Raises
        ------
        MissingPackage
            If one that was asked for cannot.
        """
        found, absent = [], {}
        for candidate in self.candidates or _DEFAULT:
            try:
                _parsed(candidate).require()
                found.append(candidate)
            except MissingPackage as error:
                if self.candidates:
                    raise
                absent[candidate] = str(error)
        return tuple(found), absent


def _all_marks(
    names: Sequence[str],
    table: pd.DataFrame,
    schema: Schema,
    splits: Sequence[tuple[Places, Places]],
    *,
    seed: int,
    progress: Progress,
) -> tuple[dict[str, list[Marks]], dict[str, str]]:
    """What each is worth on each split, and why some could not be judged."""
    marks, broken = {}, {}
    for place, name in enumerate(names):
        report = part(progress, place / len(names), (place + 1) / len(names))
        try:
            marks[name] = _marks(name, table, schema, splits, seed=seed, progress=report)
        except MissingPackage:
            raise
        except EhrSynthError as error:
            broken[name] = f"could not be judged: {type(error).__name__}"
    return marks, broken


def _marks(
    candidate: str,
    table: pd.DataFrame,
    schema: Schema,
    splits: Sequence[tuple[Places, Places]],
    *,
    seed: int,
    progress: Progress,
) -> list[Marks]:
    """What the candidate is worth on each split."""
    made, found = _parsed(candidate), []
    for number, sides in enumerate(splits):
        report = part(progress, number / len(splits), (number + 1) / len(splits))
        report(0.0, f"judging {candidate}: split {number + 1} of {len(splits)}")
        train, unseen = (table.iloc[side].reset_index(drop=True) for side in sides)
        small = derived_seed(seed, "auto", str(number))
        synthetic = made.fit(train, schema, seed=small).sample(len(train), seed=small).table
        found.append(judge(train, unseen, synthetic, schema, seed=small))
    return found


def _splits(rows: int, columns: int, auto: Auto, seed: int) -> list[tuple[Places, Places]]:
    """The rows to learn from and the rows not seen, of each split; of a long table only some rows at all."""
    used = min(rows, auto.rows, max(FEWEST_JUDGED, MOST_CELLS // max(columns, 1)))
    count = auto.splits or next((many for most, many in _SPLITS if rows <= most), _FEWEST_SPLITS)
    found = []
    for number in range(count):
        order = numpy_generator(seed, "auto", "split", str(number)).permutation(rows)[:used]
        found.append((order[used // _TEST :], order[: used // _TEST]))
    return found


def _only(candidate: str, why: str) -> Choice:
    return Choice(chosen=candidate, why=why, splits=0, learnt_from=0, tested_on=0)


def _parsed(text: str) -> AbstractGenerator:
    name, *settings = text.split() or [""]
    return _candidate(name, parse_settings(settings))


def _candidate(name: object, settings: dict[str, object]) -> AbstractGenerator:
    if name == Auto.name:
        raise RequestError(f"{Auto.name} cannot choose itself: name other generators")
    return recipe(str(name), settings)
