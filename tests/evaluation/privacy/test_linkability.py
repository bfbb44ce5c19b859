"""Halves by role, and links that mean something."""

from cohort import COHORT, cohort, shuffled_columns
from ehrsynth.evaluation.matrix import matrix
from ehrsynth.evaluation.privacy.linkability import halves_of, linkability


def test_the_halves_follow_the_roles() -> None:
    made = matrix(cohort(10, 0), COHORT)
    halves = halves_of(made, COHORT, 0)
    assert {made.names[c] for c in halves.first} == {"age", "sex"}
    assert len(halves.first) + len(halves.second) == 11
    plain = COHORT.changed(columns=tuple(c.model_copy(update={"roles": ()}) for c in COHORT.columns))
    assert abs(len(halves_of(made, plain, 0).first) - 5.5) == 0.5
    assert halves_of(made, plain, 0) == halves_of(made, plain, 0)


def test_copies_link_and_shuffled_columns_do_not() -> None:
    members, others = cohort(300, 1), cohort(300, 2)
    copied = linkability(members, others[:150], others[150:], members, COHORT, seed=0)
    assert copied.attack == 1
    assert copied.low > 0.9
    assert copied.baseline < 0.2
    shuffled = shuffled_columns(members, 300, 3)
    safe = linkability(members, others[:150], others[150:], shuffled, COHORT, seed=0)
    assert safe.low == 0
    assert safe.value < 0.1


def test_a_crowd_is_no_link() -> None:
    schema = COHORT.subset(("sex", "stage", "smoker", "died"))
    tables = [cohort(400, s)[list(schema.names)] for s in (1, 2, 3)]
    risk = linkability(tables[0], tables[1][:200], tables[1][200:], tables[2], schema, seed=0)
    assert risk.attack < 0.2
    assert risk.low == 0
