"""Dask: a cluster of this machine's own processors, or one that is there already.

Tasks give back plain values and never raise: Dask writes the arguments of a task that raised to the worker's
log, and arguments can be patients. What went wrong comes back as the name of an error and its message, or as
a type and a place.
"""

import os
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from ipaddress import ip_address
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from ehrsynth import errors
from ehrsynth.engine.spilling import spill_folder
from ehrsynth.errors import EhrSynthError, MissingPackage, OutputError, RequestError

try:
    import dask
    from distributed import Client, LocalCluster, wait
    from distributed.comm.registry import get_backend
    from distributed.security import Security
except ImportError:
    raise MissingPackage("a cluster", "scale") from None

SharedT = TypeVar("SharedT")
ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")

_PACKAGES = ("ehrsynth", "lightgbm", "numpy", "pandas", "pyarrow", "scikit-learn")
ANSWER_IN = "15s"  # a scheduler that is there
WORKERS_IN = 120  # seconds: a cluster's queue may have to start them
_AHEAD = 2  # pieces that wait for each worker
_DEATHS = 20  # workers that may die at one piece before it is taken for the cause
_LOOK = 5.0  # seconds
_SETTINGS = {
    "distributed.scheduler.allowed-failures": _DEATHS,
    "distributed.worker.daemon": True,
    "distributed.worker.memory.target": 0.8,
    "distributed.worker.memory.spill": 0.85,
    "distributed.worker.memory.pause": 0.9,
    "distributed.worker.memory.terminate": False,
    "distributed.worker.profile.enabled": False,
    # Dask has workers give memory back after every large array, and asking for it anew takes longer than the
    # draws themselves. One thread each: the processors are all busy with a worker already.
    "distributed.nanny.pre-spawn-environ": {
        "MKL_NUM_THREADS": 1,
        "OMP_NUM_THREADS": 1,
        "OPENBLAS_NUM_THREADS": 1,
    },
    "distributed.admin.log-length": 0,
    # Each opens a port for a browser: it answers this machine alone, and has nothing to say.
    "distributed.scheduler.dashboard.status.task-stream-length": 0,
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
}


@dataclass(frozen=True, slots=True)
class Credentials:
    """TLS files in PEM form: who signed the scheduler's certificate, and this client's own."""

    authority: Path | None = None
    certificate: Path | None = None
    key: Path | None = None

    def security(self, address: str) -> Security:
        """What Dask needs; files that are not given are looked for in Dask's own configuration."""
        files = {"tls_ca_file": self.authority, "tls_client_cert": self.certificate}
        files |= {"tls_client_key": self.key}
        given = {name: str(file) for name, file in files.items() if file is not None}
        found = Security(require_encryption=address.startswith("tls://"), **given)
        if address.startswith("tls://") and not (found.tls_ca_file and found.tls_client_cert):
            raise RequestError(
                f"{address} asks for TLS: give --tls-ca-file, --tls-cert and --tls-key, or set them in Dask's"
                " configuration (distributed.comm.tls)"
            )
        return found


class Cluster:
    """Pieces of work on the workers of a Dask cluster."""

    def __init__(self, client: Client, address: str) -> None:
        self._client, self._address, self._workers = client, address, 1

    @property
    def workers(self) -> int:
        """How many pieces run at a time, at least 1."""
        with suppress(Exception):  # a connection may break; that of the work says if it matters
            self._workers = max(1, int(sum(self._client.nthreads().values())))
        return self._workers

    def each(
        self,
        function: Callable[[SharedT, ItemT], ResultT],
        shared: SharedT,
        items: Sequence[ItemT],
    ) -> Iterator[tuple[int, ResultT]]:
        """See `ehrsynth.engine.Engine.each`; the pieces of a worker that died run again on another."""
        with self._there():
            # A task and not scattered data: who holds it may die, and then it is made again.
            common = self._submitted(_same, (shared, _versions()))
        waiting = list(range(len(items)))[::-1]
        running: dict[Any, int] = {}
        failures = 0
        try:
            while waiting or running:
                with self._there():
                    while waiting and len(running) < _AHEAD * self.workers:
                        place = waiting.pop()
                        running[self._submitted(_careful, function, common, items[place])] = place
                    done = [(running.pop(future), _fetched(future)) for future in self._finished(running)]
                for place, packed in done:
                    if packed is not None:
                        yield place, _opened(packed)
                        continue
                    # Who held it died while it was fetched.
                    waiting.append(place)
                    failures += 1
                    if failures > _DEATHS:
                        raise self._gone("error")
        finally:
            for future in (*running, common):
                future.release()

    @contextmanager
    def _there(self) -> Iterator[None]:
        """Whatever Dask raises in the block means that the scheduler went."""
        try:
            yield
        except EhrSynthError:
            raise
        except Exception:  # noqa: BLE001 - it has a dozen words for it
            raise self._gone("cancelled") from None

    def _submitted(self, function: Callable[..., Any], *given: Any) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of large graphs: the model has to travel somehow
            return self._client.submit(function, *given, pure=False, retries=0)

    def _finished(self, running: dict[Any, int]) -> list[Any]:
        """The pieces that are done, at least one.

        Raises
        ------
        OutputError
            If the scheduler is gone, or workers died again and again.
        """
        while True:
            # Lost: who held it died, and it is worked out again.
            done = [future for future in running if future.status not in {"pending", "lost"}]
            for future in done:
                if future.status != "finished":
                    raise self._gone(future.status)
            if done:
                return done
            if self._client.status not in {"running", "newly-created"}:
                raise self._gone("cancelled")
            # What it raises is seen above, by the status of each.
            with suppress(Exception), self._client.as_current():
                wait(list(running), timeout=_LOOK, return_when="FIRST_COMPLETED")

    def _gone(self, status: str) -> OutputError:
        again = "what is done is kept: the same command goes on from there"
        if status == "error":
            return OutputError(
                f"{_DEATHS} workers died at one piece of the work, for want of memory? {again}"
            )
        return OutputError(f"the scheduler at {self._address} is gone; {again}")


@contextmanager
def cluster(address: str, credentials: Credentials, *, unencrypted: bool = False) -> Iterator[Cluster]:
    """An existing cluster.

    Parameters
    ----------
    address
        For instance ``tls://scheduler.hospital:8786``.
    unencrypted
        Accept that models and patients travel to another machine in the clear.

    Raises
    ------
    RequestError
        If it is no address, nobody answers there, TLS is needed and not set up, the workers have other
        versions than this program (their bytes would differ), or there is no worker.
    """
    address = address if "://" in address else f"tcp://{address}"
    _check(address)
    if not address.startswith("tls://") and not _of_this_machine(address) and not unencrypted:
        raise RequestError(
            f"{address} is not encrypted, and patients would travel there: use a tls:// address, or say"
            " --unencrypted if the network is a private one"
        )
    client = _client(address, credentials.security(address))
    try:
        _refuse_others(client, address)
        yield Cluster(client, address)
    finally:
        client.close(timeout=2)


def _check(address: str) -> None:
    """Dask would look half a minute for what is no address, and then say so in its own words."""
    try:
        parts = urlsplit(address)
        get_backend(parts.scheme)
        known = bool(parts.hostname) and parts.port is not None
    except ValueError:
        known = False
    if not known:
        raise RequestError(f"{address} is no address of a scheduler: write it as tls://HOST:PORT")


def _of_this_machine(address: str) -> bool:
    """Whether nothing travels: not so for a name that only begins like this machine's."""
    try:
        host = urlsplit(address).hostname or ""
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _client(address: str, security: Security) -> Client:
    try:
        return Client(address, security=security, set_as_default=False, timeout=ANSWER_IN)
    except (OSError, TypeError, ValueError) as error:
        raise RequestError(
            f"no Dask scheduler answers at {address} ({type(error).__name__}): see that it runs, and that"
            " its certificate fits --tls-ca-file"
        ) from None


def _refuse_others(client: Client, address: str) -> None:
    try:
        client.wait_for_workers(1, timeout=WORKERS_IN)
    except TimeoutError:
        raise RequestError(f"the cluster at {address} has no workers: start some") from None
    try:
        found = client.run(_versions)
    except Exception:  # noqa: BLE001 - a worker without ehrsynth cannot even read the question
        found = {"": {}}
    for versions in found.values():
        if versions != _versions():
            raise RequestError(_other_packages(versions, _versions()))


def _other_packages(found: dict[str, str], wanted: dict[str, str]) -> str:
    other = ", ".join(f"{name} {wanted[name]}" for name in wanted if found.get(name) != wanted[name])
    return f"workers of the cluster have other packages, and would give other bytes: install {other} there"


@contextmanager
def local(workers: int) -> Iterator[Cluster]:
    """A cluster of processes of this machine that nobody else can use; it is gone after the block.

    What does not fit into memory is spilt to a folder that only its owner may read, removed at the end.
    """
    security = _own_certificate()
    with spill_folder() as spill, dask.config.set({**_SETTINGS, "temporary-directory": str(spill)}):
        made = LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            security=security,
            protocol="tls",
            dashboard_address="127.0.0.1:0",
            worker_dashboard_address="127.0.0.1:0",
            scheduler_kwargs={"dashboard": False},
            local_directory=str(spill),
            silence_logs=50,
        )
        with made, Client(made, security=security, set_as_default=False) as client:
            yield Cluster(client, made.scheduler_address)


def _own_certificate() -> Security:
    """A certificate for this one cluster: other users of the machine cannot send it work."""
    try:
        found: Security = Security.temporary()
    except ImportError:
        raise MissingPackage("a private cluster", "scale") from None
    return found


@cache
def _versions() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "no version"
    return found


def _fetched(future: Any) -> tuple[str, Any] | None:
    try:
        packed: tuple[str, Any] = future.result()
    except Exception:  # noqa: BLE001 - what a task raised is in what it gave back
        return None
    return packed


def _same(shared: SharedT) -> SharedT:
    return shared


def _careful(function: Callable[[Any, Any], Any], common: Any, item: Any) -> tuple[str, Any]:
    """The result, or what went wrong in words that hold no patient's value."""
    shared, versions = common
    if versions != _versions():  # a worker that came later
        return "RequestError", _other_packages(_versions(), versions)
    try:
        return "", function(shared, item)
    except EhrSynthError as error:
        return type(error).__name__, str(error)
    except Exception as error:  # noqa: BLE001 - nothing may leave a task but a word
        last = traceback.extract_tb(error.__traceback__)[-1]
        return "unexpected", f"{type(error).__name__} at {os.path.basename(last.filename)}:{last.lineno}"  # noqa: PTH119


def _opened(packed: tuple[str, Any]) -> Any:
    kind, result = packed
    if not kind:
        return result
    if kind == "unexpected":
        raise RuntimeError(f"a piece of the work failed on a worker: {result}")
    found = getattr(errors, kind, RequestError)
    try:
        raise found(result)
    except TypeError:
        raise RequestError(result) from None
