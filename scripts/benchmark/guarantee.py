"""Is what private generators claim true, as far as trying to break it can tell?

    python scripts/benchmark/guarantee.py [--runs 200] [--canaries 1000] [--generators ...]

For each private generator, at epsilon 1: (1) neighbouring tables, the whole fit and sample, so many runs a
side; (2) canaries in one fit on half of the bundled stroke trial. (3) The parts of private training. (4) The
planted bugs, by the tests that catch them. One small file a generator goes to reports/calibration/dp/, so
that a stopped run goes on where it was; the page is reports/calibration/dp.md.

On tiny tables networks are trained for few steps with all patients in each: the claim is the same.
"""

import argparse
import datetime as dt
import json
import math
import os
import platform
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from xml.etree import ElementTree as ET

from ehrsynth.dp.soundness import soundness
from ehrsynth.files import write_json
from ehrsynth.generators.recipes import recipe
from ehrsynth.generators.trial import against_canaries, against_neighbours, domain_is_public, small_schema
from ehrsynth.randomness import numpy_generator
from ehrsynth.schema import Schema
from ehrsynth.schema.yaml_files import load_schema
from ehrsynth.tables import bundled, read_table, table_from_frame

ROOT = Path(__file__).parents[2]
OUT = ROOT / "reports" / "calibration" / "dp"
SMALL_NETWORK = {"steps": 10, "batch_size": 12, "width": 16}
# Settings on tiny tables; in the real fit every generator has its defaults.
TINY = {
    "dp-independent": {},
    "mst": {"steps": 30},
    "aim": {"rounds": 0.5, "steps": 30, "round_steps": 10},
    "dp-tvae": SMALL_NETWORK,
    "dp-ctgan": SMALL_NETWORK,
    "autoregressive": {"epsilon": 1.0, "masks": 1, **SMALL_NETWORK},
}
AUDITS = 2 * len(TINY)
PACKAGES = ("ehrsynth", "numpy", "torch", "opacus", "dp-accounting")
BUGS = {
    "no_clipping": "gradients are not clipped",
    "noise_over_the_batch": "noise is divided by the batch once too often",
    "shuffled_batches": "batches of a shuffle instead of Poisson samples",
    "bounds_from_the_data": "bounds are read off the data",
    "unpaid_release": "rows are looked at once more without paying",
    "no_noise_without_anybody": "a step without anybody has no noise",
    "without_noise_are_caught_from_outside": "counts without noise",
    "canaries_catch_copies": "the table is copied",
}


READING = (
    "Epsilon is at least the bound, with an error of 5 % over all audits of this page together. A bound "
    "below the claim proves nothing: it has not been broken at the resolution of the last column, the "
    "true epsilon that would have been told from the claim with power 0.95. Of canaries only the surest "
    "guesses count, one fit says little, and made-up patients may be easier or harder to find than real "
    "ones. On tiny tables networks train for 10 steps with a width of 16 and all 12 patients in each "
    "step; canaries are put into one fit with the generator's defaults."
)


def trial_schema() -> Schema:
    """The stroke trial's public schema."""
    return load_schema(ROOT / "schemas" / "ist_public.yaml")


def audited(name: str, runs: int, canaries: int) -> dict:
    """Both audits of one generator, and its domain."""
    schema = trial_schema()
    small = recipe(name, {"epsilon": 1.0} | TINY[name])
    tiny = small_schema(schema)
    start = time.perf_counter()
    domain = domain_is_public(small, tiny)
    near = against_neighbours(small, tiny, runs=runs, seed=1, audits=AUDITS)
    trial = bundled("ist")
    table = table_from_frame(read_table(trial.path, trial.schema)[list(schema.names)], schema)
    half = numpy_generator(1, "guarantee").permutation(len(table))[: len(table) // 2]
    chosen = recipe(name, {"epsilon": 1.0})
    birds = against_canaries(
        chosen, schema, table.iloc[half].reset_index(drop=True), canaries=canaries, seed=1, audits=AUDITS
    )
    return {
        "domain": {"holds": domain.holds, "detail": domain.detail},
        "audits": [_plain(one) for one in (near, birds)],
        "seconds": round(time.perf_counter() - start),
        "date": f"{dt.datetime.now(dt.UTC):%Y-%m-%d}",
    }


def _plain(verdict) -> dict:
    seen = verdict.detectable if math.isfinite(verdict.detectable) else None
    return {
        "name": verdict.name,
        "claim": verdict.claim,
        "delta": verdict.delta,
        "bound": verdict.bound,
        "detectable": seen,
        "runs": verdict.runs,
        "error": verdict.error,
        "broken": verdict.broken,
        "sentence": verdict.sentence,
    }


def caught() -> dict[str, bool]:
    """Each planted bug and whether the tests caught it."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "found.xml"
        words = ["-m", "pytest", "-q", "-n", "0", "-k", "caught or catch", f"--junitxml={path}"]
        files = [
            ROOT / "tests" / "dp" / "test_soundness.py",
            ROOT / "tests" / "generators" / "test_private.py",
        ]
        kept = {**os.environ, "PYTHONPATH": str(ROOT)}
        subprocess.run([sys.executable, *words, *map(str, files)], cwd=ROOT, env=kept, check=False)
        cases = list(ET.parse(path).iter("testcase"))  # noqa: S314 - pytest wrote it just now
    found = {}
    for bug in BUGS:
        own = [case for case in cases if bug in case.get("name", "")]
        found[bug] = bool(own) and not any(len(case) for case in own)
    return found


def page(cells: dict[str, dict], bugs: dict[str, bool]) -> str:
    """The report."""
    used = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    day = f"{dt.datetime.now(dt.UTC):%Y-%m-%d}"
    lines = [
        "# Trying to break the guarantee",
        "",
        f"`python scripts/benchmark/guarantee.py`; this page on {day}.",
        f"Python {platform.python_version()}, {used}.",
        "",
        READING,
        "",
        "| audit | runs a side, or guesses | claim | bound | | would have been caught |",
        "|---|---|---|---|---|---|",
    ]
    for name in TINY:
        if name not in cells:
            lines.append(f"| {name} | not run | | | | |")
            continue
        for one in cells[name]["audits"]:
            seen = "none" if one["detectable"] is None else f"{one['detectable']:.2f}"
            said = "**broken**" if one["broken"] else "not broken"
            lines.append(
                f"| {one['name']} | {one['runs']} | {one['claim']:g} | {one['bound']:.2f} | {said} | {seen} |"
            )
    lines += ["", "## Bounds and categories", "", "| generator | same with one strange patient more | |"]
    lines.append("|---|---|---|")
    for name, cell in cells.items():
        lines.append(
            f"| {name} | {'yes' if cell['domain']['holds'] else '**no**'} | {cell['domain']['detail']} |"
        )
    lines += ["", "## Parts of private training", "", "| part | holds | what was seen |", "|---|---|---|"]
    lines += [f"| {f.name} | {'yes' if f.holds else '**no**'} | {f.detail} |" for f in soundness()]
    lines += ["", "## Planted bugs", "", "| bug | caught |", "|---|---|"]
    lines += [f"| {BUGS[bug]} | {'yes' if found else '**no**'} |" for bug, found in bugs.items()]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Audit what was not audited yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--canaries", type=int, default=1_000)
    parser.add_argument("--generators", nargs="*", choices=tuple(TINY), default=list(TINY))
    given = parser.parse_args()
    OUT.mkdir(parents=True, exist_ok=True)
    for name in given.generators:
        path = OUT / f"{name}.json"
        if not path.is_file():
            write_json(path, audited(name, given.runs, given.canaries))
        found = json.loads(path.read_text())
        print(name, found["seconds"], "s", *(one["sentence"] for one in found["audits"]), flush=True)
    cells = {n: json.loads((OUT / f"{n}.json").read_text()) for n in TINY if (OUT / f"{n}.json").is_file()}
    bugs = OUT / "bugs.json"
    if not bugs.is_file():
        write_json(bugs, caught())
    (OUT.parent / "dp.md").write_text(page(cells, json.loads(bugs.read_text())), encoding="utf-8")


if __name__ == "__main__":
    main()
