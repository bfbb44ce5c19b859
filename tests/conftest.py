"""What all tests share."""

import hashlib
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# No test depends on how fast or busy the machine is. Here examples differ from run to run and find more; what
# decides whether a change lands is the same for the same change.
settings.register_profile(
    "ehrsynth",
    deadline=None,
    max_examples=40,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize="CI" in os.environ,
)
settings.load_profile("ehrsynth")


@contextmanager
def _known_secrets(name: str) -> Iterator[None]:
    """Fresh seeds and keys that go by `name`: each differs from the last, and all come again in the next run.

    A gate errs now and then by design, and would otherwise fail a test of it as often.
    """
    draws = count()

    def token_bytes(size: int | None = None) -> bytes:
        return hashlib.shake_256(f"{name}|{next(draws)}".encode()).digest(size or 32)

    def randbits(bits: int) -> int:
        return int.from_bytes(token_bytes((bits + 7) // 8)) >> (-bits % 8)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(secrets, "token_bytes", token_bytes)
        patch.setattr(secrets, "randbits", randbits)
        yield


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(
    fixturedef: pytest.FixtureDef[object], request: pytest.FixtureRequest
) -> Generator[None, object, object]:
    with _known_secrets(f"{request.node.nodeid}|{fixturedef.argname}|{getattr(request, 'param', '')}"):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    with _known_secrets(pyfuncitem.nodeid):
        return (yield)


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
    parser.addoption(
        "--environments",
        type=Path,
        default=None,
        metavar="DIR",
        help="a folder with the environments of peers (scripts/benchmark/environments/make)",
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


@pytest.fixture(scope="session")
def peers_dir(request: pytest.FixtureRequest) -> Path:
    """The folder given with `--environments`; without it the test is skipped."""
    folder = request.config.getoption("--environments")
    if folder is None:
        pytest.skip("needs the environments of peers: give their folder with --environments DIR")
    return folder.absolute()


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """The URL of a database of a PostgreSQL server of the tests' own; without PostgreSQL they are skipped."""
    programs = _postgresql_programs()
    if programs is None:
        pytest.skip("needs a PostgreSQL server: apt-get install postgresql")
    as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    try:
        if as_user:
            shutil.chown(folder, "postgres")
        data = folder / "data"
        made = [programs / "initdb", "-D", data, "-U", "ehrsynth", "-A", "trust", "-E", "UTF8", "--no-sync"]
        _quietly([*as_user, *map(str, made)])
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        settings = f"-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories= -c fsync=off"
        control = [*as_user, str(programs / "pg_ctl"), "-D", str(data), "-w"]
        _quietly([*control, "-l", str(folder / "log"), "-o", settings, "start"])
        try:
            yield f"postgresql://ehrsynth@127.0.0.1:{port}/postgres"
        finally:
            _quietly([*control, "-m", "immediate", "stop"])
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _quietly(command: list[str]) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd="/")


def _postgresql_programs() -> Path | None:
    """Where PostgreSQL's programs are: Debian keeps them off the PATH."""
    found = shutil.which("initdb")
    places = [Path(found).resolve().parent] if found else []
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((place for place in places if (place / "pg_ctl").is_file()), None)
