"""Every way a verb can end, as an exit code and one message on stderr, never a traceback.

A traceback, or the text of a foreign exception or warning, can hold patients' values; a type and a place
cannot.
"""

import errno
import sys
import traceback
import warnings
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from threading import Event
from typing import ParamSpec

import typer

from ehrsynth.errors import EhrSynthError

WRONG = 2
UNEXPECTED = 1
INTERRUPTED = 130  # as a shell reports Ctrl-C: 128 + SIGINT
_PACKAGE = Path(__file__).parents[1]
# Set by the first signal: what is interrupted in the middle of an import may end in an ImportError.
told_to_end = Event()
P = ParamSpec("P")


def guarded(verb: Callable[P, None]) -> Callable[P, None]:
    """The same verb, which ends with an exit code whatever happens in it."""

    @wraps(verb)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            with warnings.catch_warnings():
                if not sys.warnoptions:  # else somebody asked python for them
                    warnings.simplefilter("ignore")
                verb(*args, **kwargs)
        except (typer.Exit, typer.Abort, BrokenPipeError):
            raise
        except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - the one place where all end
            code, message = ending(error)
            typer.echo(message, err=True)
            raise typer.Exit(code) from None

    return run


def ending(error: BaseException) -> tuple[int, str]:
    """The exit code and the message for an exception."""
    if isinstance(error, EhrSynthError):
        return error.exit_code, str(error)
    if isinstance(error, KeyboardInterrupt) or told_to_end.is_set():
        said = str(error) if isinstance(error, KeyboardInterrupt) else ""
        return INTERRUPTED, said or "interrupted: nothing was written"
    if isinstance(error, MemoryError):
        return WRONG, "not enough memory: use fewer rows or columns, or a machine with more"
    if isinstance(error, OSError) and error.errno is not None:
        return WRONG, _of_the_system(error)
    if isinstance(error, ModuleNotFoundError) and not (error.name or "").startswith("ehrsynth"):
        return WRONG, f"the package {error.name!r} is not installed: pip install 'ehrsynth[all]'"
    return UNEXPECTED, (
        f"unexpected error: {type(error).__name__} at {place(error)}\n"
        "This is a fault of ehrsynth, and nothing was written. "
        "Please report the line above: it holds no patient's value."
    )


def place(error: BaseException) -> str:
    """The innermost file and line of ehrsynth that the exception went through."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if Path(f.filename).is_relative_to(_PACKAGE)] or frames
    if not own:
        return "an unknown place"
    file = Path(own[-1].filename)
    name = file.relative_to(_PACKAGE.parent) if file.is_relative_to(_PACKAGE) else file.name
    return f"{name}:{own[-1].lineno}"


def _of_the_system(error: OSError) -> str:
    where = f"{error.filename}: " if error.filename else ""
    if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
        return f"{where}the disk is full, or a limit on file sizes is reached: nothing was written"
    return f"{where}{error.strerror or type(error).__name__}"
