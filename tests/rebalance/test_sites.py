"""Leave one site out."""

import numpy as np

from ehrsynth.rebalance.job import cut_repeatedly
from ehrsynth.rebalance.sites import leave_sites_out
from ehrsynth.rebalance.study import study
from ehrsynth.rebalance.treating import predictor_of
from ehrsynth.rebalance.wishes import prepare
from ehrsynth.statistics import auroc
from minority import DEATH, HOSPITAL, hospital


def test_each_site_is_predicted_from_the_others() -> None:
    ready = prepare(hospital(450, women=0.3), HOSPITAL, DEATH)
    studied = study(
        ready.table, ready.plan, ready.schema, ["group_weights"], splits=cut_repeatedly(ready, 2, 1), seed=1
    )
    found = leave_sites_out(ready, studied, ("sex: F",), seed=1)
    assert set(found.sites) == {"north", "south", "east"}
    assert found.study.methods == ("none", "group_weights")
    for place, name in enumerate(found.sites):
        at = ready.site == ready.site_names.index(name)
        train, test = (ready.table[mask].reset_index(drop=True) for mask in (~at, at))
        risks = predictor_of("none", train, ready.plan, ready.schema, seed=0).risks(test)
        expected = auroc(test["died"].to_numpy(bool), risks)
        assert np.isclose(found.study.of("none", "all patients", "auroc")[place], expected)
    assert found.as_json()["methods"]["group_weights"]["all patients"]["sites"] == 3


def test_without_a_site_or_with_one_alone_there_is_nothing() -> None:
    one = hospital(200, women=0.3)
    one["site"] = one["site"].cat.set_categories(["north", "south", "east"])
    one.loc[:, "site"] = "north"
    for table, schema in (
        (one, HOSPITAL),
        (one.drop(columns="site"), HOSPITAL.subset(tuple(n for n in HOSPITAL.names if n != "site"))),
    ):
        ready = prepare(table, schema, DEATH)
        studied = study(ready.table, ready.plan, ready.schema, [], splits=cut_repeatedly(ready, 2, 1), seed=1)
        assert leave_sites_out(ready, studied, ("sex: F",), seed=1) is None
