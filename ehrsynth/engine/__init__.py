"""Where work runs: in this process, on a cluster of its own, or on one that is there already.

Long work is cut into pieces that depend on nothing but their arguments: who runs a piece, how many run at a
time, and how often one is run again after a worker died, do not change a result. So the engine may be
ambient, as a thread pool is: `using` sets it, and rooms ask for `current`.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol, TypeVar

from ehrsynth.engine.checkpoints import Checkpoints, Held

__all__ = ["Checkpoints", "Engine", "Held", "InProcess", "current", "keeping", "kept", "using", "work"]

SharedT = TypeVar("SharedT")
ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")


class Engine(Protocol):
    """What runs pieces of work."""

    @property
    def workers(self) -> int:
        """How many pieces run at a time, at least 1."""

    def each(
        self,
        function: Callable[[SharedT, ItemT], ResultT],
        shared: SharedT,
        items: Sequence[ItemT],
    ) -> Iterator[tuple[int, ResultT]]:
        """The place and the result of every item, as they are done.

        Parameters
        ----------
        function
            At the top of a module of ehrsynth, without side effects: it may run twice for one item.
        shared
            What all items need; it travels once to each worker.
        """


class InProcess:
    """One piece after the other, here."""

    workers = 1

    def each(
        self,
        function: Callable[[SharedT, ItemT], ResultT],
        shared: SharedT,
        items: Sequence[ItemT],
    ) -> Iterator[tuple[int, ResultT]]:
        """See `Engine.each`."""
        for place, item in enumerate(items):
            yield place, function(shared, item)


_CURRENT: ContextVar[Engine] = ContextVar("engine")
_KEPT: ContextVar[Checkpoints | None] = ContextVar("checkpoints", default=None)


def current() -> Engine:
    """The engine that work runs on; this process where none was set."""
    return _CURRENT.get(InProcess())


@contextmanager
def using(engine: Engine) -> Iterator[Engine]:
    """Run what happens in the block on this engine."""
    token = _CURRENT.set(engine)
    try:
        yield engine
    finally:
        _CURRENT.reset(token)


def kept() -> Checkpoints | None:
    """Where long work keeps the pieces that are done, so that a killed run goes on from them; or None."""
    return _KEPT.get()


@contextmanager
def keeping(checkpoints: Checkpoints) -> Iterator[Checkpoints]:
    """Keep the pieces of what happens in the block in these checkpoints."""
    token = _KEPT.set(checkpoints)
    try:
        yield checkpoints
    finally:
        _KEPT.reset(token)


def work(
    function: Callable[[SharedT, ItemT], bytes],
    shared: SharedT,
    items: Sequence[ItemT],
    *,
    names: Sequence[str],
    keep: Checkpoints | Held,
    done: Callable[[int, int], None],
) -> None:
    """Have the bytes of every item kept: those that are not yet are worked out on the current engine.

    Parameters
    ----------
    names
        One for each item, which with `keep` says all that its bytes depend on: equal names, equal bytes.
    done
        Called with how many items are done and how many there are.
    """
    waiting = [place for place, name in enumerate(names) if keep.get(name) is None]
    finished = len(items) - len(waiting)
    done(finished, len(items))
    for at, result in current().each(function, shared, [items[place] for place in waiting]):
        keep.put(names[waiting[at]], result)
        finished += 1
        done(finished, len(items))
