"""How long work says how far it is: a callback that only the command line draws."""

from typing import Protocol


class Progress(Protocol):
    """Called now and then during long work."""

    def __call__(self, fraction: float, message: str) -> None:
        """Say how far the work is.

        Parameters
        ----------
        fraction
            0 (begun) to 1 (done).
        message
            What is being done now: no patient's value.
        """


def silent(fraction: float, message: str) -> None:
    """The callback that draws nothing."""


def part(progress: Progress | None, start: float, stop: float) -> Progress:
    """A callback for a piece of the work that runs from `start` to `stop` of the whole."""
    if progress is None:
        return silent

    def report(fraction: float, message: str) -> None:
        progress(start + (stop - start) * min(max(fraction, 0.0), 1.0), message)

    return report
