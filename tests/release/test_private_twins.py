"""Private twins: one model, one entry in the register, and nothing that leaves was measured on a patient."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ehrsynth.errors import BudgetExceeded, RequestError, SamplingExhausted, SchemaError
from ehrsynth.evaluation.suite import Evaluation
from ehrsynth.release import private_twins as job
from ehrsynth.release.manifest import Secrets
from ehrsynth.release.policy import load_policy
from ehrsynth.release.private_twin_folders import PrivateTwinProduct, write_private_twins
from ehrsynth.release.private_twins import PrivateWanted, make_private_twins
from ehrsynth.release.register import NAME, entries, total
from ehrsynth.release.verify import verify
from ehrsynth.report.decision import Decision, compare
from ehrsynth.report.provenance import Rows
from ehrsynth.schema import Schema
from ehrsynth.schema.yaml_files import load_schema
from ehrsynth.tables import is_synthetic, read_table
from ehrsynth.twins.question import Request
from trials import TRIAL, trial

REAL = 1_013  # a count that is found nowhere by chance
PLAIN = TRIAL.as_json()
PUBLIC = Schema(
    **PLAIN
    | {
        "columns": [column | {"source": "public"} for column in PLAIN["columns"]],
        "rows": {"value": 1_000, "source": "public", "citation": "made up"},
    }
)
REQUEST = Request(
    arms={"none": ("none",), "any": ("low", "high")}, outcomes=("score", "poor"), design="randomised"
)
TINY = {"epsilon": 2.0, "steps": 5, "width": 16, "batch_size": 200, "masks": 1}
WANTED = PrivateWanted(synthetic=60, settings=TINY, draws=7)


def decided(passed: bool) -> Decision:
    value = 0.0 if passed else 2.0
    check = compare("a", value, 1.0, "at most", explanation="told 1013", source="ours", citation="c")
    return Decision.from_checks([check])


def judged(patch: pytest.MonkeyPatch, *, yes: bool) -> None:
    """Attacks and a gate whose answer is known: both are tried where they are made."""
    patch.setattr(job, "attack_pairs", lambda *_, **__: Evaluation({}, {}, (), {"members": 497}, "hash"))
    patch.setattr(job, "decide", lambda *_, **__: decided(yes))
    patch.setattr(job, "memory_check", lambda *_: decided(yes).checks[0])


def make(out: Path, schema: Schema = PUBLIC, wanted: PrivateWanted = WANTED, **how):
    return make_private_twins(
        trial(REAL, 91, arms=3).table, schema, how.pop("request", REQUEST), out, wanted=wanted, **how
    )


@pytest.fixture(scope="module")
def products() -> list[PrivateTwinProduct]:
    """What the job knew when it wrote."""
    return []


@pytest.fixture(scope="module")
def made(tmp_path_factory, products):
    with pytest.MonkeyPatch.context() as patch:
        judged(patch, yes=True)
        patch.setattr(
            job, "write_private_twins", lambda at, one: (products.append(one), write_private_twins(at, one))
        )
        return make(tmp_path_factory.mktemp("private") / "out", command="the-command")


def test_both_arms_of_every_patient_are_drawn_from_the_one_model(made, products) -> None:
    share = made.folder / "share"
    frame = read_table(share / "twins_score.csv", load_schema(share / "twins_score.yaml"))
    assert is_synthetic(frame)
    assert len(frame) == 120
    assert frame["arm"].tolist() == ["none", "any"] * 60
    draws = frame[[c for c in frame.columns if c.startswith("draw_")]].to_numpy(float)
    assert draws.shape == (120, 7)
    assert not np.isnan(draws).any()
    np.testing.assert_allclose(frame["mean"], draws.mean(axis=1), atol=1e-3)
    assert (frame["model_low"] <= frame["mean"]).all()
    events = pd.read_csv(share / "twins_poor.csv")
    assert "model_low" not in events.columns
    assert len(pd.read_csv(share / "patients.csv")) == 60
    assert products[0].model.schema.names == ("age", "sex", "sbp", "ward", "drug", "score", "poor")


def test_the_budget_is_charged_once_however_many_draws_there_are(made) -> None:
    (entry,) = entries(made.folder.parent / NAME, "trial")
    assert entry.what == "release"
    assert entry.spent is not None
    found = total([entry], 1e-4)
    assert 1.0 < found.epsilon <= 2.0 * (1 + 1e-6)
    assert found.fits == 1
    assert made.answer["guarantee"].startswith("epsilon")


def test_it_can_be_verified_and_its_page_says_what_nobody_checked(made) -> None:
    assert verify(made.folder).intact
    made.raise_if_refused()
    share, inside = (
        " ".join((made.folder / name / "report.html").read_text().split()) for name in ("share", "internal")
    )
    for page in (share, inside):
        for said in (
            "What nobody checked",
            "Overlap, balance and support",
            "The trial check",
            "carry the noise",
        ):
            assert said in page
        assert "no interval is given" in page
        assert "What the guarantee says" in page
    manifest = json.loads((made.folder / "share" / "manifest.json").read_text())
    assert "differentially private" in manifest["formal_guarantee"]
    assert "low" not in json.dumps(made.answer["outcomes"][0]["simulated_differences"])


def test_what_leaves_is_the_same_byte_for_byte_whatever_was_measured(made, products, tmp_path) -> None:
    """Other patients, scores, counts, decision and seed: not a byte of what may leave tells of them."""
    product = products[0]
    other = replace(
        product,
        provenance=replace(
            product.provenance,
            rows=Rows(99, 50, 49, product.provenance.rows.synthetic),
            measured_on={"members": 50},
            seed=1,
            command="another",
            attempt=3,
            guarantee=replace(product.provenance.guarantee, composed=9.0),
        ),
        decision=Decision.from_checks([replace(decided(True).checks[0], name="b", explanation="other")]),
        secrets=Secrets(b"0" * 32, 1, "another", 3),
    )
    write_private_twins(tmp_path / "other", other)
    files = sorted(f.relative_to(made.folder) for f in (made.folder / "share").rglob("*") if f.is_file())
    assert len(files) > 9
    for file in files:
        content = (made.folder / file).read_bytes()
        assert content == (tmp_path / "other" / file).read_bytes(), file
    page = (made.folder / "share" / "report.html").read_bytes()
    for told in (b"1,013", b"1013", b"the-command", b"told", b">Seed<"):
        assert told not in page, told
    manifest = json.loads((made.folder / "share" / "manifest.json").read_text())
    assert not manifest.keys() & {"seed", "decision", "checks", "training_n", "data_sha256", "split_key"}


def test_a_no_of_the_gate_leaves_no_share_and_is_paid_for_all_the_same(tmp_path, monkeypatch) -> None:
    from ehrsynth.errors import ReleaseBlocked

    judged(monkeypatch, yes=False)
    made = make(tmp_path / "out")
    assert not (tmp_path / "out" / "share").exists()
    assert (tmp_path / "out" / "internal" / "twins_score.csv").exists()
    assert [entry.what for entry in entries(tmp_path / NAME, "trial")] == ["blocked"]
    with pytest.raises(ReleaseBlocked):
        made.raise_if_refused()


def test_what_fails_after_the_fit_is_paid_for(tmp_path, monkeypatch) -> None:
    def exhausted(*_, **__):
        raise SamplingExhausted("nothing valid was found")

    monkeypatch.setattr(job, "private_cohort", exhausted)
    with pytest.raises(SamplingExhausted):
        make(tmp_path / "out")
    assert [entry.what for entry in entries(tmp_path / NAME, "trial")] == ["blocked"]
    assert not (tmp_path / "out").exists()


def test_a_fit_that_breaks_off_is_paid_for(tmp_path, monkeypatch) -> None:
    from ehrsynth.generators.chain import private_network

    monkeypatch.setattr(private_network, "_hold_to_counts", None)
    with pytest.raises(TypeError):
        make(tmp_path / "out")
    assert [entry.what for entry in entries(tmp_path / NAME, "trial")] == ["broken off"]
    assert not (tmp_path / "out").exists()


def test_beyond_the_cap_nothing_is_drawn_or_written(made, tmp_path, monkeypatch) -> None:
    policy = load_policy()
    cap = policy.epsilon_cap.model_copy(update={"value": 2.5})
    how = {"policy": policy.model_copy(update={"epsilon_cap": cap}), "register": made.folder.parent / NAME}
    monkeypatch.setattr(job, "private_cohort", None)
    with pytest.raises(BudgetExceeded, match=r"2 fits.*cap is 2\.5"):
        make(tmp_path / "out", **how)
    with pytest.raises(BudgetExceeded, match=r"cap is 2\.5"):
        make(tmp_path / "out", wanted=replace(WANTED, settings=TINY | {"epsilon": 3.0}), **how)
    assert not (tmp_path / "out").exists()
    assert len(entries(how["register"], "trial")) == 1


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"seed": 1}, "takes no seed"),
        ({"wanted": replace(WANTED, settings={})}, "give --epsilon"),
        ({"wanted": replace(WANTED, generator="mst", settings={"epsilon": 1.0})}, "cannot complete"),
        ({"wanted": replace(WANTED, generator="nobody")}, "nobody"),
        ({"request": replace(REQUEST, horizon=90.0, cause="death")}, "leave --horizon out"),
        ({"request": replace(REQUEST, estimand="treated")}, "leave --estimand out"),
        ({"request": replace(REQUEST, negative_control=("ward",))}, "leave --negative-control out"),
        ({"schema": PUBLIC.changed(rows=None)}, "public-rows"),
    ],
)
def test_what_cannot_be_is_said_before_the_table_is_read(tmp_path, how, said) -> None:
    given = {"schema": PUBLIC, "request": REQUEST, "wanted": WANTED} | how
    schema, request = given.pop("schema"), given.pop("request")
    with pytest.raises(RequestError, match=said):
        make_private_twins("no such file", schema, request, tmp_path / "out", **given)
    assert not any(tmp_path.iterdir())


def test_only_the_columns_that_are_learnt_must_be_public(tmp_path) -> None:
    columns = [
        column if column["name"] == "stay" else column | {"source": "public"} for column in PLAIN["columns"]
    ]
    guessed = [column | {"source": "data"} if column["name"] == "age" else column for column in columns]
    rows = {"rows": PUBLIC.rows}
    with pytest.raises(SchemaError) as found:
        make_private_twins(
            "no such file", Schema(**PLAIN | {"columns": guessed} | rows), REQUEST, tmp_path, wanted=WANTED
        )
    assert all("age" in problem for problem in found.value.problems)
