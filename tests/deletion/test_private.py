"""Under differential privacy: fresh noise, composed epsilon, no waiting; exact in distribution."""

import json

import numpy as np
import pytest
from scipy.stats import mannwhitneyu

from ehrsynth.deletion.certificate import problems_of, read_key
from ehrsynth.deletion.job import forget
from ehrsynth.errors import RequestError
from ehrsynth.generators.recipes import recipe
from ehrsynth.release.job import release
from ehrsynth.release.register import NAME, entries, total

EPSILON = {"epsilon": 0.5}


@pytest.fixture(scope="module")
def private(tmp_path_factory, released, measured, data, schema, lenient):
    """A private release, and what forgetting one patient makes of it."""
    place = tmp_path_factory.mktemp("private")
    public = schema.changed(rows={"value": 2_400, "source": "public"})
    asked = {"generator": "dp-independent", "settings": EPSILON, "policy": lenient, "rows": 300}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ehrsynth.release.steps.evaluate", lambda *_, **__: measured["evaluation"])
        release(data, public, place / "old", **asked)
        return place, forget(place / "old", ["P00007"], data, place / "new")


def test_a_single_patient_waits_for_nobody_and_epsilon_adds_up(private):
    place, made = private
    assert made.table != "waits"
    assert not any("Patients forgotten" in reason for reason in made.decision.reasons)
    assert "from the beginning" in made.method
    kept = entries(place / NAME, "ward")
    assert len(kept) == 2
    alone, both = total(kept[:1], 1e-5).epsilon, total(kept, 1e-5).epsilon
    assert alone < both <= 2 * alone + 1e-9
    content = (made.folder / "certificate.json").read_bytes()
    assert problems_of(content, read_key(made.folder / "internal" / "certificate.key")) == ()
    report = json.loads((made.folder / "internal" / "report.json").read_text())
    assert report["provenance"]["guarantee"]["composed"] == pytest.approx(both, rel=0.2)


def test_a_seed_is_refused_and_shards_are_of_no_use(private, data):
    place, made = private
    with pytest.raises(RequestError, match="takes no seed"):
        forget(made.folder, ["P00008"], data, place / "seeded", seed=1)
    with pytest.raises(RequestError, match="no use under differential privacy"):
        recipe("sharded", {"generator": "dp-independent", "settings": EPSILON})


def test_a_refit_has_the_distribution_of_a_fit_that_never_saw_them(private, patients, schema):
    """The share of women under much noise: of the remaining patients, read with and without the others."""
    from ehrsynth.tables import table_from_frame

    public = schema.changed(rows={"value": 400, "source": "public"})
    everyone = patients.head(400)
    gone = everyone["id"].isin(everyone["id"].head(12))
    whole = table_from_frame(everyone, public)
    never = table_from_frame(everyone[~gone], public)
    chosen = recipe("dp-independent", EPSILON)

    def women(table, seed: int) -> float:
        # Known seeds: what is compared is the same in every run, and its noise differs from fit to fit.
        made = chosen.fit(table, public, seed=seed).sample(400, seed=3).table
        return float((made["sex"] == "F").mean())

    mended = [women(whole.loc[~gone.to_numpy()].reset_index(drop=True), seed) for seed in range(25)]
    fresh = [women(never, seed) for seed in range(100, 125)]
    assert np.std(mended) > 0
    assert mannwhitneyu(mended, fresh).pvalue > 0.001
