"""The mark of a synthetic table stays with it, and training on it is refused unless it is meant."""

import pandas as pd
import pytest

from ehrsynth.errors import RequestError
from ehrsynth.tables import accept_synthetic, is_synthetic, mark_synthetic, refuse_synthetic

REAL = pd.DataFrame({"age": [71, 80, 65]})


def test_a_real_table_passes():
    refuse_synthetic(REAL)
    assert not is_synthetic(REAL)
    assert not is_synthetic(accept_synthetic(REAL))


def test_marking_leaves_the_given_table_alone():
    assert is_synthetic(mark_synthetic(REAL))
    assert not is_synthetic(REAL)


def test_a_synthetic_table_is_refused_with_the_way_out():
    with pytest.raises(RequestError, match="--train-on-synthetic"):
        refuse_synthetic(mark_synthetic(REAL))


def test_an_accepted_table_passes_and_stays_synthetic():
    accepted = accept_synthetic(mark_synthetic(REAL))
    refuse_synthetic(accepted)
    assert is_synthetic(accepted)


@pytest.mark.parametrize(
    "act",
    [
        lambda t: t.head(2),
        lambda t: t[t["age"] > 70],
        lambda t: t.copy(),
        lambda t: t.reset_index(drop=True),
        lambda t: t.sample(frac=1, random_state=0),
        lambda t: t.assign(new=1),
    ],
)
def test_the_mark_survives_everyday_work(act):
    assert is_synthetic(act(mark_synthetic(REAL)))
