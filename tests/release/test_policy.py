"""The policy file says every limit, who set it and where it comes from; anything else in it is an error."""

import pytest
import yaml

from ehrsynth.errors import RequestError, SchemaError
from ehrsynth.release.policy import Limit, default_policy_path, load_policy


@pytest.fixture
def changed(tmp_path):
    def write(**fields):
        content = yaml.safe_load(default_policy_path().read_text()) | fields
        path = tmp_path / "policy.yaml"
        path.write_text(yaml.safe_dump({k: v for k, v in content.items() if v is not None}))
        return path

    return write


def test_the_default_limits():
    policy = load_policy()
    assert {"singling_out", "linkability", "inference", "exact_match", "nearest_record"} <= set(
        policy.attacks
    )
    assert policy.risk_upper_end.value == 0.09
    assert policy.constraint_violations.value == 0
    assert policy.minimum_patients_without_guarantee.value == 1000
    assert (policy.small_cell.value, policy.category_patients.value) == (10, 11)


def test_009_is_called_ours_and_its_origin_is_told():
    limit = load_policy().risk_upper_end
    assert limit.source == "ours"
    assert "EMA Policy 0070" in limit.citation
    assert "identity disclosure" in limit.citation


def test_the_regulators_number_is_the_regulators_for_identity_disclosure_alone():
    policy = load_policy()
    assert (policy.identity_disclosure.value, policy.identity_disclosure.source) == (0.09, "regulator")
    assert policy.identity_attacks == ("identity_disclosure",)
    assert {policy.membership.source, policy.membership_surest.source} == {"ours"}
    assert policy.family_wise_level.value <= 0.03


def test_every_limit_says_who_set_it_and_where_it_comes_from():
    policy = load_policy()
    limits = [v for n in type(policy).model_fields if isinstance(v := getattr(policy, n), Limit)]
    assert len(limits) == 14
    assert all(limit.citation.strip() for limit in limits)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"risk_upper_end": None}, "risk_upper_end"),
        ({"surprise": 1}, "surprise"),
        ({"format": 2}, "format"),
        ({"risk_upper_end": {"value": 1.5, "source": "ours", "citation": "x"}}, "risk_upper_end.value"),
        ({"risk_upper_end": {"value": "0.09", "source": "ours", "citation": "x"}}, "risk_upper_end.value"),
        ({"risk_upper_end": {"value": 0.09, "source": "mine", "citation": "x"}}, "risk_upper_end.source"),
        ({"risk_upper_end": {"value": 0.09, "source": "ours", "citation": ""}}, "risk_upper_end.citation"),
        ({"minimum_holdout": {"value": 0.5, "source": "ours", "citation": "x"}}, "minimum_holdout.value"),
        ({"family_wise_level": {"value": 0.0, "source": "ours", "citation": "x"}}, "family_wise_level.value"),
        ({"attacks": []}, "attacks"),
    ],
)
def test_a_wrong_policy_is_refused_and_its_field_named(changed, fields, named):
    with pytest.raises(SchemaError, match=named):
        load_policy(changed(**fields))


def test_all_problems_are_listed_at_once(changed):
    with pytest.raises(SchemaError) as found:
        load_policy(changed(format=2, surprise=1, attacks=[]))
    assert len(found.value.problems) == 3


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"a: [", b"", b"- 1"])
def test_what_is_no_policy_at_all_is_refused(tmp_path, content):
    (tmp_path / "p.yaml").write_bytes(content)
    with pytest.raises(SchemaError):
        load_policy(tmp_path / "p.yaml")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(RequestError, match=r"nowhere\.yaml"):
        load_policy(tmp_path / "nowhere.yaml")


def test_another_limit_is_another_hash(changed):
    small = load_policy(
        changed(minimum_patients_without_guarantee={"value": 10, "source": "ours", "citation": "a test"})
    )
    assert small.minimum_patients_without_guarantee.value == 10
    assert small.hash() != load_policy().hash()
    assert load_policy().hash() == load_policy().hash()


def test_words_do_not_decide_and_limits_do():
    policy = load_policy()
    renamed = policy.model_copy(update={"title": "Ours"})
    assert renamed.limits_hash() == policy.limits_hash()
    assert renamed.hash() != policy.hash()
    stricter = policy.model_copy(update={"membership": policy.membership.model_copy(update={"value": 0.05})})
    assert stricter.limits_hash() != policy.limits_hash()
