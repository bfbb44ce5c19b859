"""A private fit of images is entered under a name, added to what its patients paid already, and capped."""

from dataclasses import replace
from pathlib import Path

import pytest

from ehrsynth.dp.events import SampledGaussian
from ehrsynth.errors import BudgetExceeded, RequestError
from ehrsynth.generators.base import PrivacySpent
from ehrsynth.release.image_books import ImageBooks
from ehrsynth.release.policy import load_policy
from ehrsynth.release.register import Entry, add, entries

NOISE = SampledGaussian(0.1, 1.0, 20).as_json()
SPENT = PrivacySpent(3.0, 1e-4, "PRV and PLD", {}, (NOISE,))


@pytest.fixture
def books(tmp_path: Path) -> ImageBooks:
    return ImageBooks(tmp_path / "register.json", "clinic", 1_000, load_policy(None))


def test_nothing_is_begun_with_a_seed_a_large_delta_or_above_the_cap(books) -> None:
    books.check(10.0, 1e-4, None)
    with pytest.raises(RequestError, match="Leave --seed out"):
        books.check(1.0, None, 0)
    with pytest.raises(RequestError, match="too large"):
        books.check(1.0, 1e-3, None)
    with pytest.raises(BudgetExceeded):
        books.check(10.1, None, None)
    assert not books.register.exists()


def test_images_and_tables_of_the_same_patients_add_up(books) -> None:
    table = PrivacySpent(2.0, 1e-4, "zCDP", {}, ({"kind": "gaussian", "multiplier": 2.0, "count": 1},))
    add(books.register, "clinic", Entry.now("model", Path("t"), None, table), delta=1e-4, cap=10.0)
    assert 3.0 < books.enter(Path("m"), SPENT) < 10.0
    assert len(entries(books.register, "clinic")) == 2


def test_a_new_register_or_a_new_name_says_what_is_not_in_it(books) -> None:
    assert books.begun() == (
        f"new register begun at {books.register}: epsilon that was spent elsewhere is not in it"
    )
    books.enter(Path("m"), SPENT)
    assert books.begun() == ""
    assert "holds nothing of 'renamed' yet" in replace(books, name="renamed").begun()


def test_what_passes_the_cap_is_not_entered(books) -> None:
    dear = PrivacySpent(11.0, 1e-4, "PRV and PLD", {}, (NOISE,))
    with pytest.raises(BudgetExceeded):
        books.enter(Path("m"), dear)
    assert entries(books.register, "clinic") == ()
