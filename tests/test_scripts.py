"""The README's two commands: what they say where something is missing; a second run is quick."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ENVIRONMENT = ROOT / "scripts" / "environment"


def test_what_is_missing_is_named_with_the_command_that_installs_it(tmp_path: Path) -> None:
    for name in ("bash", "dirname", "uname", "grep", "cat"):
        (tmp_path / name).symlink_to(str(shutil.which(name)))
    run = subprocess.run(
        [tmp_path / "bash", ENVIRONMENT],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 2
    assert "Python 3.11 or 3.12" in run.stderr
    assert "git" in run.stderr
    assert "apt-get install -y" in run.stderr


def test_a_missing_libgomp_is_named(tmp_path: Path) -> None:
    """A machine with Python and git, whose list of libraries is empty."""
    (tmp_path / "ldconfig").write_text("#!/bin/sh\n")
    (tmp_path / "ldconfig").chmod(0o755)
    run = subprocess.run(
        ["bash", ENVIRONMENT],
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 2
    assert "libgomp1" in run.stderr.split("apt-get install -y")[1]
    assert "Python 3.11" not in run.stderr


def test_a_python_that_is_too_old_or_has_no_venv_does_not_count(tmp_path: Path) -> None:
    for name in ("bash", "dirname", "uname", "grep", "cat", "git"):
        (tmp_path / name).symlink_to(str(shutil.which(name)))
    for name in ("python3", "python3.11", "python3.12", "python"):
        (tmp_path / name).write_text("#!/bin/sh\nexit 1\n")
        (tmp_path / name).chmod(0o755)
    run = subprocess.run(
        [tmp_path / "bash", ENVIRONMENT],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 2
    assert "Python 3.11 or 3.12 with venv" in run.stderr
    assert "python3.11-venv" in run.stderr
    assert "- git" not in run.stderr


@pytest.mark.parametrize("script", ["every_table.py", "reading.py"])
def test_a_script_without_its_data_is_skipped_with_the_reason(script: str) -> None:
    import sys

    run = subprocess.run(
        [sys.executable, ROOT / "scripts" / "benchmark" / script],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith("skipped: ")
    assert "--data DIR" in run.stdout


@pytest.mark.parametrize("extras", ["all,dev", "sdv,anonymeter"])
def test_a_second_run_installs_nothing(extras: str, tmp_path: Path) -> None:
    """A stamp for this pyproject.toml stands for an environment that was made with everything."""
    import hashlib

    (tmp_path / "scripts").mkdir()
    shutil.copy(ENVIRONMENT, tmp_path / "scripts" / "environment")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / ".venv").mkdir()
    digest = hashlib.sha256((tmp_path / "pyproject.toml").read_bytes()).hexdigest()
    (tmp_path / ".venv" / "ehrsynth-installed").write_text(f"{digest} all,dev\n")
    run = subprocess.run(
        ["bash", tmp_path / "scripts" / "environment", extras], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    assert run.stderr == ""


def test_the_scripts_are_executable_and_ci_calls_check_and_test() -> None:
    for name in ("scripts/demo", "scripts/test", "scripts/check", "scripts/environment", ".ci/run"):
        assert os.access(ROOT / name, os.X_OK), name
    ci = (ROOT / ".ci" / "run").read_text().splitlines()
    assert [line for line in ci if line.startswith("bash ")] == ["bash scripts/check", "bash scripts/test"]
