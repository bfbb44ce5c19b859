"""The protocol is frozen: its hash moves when, and only when, a number moves."""

import pytest
from pydantic import ValidationError

from ehrsynth.evaluation.protocol import Protocol, protocol


def test_the_hash_follows_the_content() -> None:
    same = Protocol(**protocol().model_dump())
    other = Protocol(**(protocol().model_dump() | {"folds": 7}))
    assert same.hash == protocol().hash != other.hash


def test_trees_are_deterministic() -> None:
    parameters = protocol().boosted_trees.parameters
    assert parameters["deterministic"] is True
    assert parameters["force_row_wise"] is True
    assert parameters["num_threads"] >= 1


def test_an_unknown_setting_is_an_error() -> None:
    with pytest.raises(ValidationError):
        Protocol(**(protocol().model_dump() | {"fold": 7}))
