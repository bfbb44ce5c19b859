"""How much columns tell of each other."""

import numpy as np
import pytest

from ehrsynth.generators.chain.association import association


def test_known_information() -> None:
    one = np.tile([0, 1], 500)
    codes = np.column_stack([one, one, np.repeat([0, 1], 500)])
    found = association(codes, [True, True, True])
    # A fair coin told wholly: log 2 nats, less what chance gives (Miller 1955).
    assert found[0, 1] == pytest.approx(np.log(2) - 1 / 2_000)
    assert found[0, 2] == 0
    assert (found == found.T).all()
    assert (np.diag(found) == 0).all()


def test_chance_alone_is_next_to_nothing_and_a_curve_is_seen() -> None:
    rng = np.random.default_rng(0)
    x, y, word = rng.integers(0, 900, 4_000), rng.integers(0, 900, 4_000), rng.integers(0, 60, 4_000)
    found = association(np.column_stack([x, y, word, (x - 450) ** 2]), [False, False, True, False])
    assert found[0, 1] < 0.01
    assert found[0, 2] < 0.01
    assert found[0, 3] > 1


def test_being_missing_tells_and_nothing_tells_nothing() -> None:
    rng = np.random.default_rng(1)
    group = rng.integers(0, 2, 2_000)
    gaps = np.where(group == 1, rng.integers(0, 90, 2_000), -1)
    codes = np.column_stack([group, gaps, np.full(2_000, -1)])
    found = association(codes, [True, False, False])
    assert found[0, 1] > 0.6
    assert (found[2] == 0).all()
    assert association(np.empty((0, 2), np.int64), [True, False]).tolist() == [[0, 0], [0, 0]]
