"""A seed becomes generators; the only module allowed to touch global random state.

Everything random takes a `seed` or a generator. Libraries that know only global state run inside
`global_seed`, which restores every state byte for byte on the way out.
"""

import random
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

SEED_BITS = 63


def fresh_seed() -> int:
    """A seed from the operating system's cryptographic source, 0 to 2**63 - 1."""
    return secrets.randbits(SEED_BITS)


def numpy_generator(seed: int, *path: str) -> np.random.Generator:
    """A generator for one purpose: equal `seed` and `path` give equal draws, another `path` unrelated ones.

    Parameters
    ----------
    seed
        0 or larger.
    path
        Words that name the purpose, for instance ``numpy_generator(seed, "fit", "split")``.
    """
    return np.random.default_rng(_entropy(seed, path))


def torch_generator(seed: int, *path: str) -> "torch.Generator":
    """As `numpy_generator`, for torch on the CPU."""
    import torch

    generator = torch.Generator(device="cpu")
    generator.manual_seed(derived_seed(seed, *path))
    return generator


def derived_seed(seed: int, *path: str) -> int:
    """A seed for one purpose, 0 to 2**63 - 1, for libraries that take an integer."""
    state = np.random.SeedSequence(_entropy(seed, path)).generate_state(1, np.uint64)
    return int(state[0]) >> 1


def small_seed(seed: int, *path: str) -> int:
    """As `derived_seed`, 0 to 2**31 - 1, for scikit-learn and LightGBM."""
    return derived_seed(seed, *path) >> 32


def _entropy(seed: int, path: tuple[str, ...]) -> list[int]:
    # Lengths are mixed in so that ("ab", "c") and ("a", "bc") differ.
    words = [part.encode() for part in path]
    return [seed, *(int.from_bytes(len(w).to_bytes(2, "big") + w, "big") for w in words)]


@contextmanager
def global_seed(seed: int) -> Iterator[None]:
    """Seed `random`, numpy's legacy state and torch for a library that knows no other way; then restore.

    The states after the block are byte-equal to those before it, also when the block raises.
    """
    import torch

    numpy_state = np.random.get_state(legacy=False)  # noqa: NPY002
    before = random.getstate(), numpy_state, torch.random.get_rng_state()
    try:
        random.seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002 - the legacy state is what such a library reads
        torch.random.manual_seed(seed)
        yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])  # noqa: NPY002
        torch.random.set_rng_state(before[2])
