"""Who is learnt from and who is not seen: whole sites where a trial checks, patients elsewhere."""

import numpy as np

from ehrsynth.release.twin_split import sides, sites_of
from trials import TRIAL, trial


def test_a_third_is_checked_by_whole_sites_and_half_is_learnt() -> None:
    table = trial(600, 1, sites=12).table
    found = sides(table, TRIAL, sites=sites_of(table, TRIAL, "site"), key=b"k")
    assert not set(found.learnt["site"]) & set(found.checked["site"])
    assert len(found.learnt) + len(found.control) + len(found.checked) == 600
    assert abs(len(found.checked) - 200) < 80
    assert abs(len(found.learnt) - 300) < 80
    assert found.how == "by site (12 sites)"


def test_the_control_of_the_attacks_is_in_the_sites_that_were_learnt_from() -> None:
    table = trial(600, 1, sites=12).table
    found = sides(table, TRIAL, sites=sites_of(table, TRIAL, "site"), key=b"k")
    assert set(found.control["site"]) == set(found.learnt["site"])
    assert 80 < len(found.control) < 170


def test_another_key_cuts_otherwise_and_the_same_key_alike() -> None:
    table = trial(300, 2, sites=20).table
    sites = sites_of(table, TRIAL, "site")
    cuts = [frozenset(sides(table, TRIAL, sites=sites, key=key).learnt["site"]) for key in (b"a", b"a", b"b")]
    assert cuts[0] == cuts[1] != cuts[2]


def test_few_sites_none_or_no_trial_are_cut_by_patient_and_said() -> None:
    table = trial(300, 3, sites=3).table
    few = sides(table, TRIAL, sites=sites_of(table, TRIAL, "site"), key=b"k")
    none = sides(table, TRIAL, sites=sites_of(table, TRIAL, None), key=b"k")
    alone = sides(table, TRIAL, sites=None, key=b"k")
    assert set(few.learnt["site"]) & set(few.checked["site"])
    for cut in (few, none, alone):
        assert cut.control is cut.checked
    assert few.how == none.how == "by patient: the trial has no four sites"
    assert alone.how == "by patient"


def test_patients_of_no_known_site_are_one_site() -> None:
    table = trial(100, 4).table
    sites = np.repeat([0.0, 1.0, 2.0, np.nan], 25)
    found = sides(table, TRIAL, sites=sites, key=b"k")
    assert found.how == "by site (4 sites)"
    assert len(found.checked) == 25


def test_the_rows_that_are_learnt_from_are_told() -> None:
    table = trial(600, 1, sites=12).table
    for sites in (sites_of(table, TRIAL, "site"), None):
        found = sides(table, TRIAL, sites=sites, key=b"k")
        assert table[found.rows].reset_index(drop=True).equals(found.learnt)
