"""A certificate: whole it holds, altered in any byte it fails, and it says nothing without the key."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ehrsynth.deletion.certificate import Side, certified, certify, problems_of, read_key
from ehrsynth.errors import RequestError
from ehrsynth.files import canonical_json, keyed_hash
from ehrsynth.release.census import Census
from ehrsynth.release.merkle import Tree

KEY = b"the hospital's own"
EVERYONE = [keyed_hash(KEY, b"%d" % n) for n in range(9)]
GONE, LEFT = EVERYONE[:2], EVERYONE[2:]
TREE = Tree(LEFT)
BEFORE = Side("m1", "c1", "r", "w1", Census(9, 11, Tree(EVERYONE).root.hex(), "0a"), None)
AFTER = Side("m2", "c1", "r", "w2", Census(7, TREE.leaves, TREE.root.hex(), "0b"))


def made(**changes) -> bytes:
    given_ = {"method": "all", "table": "none", "date": "2026-11-25", "key": KEY} | changes
    return certify(BEFORE, AFTER, TREE, GONE, **given_)


CERTIFICATE = made()


def test_it_holds_and_shows_who_was_forgotten():
    assert problems_of(CERTIFICATE, KEY) == ()
    assert certified(CERTIFICATE, KEY) == {*GONE}
    assert certified(CERTIFICATE[:-1], KEY) == frozenset()


def test_every_byte_counts():
    """Each byte of the file, flipped in each of its bits at least once, taken away, and doubled."""
    for place in range(len(CERTIFICATE)):
        changed = bytearray(CERTIFICATE)
        changed[place] ^= 1 << place % 8
        assert problems_of(bytes(changed), KEY), place
        assert problems_of(CERTIFICATE[:place] + CERTIFICATE[place + 1 :], KEY), place
        assert problems_of(CERTIFICATE[: place + 1] + CERTIFICATE[place:], KEY), place


@given(st.integers(0, len(CERTIFICATE) - 1), st.integers(1, 255))
def test_any_other_byte_anywhere_fails(place, mask):
    changed = bytearray(CERTIFICATE)
    changed[place] ^= mask
    assert problems_of(bytes(changed), KEY)


@given(st.binary(max_size=200))
def test_what_is_no_certificate_is_none(content):
    assert problems_of(content, KEY)


@pytest.mark.parametrize("number", [b"1e999", b"NaN", b'"\\ud800"'])
def test_what_can_be_read_and_not_written_fails(number):
    changed = CERTIFICATE.replace(b'"patients": 2', b'"patients": ' + number)
    assert changed != CERTIFICATE
    assert problems_of(changed, KEY)


def test_other_spellings_of_the_same_values_fail():
    values = json.loads(CERTIFICATE)
    assert canonical_json(values) == CERTIFICATE
    assert problems_of(json.dumps(values).encode(), KEY)
    assert problems_of(CERTIFICATE + b"\n", KEY)


def test_another_key_does_not_fit():
    assert "the key is another" in problems_of(CERTIFICATE, b"guess")[0]


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c["absence"].pop(),
        lambda c: c["absence"].append(c["absence"][0]),
        lambda c: c["absence"][0].update(place=99),
        lambda c: c["absence"][0].update(upper="zz"),
        lambda c: c["after"]["census"].update(root="00" * 32),
        lambda c: c["after"]["census"].pop("leaves"),
        lambda c: c.update(patients=3),
    ],
)
def test_who_holds_the_key_cannot_certify_what_is_not_so(change):
    """The proofs are checked as well as the keyed hash."""
    from ehrsynth.deletion.certificate import _hmac

    values = json.loads(CERTIFICATE)
    del values["hmac"]
    change(values)
    assert problems_of(canonical_json(values | {"hmac": _hmac(values, KEY)}), KEY)


def test_a_patient_who_is_still_there_is_not_certified():
    with pytest.raises(RequestError, match="cannot be proven absent"):
        certify(BEFORE, AFTER, TREE, [LEFT[0]], method="", table="", date="", key=KEY)
    with pytest.raises(RequestError, match="not that of the table after"):
        certify(
            BEFORE, replace(AFTER, census=BEFORE.census), TREE, GONE, method="", table="", date="", key=KEY
        )


def test_it_says_what_is_not_undone_and_chains_to_the_old_release():
    values = json.loads(CERTIFICATE)
    assert "already released are not undone" in values["not_undone"]
    assert values["before"]["manifest_sha256"] == "m1"
    assert values["before"]["model_sha256"] != values["after"]["model_sha256"]


def test_a_file_without_a_key_is_refused(tmp_path):
    (tmp_path / "key").write_text("no key")
    for name in ("key", "absent"):
        with pytest.raises(RequestError, match="holds no key"):
            read_key(tmp_path / name)
