"""An attack that says the same of everybody tells nothing, at whatever number of patients and attempts."""

import numpy as np

from ehrsynth.evaluation.base import Evidence
from ehrsynth.evaluation.privacy.simultaneous import simultaneous
from ehrsynth.evaluation.privacy.strata import Stratum


def test_no_leak_is_found_where_nobody_is_met() -> None:
    found = []
    for members, others in ((723, 1877), (698, 1695), (1777, 1906)):
        rng = np.random.default_rng(members)
        sides = np.ones(members, np.bool_), np.ones(others, np.bool_), np.zeros(10, np.bool_)
        noise = Evidence("nearest_record", "", True, rng.normal(size=members), rng.normal(size=others))
        nobody = Evidence("exact_match", "rows", True, np.zeros(members), np.zeros(others))
        everybody = Stratum("all patients", "all", *sides)
        whole = simultaneous([nobody, noise], [everybody], seed=1, level=0.01, attempts=3)
        assert whole is not None
        found += [(members, b.statistic) for b in whole.of("exact_match") if b.p_value <= whole.level]
    assert not found
