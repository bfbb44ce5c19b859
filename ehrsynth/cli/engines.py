"""Which engine a verb works on: the cluster that was named, one of this machine's own, or this process."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ehrsynth.errors import MissingPackage, RequestError

_WORTH_A_CLUSTER = 4  # pieces of some ten seconds: processes of one's own take seconds to start


@dataclass(frozen=True, slots=True)
class Cluster:
    """The cluster that was named on the command line, or none (`address` None)."""

    address: str | None
    authority: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    unencrypted: bool = False


@contextmanager
def engine(asked: Cluster, workers: int | None, pieces: int) -> Iterator[None]:
    """Work in the block on the cluster that was asked for; else on this machine.

    Parameters
    ----------
    workers
        Processes of this machine; None decides by the number of pieces, and does without Dask where it is
        not installed.
    pieces
        How many pieces of some ten seconds of work there are.

    Raises
    ------
    RequestError
        If both a cluster and a number of workers are asked for, or options of TLS without a cluster.
    """
    if asked.address is not None and workers is not None:
        raise RequestError("--workers is about this machine: a cluster has the workers that it has")
    if asked.address is None and asked != Cluster(None):
        raise RequestError("--tls-ca-file, --tls-cert, --tls-key and --unencrypted are about a --scheduler")
    if asked.address is not None:
        yield from _existing(asked)
    else:
        yield from _local(workers, pieces)


def _existing(asked: Cluster) -> Iterator[None]:
    from ehrsynth.engine import using
    from ehrsynth.engine.cluster import Credentials, cluster

    credentials = Credentials(asked.authority, asked.certificate, asked.key)
    with cluster(str(asked.address), credentials, unencrypted=asked.unencrypted) as found, using(found):
        yield


def _local(workers: int | None, pieces: int) -> Iterator[None]:
    from ehrsynth.engine.sizing import machine_workers

    count = workers or (min(machine_workers(), pieces) if pieces >= _WORTH_A_CLUSTER else 1)
    if count == 1:
        yield
        return
    try:
        from ehrsynth.engine.cluster import local
    except MissingPackage:
        if workers is not None:
            raise
        yield
        return
    from ehrsynth.engine import using

    with local(count) as found, using(found):
        yield
