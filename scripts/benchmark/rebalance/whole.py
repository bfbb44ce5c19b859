"""A whole study of one group by all quick methods, from the command line: how long, and what it says.

    python scripts/benchmark/rebalance/whole.py

Patients of 85 and over in the stroke trial, 120 of them beside 1,500 others; 12 splits, headroom, sites,
report. Writes reports/rebalance/whole.md.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from running import head, write

from ehrsynth.tables import read_table, write_table
from ehrsynth.tables.bundled import bundled


def lines() -> Iterator[str]:
    """Run it and report."""
    ist = bundled("ist")
    known = read_table(ist.path, ist.demo_schema)
    known = known[known["OCCODE"].notna()].reset_index(drop=True)
    rng = np.random.default_rng(1)
    old = known["AGE"].to_numpy(int) >= 85  # noqa: PLR2004
    places = np.concatenate(
        [rng.permutation(np.flatnonzero(old))[:120], rng.permutation(np.flatnonzero(~old))[:1_500]]
    )
    with tempfile.TemporaryDirectory() as folder:
        data, out = Path(folder) / "patients.csv", Path(folder) / "out"
        write_table(known.iloc[np.sort(places)], ist.demo_schema, data)
        schema = Path(folder) / "schema.yaml"
        from ehrsynth.schema.yaml_files import save_schema

        save_schema(ist.demo_schema, schema)
        words = ["rebalance", data, "--schema", schema, "--out", out, "--outcome", "OCCODE", "--seed", "1"]
        words += ["--event", 'OCCODE in ("1", "2")', "--group", "85 and over=AGE >= 85"]
        command = [sys.executable, "-c", "from ehrsynth.cli import main; main()", *map(str, words)]
        start = time.perf_counter()
        run = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ)
        took = time.perf_counter() - start
    shown = run.stdout.replace(folder, ".").rstrip()
    yield from head("A whole study of one group", "python scripts/benchmark/rebalance/whole.py")
    yield (
        f"1,620 patients of the stroke trial. **{took / 60:.1f} minutes** on one thread; asked for: under"
        f" 10 on two cores. Exit"
    )
    yield f"code {run.returncode}; {len(run.stderr.splitlines())} lines of progress."
    yield ""
    yield "```"
    yield "\n".join(line.rstrip() for line in shown.splitlines())
    yield "```"
    yield ""


if __name__ == "__main__":
    write("whole.md", lines())
