"""A release of a uniform subsample of a long table: what it says, who was drawn, and forgetting from it."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ehrsynth.deletion.job import forget
from ehrsynth.deletion.verify import verify
from ehrsynth.errors import DataError, RequestError
from ehrsynth.generators.storage import load_model
from ehrsynth.release.job import release
from ehrsynth.release.reading import Sampled, read, read_again
from ehrsynth.schema import Schema
from ehrsynth.tables import table_from_frame, write_table
from ehrsynth.tables.streaming import draws, stream, subsample

MOST = 500


@pytest.fixture(scope="module")
def whole(patients: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    return table_from_frame(patients, schema)


@pytest.fixture(scope="module")
def long(whole: pd.DataFrame, schema: Schema, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("long") / "ward.parquet"
    write_table(whole, schema, path)
    return path


@pytest.fixture
def drawn(long: Path, schema: Schema, lenient, tmp_path: Path) -> Path:
    settings = {"counts": True}
    made = release(
        long,
        schema,
        tmp_path / "old",
        generator="independent",
        settings=settings,
        policy=lenient,
        at_most=MOST,
    )
    return made.folder


def kept(folder: Path) -> tuple[Sampled, dict]:
    found = json.loads((folder / "internal" / "request.json").read_bytes())
    return Sampled(**found["sampled"]), found


def test_the_report_says_of_how_many(drawn: Path) -> None:
    report = json.loads((drawn / "internal" / "report.json").read_bytes())["provenance"]
    assert any("uniform subsample of 500 of 2,400 patients" in action for action in report["actions"])
    assert report["rows"]["train"] + report["rows"]["holdout"] == MOST
    assert kept(drawn)[1]["census"]["rows"] == MOST


def test_who_was_drawn_is_found_again_whoever_has_left(
    long: Path, whole: pd.DataFrame, schema: Schema, tmp_path: Path
) -> None:
    first = read(long, schema, MOST, seed=3, accepted=False)
    assert first.sampled is not None
    found = stream(long, schema)
    assert found is not None
    assert {*first.table["id"]} == {*subsample(found, MOST, seed=3)["id"]}
    gone = [*first.table["id"].iloc[:20], *whole["id"].iloc[:40]]
    write_table(whole[~whole["id"].isin(gone)].reset_index(drop=True), schema, tmp_path / "less.parquet")
    again = read_again(tmp_path / "less.parquet", schema, first.sampled)
    assert {*again["id"]} == {*first.table["id"]} - {*gone}


def test_forgetting_from_a_subsample_learns_from_those_who_remain_of_it(
    drawn: Path, long: Path, whole: pd.DataFrame, schema: Schema, tmp_path: Path
) -> None:
    sampled, _ = kept(drawn)
    there = draws(whole, schema, seed=sampled.seed) <= sampled.highest
    mine, others = whole["id"][there].tolist(), whole["id"][~there].tolist()
    assert len(mine) == MOST
    (tmp_path / "ids.txt").write_text("\n".join([mine[0], *others[:12]]))
    made = forget(drawn, tmp_path / "ids.txt", long, tmp_path / "new")
    ledger = json.loads((made.folder / "internal" / "forgotten.json").read_bytes())
    assert made.never_drawn == 12
    assert made.patients == len(ledger["forgotten"]) == 1, "only who was drawn counts towards eleven"
    assert verify(made.folder, patients=tmp_path / "ids.txt").intact
    assert kept(made.folder)[0] == sampled
    assert kept(made.folder)[1]["census"]["rows"] == MOST - 1
    second = forget(made.folder, [mine[1]], long, tmp_path / "second")
    assert second.patients == 1
    assert load_model(second.folder / "internal" / "model")
    report = json.loads((second.folder / "internal" / "report.json").read_bytes())["provenance"]
    assert any("498 of 2,400 patients" in action for action in report["actions"])
    with pytest.raises(DataError, match="none of the 3 patients named was drawn"):
        forget(second.folder, others[:3], long, tmp_path / "third")


def test_a_misspelt_key_is_not_certified_as_one_who_was_never_drawn(
    drawn: Path, long: Path, whole: pd.DataFrame, schema: Schema, tmp_path: Path
) -> None:
    sampled, _ = kept(drawn)
    there = draws(whole, schema, seed=sampled.seed) <= sampled.highest
    mine, other = whole["id"][there].iloc[0], whole["id"][~there].iloc[0]
    misspelt = [f"p{n:05d}" for n in range(20)]  # chance would draw some of them, and not others
    for named in ([mine, other, misspelt[k]] for k in range(20)):
        with pytest.raises(DataError, match=r"1 of the [23] patients named are not in the table"):
            forget(drawn, named, long, tmp_path / "new")
    with pytest.raises(DataError, match="1 of the 1 patients named are not in the table"):
        forget(drawn, misspelt[:1], long, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_the_draw_is_uniform(long: Path, whole: pd.DataFrame, schema: Schema) -> None:
    times = np.zeros(len(whole))
    for seed in range(40):
        times += whole["id"].isin(read(long, schema, 600, seed=seed, accepted=False).table["id"])
    assert times.sum() == 40 * 600
    # Binomial(40, 1/4): five standard deviations around 10.
    assert times.min() >= 0
    assert times.max() <= 10 + 5 * np.sqrt(7.5)
    assert times.var() == pytest.approx(7.5, rel=0.2)


def test_what_cannot_be_drawn_is_said(
    long: Path, data: Path, whole: pd.DataFrame, schema: Schema, tmp_path: Path
) -> None:
    with pytest.raises(RequestError, match="Parquet"):
        release(data, schema, tmp_path / "out", generator="independent", at_most=MOST)
    keyless = schema.subset(("age", "sex"))
    with pytest.raises(RequestError, match="patient_key"):
        release(long, keyless, tmp_path / "out", generator="independent", at_most=MOST)
    public = schema.changed(rows={"value": 2_400, "source": "public"})
    with pytest.raises(RequestError, match="every patient"):
        release(
            long,
            public,
            tmp_path / "out",
            generator="dp-independent",
            settings={"epsilon": 1.0},
            at_most=MOST,
        )
    assert read(long, schema, len(whole), seed=1, accepted=False).sampled is None
