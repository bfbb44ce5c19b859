"""Run one system from a CSV of patients to a CSV of synthetic ones, and say what it cost.

Runs in each system's own environment: only pandas and the standard library. Packages are imported, and the
table is read, before the clock starts. The job's `cap`, in seconds of the processor over all threads of this
process, ends it by the signal SIGXCPU.
"""

import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

Job = dict[str, Any]
MISSING = "(missing)"
FLAG = "(is missing) "


def frame(job: Job) -> pd.DataFrame:
    """The training table as `pandas.read_csv` users have it: words as words, numbers as numbers."""
    table = pd.read_csv(job["train"], dtype=str, keep_default_na=False, na_values=[""])
    for name, kind in job["kinds"].items():
        if kind != "word":
            table[name] = pd.to_numeric(table[name])
        else:
            table[name] = table[name].astype(object)
    return table


def to_csv(made: pd.DataFrame, job: Job) -> None:
    """Write a synthetic table as it came."""
    made.to_csv(job["out"], index=False)


class System(NamedTuple):
    """How a system learns (from what `read` gives), draws rows, reads and writes."""

    learn: Callable[[Any, Job], Any]
    draw: Callable[[Any, int, Job], Any]
    read: Callable[[Job], Any] = frame
    write: Callable[[Any, Job], None] = to_csv


def run(system: System) -> None:
    """Do the job in the file named on the command line."""
    job = json.loads(Path(sys.argv[1]).read_text())
    resource.setrlimit(resource.RLIMIT_CPU, (job["cap"], resource.RLIM_INFINITY))
    data = system.read(job)
    start = _used()
    model = system.learn(data, job)
    learnt = _used()
    made = system.draw(model, job["rows"], job)
    drawn = _used()
    system.write(made, job)
    figures = {"fit": _between(start, learnt), "sample": _between(learnt, drawn), "peak_mb": _peak_mb()}
    Path(job["figures"]).write_text(json.dumps(figures))


def without_missing(table: pd.DataFrame) -> pd.DataFrame:
    """For systems that refuse missing values: a word for it, or the median and a flag beside the number."""
    columns = {}
    for name in table.columns:
        gaps = table[name].isna()
        if table[name].dtype == object:
            columns[name] = table[name].fillna(MISSING)
        else:
            columns[name] = table[name].fillna(table[name].median())
            if gaps.any():
                columns[FLAG + name] = gaps.map({True: "yes", False: "no"}).astype(object)
    return pd.DataFrame(columns)


def with_missing(made: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """Undo `without_missing` on synthetic rows."""
    columns = {}
    for name in names:
        if FLAG + name in made.columns:
            columns[name] = made[name].mask(made[FLAG + name].astype(str) == "yes")
        else:
            words = made[name].astype(object)
            columns[name] = words.mask(words.astype(str) == MISSING)
    return pd.DataFrame(columns)


def _used() -> tuple[float, float]:
    cpu = sum(
        use.ru_utime + use.ru_stime
        for use in (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    )
    return time.perf_counter(), cpu


def _between(start: tuple[float, float], end: tuple[float, float]) -> dict[str, float]:
    return {"wall": round(end[0] - start[0], 3), "cpu": round(end[1] - start[1], 3)}


def _peak_mb() -> int:
    kilobytes = max(
        resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return round(kilobytes / 1024)
