"""What a person sees: progress on stderr, short tables on stdout; or JSON for a machine."""

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import typer

from ehrsynth.progress import Progress


@contextmanager
def drawn() -> Iterator[Progress]:
    """A progress callback: a bar where stderr is a terminal, else one plain line for each new message."""
    if sys.stderr.isatty():
        with _bar() as progress:
            yield progress
    else:
        yield _Lines()


@contextmanager
def _bar() -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.percentage:>3.0f} %"), BarColumn(24), TimeElapsedColumn())
    with Bar(
        *columns, TextColumn("{task.description}", markup=False), console=Console(stderr=True), transient=True
    ) as bar:
        task = bar.add_task("starting", total=1.0)

        def report(fraction: float, message: str) -> None:
            bar.update(task, completed=fraction, description=message)

        yield report


class _Lines:
    """One line when the message changes; messages that count up (epoch 3 of 60) at most every tenth."""

    def __init__(self) -> None:
        self._last: tuple[str, int] | None = None

    def __call__(self, fraction: float, message: str) -> None:
        key = "".join(c for c in message if not c.isdigit()), int(10 * fraction)
        if key != self._last:
            self._last = key
            typer.echo(f"{fraction:4.0%} {message}", err=True)


def show_json(value: Mapping[str, Any]) -> None:
    """Print one JSON object on stdout."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False))


def show_table(headers: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a short table on stdout; None is shown as a dash."""
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table

    table = Table(*headers, box=SIMPLE)
    for row in rows:
        table.add_row(*(_cell(value) for value in row))
    Console(highlight=False, markup=False).print(table)


def show_facts(facts: Mapping[str, Any], *, as_json: bool) -> None:
    """Print what was done: one fact a line, or one JSON object."""
    if as_json:
        show_json(facts)
        return
    width = max(map(len, facts), default=0)
    for name, value in facts.items():
        typer.echo(f"{name.replace('_', ' '):<{width}}  {_cell(value)}")


def _cell(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value)
