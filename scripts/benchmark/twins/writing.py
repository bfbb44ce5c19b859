"""What all reports of the twins share: head, tables, and results that are kept between runs."""

import datetime as dt
import json
import os
import platform
import textwrap
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

OUT = Path(__file__).parents[3] / "reports" / "twins"
WIDTH = 108
EVERY = 20.0  # seconds between two writes
MINUTES = 10.0  # that a measurement may take
PACKAGES = ("ehrsynth", "numpy", "scipy", "pandas", "scikit-learn", "lightgbm", "torch")


def kept(
    name: str, key: str, keys: Iterable[Any], measure: Callable[[Any], dict[str, Any]]
) -> list[dict[str, Any]]:
    """One result for each key, measured now or before; `key` names the settings they were measured with."""
    path = OUT / f"{name}.json"
    have = json.loads(path.read_text()) if path.is_file() else {}
    found = {k: v for k, v in have.items() if v.get("settings") == key}
    OUT.mkdir(parents=True, exist_ok=True)
    wanted, written = list(map(str, keys)), 0.0
    for one, word in zip(keys, wanted, strict=True):
        if word in found:
            continue
        start, used = time.perf_counter(), time.process_time()
        result = measure(one)
        clock = {
            "seconds": round(time.perf_counter() - start, 1),
            "cpu": round(time.process_time() - used, 1),
        }
        found[word] = {**result, **clock, "settings": key}
        print(word, found[word], flush=True)
        if time.perf_counter() - written > EVERY:
            path.write_text(json.dumps(found, indent=1) + "\n")
            written = time.perf_counter()
    path.write_text(json.dumps(found, indent=1) + "\n")
    return [found[word] for word in wanted]


def head(title: str, command: str) -> list[str]:
    """Title, command, date, versions."""
    said = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    machine = f"{platform.machine()}, {os.cpu_count()} cores"
    return [
        f"# {title}",
        "",
        f"`python scripts/benchmark/twins {command}` on {dt.datetime.now(dt.UTC):%Y-%m-%d}.",
        f"Python {platform.python_version()}, {said}; {machine}, one thread.",
        "",
    ]


def table(headers: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """A table in Markdown."""
    lines = ["| " + " | ".join(headers) + " |", "|" + "---|" * len(headers)]
    return [*lines, *("| " + " | ".join(map(cell, row)) + " |" for row in rows), ""]


def cell(value: object) -> str:
    """A value as text."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def paragraph(text: str) -> list[str]:
    """Running text, wrapped, with a blank line after it."""
    return [*textwrap.wrap(" ".join(text.split()), WIDTH, break_long_words=False, break_on_hyphens=False), ""]


class Bar(NamedTuple):
    """What was asked for, and what was found; None where there is nothing to compare with."""

    name: str
    found: float
    at_least: float | None = None
    at_most: float | None = None

    @property
    def asked(self) -> str:
        """In words."""
        low, high = self.at_least, self.at_most
        if low is not None and high is not None:
            return f"{low:g} to {high:g}"
        return f"at least {low:g}" if low is not None else f"at most {high:g}"

    @property
    def met(self) -> bool:
        """Whether it was met."""
        low, high = self.at_least, self.at_most
        return (low is None or self.found >= low) and (high is None or self.found <= high)


def clock(results: Iterable[Mapping[str, Any]]) -> list[Bar]:
    """Minutes of all runs together, as they were stored, one run after the other on one thread.

    By the clock of a machine that others used at the same time, and by the processor's, which is about what
    the clock says on a machine of one's own.
    """
    found = list(results)
    names = {"seconds": "minutes by the clock, all runs (machine shared)", "cpu": "minutes of processor time"}
    return [
        Bar(name, sum(float(r[kind]) for r in found) / 60, at_most=MINUTES)
        for kind, name in names.items()
        if all(kind in r for r in found)
    ]


def bars(rows: Iterable[Bar]) -> list[str]:
    """What was asked for and what was found."""
    found = [(bar.name, bar.asked, f"{bar.found:.4g}", "met" if bar.met else "**missed**") for bar in rows]
    return table(("bar", "asked for", "found", ""), found)


def shares(names: Sequence[str], weights: Iterable[float]) -> dict[str, float]:
    """The candidates that count for something."""
    found = {name: round(float(weight), 2) for name, weight in zip(names, weights, strict=True)}
    return {name: weight for name, weight in found.items() if weight > 0}


def columns(results: Sequence[Mapping[str, Any]]) -> dict[str, np.ndarray]:
    """The numbers of all results, by name."""
    names = [name for name, value in results[0].items() if isinstance(value, float)]
    return {name: np.array([result[name] for result in results]) for name in names}


def write(name: str, lines: Iterable[str]) -> None:
    """Write a report."""
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / f"{name}.md").write_text("\n".join(lines).rstrip() + "\n")
