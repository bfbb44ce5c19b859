"""The mark of a synthetic table stays with it, and training on it is refused unless it is meant."""

import pandas as pd
import pytest

from ehrsynth.errors import RequestError
from ehrsynth.schema import Schema
from ehrsynth.tables import (
    accept_synthetic,
    is_synthetic,
    mark_completed,
    mark_synthetic,
    read_table,
    refuse_synthetic,
    table_from_frame,
    write_table,
)
from ehrsynth.tables.origin import COMPLETED, origin_of
from ehrsynth.tables.streaming import stream

REAL = pd.DataFrame({"age": [71, 80, 65]})


def test_a_real_table_passes():
    refuse_synthetic(REAL)
    assert not is_synthetic(REAL)
    assert not is_synthetic(accept_synthetic(REAL))


def test_marking_leaves_the_given_table_alone():
    assert is_synthetic(mark_synthetic(REAL))
    assert not is_synthetic(REAL)


def test_a_synthetic_table_is_refused_with_the_way_out():
    with pytest.raises(RequestError, match="--train-on-synthetic"):
        refuse_synthetic(mark_synthetic(REAL))


def test_an_accepted_table_passes_and_stays_synthetic():
    accepted = accept_synthetic(mark_synthetic(REAL))
    refuse_synthetic(accepted)
    assert is_synthetic(accepted)


def test_a_completed_table_is_no_synthetic_one_and_is_not_learnt_from_either():
    completed = mark_completed(REAL)
    assert not is_synthetic(completed)
    with pytest.raises(RequestError, match=r"filled by ehrsynth.*--train-on-synthetic"):
        refuse_synthetic(completed)
    accepted = accept_synthetic(completed)
    refuse_synthetic(accepted)
    assert origin_of(accepted) == COMPLETED


@pytest.mark.parametrize("where", ["x.csv", "x.csv.gz", "x.parquet", "sqlite"])
@pytest.mark.parametrize("accepted", [False, True])
def test_the_mark_of_a_completed_table_comes_back(tmp_path, where, accepted):
    schema = Schema(name="s", columns=[{"name": "age", "kind": "integer", "minimum": 0, "maximum": 110}])
    table = mark_completed(table_from_frame(REAL, schema))
    place = f"sqlite:///{tmp_path}/x.db?table=whole" if where == "sqlite" else tmp_path / where
    write_table(accept_synthetic(table) if accepted else table, schema, place)
    back = read_table(place, schema)
    assert origin_of(back) == COMPLETED
    with pytest.raises(RequestError, match="filled by ehrsynth"):
        refuse_synthetic(back)
    if (pieces := stream(place, schema)) is not None:
        assert [origin_of(piece) for piece in pieces] == [COMPLETED]


def test_rows_of_a_completed_table_say_so(tmp_path):
    schema = Schema(name="s", columns=[{"name": "age", "kind": "integer", "minimum": 0, "maximum": 110}])
    write_table(
        mark_completed(table_from_frame(REAL, schema)), schema, tmp_path / "x.csv", origin_column=True
    )
    (tmp_path / "x.csv.origin.json").unlink()
    assert (tmp_path / "x.csv").read_text().splitlines()[1].endswith(",completed")
    assert origin_of(read_table(tmp_path / "x.csv", schema)) == COMPLETED


@pytest.mark.parametrize(
    "act",
    [
        lambda t: t.head(2),
        lambda t: t[t["age"] > 70],
        lambda t: t.copy(),
        lambda t: t.reset_index(drop=True),
        lambda t: t.sample(frac=1, random_state=0),
        lambda t: t.assign(new=1),
    ],
)
def test_the_mark_survives_everyday_work(act):
    assert is_synthetic(act(mark_synthetic(REAL)))
