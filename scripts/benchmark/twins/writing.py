"""What all reports of the twins share: head, tables, and results that are kept between runs.

Runs are made in worker processes, with one thread each for linear algebra; how many work changes no result.
"""

import argparse
import datetime as dt
import json
import os
import platform
import textwrap
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

OUT = Path(__file__).parents[3] / "reports" / "twins"
WIDTH = 108
EVERY = 20.0  # seconds between two writes
MINUTES = 10.0  # that a measurement may take
# Set before a worker imports what reads them.
ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
PACKAGES = ("ehrsynth", "numpy", "scipy", "pandas", "scikit-learn", "lightgbm", "torch")


def kept(
    name: str,
    key: str,
    keys: Iterable[Any],
    measure: Callable[[Any], dict[str, Any]],
    *,
    given: argparse.Namespace,
) -> list[dict[str, Any]]:
    """One result for each key, measured now or before; `key` names the settings they were measured with.

    Parameters
    ----------
    measure
        A function of a module, or a partial of one: a worker must be able to find it.
    given
        `processes`: how many runs at a time. `again`: what was measured before does not count.
    """
    path = OUT / f"{name}.json"
    have = json.loads(path.read_text()) if path.is_file() else {}
    wanted, written = {str(one): one for one in keys}, 0.0
    anew = wanted if given.again else ()
    found = {k: v for k, v in have.items() if v.get("settings") == key and k not in anew}
    OUT.mkdir(parents=True, exist_ok=True)
    missing = {word: one for word, one in wanted.items() if word not in found}
    try:
        for word, result in _measured(measure, missing, given.processes):
            found[word] = {**result, "settings": key}
            print(word, found[word], flush=True)
            if time.perf_counter() - written > EVERY:
                _keep(found, wanted, path)
                written = time.perf_counter()
    finally:  # whatever stopped it
        _keep(found, wanted, path)
    return [found[word] for word in wanted]


def _keep(found: Mapping[str, Any], wanted: Iterable[str], path: Path) -> None:
    """In the order of the keys, so that the file does not tell which run ended first."""
    first = {word: found[word] for word in wanted if word in found}
    path.write_text(json.dumps({**first, **found}, indent=1) + "\n")


def _measured(
    measure: Callable[[Any], dict[str, Any]], missing: Mapping[str, Any], processes: int
) -> Iterator[tuple[str, dict[str, Any]]]:
    """The missing runs as they end.

    `elapsed` is the time by the clock since the run before it ended: it adds up to the whole, however many
    worked and however often the benchmark was stopped.
    """
    if not missing:
        return
    os.environ.update(dict.fromkeys(ONE_THREAD, "1"))
    last = time.perf_counter()
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        waiting = {pool.submit(_timed, measure, one): word for word, one in missing.items()}
        try:
            for future in as_completed(waiting):
                result, now = future.result(), time.perf_counter()
                yield waiting[future], {**result, "elapsed": round(now - last, 1), "processes": processes}
                last = now
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _timed(measure: Callable[[Any], dict[str, Any]], one: Any) -> dict[str, Any]:
    """One run in a worker, with its seconds by the clock and of the processor."""
    start, used = time.perf_counter(), time.process_time()
    result = measure(one)
    seconds, cpu = time.perf_counter() - start, time.process_time() - used
    return {**result, "seconds": round(seconds, 1), "cpu": round(cpu, 1)}


def head(title: str, command: str, results: Iterable[Mapping[str, Any]]) -> list[str]:
    """Title, command, date, versions, and how many processes made the results."""
    said = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    machine = f"{platform.machine()}, {os.cpu_count()} cores"
    worked = sorted({int(result.get("processes", 1)) for result in results})
    many = " or ".join(map(str, worked)) + (" process" if worked == [1] else " processes")
    return [
        f"# {title}",
        "",
        f"`python scripts/benchmark/twins {command}` on {dt.datetime.now(dt.UTC):%Y-%m-%d}.",
        f"Python {platform.python_version()}, {said}; {machine}, {many}, one thread each for linear algebra.",
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
    """Minutes of all runs together, as they were stored.

    By the clock, of a machine that others may have used at the same time; and of the processor, summed over
    all processes, for which as many cores as processes have ten minutes each. Results that tell no `elapsed`
    were made one after the other.
    """
    found = list(results)
    by_clock = sum(float(r.get("elapsed", r["seconds"])) for r in found) / 60
    processes = min(int(r.get("processes", 1)) for r in found)
    bars = [Bar("minutes by the clock, all runs (machine shared)", by_clock, at_most=MINUTES)]
    if all("cpu" in r for r in found):
        name = "minutes of processor time, all runs" + (
            f" ({MINUTES:g} on each of {processes} cores)" if processes > 1 else ""
        )
        used = sum(float(r["cpu"]) for r in found) / 60
        bars.append(Bar(name, used, at_most=MINUTES * processes))
    return bars


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
