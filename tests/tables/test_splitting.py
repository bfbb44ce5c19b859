"""The split moves nobody but the patient that comes or goes, and can be made again."""

import numpy as np
import pandas as pd
import pytest

from ehrsynth.errors import NotEnoughData, RequestError
from ehrsynth.schema import Schema
from ehrsynth.tables import is_synthetic, mark_synthetic, split, table_from_frame
from ehrsynth.tables.splitting import held_out

KEY = b"a key for tests"
KEYED = Schema(
    name="keyed",
    columns=[
        {"name": "id", "kind": "identifier", "roles": ["patient_key"]},
        {"name": "age", "kind": "integer", "minimum": 0, "maximum": 120},
    ],
)
FREE = Schema(
    name="free",
    columns=[
        {"name": "age", "kind": "integer", "minimum": 0, "maximum": 120},
        {"name": "sex", "kind": "category", "values": ["F", "M"], "missing": True},
        {"name": "seen", "kind": "date", "minimum": "2000-01-01", "maximum": "2030-01-01"},
    ],
)
N = 400


@pytest.fixture(scope="module")
def keyed():
    ages = np.random.default_rng(1).integers(20, 99, N)
    return table_from_frame(pd.DataFrame({"id": [f"P{i}" for i in range(N)], "age": ages}), KEYED)


@pytest.fixture(scope="module")
def free():
    """A third of the rows has a twin."""
    rng = np.random.default_rng(2)
    frame = pd.DataFrame(
        {
            "age": rng.integers(20, 99, N),
            "sex": rng.choice(["F", "M", ""], N),
            "seen": [f"2020-01-{day:02d}" for day in rng.integers(1, 28, N)],
        }
    )
    return table_from_frame(pd.concat([frame, frame.head(N // 3)]), FREE)


def ids(table):
    return set(table["id"])


def rows(table):
    """The rows as a sorted list, in which twins count."""
    return sorted(map(str, table[sorted(table.columns)].itertuples(index=False)))


def test_every_patient_is_on_one_side(keyed):
    train, holdout = split(keyed, KEYED, key=KEY)
    assert ids(train) | ids(holdout) == ids(keyed)
    assert not ids(train) & ids(holdout)
    assert train.index.tolist() == list(range(len(train)))


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_the_share_is_what_was_asked_for_up_to_chance(keyed, share):
    _, holdout = split(keyed, KEYED, key=KEY, holdout=share)
    assert abs(len(holdout) - share * N) < 4 * np.sqrt(share * (1 - share) * N)


def test_equal_keys_give_equal_splits_and_others_unrelated_ones(keyed):
    first, again, other = (ids(split(keyed, KEYED, key=key)[0]) for key in (KEY, KEY, b"another"))
    assert first == again
    assert abs(len(first & other) - N / 4) < 4 * np.sqrt(3 / 16 * N)


def test_a_larger_holdout_holds_the_smaller_one(keyed):
    small, large = (ids(split(keyed, KEYED, key=KEY, holdout=share)[1]) for share in (0.2, 0.6))
    assert small < large


def test_removing_a_patient_moves_no_other(keyed):
    train, _ = split(keyed, KEYED, key=KEY)
    for gone in range(0, N, 37):
        left, _ = split(keyed.drop(index=gone), KEYED, key=KEY)
        assert ids(left) == ids(train) - {keyed["id"][gone]}


def test_with_a_key_nothing_else_counts(keyed):
    train, _ = split(keyed, KEYED, key=KEY)
    aged, _ = split(keyed.assign(age=keyed["age"] + 1), KEYED, key=KEY)
    assert ids(aged) == ids(train)


def test_without_a_key_removing_a_patient_moves_no_other(free):
    train, _ = split(free, FREE, key=KEY)
    for gone in (0, 5, N - 1, N + 3):
        left, _ = split(free.drop(index=gone), FREE, key=KEY)
        before, after = rows(train), rows(left)
        assert len(before) - len(after) in (0, 1)
        for row in after:
            before.remove(row)
        assert before in ([], rows(free.loc[[gone]]))


def test_without_a_key_the_order_of_rows_and_columns_does_not_count(free):
    train, _ = split(free, FREE, key=KEY)
    mixed = free.sample(frac=1, random_state=3)[["sex", "seen", "age"]]
    other = FREE.changed(columns=tuple(FREE.column(name) for name in mixed.columns))
    assert rows(split(mixed, other, key=KEY)[0]) == rows(train)


def test_twins_may_stand_on_either_side(free):
    train, holdout = split(free, FREE, key=KEY)
    assert set(rows(train)) & set(rows(holdout))


def test_neighbouring_words_do_not_run_together():
    """Each alone in its table: in one table they would be told apart as first and second of equal rows."""
    words = ["a", "ab", "b", "bc", "c"]
    columns = [{"name": n, "kind": "category", "values": words} for n in ("x", "y")]
    schema = Schema(name="words", columns=columns)
    one, other = (
        table_from_frame(pd.DataFrame({"x": [x], "y": [y]}), schema) for x, y in (("ab", "c"), ("a", "bc"))
    )
    sides = [
        [bool(held_out(table, schema, key=bytes([key]), holdout=0.5)[0]) for key in range(40)]
        for table in (one, other)
    ]
    assert 5 < sum(a != b for a, b in zip(*sides, strict=True)) < 35


def test_a_split_is_the_same_in_every_version():
    """Who was learnt from must be found again when a patient asks to be forgotten, years later."""
    ids_, ages = [f"P{i}" for i in range(16)], list(range(40, 56))
    keyed_ = table_from_frame(pd.DataFrame({"id": ids_, "age": ages}), KEYED)
    frame = pd.DataFrame({"age": ages, "sex": ["F", "M"] * 8, "seen": ["2020-01-31"] * 16})
    free_ = table_from_frame(pd.concat([frame, frame.head(4)]), FREE)
    drawn = [
        "".join(str(int(out)) for out in held_out(table, schema, key=KEY, holdout=0.5))
        for table, schema in ((keyed_, KEYED), (free_, FREE))
    ]
    assert drawn == ["1010100111100000", "01101011011101110100"]


def test_the_mark_of_origin_stays(keyed):
    assert all(map(is_synthetic, split(mark_synthetic(keyed), KEYED, key=KEY)))
    assert not any(map(is_synthetic, split(keyed, KEYED, key=KEY)))


def test_what_cannot_be_split_is_refused(keyed):
    for holdout in (0, 1, -0.1, float("nan")):
        with pytest.raises(RequestError, match="above 0 and below 1"):
            split(keyed, KEYED, key=KEY, holdout=holdout)
    with pytest.raises(RequestError, match="key"):
        split(keyed, KEYED, key=b"")
    with pytest.raises(NotEnoughData, match="too few"):
        split(keyed.head(1), KEYED, key=KEY)
