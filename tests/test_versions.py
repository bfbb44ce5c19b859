"""Versions of packages."""

from importlib.metadata import version

from ehrsynth.versions import installed_versions


def test_what_is_not_installed_is_left_out() -> None:
    assert installed_versions(["numpy", "no such package"]) == {"numpy": version("numpy")}
