"""smartnoise-synth's MST and AIM beside ours in private.py, each fit in a process of its environment.

They are handed the public states that ehrsynth's own private generators count in, and their rows are spread
over a state's values as ours are. Processor time is capped: a fit that is not done by then has the state
"stopped".
"""

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
from tabular.cells import MADE
from tabular.generating import THREADS, run_capped
from tabular.systems import ADAPTERS

from ehrsynth.encoding import decode, encode
from ehrsynth.generators.public_states import public_table
from ehrsynth.randomness import numpy_generator
from ehrsynth.schema import Schema

PEERS = {"smartnoise-mst": "mst", "smartnoise-aim": "aim"}
ENVIRONMENT = "smartnoise"
PACKAGES = ("smartnoise-synth", "mbi", "opendp", "jax", "numpy")
ADAPTER = ADAPTERS / "smartnoise.py"


@dataclass(frozen=True)
class Asked:
    """What a peer is asked for: its budget, the most seconds of the processor, where its interpreter is."""

    epsilon: float
    delta: float
    cap: int
    python: Path


def interpreter(environments: Path | None) -> Path | None:
    """The peers' interpreter; None when there is none."""
    found = None if environments is None else environments / ENVIRONMENT / "bin" / "python"
    return found if found is not None and found.exists() else None


def peer_table(
    peer: str, train: pd.DataFrame, schema: Schema, asked: Asked
) -> tuple[dict, pd.DataFrame | None]:
    """What happened, and as many synthetic rows as were learnt from; no rows unless the state is "made"."""
    states, codes = public_table(schema), encode(train, schema)
    rows = np.column_stack([one.assign(codes[:, place]) for place, one in enumerate(states)])
    with TemporaryDirectory() as folder:
        at = Path(folder).resolve()
        np.savez_compressed(at / "train.npz", rows=rows, sizes=[len(one) for one in states])
        job = {"setting": PEERS[peer], "epsilon": asked.epsilon, "delta": asked.delta, "cap": asked.cap}
        job |= {"seed": 1, "rows": len(rows), "train": str(at / "train.npz")}
        job |= {"out": str(at / "made.npz"), "figures": str(at / "figures.json")}
        (at / "job.json").write_text(json.dumps(job))
        found = ran([str(asked.python), str(ADAPTER), str(at / "job.json")], at, asked.cap)
        if found["state"] != MADE:
            return found, None
        figures = json.loads((at / "figures.json").read_text())
        with np.load(at / "made.npz") as given:
            made = given["rows"]
    rng = numpy_generator(2, "benchmark", peer)
    drawn = np.column_stack([one.draw(made[:, place], None, rng) for place, one in enumerate(states)])
    found |= {
        "fit_seconds": figures["fit"]["wall"],
        "fit_processor_seconds": figures["fit"]["cpu"],
        "sample_seconds": figures["sample"]["wall"],
    }
    return found, decode(drawn, schema)


def ran(command: list[str], folder: Path, cap: int) -> dict:
    """Run a command that caps its own processor time, on one thread; its state, and why there is no table."""
    environment = os.environ | dict.fromkeys(THREADS, "1")
    environment["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    return run_capped(command, folder, environment, cap)


def peer_versions(python: Path) -> dict[str, str]:
    """The packages of the peers' environment."""
    asked = (
        "import json; from importlib.metadata import version; "
        f"print(json.dumps({{name: version(name) for name in {PACKAGES!r}}}))"
    )
    return json.loads(
        subprocess.run([python, "-c", asked], capture_output=True, text=True, check=True).stdout
    )
