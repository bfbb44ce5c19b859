"""Run one system on one split, in a process of its own, and measure it.

Its cap is in seconds of the processor, over all threads of its process: the clock of a busy machine would
stop some systems before they had done the work that others were allowed. `adapters/measured.py` sets it.
"""

import datetime as dt
import json
import os
import resource
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from ehrsynth.files import sha256
from tabular.cells import MADE, Json
from tabular.sources import Split, rows_of
from tabular.systems import ADAPTERS, System

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
# Other work of more than this many cores while a system runs makes its times those of a busy machine.
BUSY = 0.15
# Of the clock for each second of the processor: only what hangs is stopped by it.
PATIENCE = 20
FAILED, STOPPED = "failed", "stopped"


@dataclass(frozen=True)
class Conditions:
    """How systems run: seconds of the processor for each, and threads (None: as many as it likes)."""

    cap: int
    threads: int | None = None


def generate(system: System, python: Path, split: Split, seed: int, out: Path, how: Conditions) -> Json:
    """Fit, draw as many rows as were learnt from, write them to `out`; what happened."""
    with TemporaryDirectory() as folder:
        scratch = Path(folder)
        job = {
            "train": str(split.train),
            "schema": str(split.schema),
            "kinds": split.kinds,
            "seed": seed,
            "rows": rows_of(split.train),
            "setting": system.setting,
            "scratch": str(scratch / "scratch"),
            "out": str(out),
            "figures": str(scratch / "figures.json"),
            "cap": how.cap,
        }
        (scratch / "job.json").write_text(json.dumps(job))
        out.parent.mkdir(parents=True, exist_ok=True)
        command = [str(python), str(ADAPTERS / f"{system.adapter}.py"), str(scratch / "job.json")]
        found = run(command, scratch, how)
        if found["state"] == MADE:
            found |= json.loads((scratch / "figures.json").read_text())
            found |= {"csv": sha256(out)[:12], "rows": job["rows"]}
    return found


def run(command: list[str], folder: Path, how: Conditions) -> Json:
    """Run a command that caps its own processor time; its state, and what else the machine did meanwhile."""
    kept = {name: value for name, value in os.environ.items() if name not in THREADS}
    limits = {} if how.threads is None else dict.fromkeys(THREADS, str(how.threads))
    before, start = machine_seconds() - own_seconds(), time.perf_counter()
    ended = run_capped(command, folder, kept | limits, how.cap)
    wall = time.perf_counter() - start
    others = max(0.0, machine_seconds() - own_seconds() - before) / max(wall, 1e-9)
    return ended | {
        "whole_seconds": round(wall, 2),
        "other_cores": round(others, 2),
        "busy": others > BUSY or how.threads is not None,
        "cores": os.cpu_count(),
        "cap": how.cap,
        "date": f"{dt.datetime.now(dt.UTC):%Y-%m-%d}",
    }


def run_capped(command: list[str], folder: Path, environment: dict[str, str], cap: int) -> Json:
    """Run a command that caps its own processor time; its `state`, and the `reason` why there is no table."""
    said = folder / "said.txt"
    with said.open("w") as out:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=out, stderr=out, start_new_session=True
        )
        try:
            code = process.wait(timeout=PATIENCE * cap)
        except BaseException as error:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
            return {"state": STOPPED, "reason": f"stopped after {PATIENCE * cap:,} s of the clock"}
    if code == -signal.SIGXCPU:
        return {"state": STOPPED, "reason": f"stopped after {cap:,} s of the processor"}
    return {"state": MADE, "reason": ""} if code == 0 else {"state": FAILED, "reason": last_words(said)}


def last_words(said: Path) -> str:
    """The last line of an error, without paths."""
    lines = [line.strip() for line in said.read_text(errors="replace").splitlines() if line.strip()]
    words = (lines[-1] if lines else "no message").split()
    return " ".join(word if "/" not in word else "(path)" for word in words)[:160]


def own_seconds() -> float:
    """Processor seconds of this process and of the children that it has waited for."""
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(use.ru_utime + use.ru_stime for use in both)


def machine_seconds() -> float:
    """Busy processor seconds of the whole machine so far; its own where the system does not say."""
    try:
        fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
    except OSError:
        return own_seconds()
    user, nice, system, _, _, irq, soft, steal = map(int, fields)
    return (user + nice + system + irq + soft + steal) / os.sysconf("SC_CLK_TCK")
