"""Each kind of bad input works or ends with exit code 2, a message that helps, and nothing half-written."""

import contextlib
import resource
import signal
import time
from collections.abc import Callable
from pathlib import Path
from subprocess import Popen

import pytest
from typer.testing import Result

Run = Callable[..., Result]
HEADER = ["id", "age", "sex", "ward", "sbp", "admitted", "died"]
GOOD = ["P0001", "70", "F", "Nord", "120.5", "2020-05-04", "0"]
FIT = (
    "fit",
    "patients.csv",
    "--schema",
    "tiny.yaml",
    "--generator",
    "independent",
    "--out",
    "model",
    "--seed",
    "1",
)


def body(n: int = 60) -> list[list[str]]:
    return [
        [f"P{i:04d}", str(30 + i % 60), "FM"[i % 2], "Nord", "120.5", f"2020-05-{1 + i % 28:02d}", "0"]
        for i in range(n)
    ]


def csv(lines: list[list[str]], header: list[str] | None = None, delimiter: str = ",") -> str:
    return "".join(delimiter.join(line) + "\n" for line in [header or HEADER, *lines])


def with_cells(column: str, *words: str) -> str:
    """A good table with the first cells of one column replaced."""
    lines = body()
    for line, word in zip(lines, words, strict=False):
        line[HEADER.index(column)] = word
    return csv(lines)


def listing(folder: Path) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*")}


def refused(
    run: Run, hospital: Path, *words: object, says: tuple[str, ...], hides: tuple[str, ...] = ()
) -> str:
    """The command exits 2, says what it should, hides what it must and leaves the folder as it was."""
    before = listing(hospital)
    result = run(*words)
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    for word in says:
        assert word.lower() in result.stderr.lower(), result.stderr
    for word in hides:
        assert word not in result.output, f"{word!r} is a patient's value"
    assert listing(hospital) == before
    return result.stderr


BAD_TABLES = {
    "an empty file": ("", ("empty",), ()),
    "a header alone": (csv([]), ("row",), ()),
    "one row": (csv([GOOD]), ("at least 2", "1"), ()),
    "duplicate column names": (csv([[*GOOD, "71"]], [*HEADER, "age"]), ("age",), ("71",)),
    "a missing column": (csv([line[:-1] for line in body()], HEADER[:-1]), ("died",), ()),
    "an extra column": (
        csv([[*line, "x77"] for line in body()], [*HEADER, "extra"]),
        ("extra", "left_out"),
        ("x77",),
    ),
    "a ragged row": (csv([*body(), [*GOOD, "x77"]]), ("1",), ("x77",)),
    "missing where it is not allowed": (with_cells("age", "", "", ""), ("age", "3", "missing"), ()),
    "a category outside the schema": (with_cells("sex", "unsaid", "unsaid"), ("sex", "2"), ("unsaid",)),
    "numbers out of bounds": (
        with_cells("age", "117", "118", "119"),
        ("age", "3", "18", "99"),
        ("117", "119"),
    ),
    "an infinite number": (with_cells("sbp", "inf", "-inf"), ("sbp", "2"), ()),
    "a number above 2^53": (with_cells("age", "9007199254740993"), ("age", "1"), ("9007199254740993",)),
    "text in a numeric column": (with_cells("age", "Smith", "Jones"), ("age", "2"), ("Smith", "Jones")),
    "too many decimals": (with_cells("sbp", "120.567"), ("sbp", "1"), ("120.567",)),
    "mixed date formats": (
        with_cells("admitted", "05/04/2020", "4.5.2020"),
        ("admitted", "2", "%Y-%m-%d"),
        ("05/04/2020", "4.5.2020"),
    ),
    "an impossible date": (with_cells("admitted", "2020-02-31"), ("admitted", "1"), ("2020-02-31",)),
    "repeated patient keys": (with_cells("id", "P7777", "P7777"), ("id",), ("P7777",)),
    "a broken rule": (
        csv([*body(), ["P9001", "19", "F", "Nord", "", "2020-05-04", "1"]]),
        ("1", "age < 20"),
        ("P9001",),
    ),
}


@pytest.mark.parametrize("what", BAD_TABLES)
def test_a_bad_table_is_refused_in_words(what: str, run: Run, hospital: Path) -> None:
    text, says, hides = BAD_TABLES[what]
    (hospital / "patients.csv").write_text(text, encoding="utf-8")
    refused(run, hospital, *FIT, says=says, hides=hides)
    if what != "one row":  # a schema can be checked against one patient; a model cannot be learnt from one
        refused(run, hospital, "schema", "check", "tiny.yaml", "patients.csv", says=says, hides=hides)


def test_all_violations_are_told_at_once(run: Run, hospital: Path) -> None:
    lines = body()
    lines[0][1], lines[1][2], lines[2][4] = "old", "unsaid", "9999.0"
    (hospital / "patients.csv").write_text(csv(lines), encoding="utf-8")
    refused(run, hospital, *FIT, says=("age", "sex", "sbp"), hides=("unsaid", "9999"))


def sampled(run: Run, hospital: Path) -> None:
    """The table can be learnt, and what is sampled passes the schema's own check."""
    for words in (FIT, ("sample", "model", "--rows", "50", "--out", "out.csv", "--seed", "2")):
        result = run(*words)
        assert result.exit_code == 0, result.output
    checked = run("schema", "check", "tiny.yaml", "out.csv")
    assert checked.exit_code == 0, checked.output


GOOD_TABLES = {
    "a column all missing": csv([[*line[:4], "", *line[5:]] for line in body()]).encode(),
    "a constant column": csv([[*line[:1], "70", *line[2:]] for line in body()]).encode(),
    "a semicolon CSV": csv(body(), delimiter=";").encode(),
    "a tab-separated file": csv(body(), delimiter="\t").encode(),
    "a byte-order mark": csv(body()).encode("utf-8-sig"),
    "UTF-16": csv(body()).encode("utf-16"),
    "Latin-1 text": csv([[*line[:3], "Süd", *line[4:]] for line in body()]).encode("latin-1"),
    "Windows line ends": csv(body()).replace("\n", "\r\n").encode(),
    "two rows": csv(body(2)).encode(),
}


@pytest.mark.parametrize("what", GOOD_TABLES)
def test_an_odd_table_works(what: str, run: Run, hospital: Path) -> None:
    (hospital / "patients.csv").write_bytes(GOOD_TABLES[what])
    sampled(run, hospital)


def inferred(run: Run, hospital: Path, text: str) -> None:
    """A schema can be proposed for the table, and the whole way works with it."""
    (hospital / "patients.csv").write_text(text, encoding="utf-8")
    result = run("schema", "infer", "patients.csv", "--out", "tiny.yaml", "--force")
    assert result.exit_code == 0, result.output
    sampled(run, hospital)


def test_odd_names_work(run: Run, hospital: Path) -> None:
    names = [
        "systolic blood pressure",
        '"quoted ""name"""',
        "it's",
        "🫀 rate",
        "SELECT",
        "and",
        "null",
        "a`b",
        "ä;ö",
    ]
    lines = [[str(100 + (i * k) % 37) for k in range(1, len(names) + 1)] for i in range(80)]
    inferred(run, hospital, csv(lines, names))


def test_five_hundred_columns_work(run: Run, hospital: Path) -> None:
    names = [f"lab{k}" for k in range(500)]
    inferred(run, hospital, csv([[str((i * k) % 11) for k in range(500)] for i in range(60)], names))


def test_a_category_with_five_thousand_values_works(run: Run, hospital: Path) -> None:
    words = [[f"diagnosis {(i * 7919) % 5000:04d}", "FM"[i % 2]] for i in range(15_000)]
    inferred(run, hospital, csv(words, ["diagnosis", "sex"]))


BAD_SCHEMAS = {
    "an unknown field": (
        "kind: integer, minimum: 18",
        "kind: integer, smallest: 1, minimum: 18",
        ("age", "smallest"),
    ),
    "a duplicate column": ("name: sex", "name: age", ("age", "declared")),
    "an impossible bound": ("minimum: 18, maximum: 99", "minimum: 99, maximum: 18", ("age", "99", "18")),
    "an unknown kind": ("kind: boolean", "kind: text", ("died", "text")),
    "a rule about no column": ("if: age < 20", "if: aeg < 20", ("aeg", "did you mean")),
    "a rule that does not parse": ("if: age < 20", "if: age <", ("age <",)),
    "a duplicate key": ("name: age, kind", "name: age, name: years, kind", ("name",)),
    "no YAML": ("columns:", "columns: ]", ()),
}


@pytest.mark.parametrize("what", BAD_SCHEMAS)
def test_a_bad_schema_is_refused_in_words(what: str, run: Run, hospital: Path) -> None:
    old, new, says = BAD_SCHEMAS[what]
    text = (hospital / "tiny.yaml").read_text(encoding="utf-8")
    assert old in text
    (hospital / "tiny.yaml").write_text(text.replace(old, new, 1), encoding="utf-8")
    refused(run, hospital, "schema", "check", "tiny.yaml", says=says)
    refused(run, hospital, *FIT, says=says)


def test_files_that_are_not_there(run: Run, hospital: Path) -> None:
    refused(run, hospital, "schema", "check", "nowhere.yaml", says=("nowhere.yaml",))
    refused(run, hospital, "fit", "nowhere.csv", "-s", "tiny.yaml", "-o", "model", says=("nowhere.csv",))
    refused(run, hospital, "sample", "nowhere", "-n", "5", "-o", "out.csv", says=("nowhere",))


def test_a_folder_that_is_taken_is_never_written_over(run: Run, hospital: Path) -> None:
    (hospital / "model").mkdir()
    (hospital / "model" / "precious").write_text("kept")
    refused(run, hospital, *FIT, says=("model", "exists"))
    assert (hospital / "model" / "precious").read_text() == "kept"


def test_a_model_with_one_byte_changed_is_refused(run: Run, hospital: Path) -> None:
    assert run(*FIT).exit_code == 0
    files = sorted(p for p in (hospital / "model").rglob("*") if p.is_file())
    assert len(files) > 2
    for file in files:
        intact = file.read_bytes()
        changed = bytearray(intact)
        changed[len(changed) // 2] ^= 1
        file.write_bytes(bytes(changed))
        # What stands beside the model is none of it: a model may be handed on without.
        own = file.parent.name == "model"
        words = ("sample", "model", "--rows", "5", "--out", "out.csv") if own else ("verify", "model")
        refused(run, hospital, *words, says=("model", "intact"))
        file.write_bytes(intact)
    assert run("sample", "model", "--rows", "5", "--out", "out.csv").exit_code == 0


def test_a_disk_that_fills_up_leaves_nothing(
    start: Callable[..., Popen[str]], run: Run, hospital: Path
) -> None:
    """A limit on file sizes stands for the disk: it is met in the middle of a write just the same."""
    assert run(*FIT).exit_code == 0

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    before = listing(hospital)
    for out in ("out.csv", "out.csv.gz", "out.parquet"):
        process = start("sample", "model", "--rows", "20000", "--out", out, "--seed", "1", preexec=limit)
        _, err = process.communicate(timeout=120)
        assert process.returncode == 2, err
        assert "disk is full" in err
        assert listing(hospital) == before
    process = start(
        *FIT[:-4], "--out", "other", preexec=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (900, 900))
    )
    _, err = process.communicate(timeout=120)
    assert process.returncode != 0
    assert listing(hospital) == before


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_fit_leaves_nothing(
    sent: signal.Signals, start: Callable[..., Popen[str]], hospital: Path
) -> None:
    before = listing(hospital)
    words = (
        "patients.csv",
        "-s",
        "tiny.yaml",
        "-g",
        "tvae",
        "--set",
        "epochs=100000",
        "-o",
        "model",
        "--seed",
        "1",
    )
    process = start("fit", *words)
    with contextlib.closing(process.stderr) as stream:
        first = stream.readline()  # the first words of progress: the fit has begun
        time.sleep(1)
        assert process.poll() is None, first + stream.read()
        process.send_signal(sent)
        said = stream.read()
    process.stdout.close()
    assert process.wait(timeout=60) == 130, said
    assert "interrupted" in said
    assert "Traceback" not in said
    assert listing(hospital) == before
