"""`complete`, and `sample --edge`: what needs a model that knows the density of a patient."""

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from typer.testing import Result

Run = Callable[..., Result]
FIT = ("fit", "patients.csv", "--schema", "tiny.yaml", "--out", "model", "--seed", "1", "--generator")


def done(result: Result) -> Result:
    assert result.exit_code == 0, result.output
    return result


@pytest.fixture
def partial(hospital: Path) -> pd.DataFrame:
    table = pd.read_csv(hospital / "patients.csv", dtype=str, keep_default_na=False).head(8)
    table.loc[:3, "age"] = ""
    table.loc[2:5, "sex"] = ""
    table = table.drop(columns="ward")
    table.to_csv(hospital / "partial.csv", index=False)
    return table


def test_complete_fills_what_is_unknown_and_keeps_what_is_known(
    run: Run, hospital: Path, partial: pd.DataFrame
) -> None:
    done(run(*FIT, "autoregressive"))
    words = ("complete", "model", "partial.csv", "--out", "whole.csv", "--draws", 3, "--seed", 2, "--json")
    facts = json.loads(done(run(*words)).stdout)
    assert (facts["patients"], facts["draws"]) == (8, 3)
    assert 0 < facts["least_effective_sample_size"] <= 3
    whole = pd.read_csv(hospital / "whole.csv", dtype=str, keep_default_na=False)
    assert len(whole) == 24
    assert (whole[["age", "sex", "ward", "sbp"]] != "").all(axis=None)
    for row in range(24):
        for name in partial.columns:
            known, made = partial[name].iloc[row // 3], whole[name].iloc[row]
            assert known in {"", made} or float(known) == float(made)
    assert facts["sharing"].startswith("not for sharing")
    again = ["again.csv" if word == "whole.csv" else word for word in words]
    done(run(*again))
    assert (hospital / "whole.csv").read_bytes() == (hospital / "again.csv").read_bytes()


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_what_was_completed_is_neither_shared_nor_learnt_from_nor_overwritten(
    run: Run, hospital: Path, partial: pd.DataFrame, ending: str
) -> None:
    done(run(*FIT, "autoregressive"))
    whole = hospital / f"whole.{ending}"
    done(run("complete", "model", "partial.csv", "--out", whole.name, "--seed", 2))
    if ending == "csv":
        mark = json.loads((hospital / "whole.csv.origin.json").read_text())
        assert mark["origin"] == "completed"
        meaning = mark["meaning"]
    else:
        metadata = pq.read_schema(whole).metadata
        assert metadata[b"ehrsynth_origin"] == b"completed"
        meaning = metadata[b"ehrsynth_origin_meaning"].decode()
    assert meaning == "real patients whose unknown cells ehrsynth filled: not for sharing"
    refused = run("fit", whole.name, "--schema", "tiny.yaml", "--out", "other", "--generator", "independent")
    assert refused.exit_code == 2
    assert "--train-on-synthetic" in refused.output
    before = whole.read_bytes()
    for words in (("complete", "model", "partial.csv"), ("sample", "model", "-n", 5)):
        result = run(*words, "--out", whole.name)
        assert result.exit_code == 2
        assert "exists already" in result.output
    assert whole.read_bytes() == before


def test_complete_names_what_does_not_fit(run: Run, hospital: Path, partial: pd.DataFrame) -> None:
    done(run(*FIT, "autoregressive"))
    partial["sbp"] = "9999"
    partial.to_csv(hospital / "partial.csv", index=False)
    result = run("complete", "model", "partial.csv", "--out", "whole.csv")
    assert result.exit_code == 2
    assert "sbp" in result.output
    assert "9999" not in result.output
    assert not (hospital / "whole.csv").exists()


def test_edge_gives_valid_patients(run: Run, hospital: Path) -> None:
    done(run(*FIT, "autoregressive"))
    words = ("sample", "model", "-n", 30, "--out", "edge.csv", "--seed", 2, "--edge", "--json")
    facts = json.loads(done(run(*words)).stdout)
    assert facts["edge"] is True
    assert facts["probability"] < 0.1
    done(run("schema", "check", "tiny.yaml", "edge.csv"))
    assert len(pd.read_csv(hospital / "edge.csv")) == 30


@pytest.mark.parametrize("option", [("--workers", 2), ("--scheduler", "tls://host:8786")])
def test_edge_takes_no_workers(run: Run, hospital: Path, option: tuple[object, ...]) -> None:
    done(run(*FIT, "autoregressive"))
    result = run("sample", "model", "-n", 5, "--out", "edge.csv", "--edge", *option)
    assert result.exit_code == 2
    assert "--workers" in result.output
    assert not (hospital / "edge.csv").exists()


@pytest.mark.parametrize(
    "words",
    [
        ("sample", "model", "-n", 5, "--out", "x.csv", "--edge"),
        ("complete", "model", "partial.csv", "--out", "x.csv"),
    ],
)
def test_a_model_without_densities_says_who_has_them(
    run: Run, hospital: Path, partial: pd.DataFrame, words: tuple[object, ...]
) -> None:
    done(run(*FIT, "independent"))
    result = run(*words)
    assert result.exit_code == 2
    assert "--generator autoregressive" in result.output
    assert not (hospital / "x.csv").exists()
