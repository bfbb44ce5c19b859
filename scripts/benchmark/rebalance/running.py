"""What the benchmarks of rebalancing share: lines of results to go on from, and a report's head."""

import datetime as dt
import hashlib
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ehrsynth.evaluation.protocol import protocol
from ehrsynth.files import canonical_json
from ehrsynth.rebalance.methods import quick
from ehrsynth.rebalance.protocol import rebalance_protocol

ROOT = Path(__file__).parents[3]
OUT = ROOT / "reports" / "rebalance"
CALIBRATION = ROOT / "reports" / "calibration"
PACKAGES = (
    "ehrsynth",
    "numpy",
    "pandas",
    "scikit-learn",
    "lightgbm",
    "torch",
    "imbalanced-learn",
    "fairlearn",
)


def how() -> str:
    """What a run depends on besides its name; results of another protocol or other methods do not count."""
    return f"{rebalance_protocol().hash[:12]} {len(quick())} methods"


def learners() -> str:
    """What the values of a study depend on, verdicts aside: the learners' settings."""
    settings = protocol()
    both = [
        settings.logistic_regression.model_dump(mode="json"),
        settings.boosted_trees.model_dump(mode="json"),
    ]
    return hashlib.sha256(canonical_json(both)).hexdigest()[:12]


def done(path: Path, depends: str) -> list[dict[str, Any]]:
    """The runs whose `how` is `depends`."""
    lines = path.read_text().splitlines() if path.is_file() else []
    return [run for line in lines if (run := json.loads(line))["how"] == depends]


def go_on(
    path: Path,
    wanted: Iterable[dict[str, Any]],
    one: Callable[..., dict[str, Any]],
    seconds: float,
    *,
    depends: str,
) -> None:
    """Make the runs that are missing, for about so many seconds; each becomes a line at once."""
    start = time.monotonic()
    names = list(wanted)
    have = [{key: run[key] for key in names[0]} for run in done(path, depends)] if names else []
    path.parent.mkdir(parents=True, exist_ok=True)
    for name in names:
        if name in have:
            continue
        if time.monotonic() - start > seconds:
            print("stopped: start again to go on")
            return
        began = time.process_time()
        run = {**name, "how": depends, **one(**name)}
        run["cpu_seconds"] = round(time.process_time() - began, 1)
        with path.open("a") as file:
            file.write(json.dumps(run) + "\n")
        print(run, flush=True)


def head(title: str, command: str) -> Iterator[str]:
    """The first lines of a report: what it is, the command, the versions, the machine, the day."""
    yield f"# {title}"
    yield ""
    yield f"`{command}` on {dt.datetime.now(dt.UTC):%Y-%m-%d}."
    said = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    yield f"Python {platform.python_version()}, {said}; {platform.machine()}, {os.cpu_count()} cores."
    yield f"Protocol `{rebalance_protocol().hash[:12]}` ({rebalance_protocol().splits} splits)."
    yield ""


def table(headers: Iterable[str], rows: Iterable[Iterable[object]]) -> Iterator[str]:
    """A table in Markdown."""
    names = list(headers)
    yield f"| {' | '.join(names)} |"
    yield "|" + "---|" * len(names)
    for row in rows:
        yield f"| {' | '.join(_cell(value) for value in row)} |"
    yield ""


def _cell(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def write(name: str, lines: Iterable[str], folder: Path = OUT) -> None:
    """Write a report."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("\n".join(lines))
    print(f"wrote {(folder / name).relative_to(ROOT)}", file=sys.stderr)
