"""The job: two folders or one, whole or nothing, and nothing in `share/` that may not leave."""

import json
import stat

import numpy as np
import pandas as pd
import pytest

from ehrsynth.errors import DataError, OutputError, ReleaseBlocked, RequestError
from ehrsynth.evaluation.suite import Evaluation
from ehrsynth.files import sha256
from ehrsynth.generators.independent import Independent
from ehrsynth.generators.storage import load_model
from ehrsynth.registry import known
from ehrsynth.release import folders, job, steps
from ehrsynth.release.job import release
from ehrsynth.release.policy import called, load_policy
from ehrsynth.report.words import title
from ehrsynth.schema.yaml_files import load_schema
from ehrsynth.tables import generalise, is_synthetic, read_table, split
from ehrsynth.tables.bands import with_bands

SEED, KEY = 20_261_122_003, bytes(range(32))  # as in conftest.py


@pytest.fixture
def unmeasured(monkeypatch):
    """The job without its longest step: an evaluation that measured nothing."""
    nothing = Evaluation(scores={}, risks={}, columns=(), rows={}, rows_given={}, protocol_hash="0" * 64)

    def evaluate(*args, **settings):
        return nothing

    monkeypatch.setattr(steps, "evaluate", evaluate)


@pytest.fixture
def written(unmeasured, monkeypatch):
    """What the job would have written, in order."""
    seen = []

    def write_release(out, made):
        seen.append(made)

    monkeypatch.setattr(job, "write_release", write_release)
    return seen


def files(folder):
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}


def test_a_release_has_two_folders(released):
    assert released.decision.released
    assert files(released.folder / "share") == {
        "synthetic.csv",
        "synthetic.csv.origin.json",
        "synthetic.parquet",
        "schema.yaml",
        "report.html",
        "card.md",
        "manifest.json",
        "seal.json",
    }
    inside = files(released.folder / "internal")
    assert {
        "report.html",
        "report.json",
        "manifest.json",
        "schema.yaml",
        "policy.json",
        "seal.json",
    } <= inside
    assert "model/model.json" in inside
    released.raise_if_blocked()


def test_the_table_is_synthetic_valid_and_as_long_as_the_training_half(released):
    share = released.folder / "share"
    schema = load_schema(share / "schema.yaml")
    from_csv, from_parquet = (read_table(share / f"synthetic.{e}", schema) for e in ("csv", "parquet"))
    pd.testing.assert_frame_equal(from_csv, from_parquet)
    assert is_synthetic(from_csv)
    rows = json.loads((share / "manifest.json").read_bytes())["provenance"]["rows"]
    assert len(from_csv) == rows["train"] == rows["synthetic"]
    assert rows["patients"] == rows["train"] + rows["holdout"]


def test_rare_categories_and_old_ages_are_gone_and_it_is_said(released):
    share = released.folder / "share"
    schema = load_schema(share / "schema.yaml")
    assert "quarantine" not in schema.column("ward").values
    assert schema.column("age").maximum == 90
    assert "quarantine" not in (share / "report.html").read_text()
    assert any("90" in a for a in json.loads((share / "manifest.json").read_bytes())["provenance"]["actions"])


def test_only_the_owner_reads_what_is_inside(released, blocked):
    for folder in (released.folder, blocked.folder):
        internal = folder / "internal"
        for place in (internal, *internal.rglob("*")):
            assert stat.S_IMODE(place.stat().st_mode) == (0o700 if place.is_dir() else 0o600)


def test_no_secret_is_in_what_is_shared(released, data):
    manifest = json.loads((released.folder / "internal" / "manifest.json").read_bytes())
    assert manifest["seed"] == SEED
    assert manifest["split_key"] == KEY.hex()
    assert manifest["data_sha256"] == sha256(data)
    secrets = (str(SEED), KEY.hex(), sha256(data), "the-command", str(data))
    for file in (released.folder / "share").rglob("*"):
        content = file.read_bytes()
        assert not [s for s in secrets if s.encode() in content], file.name
        assert KEY not in content


def test_the_internal_report_is_json_with_the_decision_on_top(released, blocked):
    for made, verdict in ((released, "released"), (blocked, "blocked")):
        report = json.loads((made.folder / "internal" / "report.json").read_bytes())
        assert report["decision"] == verdict
        assert set(report["risks"]) == {*known("attack"), "combined"}
        assert report["bound"]["level"] == load_policy().family_wise_level.value
        assert report["provenance"]["seed"] == SEED


def test_the_model_inside_can_be_sampled(released):
    model = load_model(released.folder / "internal" / "model")
    assert len(model.sample(5, seed=1).table) == 5


def test_the_card_says_what_it_is_for_and_what_not(released):
    card = (released.folder / "share" / "card.md").read_text()
    for words in (
        "No row stands for a real person",
        "No formal guarantee",
        "Not meant for",
        "Limits",
        "licence",
    ):
        assert words in card
    assert "Made up for a test" in card


def test_the_card_tells_the_numbers_that_the_gate_looked_at(released):
    share = released.folder / "share"
    checks = {c["name"]: c for c in json.loads((share / "manifest.json").read_text())["checks"]}
    told = [line.split(" | ") for line in (share / "card.md").read_text().splitlines()]
    rows = {cells[0].removeprefix("| "): cells[1:3] for cells in told if len(cells) == 4}
    attacks = {name for name in checks if name in rows}
    assert {title(name) for name in released_attacks(released)} == attacks
    for name in attacks:
        assert rows[name] == [f"{checks[name]['value']:.2f}", f"{checks[name]['limit']:g}"]


def released_attacks(released):
    return json.loads((released.folder / "internal" / "report.json").read_text())["risks"]


def test_a_blocked_release_has_no_share_and_says_why(blocked):
    assert not (blocked.folder / "share").exists()
    assert (blocked.folder / "internal" / "report.html").is_file()
    assert (blocked.folder / "internal" / "model" / "model.json").is_file()
    with pytest.raises(ReleaseBlocked) as found:
        blocked.raise_if_blocked()
    first = str(found.value).splitlines()[0]
    assert first.startswith("blocked: ")
    assert blocked.decision.reasons[0] in first
    assert found.value.exit_code == 3
    names = {check.name for check in blocked.decision.failed}
    assert {"Patients held out", "Patients in the table"} <= names


def test_a_seed_and_a_key_make_the_same_table_again(released, data, schema, lenient, tmp_path, written):
    for name, key in (("a", KEY), ("b", None)):
        release(data, schema, tmp_path / name, generator="independent", seed=SEED, key=key, policy=lenient)
    share = released.folder / "share"
    first = read_table(share / "synthetic.csv", load_schema(share / "schema.yaml"))
    pd.testing.assert_frame_equal(written[0].copies[0], first, check_flags=False)
    assert written[1].secrets.key != KEY
    assert len(written[1].secrets.key) == 32


def test_dates_are_counted_from_an_index_date(data, schema, lenient, tmp_path, written):
    table = read_table(data, schema)
    admission = pd.Series(pd.date_range("2001-01-01", "2009-12-31", periods=len(table))).dt.floor("D")
    stay = pd.to_timedelta(np.arange(len(table)) % 20, unit="D")
    dates = {"admission": admission.dt.strftime("%Y-%m-%d")}
    dates["death date"] = (admission + stay).dt.strftime("%Y-%m-%d")
    span = {"kind": "date", "minimum": "2001-01-01", "maximum": "2010-12-31"}
    dated = schema.changed(columns=(*schema.columns, *({"name": name, **span} for name in dates)))
    given = pd.read_csv(data, dtype=str, keep_default_na=False).assign(**dates)
    chosen = {"generator": "independent", "policy": lenient, "seed": SEED, "key": KEY}
    release(given, dated, tmp_path / "out", index_date="admission", **chosen)
    assert written[0].schema.column("death date").unit == "days from admission"
    assert written[0].copies[0]["death date"].between(0, 19).all()
    assert written[0].request.options.index_date == "admission"
    release(given, dated, tmp_path / "years", **chosen)
    assert written[1].schema.column("death date").unit == "year"
    with pytest.raises(RequestError, match="admision"):
        release(given, dated, tmp_path / "wrong", index_date="admision", **chosen)


def test_the_number_of_rows_can_be_asked_for(data, schema, lenient, tmp_path, written):
    made = release(data, schema, tmp_path / "o", generator="independent", rows=17, policy=lenient)
    assert len(written[0].copies[0]) == 17
    assert not made.decision.released  # nothing was computed


def test_several_copies_come_from_one_model_and_the_first_is_that_of_one(
    data, schema, lenient, tmp_path, written
):
    for name, copies in (("a", 1), ("b", 3)):
        chosen = {"generator": "independent", "seed": SEED, "key": KEY, "copies": copies}
        release(data, schema, tmp_path / name, policy=lenient, **chosen)
    (one,), (first, second, third) = written[0].copies, written[1].copies
    pd.testing.assert_frame_equal(one, first)
    assert len(first) == len(second) == len(third)
    assert not first.equals(second)
    assert not second.equals(third)
    assert written[1].provenance.copies == 3
    with pytest.raises(RequestError, match="copies is 0"):
        release(data, schema, tmp_path / "c", generator="independent", copies=0)


def test_each_copy_has_its_own_files_and_all_are_judged_together(blocked):
    internal = blocked.folder / "internal"
    for number in (1, 2):
        assert (internal / f"synthetic_{number}.csv").is_file()
        assert (internal / f"synthetic_{number}.parquet").is_file()
    assert not (internal / "synthetic.csv").exists()
    report = json.loads((internal / "report.json").read_text())
    assert report["combined"]["copies"] == 2
    assert report["provenance"]["copies"] == 2
    assert (
        report["scores"]["constraint_violations"]["details"]["rows"]
        == 2 * report["provenance"]["rows"]["synthetic"]
    )


def test_only_the_training_half_is_learnt(data, schema, lenient, tmp_path, written, monkeypatch):
    """The holdout is the control of every attack: a generator that saw it would look safe."""
    learnt = []
    usual = Independent.fit

    def fit(self, table, schema, **rest):
        learnt.append(table)
        return usual(self, table, schema, **rest)

    monkeypatch.setattr(Independent, "fit", fit)
    release(data, schema, tmp_path / "o", generator="independent", seed=SEED, key=KEY, policy=lenient)
    (table,) = learnt
    rows = written[0].provenance.rows
    assert len(table) == rows.train
    assert rows.train + rows.holdout == rows.patients
    whole, _, _ = generalise(read_table(data, schema), schema)
    held = set(split(whole, written[0].schema, key=KEY)[1]["id"])
    assert len(held) == rows.holdout
    assert not held & set(table["id"])


def test_attempts_on_the_same_data_are_counted(released, data, schema, lenient, written):
    release(data, schema, released.folder.parent / "second", generator="independent", policy=lenient)
    assert written[0].secrets.attempt == 2
    assert written[0].provenance.attempt == 2


def test_attempts_are_counted_in_the_register_when_folders_and_files_are_new(
    data, schema, lenient, tmp_path, written
):
    """Another folder, and the table saved anew in another order; a no counts as much as a yes."""
    book, notes = tmp_path / "book.json", []
    for place in ("a", "b", "c"):
        turned = tmp_path / f"{place}.csv"
        pd.read_csv(data, dtype=str, keep_default_na=False).sample(frac=1).to_csv(turned, index=False)
        out = tmp_path / place / "out"
        made = release(turned, schema, out, generator="independent", policy=lenient, register=book)
        assert not made.decision.released
        notes.append(made.note)
    assert [product.secrets.attempt for product in written] == [1, 2, 3]
    begun = f"new register begun at {book}: tries and tables elsewhere are not in it"
    assert notes == [begun, "", ""]
    assert [product.provenance.register for product in written] == notes
    held = json.loads(book.read_text())
    assert [look["what"] for look in held["looks"]["kept"]] == ["blocked"] * 3


def test_bands_of_the_schema_reach_the_table_that_leaves(data, schema, lenient, tmp_path):
    banded = with_bands(schema, {"sbp": 5, "weight": 10})
    made = release(data, banded, tmp_path / "o", generator="independent", seed=SEED, key=KEY, policy=lenient)
    assert made.decision.released, made.decision.reasons
    share = made.folder / "share"
    table = pd.read_csv(share / "synthetic.csv")
    assert set(np.mod(table["weight"], 10)) == {5}
    assert set(np.mod(table["sbp"].dropna(), 5)) == {2.5}
    assert load_schema(share / "schema.yaml").column("sbp").band == 5
    assert "bands of 5" in (share / "report.html").read_text(encoding="utf-8")


def test_a_taken_place_is_refused_before_any_work(tmp_path, schema):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "something").touch()
    with pytest.raises(OutputError, match="exists already"):
        release(tmp_path / "no-such-data.csv", schema, tmp_path / "out", generator="independent")


@pytest.mark.parametrize(
    ("change", "error"), [({"generator": "magic"}, RequestError), ({"settings": {"magic": 1}}, RequestError)]
)
def test_an_unknown_generator_or_setting_is_refused(tmp_path, data, schema, change, error):
    with pytest.raises(error, match="magic"):
        release(data, schema, tmp_path / "out", **{"generator": "independent"} | change)
    assert not any(tmp_path.iterdir())


def test_a_table_that_does_not_fit_is_refused(tmp_path, patients, schema):
    with pytest.raises(DataError):
        release(patients.drop(columns="sex"), schema, tmp_path / "out", generator="independent")
    assert not any(tmp_path.iterdir())


def test_a_synthetic_table_needs_to_be_asked_for(tmp_path, released):
    share = released.folder / "share"
    schema = load_schema(share / "schema.yaml")
    with pytest.raises(RequestError, match="train-on-synthetic"):
        release(share / "synthetic.csv", schema, tmp_path / "out", generator="independent")
    assert not any(tmp_path.iterdir())


def test_a_model_of_synthetic_patients_says_so_in_its_report(tmp_path, released, written, lenient):
    share = released.folder / "share"
    schema = load_schema(share / "schema.yaml")
    release(
        share / "synthetic.csv",
        schema,
        tmp_path / "out",
        generator="independent",
        policy=lenient,
        train_on_synthetic=True,
    )
    assert any("copy of a copy" in action for action in written[0].provenance.actions)
    assert any("copy of a copy" in action for action in written[0].provenance.shareable.actions)


def test_what_looks_like_an_identifier_blocks_before_anything_is_learnt(tmp_path, patients, schema, lenient):
    from ehrsynth.schema import CategoryColumn

    words = [f"someone{n}@example.org" for n in range(40)]
    named = schema.changed(columns=(*schema.columns, CategoryColumn(name="contact", values=tuple(words))))
    table = patients.assign(contact=[words[n % 40] for n in range(len(patients))])
    with pytest.raises(ReleaseBlocked, match="contact: email addresses") as found:
        release(table, named, tmp_path / "out", generator="independent", policy=lenient)
    assert "@" not in str(found.value)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left on device")], ids=type)
@pytest.mark.parametrize("step", ["render", "seal_share", "seal_internal", "card", "write_table"])
def test_an_interrupt_or_a_full_disk_leaves_nothing(broken, tmp_path, error, step):
    with pytest.raises(OutputError if isinstance(error, OSError) else KeyboardInterrupt):
        broken(step, error, tmp_path / "out")
    assert not any(tmp_path.iterdir())


@pytest.fixture
def broken(unmeasured, released, data, schema, lenient, monkeypatch):
    """A release that passes the gate and breaks while it is written."""

    def run(step, error, out):
        def fail(*args, **settings):
            raise error

        def decide(*args, **settings):
            return released.decision

        monkeypatch.setattr(folders, step, fail)
        monkeypatch.setattr(job, "decide", decide)
        release(data, schema, out, generator="independent", policy=lenient)

    return run


def test_progress_runs_from_nothing_to_everything(unmeasured, data, schema, lenient, tmp_path):
    seen = []

    def progress(fraction, message):
        assert message
        seen.append(fraction)

    release(data, schema, tmp_path / "o", generator="independent", policy=lenient, progress=progress)
    assert (seen[0], seen[-1]) == (0.0, 1.0)
    assert seen == sorted(seen)


def test_a_copy_of_the_default_policy_with_other_limits_does_not_pass_for_it():
    default = load_policy()
    loose = default.model_copy(
        update={"minimum_holdout": default.minimum_holdout.model_copy(update={"value": 1})}
    )
    assert called(default) == default.title
    assert "changed" in called(loose)


def test_results_beyond_a_limit_of_detection_are_told(patients, schema, lenient, tmp_path, written):
    limited = schema.changed(
        columns=tuple(
            c.model_copy(update={"missing_codes": ("<60.5", *c.missing_codes)}) if c.name == "sbp" else c
            for c in schema.columns
        )
    )
    table = patients.astype({"sbp": object})
    table.loc[table.index[:40], "sbp"] = "<60.5"
    release(table, limited, tmp_path / "o", generator="independent", rows=17, policy=lenient)
    (told,) = [action for action in written[0].provenance.actions if "detection" in action]
    assert told.startswith("sbp: results beyond a limit of detection count as missing")
    assert "60.5" not in told


def test_without_such_results_nothing_is_told_of_them(data, schema, lenient, tmp_path, written):
    release(data, schema, tmp_path / "o", generator="independent", rows=17, policy=lenient)
    assert not [action for action in written[0].provenance.actions if "detection" in action]
