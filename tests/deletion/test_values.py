"""A value that only forgotten patients held: what hid it while they were there must not name it now."""

import pytest

from ehrsynth.deletion.job import forget
from ehrsynth.release.job import release
from ehrsynth.schema import CategoryColumn

SEED, KEY = 20_261_125_009, bytes(range(32))
HOLDER, OTHERS = "P00120", [f"P{n:05d}" for n in range(200, 240)]


@pytest.fixture(scope="module")
def rare(tmp_path_factory, patients):
    """The ward with a word that one patient holds."""
    place = tmp_path_factory.mktemp("rare") / "rare.csv"
    sex = patients["sex"].where(patients["id"] != HOLDER, "Xenial")
    patients.assign(sex=sex).to_csv(place, index=False)
    return place


def named_in(folder, *left_out):
    files = [f for f in folder.rglob("*") if f.is_file() and f.name not in left_out]
    return sorted(f.relative_to(folder).as_posix() for f in files if b"Xenial" in f.read_bytes())


def test_forgetting_does_not_publish_what_had_been_merged(tmp_path, rare, schema, lenient):
    fields = {"source": "data", "values": ("F", "M", "Xenial")}
    own = [CategoryColumn(**c.model_dump() | fields) if c.name == "sex" else c for c in schema.columns]
    asked = {"generator": "independent", "settings": {"counts": True}, "policy": lenient, "rows": 600}
    first = release(rare, schema.changed(columns=own), tmp_path / "1", seed=SEED, key=KEY, **asked)
    assert first.decision.released
    assert named_in(tmp_path / "1") == ["internal/given_schema.yaml"]
    second = forget(tmp_path / "1", [HOLDER, *OTHERS], rare, tmp_path / "2")
    assert second.table == "published"
    assert named_in(tmp_path / "2") == ["internal/given_schema.yaml"]
    third = forget(tmp_path / "2", ["P00300"], rare, tmp_path / "3")
    assert third.method.startswith(("the patients were subtracted", "nothing had been learnt"))
    assert named_in(tmp_path / "3") == ["internal/given_schema.yaml"]
