"""How the reports of this folder say where they come from."""

import datetime as dt
import platform
from importlib.metadata import version
from pathlib import Path

OUT = Path(__file__).parents[3] / "reports" / "imaging"


def head(title, command, *packages):
    """The first lines of a report."""
    versions = ", ".join(f"{name} {version(name)}" for name in ("ehrsynth", *packages))
    day = dt.datetime.now(dt.UTC).date()
    said = f"Written by `{command}` on {day}: {versions}, Python {platform.python_version()}."
    return [f"# {title}", "", said, ""]


def row(cells):
    """A line of a table."""
    return f"| {' | '.join(map(str, cells))} |"


def columns(cells):
    """The first two lines of a table."""
    return [row(cells), "|" + "---|" * len(cells)]


def write(name, lines):
    """Write a report."""
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / name).write_text("\n".join([*lines, ""]), encoding="utf-8")
