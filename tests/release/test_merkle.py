"""A sorted Merkle tree: what is absent can be shown absent, what is present cannot."""

import hashlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ehrsynth.errors import RequestError
from ehrsynth.release.merkle import HIGHEST, LOWEST, Absence, Tree

leaves = st.binary(min_size=32, max_size=32).filter(lambda leaf: leaf not in {LOWEST, HIGHEST})
sets = st.sets(leaves, max_size=40)


def some(n: int) -> list[bytes]:
    return [hashlib.sha256(bytes([k])).digest() for k in range(n)]


@given(sets, leaves)
def test_absence_is_shown_of_what_is_absent_and_of_nothing_else(members, leaf):
    tree = Tree(members)
    if leaf in members:
        with pytest.raises(RequestError, match="cannot be proven absent"):
            tree.absence(leaf)
        return
    proof = tree.absence(leaf)
    assert proof.holds(tree.root, tree.leaves)
    assert Absence.from_json(proof.as_json()) == proof
    assert not proof.holds(Tree({*members, leaf}).root, tree.leaves + 1)


@given(sets, leaves, st.data())
def test_a_proof_altered_anywhere_does_not_hold(members, leaf, data):
    members = members - {leaf}
    tree = Tree(members)
    proof = tree.absence(leaf)
    name = data.draw(
        st.sampled_from(["lower", "upper", "place", "lower_path", "upper_path", "root", "leaves"])
    )
    root, count = tree.root, tree.leaves
    if name == "root":
        root = bytes(32)
    elif name == "leaves":
        count += data.draw(st.sampled_from([-1, 1, 7]))
    elif name == "place":
        proof = replace(proof, place=proof.place + data.draw(st.sampled_from([-1, 1, 2])))
    elif name.endswith("path"):
        path = getattr(proof, name)
        changed = data.draw(st.sampled_from([path[:-1], (*path, bytes(32)), (bytes(32), *path[1:])]))
        if changed == path:
            return
        proof = replace(proof, **{name: changed})
    else:
        proof = replace(proof, **{name: bytes(31) + b"\1"})
        if getattr(proof, name) == getattr(tree.absence(leaf), name):
            return
    assert not proof.holds(root, count)


@pytest.mark.parametrize("n", [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 16, 17, 31])
def test_every_gap_of_trees_of_every_shape_is_proven(n):
    members = sorted(some(n))
    tree = Tree(members)
    gaps = [(int.from_bytes(low, "big") + 1).to_bytes(32, "big") for low in [LOWEST, *members]]
    assert all(tree.absence(gap).holds(tree.root, tree.leaves) for gap in gaps)


def test_neighbours_that_are_not_neighbours_prove_nothing():
    """Someone who skips the patient: lower and upper are leaves, with a member between them."""
    members = sorted(some(8))
    tree = Tree(members)
    hidden = members[4]
    before, after = tree.absence(_after(members[3])), tree.absence(_after(members[4]))
    forged = Absence(hidden, before.place, before.lower, after.upper, before.lower_path, after.upper_path)
    assert not forged.holds(tree.root, tree.leaves)
    for place in range(10):
        assert not replace(forged, place=place).holds(tree.root, tree.leaves)


def _after(leaf: bytes) -> bytes:
    return (int.from_bytes(leaf, "big") + 1).to_bytes(32, "big")


def test_the_root_depends_on_the_set_alone():
    members = some(20)
    assert Tree(members).root == Tree([*reversed(members), members[3]]).root
    assert len({Tree(members[:k]).root for k in range(21)}) == 21


def test_a_leaf_of_another_length_is_refused():
    with pytest.raises(RequestError, match="32 bytes"):
        Tree([b"short"])
