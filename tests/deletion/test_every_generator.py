"""Forgetting gives the bytes of a fit that never saw the patients: every generator without a guarantee."""

from pathlib import Path

import pytest

from ehrsynth.deletion.job import forget
from ehrsynth.errors import MissingPackage
from ehrsynth.generators.recipes import recipe, sharded
from ehrsynth.registry import known
from ehrsynth.release.job import release

SEED, KEY = 20_261_125_009, bytes(range(32))
# A generator that is not here runs with its defaults.
QUICK: dict[str, dict[str, object]] = {
    "auto": {"candidates": ("cart", "independent"), "splits": 2},
    "autoregressive": {"trees": 2, "rounds": 20},
    "ctgan": {"epochs": 2, "embedding_dim": 8, "generator_dim": (16,), "discriminator_dim": (16,)},
    "diffusion": {"epochs": 2, "width": 16, "depth": 1, "steps": 4, "repeats": 1},
    "sharded": {"generator": "cart", "shards": 4},
    "tvae": {"epochs": 2, "embedding_dim": 8, "compress_dims": (16,), "decompress_dims": (16,)},
}
VARIANTS: dict[str, tuple[str, dict[str, object]]] = {
    "autoregressive bagged": ("autoregressive", {"learner": "bagged", "trees": 2}),
    "autoregressive neural": ("autoregressive", {"learner": "neural", "epochs": 2, "width": 16, "depth": 1}),
    "independent with counts": ("independent", {"counts": True}),
    "three shards of counts": sharded("independent", {"counts": True}, 3),  # type: ignore[dict-item]
}


def made(name: str) -> tuple[str, dict[str, object]]:
    registered, settings = VARIANTS.get(name, (name, QUICK.get(name, {})))
    try:
        chosen = recipe(registered, settings)
    except MissingPackage as error:
        pytest.skip(str(error))
    if chosen.asked is not None:
        pytest.skip("under differential privacy the noise is fresh: tested in distribution")
    return registered, settings


def contents(folder: Path) -> dict[str, bytes]:
    return {f.relative_to(folder).as_posix(): f.read_bytes() for f in folder.rglob("*") if f.is_file()}


@pytest.mark.parametrize("name", [*known("generator"), *VARIANTS])
def test_forgetting_gives_the_bytes_of_a_fit_that_never_saw_them(name, patients, schema, lenient, tmp_path):
    generator, settings = made(name)
    few = patients.head(500)
    gone = few["id"].iloc[[3, 77, 200, 431]].tolist()
    asked = {"generator": generator, "settings": settings, "seed": SEED, "key": KEY, "policy": lenient}
    few.to_csv(tmp_path / "with.csv", index=False)
    few[~few["id"].isin(gone)].to_csv(tmp_path / "without.csv", index=False)
    release(tmp_path / "with.csv", schema, tmp_path / "old", rows=50, **asked)
    before = contents(tmp_path / "old" / "internal" / "model")
    forget(tmp_path / "old", gone, tmp_path / "with.csv", tmp_path / "new", seed=SEED)
    release(tmp_path / "without.csv", schema, tmp_path / "never", rows=50, **asked)
    model = contents(tmp_path / "new" / "internal" / "model")
    assert model == contents(tmp_path / "never" / "internal" / "model")
    assert model != before
