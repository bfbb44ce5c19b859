"""Noise for differential privacy: from a cryptographic stream, and exact where numbers are whole.

The stream is SHAKE-256 of a key. A fresh key has 256 bits from the operating system and is kept nowhere, so
that nobody can take the noise off again; a key from a known seed gives equal noise again and no guarantee.
Normal noise comes from numpy's Philox, whose whole state is drawn from the stream: by itself it is no
cryptographic generator.
"""

import hashlib
import math
import secrets
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ehrsynth.errors import RequestError

if TYPE_CHECKING:
    import torch

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]

_KEY_BYTES = 32
_BLOCK = 1 << 16
_WORD = 8
_WORD_BITS = 64
_PHILOX_COUNTER, _PHILOX_KEY = 4, 2  # words
_UNIT_BITS = 53
# Products of exact arithmetic stay below this, or Python's own integers take over.
_SAFE = 1 << 57
_MOST_TERMS = 30  # of a series that ends after so many with probability 1 / 30!


class NoiseStream:
    """Random words that nobody can foretell without the key."""

    def __init__(self, seed: int | None = None, *path: str) -> None:
        """A stream.

        Parameters
        ----------
        seed
            None: a fresh key. Else the key is made of the seed and the path.
        path
            Words that name the purpose.
        """
        words = "/".join(f"{len(word)}:{word}" for word in path)
        known = seed is not None
        key = f"{seed}|{words}".encode() if known else secrets.token_bytes(_KEY_BYTES)
        self._key, self._block, self._words = hashlib.sha256(key).digest(), 0, np.empty(0, np.uint64)

    def words(self, n: int) -> NDArray[np.uint64]:
        """The next n words of 64 bits."""
        while len(self._words) < n:
            block = self._key + self._block.to_bytes(8, "big")
            size = max(_BLOCK, _WORD * (n - len(self._words)))
            more = np.frombuffer(hashlib.shake_256(block).digest(size), np.uint64)
            self._words, self._block = np.concatenate([self._words, more]), self._block + 1
        found, self._words = self._words[:n], self._words[n:]
        return found

    def uniform(self, n: int) -> Floats:
        """N numbers from 0 (included) to 1 (not), on a grid of 2**53."""
        return (self.words(n) >> np.uint64(_WORD_BITS - _UNIT_BITS)) / float(1 << _UNIT_BITS)

    def normal_generator(self) -> np.random.Generator:
        """A generator of numpy for normal noise: Philox, its key and counter the next 384 bits."""
        counter, key = np.split(self.words(_PHILOX_COUNTER + _PHILOX_KEY), [_PHILOX_COUNTER])
        return np.random.Generator(np.random.Philox(counter=counter, key=key))

    def torch_generator(self) -> "torch.Generator":
        """A generator of torch, for what is not noise: its Mersenne Twister keeps 32 bits of a seed."""
        import torch

        generator = torch.Generator(device="cpu")
        generator.manual_seed(int(self.words(1)[0]))
        return generator

    def numpy_generator(self) -> np.random.Generator:
        """A generator of numpy, for what is not noise: numpy keeps 128 bits of a seed."""
        return np.random.default_rng([int(word) for word in self.words(4)])

    def below(self, limits: NDArray[Any]) -> NDArray[Any]:
        """For each limit a whole number from 0 to limit - 1, exactly uniform."""
        if limits.dtype == object:
            return np.array([self._below_large(int(limit)) for limit in limits], object)
        found, todo = np.zeros(len(limits), np.int64), np.arange(len(limits))
        top = np.uint64(1) << np.uint64(_WORD_BITS - 1)
        while len(todo):
            limit = limits[todo].astype(np.uint64)
            word = self.words(len(todo)) >> np.uint64(1)
            fair = word < top - top % limit
            found[todo[fair]] = (word[fair] % limit[fair]).astype(np.int64)
            todo = todo[~fair]
        return found

    def _below_large(self, limit: int) -> int:
        words = limit.bit_length() // _WORD_BITS + 1
        bits = words * _WORD_BITS
        while True:
            found = int.from_bytes(self.words(words).tobytes(), "big")
            if found < (1 << bits) - (1 << bits) % limit:
                return found % limit


def discrete_gaussian(stream: NoiseStream, variance: float, n: int) -> Integers:
    """Draw n whole numbers from the discrete Gaussian with mean 0.

    Canonne, Kamath and Steinke 2020, "The Discrete Gaussian for Differential Privacy", algorithms 1 to 3, in
    exact arithmetic: no rounding of a float can be told from the result.

    Parameters
    ----------
    variance
        The parameter sigma^2, above 0; it is rounded up to a fraction, by less than a sixteenth.
    """
    if not 0 < variance < float("inf"):
        raise RequestError(f"a variance of noise is above 0, not {variance:g}")
    parts = 16 if variance < _SMALL_VARIANCE else 1
    p, q = (fraction := Fraction(math.ceil(variance * parts), parts)).numerator, fraction.denominator
    scale = math.isqrt(p // q) + 1
    whole = 2 * p * q * scale**2
    kind: Any = np.int64 if whole * _MOST_TERMS < _SAFE else object
    found, todo = np.zeros(n, np.int64), np.arange(n)
    while len(todo):
        drawn = _discrete_laplace(stream, scale, len(todo)).astype(kind)
        # How much less likely than under the Laplace distribution: exp of minus a fraction.
        far = (abs(drawn) * (q * scale) - p) ** 2
        kept = _with_chance_exp(stream, far, np.full(len(todo), whole, kind))
        found[todo[kept]] = drawn[kept].astype(np.int64)
        todo = todo[~kept]
    return found


_SMALL_VARIANCE = 10_000.0


def _discrete_laplace(stream: NoiseStream, scale: int, n: int) -> Integers:
    """Whole numbers with a chance in proportion to exp(-|x| / scale)."""
    found, todo = np.zeros(n, np.int64), np.arange(n)
    while len(todo):
        limits = np.full(len(todo), scale, np.int64)
        part = stream.below(limits)
        kept = _with_chance_exp(stream, part, limits)
        todo_kept, part = todo[kept], part[kept]
        size = part + scale * _geometric(stream, len(part))
        negative = stream.below(np.full(len(part), 2, np.int64)) == 1
        once = ~(negative & (size == 0))  # 0 has one sign
        found[todo_kept[once]] = np.where(negative, -size, size)[once]
        todo = np.concatenate([todo[~kept], todo_kept[~once]])
    return found


def _geometric(stream: NoiseStream, n: int) -> Integers:
    """How often in a row an event of chance exp(-1) happens."""
    found, todo, one = np.zeros(n, np.int64), np.arange(n), np.ones(n, np.int64)
    while len(todo):
        todo = todo[_with_chance_exp(stream, one[: len(todo)], one[: len(todo)])]
        found[todo] += 1
    return found


def _with_chance_exp(
    stream: NoiseStream, numerator: NDArray[Any], denominator: NDArray[Any]
) -> NDArray[np.bool_]:
    """True with probability exp(-numerator / denominator), exactly."""
    happens = np.ones(len(numerator), bool)
    # exp(-x) = exp(-1)^floor(x) exp(-(x - floor(x)))
    times, rest = numerator // denominator, numerator % denominator
    left = np.flatnonzero(times > 0)
    while len(left):
        one = np.ones(len(left), np.int64)
        happens[left] &= _with_chance_of_series(stream, one, one)
        times[left] -= 1
        left = left[(times[left] > 0) & happens[left]]
    todo = np.flatnonzero(happens)
    happens[todo] = _with_chance_of_series(stream, rest[todo], denominator[todo])
    return happens


def _with_chance_of_series(
    stream: NoiseStream, numerator: NDArray[Any], denominator: NDArray[Any]
) -> NDArray[np.bool_]:
    """True with probability exp(-numerator / denominator), for a fraction of at most 1."""
    terms, todo, term = np.ones(len(numerator), np.int64), np.arange(len(numerator)), 1
    while len(todo):
        hit = stream.below(denominator[todo] * term) < numerator[todo]
        todo, term = todo[hit], term + 1
        terms[todo] = term
    return np.asarray(terms % 2 == 1)


def choose(stream: NoiseStream, scores: Floats, *, epsilon: float, sensitivity: float) -> int:
    """Choose one of several by the exponential mechanism (McSherry and Talwar 2007).

    Parameters
    ----------
    scores
        Larger is better; one patient changes each by at most `sensitivity`.

    Returns
    -------
    int
        The place of the chosen one, with a chance in proportion to exp(epsilon score / (2 sensitivity)).
    """
    odds = np.exp(epsilon / (2 * sensitivity) * (scores - scores.max()))
    steps = np.cumsum(odds)
    at = np.searchsorted(steps, stream.uniform(1)[0] * steps[-1], side="right")
    return int(min(at, len(scores) - 1))
