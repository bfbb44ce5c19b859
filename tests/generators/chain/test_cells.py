"""The cells of a listed column: families of a hierarchy, where there is one."""

import numpy as np

from ehrsynth.encoding.code import CodeEncoding
from ehrsynth.generators.autoregressive import Autoregressive
from ehrsynth.generators.chain.cells import MOST_LISTED_CELLS, cells_of
from ehrsynth.generators.chain.states import States
from ehrsynth.schema import CodeColumn, Schema
from ehrsynth.tables.values import from_values

WORDS = tuple(f"{letter}{number:02d}" for letter in "ABCDEFGH" for number in range(50))
COLUMN = {"name": "icd", "kind": "code", "system": "ICD-10", "values": WORDS}
FAMILIES = tuple(CodeEncoding(CodeColumn(**COLUMN)).ancestors(level) for level in range(4))


def codes(rng: np.random.Generator, n: int = 4_000) -> np.ndarray:
    """Of letter A only the first code is frequent; the letters B to H are alike and their codes are rare."""
    letter = rng.integers(0, 8, n)
    number = np.where((letter == 0) & (rng.random(n) < 0.8), 0, rng.integers(0, 50, n))
    return letter * 50 + number


def test_a_cell_never_mixes_large_families_and_frequent_codes_stand_alone() -> None:
    states = States.learn(codes(np.random.default_rng(1)), len(WORDS), listed=True)
    cell = cells_of(states, ordered=False, families=FAMILIES)
    assert cell.max() < MOST_LISTED_CELLS
    letter = states.low // 50
    for number in range(int(cell.max()) + 1):
        assert len(np.unique(letter[cell == number])) == 1
    assert (cell == cell[states.low == 0]).sum() == 1


def test_missing_is_apart_and_tiny_families_stay_together() -> None:
    rng = np.random.default_rng(2)
    held = np.concatenate([rng.integers(0, 100, 5_000), np.arange(350, 400), np.full(50, -1), [300, 301]])
    states = States.learn(held, len(WORDS), listed=True)
    cell = cells_of(states, ordered=False, families=FAMILIES)
    assert (cell == cell[-1]).sum() == 1
    assert cell[states.low == 300] not in cell[states.low < 100]


def test_more_large_families_than_cells_leave_a_rest() -> None:
    many = tuple(np.arange(400) // width for width in (4, 2))
    states = States.learn(np.tile(np.arange(400), 10), len(WORDS), listed=True)
    cell = cells_of(states, ordered=False, families=many)
    assert 40 <= cell.max() + 1 <= MOST_LISTED_CELLS
    sizes = np.bincount(cell)
    assert (np.sort(sizes)[:-1] == 4).all()


def test_the_letter_follows_an_earlier_column_and_the_code_stays_in_its_family() -> None:
    rng = np.random.default_rng(3)
    icd = codes(rng, 2_000)
    ward = np.minimum(icd // 50, 7)
    schema = Schema(
        name="wards",
        citation="made for this test",
        columns=({"name": "ward", "kind": "category", "values": tuple("abcdefgh")}, COLUMN),
    )
    table = from_values({"ward": ward.astype(float), "icd": icd.astype(float)}, schema)
    made = Autoregressive(trees=2, rounds=20).fit(table, schema, seed=1).sample(1_000, seed=2).table
    same = made["ward"].cat.codes.to_numpy() == made["icd"].cat.codes.to_numpy() // 50
    assert same.mean() > 0.97
