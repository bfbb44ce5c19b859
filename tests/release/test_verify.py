"""Whatever is changed in a release is found and named."""

import json
import shutil

import pytest

from ehrsynth.errors import DataError, RequestError
from ehrsynth.files import seal
from ehrsynth.release.manifest import hashes
from ehrsynth.release.verify import verify


def test_an_intact_release_is_intact(released, blocked):
    for made, decision in ((released, "released"), (blocked, "blocked")):
        found = verify(made.folder)
        assert found.intact
        assert found.problems == ()
        assert found.decision == decision
        found.raise_if_changed()


def test_a_share_alone_can_be_checked(copy):
    found = verify(copy / "share")
    assert found.intact
    assert found.decision == "released"
    assert found.files == 6


@pytest.mark.parametrize(
    "name", ["synthetic.csv", "synthetic.parquet", "report.html", "card.md", "schema.yaml", "manifest.json"]
)
def test_one_changed_byte_is_found(copy, name):
    file = copy / "share" / name
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    found = verify(copy)
    assert not found.intact
    assert any(name in problem for problem in found.problems)
    with pytest.raises(DataError, match=r"was changed after it was written") as error:
        found.raise_if_changed()
    assert error.value.exit_code == 2
    assert all(problem in str(error.value) for problem in found.problems)


def test_what_lies_beside_the_folders_is_found(copy):
    (copy / "patients.csv").write_text("x")
    (copy / "more").mkdir()
    found = verify(copy)
    assert [problem.split()[0] for problem in found.problems] == ["more", "patients.csv"]
    assert all("beside share and internal" in problem for problem in found.problems)


@pytest.mark.parametrize("name", ["report.json", "model/weights.safetensors", "manifest.json", "schema.yaml"])
def test_a_changed_byte_inside_is_found(copy, name):
    file = copy / "internal" / name
    file.write_bytes(file.read_bytes() + b" ")
    assert any("internal: " in problem and name in problem for problem in verify(copy).problems)


def test_a_removed_and_an_added_file_are_found(copy):
    (copy / "share" / "card.md").unlink()
    (copy / "share" / "extra.csv").write_text("x")
    problems = " ".join(verify(copy).problems)
    assert "share/card.md is missing" in problems
    assert "share/extra.csv was added" in problems


@pytest.mark.parametrize(
    ("name", "mode"), [("report.html", 0o644), ("model/model.json", 0o640), ("model", 0o755), (".", 0o711)]
)
def test_what_others_can_read_inside_is_found(copy, name, mode):
    (copy / "internal" / name).chmod(mode)
    (problem,) = verify(copy).problems
    assert f"{mode:04o}" in problem


def test_a_share_that_was_sealed_anew_is_found_by_the_manifest_inside(copy):
    share = copy / "share"
    (share / "card.md").write_text("harmless")
    manifest = json.loads((share / "manifest.json").read_bytes())
    (share / "manifest.json").write_text(json.dumps(manifest | {"files": hashes(share)}))
    seal(share)
    assert verify(share).intact  # hashes are no signature
    assert verify(copy).problems == ("share/card.md is not the file that the internal manifest records",)


def test_a_share_beside_a_blocked_release_is_found(released, blocked, tmp_path):
    folder = shutil.copytree(blocked.folder, tmp_path / "release")
    shutil.copytree(released.folder / "share", folder / "share")
    assert "share exists, but the release was blocked" in verify(folder).problems


def test_a_lost_share_is_found(copy):
    shutil.rmtree(copy / "share")
    assert "share is missing, but the release was not blocked" in verify(copy).problems


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff"])
def test_a_damaged_manifest_is_a_problem_and_no_crash(copy, content):
    for place in ("share", "internal"):
        (copy / place / "manifest.json").write_bytes(content)
    problems = " ".join(verify(copy).problems)
    assert "share/manifest.json is missing or damaged" in problems
    assert "internal/manifest.json is missing or damaged" in problems


def test_what_is_no_release_is_refused(tmp_path):
    with pytest.raises(RequestError, match="no release"):
        verify(tmp_path)


def test_a_cell_that_was_taken_for_a_missing_code_does_not_leave(released):
    assert "Huber" in (released.folder / "internal" / "schema.yaml").read_text()
    for file in (released.folder / "share").iterdir():
        assert b"Huber" not in file.read_bytes(), file.name
