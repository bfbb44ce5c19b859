"""What of a release's origin may leave, and what may not."""

import json
from dataclasses import replace

import pytest

from ehrsynth.report.facts import facts
from ehrsynth.report.provenance import Guarantee, Provenance, Rows

SEED, COMMAND = 918273645, "ehrsynth release /hospital/ward7.csv"


@pytest.fixture
def provenance():
    return Provenance(
        data="ward",
        title="Ward",
        citation="",
        attribution="",
        generator="independent",
        recipe={"epochs": 3},
        schema_hash="a" * 64,
        protocol_hash="b" * 64,
        policy="default",
        policy_hash="c" * 64,
        versions={"ehrsynth": "0.1.0"},
        date="2026-01-02T03:04:05+00:00",
        rows=Rows(2000, 1010, 990, 1010),
        seed=SEED,
        command=COMMAND,
        attempt=3,
    )


def test_the_seed_and_the_command_stay_inside(provenance):
    shared = json.dumps(provenance.shareable.as_json()) + str(facts(provenance.shareable))
    assert str(SEED) not in shared
    assert "ward7" not in shared
    assert "attempt" not in shared.lower()
    inside = json.dumps(provenance.as_json()) + str(facts(provenance))
    assert inside.count(str(SEED)) == 2
    assert inside.count("ward7") == 2


def test_without_a_guarantee_the_row_counts_are_shown(provenance):
    assert provenance.shareable.rows == provenance.rows
    assert provenance.as_json()["guarantee"] is None
    assert ("Formal guarantee", ("none",)) in facts(provenance)


def test_under_differential_privacy_the_true_row_counts_stay_inside(provenance):
    private = replace(provenance, guarantee=Guarantee(1.0, 1e-6, "rdp"))
    assert private.shareable.rows == Rows(None, None, None, 1010)
    assert private.shareable.as_json()["rows"] == {"synthetic": 1010}
    assert private.rows.train == 1010


def test_facts_name_only_what_is_known(provenance):
    names = [name for name, _ in facts(provenance)]
    assert "Attribution" not in names
    assert "Seed" in names


def test_many_guessed_items_are_counted(provenance):
    many = replace(provenance, guessed=tuple(f"c{i}: minimum" for i in range(50)))
    (guessed,) = [values for name, values in facts(many) if name == "Guessed from the data"]
    assert guessed[-1] == "and 38 more items of the schema"
