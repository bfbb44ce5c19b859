"""Verifying what forgetting made: the release, the certificate, and both together."""

import json
import shutil

import pytest

from ehrsynth.deletion.verify import verify
from ehrsynth.errors import DataError, ReleaseBlocked, RequestError


@pytest.fixture
def new(one_forgotten, tmp_path):
    return shutil.copytree(one_forgotten[1].folder, tmp_path / "new")


def test_any_changed_byte_of_the_certificate_is_found(new):
    file = new / "certificate.json"
    content = file.read_bytes()
    for place in range(0, len(content), 97):
        changed = bytearray(content)
        changed[place] ^= 4
        file.write_bytes(bytes(changed))
        found = verify(new)
        assert any("certificate.json" in problem for problem in found.problems), place
    file.write_bytes(content)
    assert verify(new).intact


def test_a_certificate_alone_needs_the_key(new, tmp_path):
    alone = shutil.copy(new / "certificate.json", tmp_path / "alone.json")
    with pytest.raises(RequestError, match="holds no key"):
        verify(alone)
    key = new / "internal" / "certificate.key"
    assert verify(alone, key=key).intact
    (tmp_path / "alone.json").write_bytes((tmp_path / "alone.json").read_bytes()[:-1])
    assert not verify(alone, key=key).intact


def test_a_certificate_that_is_gone_or_of_another_release_is_found(new, one_forgotten, released, tmp_path):
    content = (new / "certificate.json").read_bytes()
    (new / "certificate.json").unlink()
    assert "certificate.json is missing" in verify(new).problems
    other = shutil.copytree(released, tmp_path / "other")
    (other / "certificate.json").write_bytes(content)
    shutil.copy(one_forgotten[1].folder / "internal" / "certificate.key", tmp_path / "key")
    found = verify(other, key=tmp_path / "key")
    assert any("that of another release" in problem for problem in found.problems)


def test_a_manifest_that_is_gone_is_found_beside_a_certificate(new):
    (new / "internal" / "manifest.json").unlink()
    assert "certificate.json: it is that of another release" in verify(new).problems


def test_the_chain_reaches_the_old_release(one_forgotten):
    from ehrsynth.files import sha256

    old, made = one_forgotten
    said = json.loads((made.folder / "certificate.json").read_text())
    assert said["before"]["manifest_sha256"] == sha256(old / "internal" / "manifest.json")
    assert said["after"]["manifest_sha256"] == sha256(made.folder / "internal" / "manifest.json")
    inside = json.loads((made.folder / "internal" / "manifest.json").read_text())
    assert inside["replaces"]["manifest_sha256"] == said["before"]["manifest_sha256"]
    mark = json.loads((old / "withdrawn.json").read_text())
    assert mark["certificate_sha256"] == sha256(made.folder / "certificate.json")
    assert said["before"]["census"]["rows"] - said["after"]["census"]["rows"] == said["patients"] == 1


def test_a_withdrawn_release_is_a_no(one_forgotten):
    found = verify(one_forgotten[0])
    with pytest.raises(ReleaseBlocked, match="was withdrawn") as error:
        found.raise_if_withdrawn()
    assert error.value.exit_code == 3
    verify(one_forgotten[1].folder).raise_if_withdrawn()


def test_a_damaged_mark_still_withdraws(one_forgotten, tmp_path):
    old = shutil.copytree(one_forgotten[0], tmp_path / "old")
    (old / "withdrawn.json").write_text("{")
    assert verify(old).withdrawn


def test_the_part_that_was_shared_is_withdrawn_too(one_forgotten, tmp_path, monkeypatch):
    old = shutil.copytree(one_forgotten[0], tmp_path / "old")
    assert "new took its place" in verify(old / "share").withdrawn
    assert verify(old / "share").intact
    (old / "withdrawn.json").write_text("{")
    assert verify(old / "share").withdrawn
    monkeypatch.chdir(old / "share")
    assert verify(".").withdrawn
    shutil.copytree(old / "share", tmp_path / "sent")
    assert not verify(tmp_path / "sent").withdrawn
    assert not verify(one_forgotten[1].folder / "internal" / "model").withdrawn


def test_the_key_is_readable_by_the_owner_alone(one_forgotten):
    folder = one_forgotten[1].folder
    assert (folder / "internal" / "certificate.key").stat().st_mode & 0o777 == 0o600
    assert (folder / "certificate.json").stat().st_mode & 0o777 == 0o600


def test_a_patient_learns_from_the_hospital_whether_they_are_certified(one_forgotten, released, tmp_path):
    folder, ids = one_forgotten[1].folder, tmp_path / "ids.txt"
    ids.write_text("id\nP00006\n")
    assert verify(folder, patients=ids).intact
    ids.write_text("id\nP00006\nP00008\n")
    (problem,) = verify(folder, patients=ids).problems
    assert "1 of the 2 patients named are not among those" in problem
    with pytest.raises(DataError, match="is as it was written, and does not show"):
        verify(folder, patients=ids).raise_if_changed()
    with pytest.raises(RequestError, match="has no certificate"):
        verify(released, patients=ids)
