"""What all tests share."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# No test depends on how fast or busy the machine is.
settings.register_profile(
    "ehrsynth", deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("ehrsynth")

# Files that a folder must hold to serve as `--data`.
EXPECTED = ("ist.csv.gz", "brfss2020_heart.csv.gz")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--data",
        type=Path,
        default=None,
        metavar="DIR",
        help="a folder of public tables, for the tests that need more than the bundled data",
    )


@pytest.fixture(scope="session")
def data_dir(request: pytest.FixtureRequest) -> Path:
    """The folder given with `--data`; without it the test is skipped."""
    folder = request.config.getoption("--data")
    if folder is None:
        pytest.skip("needs more than the bundled data: give its folder with --data DIR")
    folder = folder.absolute()
    absent = [name for name in EXPECTED if not (folder / name).is_file()]
    if absent:
        pytest.fail(f"--data names a folder without {', '.join(absent)}")
    return folder
