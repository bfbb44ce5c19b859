"""A holdout of patients who were learnt from is refused: with it everything would pass."""

import numpy as np
import pandas as pd
import pytest

from ehrsynth.errors import DataError
from ehrsynth.release.appraisal import appraise
from ehrsynth.release.overlap import refuse_overlap
from ehrsynth.schema import BooleanColumn, IdentifierColumn, NumberColumn, Schema

KEYED = Schema(
    name="lab",
    columns=(
        IdentifierColumn(name="id", roles=("patient_key",)),
        NumberColumn(name="sodium", minimum=0, maximum=200, decimals=3),
        BooleanColumn(name="died"),
    ),
)
PLAIN = KEYED.subset(("sodium", "died"))


def lab(rows: int, seed: int, first: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "id": pd.array([f"P{n}" for n in range(first, first + rows)], dtype="string"),
            "sodium": rng.normal(100, 15, rows).clip(0, 200).round(3),
            "died": pd.array(rng.random(rows) < 0.5, dtype="boolean"),
        }
    )


def test_one_patient_in_both_tables_is_too_many() -> None:
    train = lab(100, 1)
    refuse_overlap(train, lab(50, 2, first=100), KEYED)
    with pytest.raises(DataError, match="1 of its 50 patients are in the training table"):
        refuse_overlap(train, lab(50, 2, first=99), KEYED)
    assert "P99" not in str(_raised(train, lab(50, 2, first=99), KEYED))


def _raised(*tables: object) -> DataError:
    with pytest.raises(DataError) as found:
        refuse_overlap(*tables)
    return found.value


def test_without_a_key_it_goes_by_whole_rows() -> None:
    train, others = (lab(n, seed)[["sodium", "died"]] for n, seed in ((100, 1), (60, 2)))
    refuse_overlap(train, others, PLAIN)
    with pytest.raises(DataError, match="50 of its 50 rows"):
        refuse_overlap(train, train.iloc[::2].reset_index(drop=True), PLAIN)
    few = pd.concat([others.iloc[:35], train.iloc[:25]], ignore_index=True)
    refuse_overlap(train, few, PLAIN)  # fewer than half
    refuse_overlap(train, train.head(19), PLAIN)  # too few to tell


def test_rows_that_many_patients_share_say_nothing() -> None:
    schema = KEYED.subset(("died",))
    train, holdout = (lab(n, seed)[["died"]] for n, seed in ((100, 1), (60, 2)))
    assert holdout["died"].isin(train["died"]).all()
    assert refuse_overlap(train, holdout, schema) is None


def test_an_evaluation_begins_with_it() -> None:
    train = lab(200, 1)[["sodium", "died"]]
    with pytest.raises(DataError, match="no holdout"):
        appraise(train, train.tail(100).reset_index(drop=True), train, PLAIN, seed=1)
