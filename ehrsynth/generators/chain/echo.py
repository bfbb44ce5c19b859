"""A number that repeats an earlier one: a last day of follow-up that is the day of discharge.

Trees see earlier numbers coarsely, and would scatter such a number around the earlier one. So whether it
repeats is learnt as an event of its own, and the link learns only the patients for whom it does not. What is
repeated is the synthetic patient's own earlier value: no real one is stored.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ehrsynth.conditions import CodeSet
from ehrsynth.encoding import encoding
from ehrsynth.generators.chain.classifier import Boosting, Classifier, learn_classifier
from ehrsynth.generators.chain.features import Feature, Features, with_gaps, with_gaps_seen
from ehrsynth.generators.chain.link import AbstractLink
from ehrsynth.schema import DateColumn, DatetimeColumn, LearntColumn, Schema

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]

FEWEST = 50  # patients in whom a number repeats another
_LEAST_EXCESS = 0.05  # of the patients with both, beyond what equal heaps (zero and zero) give by chance
_LOOKED_AT = 5_000


@dataclass(frozen=True, slots=True, eq=False)
class Echo:
    """The learnt column at place `source` and, given earlier columns, the chance that it is repeated."""

    source: int
    chance: Classifier


@dataclass(frozen=True, slots=True, eq=False)
class EchoLink:
    """A link whose number may also be the one `repeated` in each row (n, -1 where none can be)."""

    link: AbstractLink
    echo: Echo
    repeated: Codes

    def draw(
        self, features: Features, allowed: CodeSet | None, rng: np.random.Generator
    ) -> tuple[Codes, Floats]:
        """A code for each row, inside a set, and the probability of the set (see `Link.draw`)."""
        codes, mass = self.link.draw(features, allowed, rng)
        chance = self._chance(features)
        own = (1 - chance) * mass
        if allowed is not None:
            chance = chance * allowed.contains(self.repeated)
        total = chance + own
        repeats_it = rng.random(len(codes)) * total < chance
        return np.where(repeats_it, self.repeated, codes), np.minimum(total, 1.0)

    def log_density(self, features: Features, codes: Codes) -> Floats:
        """The log probability of each row's code in its conditional; -inf where it can have none."""
        chance = self._chance(features)
        others = (1 - chance) * np.exp(self.link.log_density(features, codes))
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(others + chance * (codes == self.repeated)))

    def mass(self, features: Features, low: Codes, high: Codes) -> Floats:
        """The probability of a present value from `low` to `high`, of each row (low > high for none)."""
        chance, inside = self._chance(features), (self.repeated >= low) & (self.repeated <= high)
        return np.asarray((1 - chance) * self.link.mass(features, low, high) + chance * inside)

    def nearest(self, codes: Codes) -> Codes:
        """Each row's code where it repeats, else as the link has it."""
        return np.where(codes == self.repeated, codes, self.link.nearest(codes))

    def _chance(self, features: Features) -> Floats:
        chance = self.echo.chance.probabilities(with_gaps(features))[:, 1]
        return np.where(self.repeated >= 0, chance, 0.0)


def learn_echo(
    source: int,
    repeated: Codes,
    own: Codes,
    seen: tuple[Features, Sequence[Feature]],
    *,
    boosting: Boosting,
    rng: np.random.Generator,
) -> Echo:
    """Learn when a number repeats the one at `source`.

    Parameters
    ----------
    repeated, own
        What it would be if it did (-1 where it cannot), and what it is: n codes each.
    seen
        Features of the n patients, and what their columns are.
    """
    features, columns = seen
    can = np.flatnonzero(repeated >= 0)
    does = (repeated == own)[can].astype(np.int64)
    inputs = with_gaps(features[can])
    return Echo(
        source, learn_classifier(inputs, does, np.eye(2), with_gaps_seen(columns), boosting=boosting, rng=rng)
    )


def repeats(schema: Schema, source: int, place: int, codes: Codes) -> Codes:
    """The code at `place` that has the value of the column at `source`; -1 where its grid has none."""
    earlier, own = (encoding(schema.learnt[p]).grid for p in (source, place))
    if earlier == own:
        return codes[:, source]
    values = earlier.values(codes[:, source])
    return np.where(own.contains(values), own.codes(values), -1)


def find_source(schema: Schema, codes: Codes, place: int, earlier: Sequence[int]) -> int | None:
    """The earlier column that a number repeats more often than any other, if it repeats one.

    Parameters
    ----------
    codes
        n x learnt columns.
    earlier
        Places of the columns before it.
    """
    looked = codes[:: max(1, len(codes) // _LOOKED_AT)]
    target, found = looked[:, place], {}
    for source in earlier:
        if comparable(schema.learnt[source], schema.learnt[place]):
            repeated = repeats(schema, source, place, looked)
            both = (repeated >= 0) & (target >= 0)
            found[source] = _excess(repeated[both], target[both])
    best = max(found, key=lambda source: found[source], default=None)
    return best if best is not None and found[best] > 0 else None


def _excess(repeated: Codes, target: Codes) -> float:
    """In how many more patients two numbers are equal than by chance; 0 where they are too few."""
    equal = int((repeated == target).sum())
    if equal < FEWEST:
        return 0.0
    values, at = np.unique(np.concatenate([repeated, target]), return_inverse=True)
    sides = [np.bincount(part, minlength=len(values)) for part in np.split(at, 2)]
    excess = equal - float(sides[0] @ sides[1]) / len(target)
    return excess if excess >= _LEAST_EXCESS * len(target) else 0.0


def comparable(one: LearntColumn, other: LearntColumn) -> bool:
    """Whether a value of one column may be a repetition of a value of the other."""
    if not (encoding(one).numeric and encoding(other).numeric):
        return False
    kinds = {type(column) for column in (one, other)} & {DateColumn, DatetimeColumn}
    # Days and seconds are counted from one origin each: moments compare with their own kind alone.
    return not kinds or type(one) is type(other)
