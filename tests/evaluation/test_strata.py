"""Groups by hand: values, thirds, missing, intersections and sites, and which are left out."""

import numpy as np

from ehrsynth.evaluation.matrix import Matrix, matrix
from ehrsynth.evaluation.protocol import protocol
from ehrsynth.evaluation.strata import Strata, by_group, strata
from ehrsynth.schema import CategoryColumn, IntegerColumn, LearntColumn, NumberColumn, Schema
from ehrsynth.tables.values import from_values

SEX = CategoryColumn(name="sex", values=("F", "M", "X"), missing=True, roles=("protected",))
AGE = NumberColumn(name="age", minimum=0, maximum=99, decimals=0, roles=("protected",))
SITE = CategoryColumn(name="site", values=("a", "b"), roles=("site",))
N = 120


def found(*columns: LearntColumn, minimum: int | None = 1, **values: np.ndarray) -> tuple[Strata, Matrix]:
    schema = Schema(name="s", columns=columns)
    table = matrix(from_values({n: v.astype(float) for n, v in values.items()}, schema), schema)
    return strata(schema, (table, table.rows(np.arange(0, N, 2))), minimum=minimum), table


def test_each_value_missing_and_each_site_is_a_group_of_the_right_patients() -> None:
    sex = np.repeat([0, 1, np.nan], N // 3)
    groups, table = found(SEX, SITE, sex=sex, site=np.arange(N) % 2)
    names = [g.name for g in groups.measured]
    assert names == ["sex: F", "sex: M", "sex: missing", "site: a", "site: b"]
    codes = table.values[:, table.place("sex")]
    first, second = groups.measured[1].masks
    assert (first == (codes == 1)).all()
    assert (second == (codes == 1)[::2]).all()
    assert groups.measured[2].masks[0].sum() == N // 3


def test_numbers_are_cut_into_thirds_of_the_first_table_and_no_end_is_told() -> None:
    groups, table = found(AGE, age=np.arange(N) % 90)
    assert [g.name for g in groups.measured] == [
        "age: lowest third",
        "age: middle third",
        "age: highest third",
    ]
    low, middle, high = (g.masks[0] for g in groups.measured)
    assert (low | middle | high).all()
    assert low.sum() + middle.sum() + high.sum() == N
    ages = table.values[:, 0]
    assert ages[low].max() < ages[middle].min() <= ages[middle].max() < ages[high].min()
    assert all(abs(int(mask.sum()) - N // 3) <= 2 for mask in (low, middle, high))


def test_intersections_are_those_of_two_protected_columns_and_come_last() -> None:
    few = IntegerColumn(name="few", minimum=0, maximum=1, roles=("protected",))
    groups, _ = found(SEX, few, SITE, sex=np.arange(N) % 2, few=np.arange(N) // 2 % 2, site=np.arange(N) % 2)
    names = [g.name for g in groups.measured]
    assert names[:6] == ["few: 0", "few: 1", "sex: F", "sex: M", "site: a", "site: b"]
    assert names[6:] == [f"few: {f} and sex: {s}" for f in (0, 1) for s in "FM"]
    both = {g.name: g.masks[0] for g in groups.measured}
    assert (both["few: 0 and sex: F"] == (both["few: 0"] & both["sex: F"])).all()


def test_a_group_too_small_in_any_table_and_one_too_many_are_left_out_and_named() -> None:
    sex = np.array([0] * 100 + [1] * 20)
    groups, _ = found(SEX, sex=sex, minimum=20)
    assert [g.name for g in groups.measured] == ["sex: F"]
    assert groups.left_out == {"sex: M": "fewer than 20 patients in a table"}
    many = CategoryColumn(name="many", values=tuple(f"v{i:02}" for i in range(60)), roles=("protected",))
    groups, _ = found(many, many=np.arange(N) // 2 % 60)
    assert len(groups.measured) == protocol().strata
    assert set(groups.left_out.values()) == {f"beyond the {protocol().strata} groups that are measured"}


def test_a_column_that_is_site_and_protected_is_one_group_once_and_no_roles_no_groups() -> None:
    both = SITE.model_copy(update={"roles": ("site", "protected")})
    groups, _ = found(both, site=np.arange(N) % 2)
    assert [g.name for g in groups.measured] == ["site: a", "site: b"]
    groups, _ = found(SITE.model_copy(update={"roles": ()}), site=np.arange(N) % 2)
    assert groups == ((), {})


def test_the_entry_of_the_details_holds_scores_and_reasons() -> None:
    groups, _ = found(SEX, sex=np.array([0] * 100 + [1] * 20), minimum=20)
    assert by_group(groups, lambda one: {"value": int(one.masks[0].sum())}) == {
        "measured": [{"group": "sex: F", "value": 100}],
        "left_out": [{"group": "sex: M", "reason": "fewer than 20 patients in a table"}],
    }
