"""Differential privacy from the command line: `--epsilon` on fit and release, `audit`, and every refusal."""

import json

import pytest

from ehrsynth.cli.privacy import private_generators

PUBLIC = """\
format: 1
name: tiny
citation: made up for a test
rows: {value: 320, source: public}
columns:
- {name: id, kind: identifier, pattern: "P####", roles: [patient_key], source: public}
- {name: age, kind: integer, minimum: 18, maximum: 99, unit: years, source: public}
- {name: sex, kind: category, values: [F, M], source: public}
- {name: ward, kind: category, values: [Süd, Nord, West], source: public}
- {name: sbp, kind: number, minimum: 50, maximum: 250, decimals: 1, missing: true, unit: mmHg, source: public}
- {name: admitted, kind: date, minimum: 2020-01-01, maximum: 2020-12-31, source: public}
- {name: died, kind: boolean, true: "1", false: "0", source: public}
constraints:
- {kind: implication, if: age < 20, then: died == false, source: public}
"""
GENERATOR = ("--generator", "dp-independent")


@pytest.fixture
def public(hospital):
    (hospital / "public.yaml").write_text(PUBLIC, encoding="utf-8")
    return hospital


@pytest.fixture
def fit(public, run):
    def fit(*words, out="model", schema="public.yaml"):
        return run("fit", "patients.csv", "--schema", schema, "--out", out, *words)

    return fit


def test_a_private_fit_says_what_it_cost_and_enters_the_register(fit, public) -> None:
    found = fit(*GENERATOR, "--epsilon", 1, "--json")
    assert found.exit_code == 0, found.output
    said = json.loads(found.stdout)
    assert said["seed"] is None
    assert not {"patients", "rows"} & said.keys()  # how many there are is a secret
    assert said["guarantee"].startswith("epsilon 1, delta 0.000313 for each patient")
    assert said["epsilon_of_the_data_set"] == pytest.approx(1.0)
    book = json.loads((public / "ehrsynth-register.json").read_text())
    assert [entry["what"] for entry in book["data"]["tiny"]] == ["model"]


def test_the_data_sets_epsilon_grows_until_the_cap(fit, public) -> None:
    said = [json.loads(fit(*GENERATOR, "--epsilon", 4, "--json", out=f"m{k}").stdout) for k in range(3)]
    totals = [one["epsilon_of_the_data_set"] for one in said]
    assert totals == sorted(totals)
    assert 4 < totals[1] < 8
    refused = [fit(*GENERATOR, "--epsilon", 4, out=f"more{k}") for k in range(6)][-1]
    assert refused.exit_code == 3
    assert "the policy's cap is 10" in refused.output
    assert not (public / "more5").exists()


def test_a_new_register_and_a_new_name_do_not_evade_the_cap_in_silence(fit, public) -> None:
    begun = "epsilon that was spent elsewhere is not in it"
    first = fit(*GENERATOR, "--epsilon", 6)
    assert f"new register begun at {public / 'ehrsynth-register.json'}: {begun}" in first.stderr
    assert "register" not in fit(*GENERATOR, "--epsilon", 1, out="again").stderr
    (public / "renamed.yaml").write_text(PUBLIC.replace("name: tiny", "name: other", 1), encoding="utf-8")
    totals = json.loads(fit(*GENERATOR, "--epsilon", 1, "--json", out="r", schema="renamed.yaml").stdout)
    assert totals["epsilon_of_the_data_set"] > 6
    assert begun in fit(*GENERATOR, "--epsilon", 1, out="elsewhere/model").stderr


def test_a_seed_voids_the_guarantee_of_a_model_and_nothing_is_entered(fit, public) -> None:
    found = fit(*GENERATOR, "--epsilon", 1, "--seed", 1, "--json")
    assert json.loads(found.stdout)["guarantee"].startswith("none:")
    assert json.loads(found.stdout)["patients"] == 320
    assert not (public / "ehrsynth-register.json").exists()


def test_a_generator_without_a_private_form_is_refused_and_those_with_one_are_named(fit) -> None:
    found = fit("--generator", "cart", "--epsilon", 1)
    assert found.exit_code == 2
    for name in ("aim", "autoregressive", "dp-ctgan", "dp-independent", "dp-tvae", "mst"):
        assert name in found.output
        assert name in private_generators()


@pytest.mark.parametrize("verb", ["fit", "release"])
def test_all_guessed_items_are_refused_at_once(run, hospital, verb) -> None:
    found = run(
        verb, "patients.csv", "--schema", "tiny.yaml", "--out", "o", *GENERATOR, "--epsilon", 1,
        "--public-rows", 320,
    )  # fmt: skip
    assert found.exit_code == 2
    for column in ("age", "sex", "ward", "sbp", "admitted", "died", "constraint 1"):
        assert column in found.output
    assert not (hospital / "o").exists()


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--epsilon", 1, "--delta", 0.01), "too large for 320 patients"),
        (("--epsilon", 0), "epsilon"),
        (("--delta", 1e-6, "--set", "delta=1e-7"), "given twice"),
        (("--epsilon", 20), "cap is 10"),
        (("--epsilon", 1, "--public-rows", 7), "known to all"),
    ],
)
def test_what_is_no_budget_is_refused(fit, public, words, why) -> None:
    found = fit(*GENERATOR, *words)
    assert found.exit_code in {2, 3}
    assert why in " ".join(found.output.split())
    assert not (public / "model").exists()


def test_without_public_rows_nothing_is_learnt_until_they_are_declared(fit, public) -> None:
    text = PUBLIC.replace("rows: {value: 320, source: public}\n", "")
    (public / "norows.yaml").write_text(text, encoding="utf-8")
    found = fit(*GENERATOR, "--epsilon", 1, schema="norows.yaml")
    assert found.exit_code == 2
    assert "--public-rows" in found.output
    assert fit(*GENERATOR, "--epsilon", 1, "--public-rows", 320, schema="norows.yaml").exit_code == 0


@pytest.mark.parametrize(("more", "why"), [(("--seed", 1), "takes no seed"), (("--remedies", 5), "remed")])
def test_a_private_release_takes_no_seed_and_looks_for_no_remedies(public, run, more, why) -> None:
    found = run(
        "release", "patients.csv", "--schema", "public.yaml", "--out", "o", *GENERATOR, "--epsilon", 1, *more
    )
    assert found.exit_code == 2
    assert why in found.output
    assert not (public / "o").exists()
    assert not (public / "ehrsynth-register.json").exists()


def test_a_blocked_private_release_has_paid(public, run) -> None:
    """320 patients are too few for the gate's attacks; the patients were looked at all the same."""
    found = run(
        "release", "patients.csv", "--schema", "public.yaml", "--out", "o", *GENERATOR, "--epsilon", 1
    )
    assert found.exit_code == 3, found.output
    book = json.loads((public / "ehrsynth-register.json").read_text())
    assert [entry["what"] for entry in book["data"]["tiny"]] == ["blocked"]
    assert not (public / "o" / "share").exists()
    inside = (public / "o" / "internal" / "report.html").read_text(encoding="utf-8")
    assert "What the guarantee says" in inside


@pytest.mark.parametrize("verb", ["fit", "release"])
@pytest.mark.parametrize("ends", [KeyboardInterrupt, ValueError])
def test_a_fit_that_breaks_off_has_paid_even_beyond_the_cap(public, run, monkeypatch, verb, ends) -> None:
    from ehrsynth.generators import dp_independent

    def broken(*_, **__):
        raise ends

    words = (verb, "patients.csv", "--schema", "public.yaml", *GENERATOR, "--epsilon", 6)
    monkeypatch.setattr(dp_independent, "estimate", broken)
    for out in ("a", "b", "c"):
        assert run(*words, "--out", out).exit_code in {1, 130}
        assert not (public / out).exists()
    book = json.loads((public / "ehrsynth-register.json").read_text())
    told = [(entry["what"], entry["spent"]["epsilon"]) for entry in book["data"]["tiny"]]
    assert told == [("broken off", 6.0)] * 3
    assert "the policy's cap is 10" in run(*words, "--out", "d").output


def test_a_seeded_fit_that_breaks_off_has_spent_nothing_that_holds(fit, public, monkeypatch) -> None:
    from ehrsynth.generators import dp_independent

    monkeypatch.setattr(dp_independent, "estimate", None)
    assert fit(*GENERATOR, "--epsilon", 1, "--seed", 1).exit_code != 0
    assert not (public / "ehrsynth-register.json").exists()


def test_an_audit_says_what_it_could_have_seen(public, run) -> None:
    words = ("--schema", "public.yaml", *GENERATOR, "--runs", 12, "--canaries", 40)
    found = run("audit", "patients.csv", *words, "--out", "found", "--json")
    assert found.exit_code == 0, found.output
    report = json.loads((public / "found" / "report.json").read_text())
    assert report == json.loads(found.stdout)
    assert report["verdict"] == "not broken at this resolution"
    assert len(report["audits"]) == 2
    assert all(part["holds"] for part in report["parts"])
    assert "not broken at this resolution" in run("audit", *words).stdout


def test_a_broken_claim_ends_with_3(public, run, monkeypatch) -> None:
    import numpy as np

    from ehrsynth.generators.graphical import measuring

    monkeypatch.setattr(measuring, "discrete_gaussian", lambda _stream, _variance, n: np.zeros(n, np.int64))
    found = run("audit", "--schema", "public.yaml", *GENERATOR, "--runs", 24)
    assert found.exit_code == 3
    assert "BROKEN" in found.output
