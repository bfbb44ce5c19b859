"""Each verb on a tiny hospital: what it writes, what it prints, how it ends."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import Result

from ehrsynth.registry import known
from ehrsynth.schema.yaml_files import load_schema

Run = Callable[..., Result]
SCHEMA = ("--schema", "tiny.yaml")
FIT = ("fit", "patients.csv", *SCHEMA, "--generator", "independent", "--out", "model", "--seed", "1")


def done(result: Result) -> Result:
    assert result.exit_code == 0, result.output
    return result


def test_help_names_the_verbs_and_is_quick(run: Run) -> None:
    text = done(run("--help")).stdout
    for verb in ("demo", "schema", "fit", "sample", "evaluate", "release", "verify", "list"):
        assert verb in text
        assert "Usage" in done(run(verb, "--help")).stdout
    help_code = "import sys; sys.argv = ['', '-h']; from ehrsynth.cli import main; main()"
    took = {}
    for name, code in {"bare": "pass", "help": help_code}.items():
        times = []
        for _ in range(3):
            start = time.perf_counter()
            subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
            times.append(time.perf_counter() - start)
        took[name] = min(times)
    # About 0.3 s where bare Python takes 0.02 s; a slow machine is slow at both.
    assert took["help"] < 40 * took["bare"]


def test_version(run: Run) -> None:
    assert done(run("--version")).stdout.strip()[0].isdigit()


def test_a_wrong_option_is_exit_2(run: Run) -> None:
    assert run("fit", "--nonsense").exit_code == 2
    assert run("nonsense").exit_code == 2


@pytest.mark.parametrize(
    ("what", "table"),
    [("generators", "generator"), ("metrics", "metric"), ("attacks", "attack"), ("columns", "column kind")],
)
def test_list_shows_everything_that_is_registered(what: str, table: str, run: Run) -> None:
    found = json.loads(done(run("list", what, "--json")).stdout)[what]
    assert [item["name"] for item in found] == list(known(table))
    assert all(item["about"] for item in found)
    shown = done(run("list", what)).stdout
    assert all(name in shown for name in known(table))


def test_schema_infer_then_check(run: Run, hospital: Path) -> None:
    facts = json.loads(done(run("schema", "infer", "patients.csv", "--out", "new.yaml", "--json")).stdout)
    assert facts["columns"] == 7
    text = (hospital / "new.yaml").read_text(encoding="utf-8")
    assert "#" in text
    assert {c.source for c in load_schema(hospital / "new.yaml").columns} == {"data"}
    checked = json.loads(done(run("schema", "check", "new.yaml", "patients.csv", "--json")).stdout)
    assert checked["patients"] == 320
    assert checked["violations"] == 0
    assert checked["guessed_from_data"] > 0
    assert run("schema", "infer", "patients.csv", "--out", "new.yaml").exit_code == 2
    assert (hospital / "new.yaml").read_text(encoding="utf-8") == text


def test_schema_infer_says_what_it_leaves_out(run: Run, hospital: Path) -> None:
    (hospital / "gaps.csv").write_text("age,note\n" + "".join(f"{age},\n" for age in range(40, 60)))
    shown = done(run("schema", "infer", "gaps.csv", "--out", "gaps.yaml")).stdout
    assert "'note' is left out: empty in every row" in shown
    facts = json.loads(done(run("schema", "infer", "gaps.csv", "--out", "g.yaml", "--json")).stdout)
    assert list(facts["left_out"]) == ["note"]


def test_a_schema_goes_to_sdv_and_comes_back(run: Run, hospital: Path) -> None:
    facts = json.loads(done(run("schema", "sdv", "tiny.yaml", "--out", "sdv.json", "--json")).stdout)
    assert facts["columns"] == 7
    written = json.loads((hospital / "sdv.json").read_text())
    assert written["tables"]["tiny"]["columns"]["age"]["range_max"] == 99
    assert run("schema", "sdv", "tiny.yaml", "--out", "sdv.json").exit_code == 2
    done(run("schema", "infer", "patients.csv", "--sdv", "sdv.json", "--name", "tiny", "--out", "back.yaml"))
    back = load_schema(hospital / "back.yaml")
    assert (back.column("age").minimum, back.column("age").maximum) == (18, 99)
    assert back.patient_key == "id"
    done(run("schema", "check", "back.yaml", "patients.csv"))


@pytest.mark.parametrize("content", ["", "no JSON", "[]", "{}", '{"METADATA_SPEC_VERSION": "V9"}'])
def test_a_file_that_is_no_sdv_metadata_is_refused(content: str, run: Run, hospital: Path) -> None:
    (hospital / "sdv.json").write_text(content)
    result = run("schema", "infer", "patients.csv", "--sdv", "sdv.json", "--out", "new.yaml")
    assert result.exit_code == 2, result.output
    assert "SDV" in result.stderr
    assert not (hospital / "new.yaml").exists()


def test_rows_are_marked_on_request(run: Run, hospital: Path) -> None:
    done(run(*FIT))
    for words, marked in (((), False), (("--origin-column",), True)):
        name = f"marked-{marked}.csv"
        done(run("sample", "model", "--rows", "20", "--out", name, *words))
        lines = (hospital / name).read_text(encoding="utf-8").splitlines()
        assert lines[0].endswith(",_origin") == marked
        assert all(line.endswith(",synthetic") == marked for line in lines[1:])
        (hospital / f"{name}.origin.json").unlink()
        # Without its sidecar, only the column says what it is.
        again = run("fit", name, *SCHEMA, "--generator", "independent", "--out", f"again-{marked}")
        assert again.exit_code == (2 if marked else 0), again.output


def test_fit_and_sample_give_the_same_bytes_for_the_same_seed(run: Run, hospital: Path) -> None:
    facts = json.loads(done(run(*FIT, "--json")).stdout)
    assert facts["patients"] == 320
    assert facts["seed"] == 1
    for name in ("one.csv", "two.csv", "three.csv"):
        seed = "8" if name == "three.csv" else "7"
        done(run("sample", "model", "--rows", "100", "--out", name, "--seed", seed))
    one, two, three = ((hospital / f"{n}.csv").read_bytes() for n in ("one", "two", "three"))
    assert one == two != three
    done(run("schema", "check", "tiny.yaml", "one.csv"))


@pytest.mark.parametrize("ending", ["csv", "csv.gz", "parquet"])
def test_real_patients_are_never_written_over(ending: str, run: Run, hospital: Path) -> None:
    real = hospital / f"real.{ending}"
    table = pd.read_csv(hospital / "patients.csv")
    table.to_parquet(real) if ending == "parquet" else table.to_csv(real, index=False)
    before = real.read_bytes()
    done(run(*FIT))
    refused = run("sample", "model", "--rows", "20", "--out", real.name)
    assert (refused.exit_code, real.read_bytes()) == (2, before)
    assert "exists already" in refused.stderr
    made = ("sample", "model", "--rows", "20", "--out", f"made.{ending}")
    done(run(*made))
    done(run(*made))


def test_sample_meets_the_condition_and_counts_its_rows(run: Run, hospital: Path) -> None:
    done(run(*FIT))
    words = ("sample", "model", "--rows", "30", "--out", "old.parquet", "--seed", "2", "--json")
    facts = json.loads(done(run(*words, "--where", 'age >= 80 and sex == "F"')).stdout)
    assert facts["patients"] == 30
    assert 0 < facts["acceptance"] <= 1
    import pandas as pd

    table = pd.read_parquet(hospital / "old.parquet")
    assert len(table) == 30
    assert (table["age"] >= 80).all()
    assert set(table["sex"]) == {"F"}


@pytest.mark.parametrize(
    ("where", "says"),
    [
        ("age >=", "^"),
        ("aeg > 80", "did you mean"),
        ('sex == "X"', "known"),
        ("age > 200", "no patient"),
        ('id == "P0001"', "id"),
    ],
)
def test_a_wrong_condition_is_told_before_any_row_is_drawn(
    where: str, says: str, run: Run, hospital: Path
) -> None:
    done(run(*FIT))
    result = run("sample", "model", "--rows", "30", "--out", "out.csv", "--where", where)
    assert result.exit_code == 2, result.output
    assert says in result.stderr.lower()
    assert not (hospital / "out.csv").exists()


def test_a_condition_that_is_too_rare_is_a_no(run: Run, hospital: Path) -> None:
    """The independent generator hits two columns at once by chance only; the answer comes in bounded time."""
    done(run(*FIT))
    result = run("sample", "model", "--rows", "3", "--out", "out.csv", "--where", "sbp == 50.3 and age == 18")
    assert result.exit_code in {0, 3}, result.output
    assert (hospital / "out.csv").exists() == (result.exit_code == 0)


def test_settings_are_checked_by_the_recipe(run: Run, hospital: Path) -> None:
    words = ("fit", "patients.csv", *SCHEMA, "--generator", "tvae", "--out", "model")
    wrong = run(*words, "--set", "epoch=3")
    assert wrong.exit_code == 2
    assert "Did you mean 'epochs'?" in wrong.stderr
    assert run(*words, "--set", "epochs=many").exit_code == 2
    assert run(*words, "--set", "epochs").exit_code == 2
    assert run(*words, "--set", "epochs=1", "--set", "epochs=2").exit_code == 2
    unknown = run("fit", "patients.csv", *SCHEMA, "--generator", "tvea", "--out", "model")
    assert unknown.exit_code == 2
    assert "Did you mean 'tvae'?" in unknown.stderr
    assert not (hospital / "model").exists()


def test_synthetic_patients_are_not_learnt_by_accident(run: Run, hospital: Path) -> None:
    done(run(*FIT))
    for name in ("out.csv", "out.parquet"):
        done(run("sample", "model", "--rows", "80", "--out", name, "--seed", "2"))
        again = ("fit", name, *SCHEMA, "--generator", "independent", "--out", f"again-{name}")
        refused = run(*again)
        assert refused.exit_code == 2
        assert "--train-on-synthetic" in refused.stderr
        done(run(*again, "--train-on-synthetic"))
    assert (hospital / "again-out.csv" / "model.json").is_file()
