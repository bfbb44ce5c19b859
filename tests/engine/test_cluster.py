"""Work on Dask: the same results, whoever dies; nobody else may join; no patient in a log."""

import os
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("distributed")

from distributed import LocalCluster, wait
from distributed.security import Security

from ehrsynth.engine import cluster as module
from ehrsynth.engine.cluster import Cluster, Credentials, cluster, local
from ehrsynth.errors import DataError, OutputError, RequestError

WORDS = ("SECRET-OF-A-PATIENT",)


@pytest.fixture(scope="module")
def two() -> Iterator[Cluster]:
    with local(2) as found:
        yield found


def times(shared: int, item: int) -> bytes:
    return bytes([shared * item])


def who(_: None, item: float) -> int:
    time.sleep(item)
    return os.getpid()


def wrong(shared: tuple[str, ...], item: str) -> bytes:
    if item == "data":
        raise DataError("column 'age': 3 rows are wrong")
    raise ValueError(shared[0])


def dies_once(folder: str, item: int) -> bytes:
    """Kill the worker that this runs on the first time each item is tried."""
    mark = Path(folder) / str(item)
    if item % 3 == 0 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return bytes([item])


def test_results_are_those_of_one_process_and_two_work(two: Cluster) -> None:
    assert sorted(two.each(times, 3, list(range(20)))) == [(n, bytes([3 * n])) for n in range(20)]
    assert two.workers == 2
    pids = {pid for _, pid in two.each(who, None, [0.1] * 10)}
    assert len(pids) == 2
    assert os.getpid() not in pids


def looks(two: Cluster, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many pieces ran, at each time that the program looked whether one is done."""
    found: list[int] = []

    def noting(futures: list[object], **settings: object) -> object:
        found.append(len(futures))
        return wait(futures, **settings)

    monkeypatch.setattr(module, "wait", noting)
    assert len(list(two.each(who, None, [0.5] * 4))) == 4
    return found


def test_who_waits_leaves_the_processors_to_the_workers(
    two: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert 1 <= len(looks(two, monkeypatch)) <= 8  # one look for each piece that ends, and some to spare


def environment(_: None, name: str) -> bool:
    return name in os.environ


def test_workers_keep_the_memory_that_they_are_about_to_use(two: Cluster) -> None:
    assert [there for _, there in two.each(environment, None, ["MALLOC_TRIM_THRESHOLD_"])] == [False]


def test_a_killed_worker_loses_nothing(two: Cluster, tmp_path: Path) -> None:
    found = dict(two.each(dies_once, str(tmp_path), list(range(7))))
    assert found == {n: bytes([n]) for n in range(7)}
    assert sorted(file.name for file in tmp_path.iterdir()) == ["0", "3", "6"]


def test_what_goes_wrong_comes_back_without_values(two: Cluster, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(DataError, match="3 rows are wrong"):
        list(two.each(wrong, WORDS, ["data"]))
    with pytest.raises(RuntimeError, match=r"ValueError at test_cluster\.py") as caught:
        list(two.each(wrong, WORDS, ["unexpected"]))
    assert WORDS[0] not in str(caught.value)
    captured = capfd.readouterr()
    assert WORDS[0] not in captured.out + captured.err


def test_its_ports_answer_this_machine_alone(two: Cluster) -> None:
    import psutil

    family = [psutil.Process(), *psutil.Process().children(recursive=True)]
    ports = [c for process in family for c in process.net_connections("tcp") if c.status == "LISTEN"]
    assert ports
    assert {c.laddr.ip for c in ports} == {"127.0.0.1"}


def test_the_spill_folder_is_private_and_goes_with_the_cluster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with local(1) as found:
        assert dict(found.each(times, 1, [5])) == {0: b"\5"}
        (folder,) = tmp_path.iterdir()
        assert folder.name.startswith("ehrsynth-spill-")
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert not list(tmp_path.iterdir())


def pem(folder: Path, security: Security) -> Credentials:
    files = {}
    for name in ("tls_ca_file", "tls_client_cert", "tls_client_key"):
        files[name] = folder / f"{name}.pem"
        files[name].write_text(getattr(security, name))
    return Credentials(*files.values())


def test_an_existing_cluster_is_used_over_tls(tmp_path: Path) -> None:
    security = Security.temporary()
    given = {"security": security, "protocol": "tls", "dashboard_address": "127.0.0.1:0", "host": "127.0.0.1"}
    with LocalCluster(n_workers=1, threads_per_worker=1, processes=False, silence_logs=50, **given) as made:
        credentials = pem(tmp_path, security)
        with cluster(made.scheduler_address, credentials) as found:
            assert dict(found.each(times, 2, [4])) == {0: b"\x08"}
        stranger = pem(tmp_path, Security.temporary())
        with (
            pytest.raises(RequestError, match="no Dask scheduler answers"),
            cluster(made.scheduler_address, stranger),
        ):
            pass


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("tcp://scheduler.hospital:8786", "not encrypted"),
        ("scheduler.hospital:8786", "not encrypted"),
        ("127.0.0.1", "write it as tls://HOST:PORT"),
        ("tcp://:8786", "write it as"),
        ("foo://127.0.0.1:8786", "write it as"),
        ("tls://127.0.0.1:port", "write it as"),
        ("tcp://localhost.hospital:8786", "not encrypted"),
        ("tcp://127.0.0.1.hospital:8786", "not encrypted"),
        ("tls://scheduler.hospital:8786", "--tls-ca-file"),
    ],
)
def test_patients_do_not_travel_in_the_clear(address: str, says: str) -> None:
    with pytest.raises(RequestError, match=says), cluster(address, Credentials()):
        pass


def test_a_scheduler_that_is_killed_is_said() -> None:
    program = Path(sys.executable).with_name("dask")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    words = ["scheduler", "--host", "127.0.0.1", "--port", address.rpartition(":")[2], "--no-dashboard"]
    scheduler = subprocess.Popen([program, *words], **quiet)
    worker = subprocess.Popen([program, "worker", address, "--no-nanny", "--no-dashboard"], **quiet)
    try:
        with cluster(address, Credentials()) as found:
            results = found.each(who, None, [0.2] * 50)
            next(results)
            scheduler.kill()
            with pytest.raises(OutputError, match="is gone"):
                list(results)
    finally:
        for process in (scheduler, worker):
            process.kill()
            process.wait()
