"""Who was in a table, committed to: it follows the patients and their rows, not their order."""

import numpy as np

from ehrsynth.release.census import Census, certificate_key, hashed_patients, take_census
from ward import WARD, patients

KEY = b"k" * 32


def test_the_order_of_rows_does_not_matter_and_every_cell_does():
    table = patients(60)
    census = take_census(table, WARD, KEY)
    shuffled = table.iloc[np.random.default_rng(0).permutation(60)].reset_index(drop=True)
    assert take_census(shuffled, WARD, KEY) == census
    changed = table.copy()
    changed.loc[7, "age"] = 44 if table.loc[7, "age"] != 44 else 45
    other = take_census(changed, WARD, KEY)
    assert other.root == census.root, "the same patients"
    assert other.content != census.content


def test_one_patient_less_or_another_key_is_another_census():
    table = patients(60)
    census = take_census(table, WARD, KEY)
    less = take_census(table.iloc[1:].reset_index(drop=True), WARD, KEY)
    assert (less.rows, less.leaves) == (census.rows - 1, census.leaves - 1)
    assert less.root != census.root
    assert take_census(table, WARD, b"other").root != census.root
    assert Census.from_json(census.as_json()) == census


def test_equal_rows_without_a_patient_key_are_told_apart():
    schema = WARD.subset(tuple(n for n in WARD.names if n != "id"))
    table = patients(10).drop(columns="id").iloc[[0, 0, 0, 1]].reset_index(drop=True)
    hashes = hashed_patients(table, schema, KEY)
    assert len({*hashes}) == 4
    assert hashed_patients(table.iloc[:3], schema, KEY) == hashes[:3]


def test_the_certificates_key_is_not_the_splits():
    assert certificate_key(KEY) not in {KEY, certificate_key(b"other")}
