"""Kill a worker, the scheduler or the client of a running `ehrsynth sample`, or an `ehrsynth fit`, at random.

    python scripts/benchmark/killed.py [--rows N] [--kills N]

writes reports/benchmark/killed.md. An own Dask scheduler with two workers runs beside it. Each kill -9 comes
when a random number of pieces is done, and up to half a second later. The table must then be whole or absent;
what was killed is started anew, the same command is given again, and its bytes must be those of a run that
nobody disturbed. A fit is killed when a random number of columns is learnt; its result is the model's files.
"""

import argparse
import datetime as dt
import hashlib
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

from ehrsynth.generators.bulk import PART
from ehrsynth.generators.recipes import recipe
from ehrsynth.generators.storage import FILES
from ehrsynth.schema import Schema
from ehrsynth.schema.yaml_files import save_schema
from ehrsynth.tables import read_table
from ehrsynth.tables import write_table as write_patients
from ehrsynth.tables.bundled import bundled

ROOT = Path(__file__).parents[2]
PROGRAMS = Path(sys.executable).parent
VICTIMS = ("worker", "scheduler", "client", "fit")
PATIENTS = 40_000  # of the table that is fitted: a million cells and more are worth keeping
LINKS = 30
LEARNER = ("--generator", "autoregressive", "--set", "rounds=5", "--set", "trees=2")
QUIET = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


class Cluster:
    """A scheduler and two workers as processes of their own, without nannies: a killed worker stays dead."""

    def __init__(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.address = f"tcp://127.0.0.1:{self.port}"
        self.scheduler = self._dask(
            "scheduler", "--host", "127.0.0.1", "--port", str(self.port), "--no-dashboard"
        )
        self.workers = [self._worker(), self._worker()]

    def _dask(self, *words: str) -> subprocess.Popen:
        return subprocess.Popen([PROGRAMS / "dask", *words], **QUIET)

    def _worker(self) -> subprocess.Popen:
        return self._dask("worker", self.address, "--no-nanny", "--nthreads", "1", "--no-dashboard")

    def heal(self) -> None:
        """Start anew what was killed; workers without their scheduler end too."""
        if self.scheduler.poll() is not None:
            self.stop()
            self.__init__()
        for place, worker in enumerate(self.workers):
            if worker.poll() is not None:
                self.workers[place] = self._worker()

    def stop(self) -> None:
        """End what is left of it."""
        for process in (*self.workers, self.scheduler):
            process.kill()
            process.wait()


def sampling(model: Path, rows: int, out: Path, address: str | None) -> subprocess.Popen:
    """The command, started."""
    command = [PROGRAMS / "ehrsynth", "sample", model, "--rows", str(rows), "--seed", "1", "--out", out]
    command += ["--scheduler", address] if address else ["--workers", "1"]
    return subprocess.Popen(list(map(str, command)), **QUIET)


def fitting(table: Path, schema: Path, out: Path) -> subprocess.Popen:
    """The command, started."""
    command = [PROGRAMS / "ehrsynth", "fit", table, "--schema", schema, *LEARNER, "--seed", "1", "--out", out]
    return subprocess.Popen(list(map(str, command)), **QUIET)


def digest(place: Path) -> str:
    """SHA-256 of a file or of a model's files, or "absent"."""
    files = [place / name for name in FILES] if place.is_dir() else [place]
    if not all(file.is_file() for file in files):
        return "NEITHER" if place.is_dir() else "absent"
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def wait_for(pieces: int, folder: Path, run: subprocess.Popen) -> None:
    """Until so many pieces are done, or the run is over."""
    while run.poll() is None and len(list(folder.glob("*.piece"))) < pieces:
        time.sleep(0.02)


def one_kill(
    cluster: Cluster, victim: str, moment: tuple[int, float], given: tuple[Path, int, Path], expected: str
) -> dict:
    """Start, kill after a while, look, start again, compare."""
    model, rows, out = given
    run = sampling(model, rows, out, cluster.address)
    wait_for(moment[0], out.with_name(f".{out.name}.unfinished"), run)
    time.sleep(moment[1])
    killed = {"worker": cluster.workers[0], "scheduler": cluster.scheduler, "client": run}[victim]
    was_running = run.poll() is None
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    code = run.wait(timeout=900)
    after = digest(out)
    pieces = len(list(out.parent.glob(f".{out.name}.unfinished/*.piece")))
    cluster.heal()
    sampling(model, rows, out, cluster.address).wait(timeout=900)
    found = said(victim, moment[0], was_running=was_running, code=code)
    found |= compared(out, after, pieces, expected)
    out.unlink(missing_ok=True)
    return found


def kill_of_fit(moment: tuple[int, float], given: tuple[Path, Path, Path], expected: str) -> dict:
    """The same of a fit."""
    table, schema, out = given
    run = fitting(table, schema, out)
    wait_for(moment[0], out.with_name(f".{out.name}.unfinished"), run)
    time.sleep(moment[1])
    was_running = run.poll() is None
    run.send_signal(signal.SIGKILL)
    code = run.wait(timeout=900)
    after, pieces = digest(out), len(list(out.parent.glob(f".{out.name}.unfinished/*.piece")))
    fitting(table, schema, out).wait(timeout=900)
    found = said("fit", moment[0], was_running=was_running, code=code)
    found |= compared(out, after, pieces, expected)
    shutil.rmtree(out, ignore_errors=True)
    return found


def said(victim: str, at: int, *, was_running: bool, code: int) -> dict:
    """The kill."""
    return {"victim": victim, "at piece": at, "running": "yes" if was_running else "no", "exit": code}


def compared(out: Path, after: str, pieces: int, expected: str) -> dict:
    """What stood there after the kill, and after the second run."""
    end = digest(out)
    left = [file.name for file in out.parent.iterdir() if file.name.startswith(f".{out.name}")]
    return {
        "result": "absent" if after == "absent" else "whole" if after == expected else "NEITHER",
        "pieces kept": pieces,
        "equal": "yes" if end == expected else "NO",
        "left": len(left),
    }


def undisturbed_fit(
    everyone: pd.DataFrame, schema: Schema, scratch: Path
) -> tuple[tuple[Path, Path], str, float]:
    """The table and the schema of the fits, the digest of a model that nobody disturbed, and its seconds."""
    table, file, out = scratch / "patients.parquet", scratch / "schema.yaml", scratch / "undisturbed"
    again = -(-PATIENTS // len(everyone))
    write_patients(pd.concat([everyone] * again, ignore_index=True).head(PATIENTS), schema, table)
    save_schema(schema, file)
    start = time.perf_counter()
    fitting(table, file, out).wait()
    return (table, file), digest(out), time.perf_counter() - start


def main() -> None:
    """Measure and write the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=9)
    given = parser.parse_args()
    if given.kills < len(VICTIMS):
        raise SystemExit(f"at least {len(VICTIMS)} kills: one of each")
    draw = random.Random(given.seed)  # noqa: S311 - moments, not secrets
    with TemporaryDirectory(prefix="ehrsynth-killed-") as folder:
        scratch = Path(folder)
        trial = bundled("ist")
        schema = trial.demo_schema
        everyone = read_table(trial.path, trial.schema)[list(schema.names)]
        table = everyone.head(5_000)
        recipe("independent").fit(table, schema, seed=1).save(scratch / "model")
        start = time.perf_counter()
        sampling(scratch / "model", given.rows, scratch / "undisturbed.parquet", None).wait()
        alone = time.perf_counter() - start
        expected = digest(scratch / "undisturbed.parquet")
        lesson, model_expected, fit_alone = undisturbed_fit(everyone, schema, scratch)
        out, found, cluster = scratch / "rows.parquet", [], Cluster()
        for number in range(given.kills):
            victim = VICTIMS[number % len(VICTIMS)]
            if victim == "fit":
                moment = draw.randrange(LINKS), draw.random() / 2
                one = kill_of_fit(moment, (*lesson, scratch / "fitted"), model_expected)
            else:
                moment = draw.randrange(given.rows // PART), draw.random() / 2
                wanted = scratch / "model", given.rows, out
                one = one_kill(cluster, victim, moment, wanted, expected)
            print(one, flush=True)
            found.append(one)
        cluster.stop()
    lines = [
        "# Killed at random moments",
        "",
        f"`python scripts/benchmark/killed.py --rows {given.rows} --kills {given.kills}`,",
        f"{dt.datetime.now(dt.UTC):%Y-%m-%d}. ehrsynth {version('ehrsynth')}, distributed",
        f"{version('distributed')}, Python {sys.version.split()[0]}, {os.cpu_count()} cores. Model:",
        f"`independent`, 5,000 patients of the stroke trial, 30 columns; {given.rows:,} rows in pieces of",
        f"{PART:,}, on a scheduler with two workers. Undisturbed, in one process: {alone:.0f} s. The fit:",
        f"`{' '.join(LEARNER)}`, {PATIENTS:,} patients (those of the trial, repeated), a piece a column;",
        f"undisturbed: {fit_alone:.0f} s.",
        "",
        f"| {' | '.join(found[0])} |",
        f"|{'---|' * len(found[0])}",
        *(f"| {' | '.join(map(str, one.values()))} |" for one in found),
        "",
        "exit: 0 done, 2 the scheduler was lost, -9 killed. result: what stood under its name after that.",
        "equal: the bytes after the second run are those of the undisturbed one. left: hidden files there.",
        "",
        f"{sum(one['result'] != 'NEITHER' for one in found)} of {len(found)} whole or absent,",
        f"{sum(one['equal'] == 'yes' for one in found)} of {len(found)} equal byte for byte.",
        "",
    ]
    report = ROOT / "reports" / "benchmark" / "killed.md"
    report.write_text("\n".join(lines))
    print(report)


if __name__ == "__main__":
    main()
