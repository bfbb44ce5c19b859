"""A release under differential privacy: what leaves says nothing that was measured on patients."""

import json
import re
from dataclasses import replace

import pandas as pd
import pytest

from ehrsynth.dp import noise
from ehrsynth.errors import BudgetExceeded, RequestError, SchemaError
from ehrsynth.evaluation.suite import Evaluation
from ehrsynth.release import going_on, job, steps
from ehrsynth.release.folders import Product, of_synthetic_alone, write_release
from ehrsynth.release.job import release
from ehrsynth.release.manifest import Secrets
from ehrsynth.release.register import NAME, entries
from ehrsynth.release.together import earlier_copies
from ehrsynth.release.verify import verify
from ehrsynth.report.provenance import Rows
from ehrsynth.schema import Schema
from ehrsynth.tables import read_table

SEED = 20_261_126
PRIVATE = {"generator": "dp-independent", "settings": {"epsilon": 2.0}}


@pytest.fixture(scope="module")
def public(schema) -> Schema:
    """The ward's schema, known to all."""
    plain = schema.as_json()
    columns = [column | {"source": "public"} for column in plain["columns"]]
    rows = {"value": 2_500, "source": "public", "citation": "made up"}
    return Schema(**plain | {"columns": columns, "rows": rows})


@pytest.fixture(scope="module")
def made() -> list[Product]:
    """What the job knew when it wrote."""
    return []


@pytest.fixture(scope="module")
def private(tmp_path_factory, data, public, lenient, made):
    out = tmp_path_factory.mktemp("private") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            job, "write_release", lambda at, product: (made.append(product), write_release(at, product))
        )
        _without_chance(patch)
        return release(data, public, out, policy=lenient, command="the-command", **PRIVATE)


def _without_chance(patch: pytest.MonkeyPatch) -> None:
    """A private release takes no seed, and its gate errs once in a hundred: not here, with known keys."""
    patch.setattr(going_on, "fresh_seed", lambda: SEED)
    patch.setattr(noise.secrets, "token_bytes", lambda size: bytes(range(size)))


def shared_texts(folder) -> dict[str, str]:
    share = folder / "share"
    return {
        f.name: f.read_text(encoding="utf-8")
        for f in share.rglob("*")
        if f.suffix in {".html", ".md", ".json", ".yaml"}
    }


def test_it_is_released_and_can_be_verified(private) -> None:
    assert private.decision.released, private.decision.reasons
    assert not verify(private.folder).problems


def test_as_many_leave_as_the_public_knows_and_not_as_were_learnt_from(private) -> None:
    assert len(pd.read_parquet(private.folder / "share" / "synthetic.parquet")) == 2_500


def test_no_score_and_no_decision_leaves(private) -> None:
    inside = json.loads((private.folder / "internal" / "report.json").read_text())
    texts = shared_texts(private.folder)
    for name, text in texts.items():
        assert "seed" not in json.loads(text) if name == "manifest.json" else True
        for kind in ("scores", "risks"):
            for found in inside[kind].values():
                if found["value"] is not None:
                    assert f"{found['value']:.4f}" not in text, name
        for check in inside["checks"]:
            assert check["explanation"] not in text, name
        for count in ("2,600", "2600"):
            assert count not in text, name  # how many patients there really are
    manifest = json.loads(texts["manifest.json"])
    assert "decision" not in manifest
    assert "checks" not in manifest
    assert manifest["provenance"]["guarantee"].keys() >= {"epsilon", "delta", "accountant"}
    assert "composed" not in manifest["provenance"]["guarantee"]


def test_what_leaves_is_the_same_byte_for_byte_whatever_was_measured(private, made, tmp_path) -> None:
    """Other patients, scores, counts and seed: not a byte of what may leave tells of them."""
    product = made[0]
    other = replace(
        product,
        evaluation=of_synthetic_alone(product.copies[0].head(50), product.schema),
        provenance=replace(
            product.provenance,
            rows=Rows(99, 50, 49, product.provenance.rows.synthetic),
            measured_on={"train": 50},
            seed=1,
            command="another",
            attempt=3,
            guarantee=replace(product.provenance.guarantee, composed=9.0),
        ),
        decision=replace(product.decision, checks=product.decision.checks[:1]),
        secrets=Secrets(b"0" * 32, 1, "another", 3),
    )
    write_release(tmp_path / "other", other)
    files = sorted(
        f.relative_to(private.folder) for f in (private.folder / "share").rglob("*") if f.is_file()
    )
    assert len(files) > 5
    for file in files:
        assert (private.folder / file).read_bytes() == (tmp_path / "other" / file).read_bytes(), file


def test_what_the_number_means_is_said_on_both_pages_and_on_the_card(private) -> None:
    texts = shared_texts(private.folder)
    inside = (private.folder / "internal" / "report.html").read_text(encoding="utf-8")
    for page in (texts["report.html"], inside):
        words = " ".join(re.sub(r"<[^>]+>", " ", page).split())
        for part in (
            "Outside the guarantee",
            "every score, attack and picture that touched a real patient",
            "whether the gate said yes or no",
            "the patients who were held out",
            "any two that differ by one patient",
            "inflated type-I error",
            "zCDP",
            "RDP",
        ):
            assert part in words
    assert "With all that was learnt before" in inside
    assert "With all that was learnt before" not in texts["report.html"]
    assert "inflated type-I error" in " ".join(texts["card.md"].split())


def test_without_a_guarantee_nothing_is_called_private_or_anonymous(released) -> None:
    for name, text in shared_texts(released.folder).items():
        if name != "report.html":
            words = re.sub(r"not (called |)(private|anonymous)", "", text.lower())
            assert "anonymous" not in words, name
            assert "differentially private" not in words, name


def test_beyond_the_cap_nothing_is_measured_or_written(
    private, data, public, lenient, tmp_path, monkeypatch
) -> None:
    capped = lenient.model_copy(update={"epsilon_cap": lenient.epsilon_cap.model_copy(update={"value": 2.5})})
    settings = {"policy": capped, "register": private.folder.parent / NAME}
    assert [entry.what for entry in entries(settings["register"], "ward")] == ["release"]
    monkeypatch.setattr(steps, "evaluate", None)
    with pytest.raises(BudgetExceeded, match=r"2 fits.*cap is 2\.5"):
        release(data, public, tmp_path / "two", **settings, **PRIVATE)
    with pytest.raises(BudgetExceeded, match=r"cap is 2\.5"):
        release("no such file", public, tmp_path / "x", **settings, generator="mst", settings={"epsilon": 3})
    assert not any(tmp_path.iterdir())


def test_guessed_items_and_a_seed_are_refused_before_the_data_is_read(schema, public, tmp_path) -> None:
    with pytest.raises(SchemaError) as found:
        release("no such file", schema, tmp_path / "out", **PRIVATE)
    assert len(found.value.problems) >= len(schema.learnt)
    with pytest.raises(RequestError, match="takes no seed"):
        release("no such file", public, tmp_path / "out", seed=1, **PRIVATE)
    assert not any(tmp_path.iterdir())


def test_what_is_made_coarser_does_not_depend_on_who_is_there(private) -> None:
    manifest = json.loads((private.folder / "share" / "manifest.json").read_text())
    actions = manifest["provenance"]["actions"]
    assert any("ages above" in action for action in actions)
    assert not any("patients)" in action for action in actions)


# ---- tables without a guarantee: attacks on all of them together ----


def test_earlier_tables_are_attacked_together_with_the_new_one(
    released, data, schema, lenient, tmp_path, monkeypatch
) -> None:
    earlier = len(pd.read_parquet(released.folder / "share" / "synthetic.parquet"))
    looked_at = []

    def noting(_train, _holdout, synthetic, *_rest, **settings):
        looked_at.append((len(synthetic), [len(table) for table in settings["earlier"]]))
        return Evaluation({}, {}, (), {}, "")

    monkeypatch.setattr(steps, "evaluate", noting)
    register = released.folder.parent / NAME
    settings = {"generator": "independent", "policy": lenient, "rows": 500, "register": register}
    release(data, schema, tmp_path / "two", **settings)
    assert looked_at == [(500, [earlier])]


def test_a_table_of_other_words_is_read_as_far_as_the_new_schema_can(released, public, schema) -> None:
    share = released.folder / "share"
    words = ("south", "north", "tent")
    columns = [
        column | {"values": words} if column["name"] == "ward" else column
        for column in schema.as_json()["columns"]
        if column["name"] != "weight"
    ]
    other = Schema(**schema.as_json() | {"columns": [*columns, {"name": "new", "kind": "boolean"}]})
    table = read_table(share / "synthetic.parquet", other_schema(share))
    from ehrsynth.tables.values import from_values, to_values

    values = to_values(table, other_schema(share))
    values.pop("weight")
    new = from_values(values | {"ward": values["ward"] * 0, "new": values["died"]}, other)
    (old,) = earlier_copies([share / "synthetic.parquet"], [new], other)
    assert len(old) == len(table)
    assert (old["age"] == table["age"]).all()
    assert old["new"].isna().all()
    for word in ("north", "south"):
        assert ((old["ward"] == word) == (table["ward"] == word)).all()


def other_schema(share):
    from ehrsynth.schema.yaml_files import load_schema

    return load_schema(share / "schema.yaml")


def test_the_same_table_again_adds_nothing(released) -> None:
    share = released.folder / "share"
    schema = other_schema(share)
    table = read_table(share / "synthetic.parquet", schema)
    assert not earlier_copies([share / "synthetic.parquet"], [table], schema)
    assert len(earlier_copies([share / "synthetic.parquet"], [table.head(9)], schema)) == 1


def test_only_the_attacks_look_at_earlier_tables(patients, schema) -> None:
    """Copies that left before are found by the attacks; the new table's scores know nothing of them."""
    from ehrsynth.evaluation.suite import evaluate
    from ehrsynth.tables import table_from_frame

    table = table_from_frame(patients, schema)
    train, holdout, new = (table.iloc[k::3].reset_index(drop=True) for k in range(3))
    names = {"metrics": ("copied_rows",), "attacks": ("exact_match",), "seed": 1}
    alone = evaluate(train, holdout, new, schema, **names)
    after = evaluate(train, holdout, new, schema, **names, earlier=[train])
    assert after.scores["copied_rows"] == alone.scores["copied_rows"]
    assert (alone.risks["exact_match"].attack or 0.0) < 0.05
    assert after.risks["exact_match"].attack > 0.9
