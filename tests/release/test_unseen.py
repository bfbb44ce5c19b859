"""Two releases of one data set: whoever no table saw is the control, so that a leak of either is seen."""

import json
import shutil
import zlib
from pathlib import Path

import pandas as pd
import pytest

from ehrsynth.evaluation.suite import evaluate
from ehrsynth.files import plain as plain_values
from ehrsynth.release import job, steps
from ehrsynth.release.gate import MEASURED
from ehrsynth.release.job import release
from ehrsynth.release.register import NAME
from ehrsynth.release.unseen import UNSEEN, SplitKey, key_of_split
from ehrsynth.report.decision import Decision, compare
from ehrsynth.report.words import LEAK, title

SEED, KEY = 20_261_122_003, bytes(range(32))  # as in conftest.py
YES = Decision.from_checks([compare("x", 0, 1, "at most", explanation="x", source="ours", citation="x")])


@pytest.fixture
def exact(lenient, monkeypatch):
    """The job with one attack, which is quick: whose row stands in a table as it is."""
    found = []

    def measured(*tables, **settings):
        found.append(evaluate(*tables, **settings | {"metrics": MEASURED, "attacks": ["exact_match"]}))
        return found[-1]

    monkeypatch.setattr(steps, "evaluate", measured)
    return found, lenient.model_copy(update={"attacks": ("exact_match",)})


def leaks(monkeypatch) -> None:
    """A generator that remembers a third of its patients."""
    usual = job.draw

    def draw(real, *rest):
        (table,) = usual(real, *rest)
        third = len(real.train) // 3
        told = pd.concat([real.train.iloc[:third], table.iloc[third:]], ignore_index=True)
        return (told.assign(**table[[name for name in ("id",) if name in table]]),)

    monkeypatch.setattr(job, "draw", draw)


def made(data, schema, out: Path, policy, **chosen):
    """A release whose chance goes by its folder: the gate blocks one where nothing leaks now and then."""
    chosen = {"seed": zlib.crc32(out.name.encode())} | chosen
    return release(data, schema, out, generator="independent", policy=policy, **chosen)


def exposed(evaluation) -> float:
    return max(b.value for b in evaluation.bound.bounds if b.stratum == "all patients")


def key_of(folder: Path) -> str:
    return json.loads((folder / "internal" / "manifest.json").read_text())["split_key"]


@pytest.mark.parametrize("keyed", [True, False])
def test_a_leak_of_the_first_table_is_seen_at_the_second(
    data, schema, exact, tmp_path, monkeypatch, keyed
) -> None:
    found, policy = exact
    if not keyed:
        schema = schema.subset(("age", "sex", "ward", "sbp", "weight", "died"))
        data = pd.read_csv(data, dtype=str, keep_default_na=False).drop(columns="id")
    with monkeypatch.context() as patch:
        leaks(patch)
        patch.setattr(job, "decide", lambda *_, **__: YES)
        assert made(data, schema, tmp_path / "first", policy, key=KEY).decision.released
    second = made(data, schema, tmp_path / "second", policy)
    assert key_of(tmp_path / "second") == key_of(tmp_path / "first")
    assert {LEAK, title("exact_match")} & {check.name for check in second.decision.failed}
    assert UNSEEN not in {check.name for check in second.decision.checks}
    assert exposed(found[1]) > 0.9 * exposed(found[0]) > 0.2


def test_a_leak_of_the_second_is_no_smaller_than_alone(data, schema, exact, tmp_path, monkeypatch) -> None:
    found, policy = exact
    assert made(data, schema, tmp_path / "first", policy, key=KEY).decision.released
    leaks(monkeypatch)
    alone = tmp_path / "elsewhere" / "alone"
    made(data, schema, alone, policy, seed=SEED, key=KEY)
    second = made(data, schema, tmp_path / "second", policy, seed=SEED)
    assert {LEAK, title("exact_match")} & {check.name for check in second.decision.failed}
    assert exposed(found[2]) >= exposed(found[1]) - 0.01
    assert exposed(found[1]) > 0.2


def said(made) -> str:
    (check,) = [check for check in made.decision.checks if check.name == UNSEEN]
    assert not check.computed
    return check.explanation


def test_where_nobody_is_known_to_be_unseen_it_is_a_no_with_a_remedy(data, schema, exact, tmp_path) -> None:
    _, policy = exact
    assert made(data, schema, tmp_path / "first", policy, key=KEY).decision.released
    given = made(data, schema, tmp_path / "given", policy, key=bytes(32))
    assert "the key that was given is not that of the earlier release; leave it out" in said(given)
    assert key_of(tmp_path / "given") == bytes(32).hex()
    fine = made(data, schema, tmp_path / "fine", policy, key=KEY)
    assert UNSEEN not in {check.name for check in fine.decision.checks}
    # A register and its tables without what is inside.
    shutil.move(tmp_path / "first" / "internal", tmp_path / "away")
    gone = made(data, schema, tmp_path / "gone", policy, remedy_seconds=60)
    assert "first/internal/manifest.json" in said(gone)
    assert "put it back" in said(gone)
    assert "What would pass" not in " ".join(gone.decision.reasons)


def test_without_a_patient_key_what_a_row_says_decides_and_not_what_is_said_of_it(schema, tmp_path) -> None:
    plain = schema.subset(("age", "sex", "died"))
    internal = tmp_path / "first" / "internal"
    internal.mkdir(parents=True)
    manifest = {"split_key": KEY.hex(), "schema": plain.as_json()}
    (internal / "manifest.json").write_text(json.dumps(plain_values(manifest)))
    earlier = [tmp_path / "first" / "share" / "synthetic.parquet"]
    age, *others = plain.columns
    protected = plain.changed(
        title="Another", columns=(age.model_copy(update={"roles": ("protected",)}), *others)
    )
    assert key_of_split(earlier, protected, bytes(32), given=False) == SplitKey(KEY)
    wider = plain.changed(columns=(age.model_copy(update={"maximum": 120}), *others))
    found = key_of_split(earlier, wider, bytes(32), given=False)
    assert found.key == bytes(32)
    assert "made coarser in another way" in found.unknown
    assert key_of_split([], wider, bytes(32), given=False) == SplitKey(bytes(32))


def test_releases_under_different_keys_and_rows_of_another_kind_are_told(
    data, schema, exact, tmp_path, monkeypatch
) -> None:
    _, policy = exact
    plain = schema.subset(("age", "sex", "ward", "sbp", "weight", "died"))
    rows = pd.read_csv(data, dtype=str, keep_default_na=False).drop(columns="id")
    with monkeypatch.context() as patch:
        patch.setattr(job, "decide", lambda *_, **__: YES)
        patch.setattr(job, "unseen", lambda _: ())
        for name, key in (("one", KEY), ("two", bytes(32))):
            made(data, schema, tmp_path / name, policy, key=key)
        made(rows, plain, tmp_path / "plain" / "one", policy)
    assert "the 2 earlier tables have different ones; release with a formal" in said(
        made(data, schema, tmp_path / "three", policy)
    )
    few = plain.subset(("age", "sex", "ward", "died"))
    register = tmp_path / "plain" / NAME
    other = made(rows[list(few.names)], few, tmp_path / "fewer", policy, register=register)
    assert "without a patient key" in said(other)
