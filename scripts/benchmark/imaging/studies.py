"""The study on the two public sets, quick and full; it goes on where it was interrupted.

    python scripts/benchmark/imaging/studies.py --data DIR --out WORK --set blood|pneumonia
        [--full [--classifier NAME] [--steps N] [--side N]] [--processes 2] [--minutes M]

This is `ehrsynth images study` with the settings of the benchmark: platelets and white cells cut to 40
training images each and red cells to 400, split by photograph (a photograph is not a patient: several may be
of one); normal chest X-rays cut to 60 and pneumonia to 540 (the file tells no patients). `tables.py` reports.
"""

import argparse
import json
import os
import time
from functools import partial
from pathlib import Path

from ehrsynth.imaging.reading import Rules
from ehrsynth.imaging.study.job import study
from ehrsynth.imaging.study.plan import quick_plan, whole_plan
from ehrsynth.imaging.study.splits import Pace
from ehrsynth.report.image_study import write_study

# Set: file, rules, training images of each class, pixels a side of a classifier that is taught whole.
SETS = {
    "blood": ("blood_cells.npz", Rules(), {"Platelets": 40, "RBC": 400, "WBC": 40}, 32),
    "pneumonia": ("pneumoniamnist.npz", Rules(one_image_per_patient=True), {"0": 60, "1": 540}, 28),
}
_SECONDS = 20  # between two lines of progress


class Lines:
    """Progress as lines, not too many."""

    def __init__(self):
        self.start = self.last = time.monotonic()

    def __call__(self, fraction, message):
        """Print now and then."""
        now = time.monotonic()
        if now - self.last > _SECONDS:
            self.last = now
            print(f"{fraction:4.0%} {now - self.start:6.0f} s {message}", flush=True)


def place_of(given):
    """Where a run is kept; a full one takes over the splits of the quick one, which are the same."""
    if not given.full:
        return given.out / given.set
    place, quick = given.out / f"{given.set}-{given.classifier}", given.out / given.set / "splits"
    if quick.is_dir() and not (place / "splits").exists():
        place.mkdir(parents=True, exist_ok=True)
        (place / "splits").symlink_to(quick.resolve())
    return place


def run(given):
    """One set, once."""
    file, rules, cut, side = SETS[given.set]
    plan = quick_plan(folds=3, seeds=3, seed=given.seed, cut=cut)
    wanted = {"steps": given.steps, "side": given.side or side}
    whole = partial(whole_plan, plan, given.classifier, **wanted) if given.full else None
    progress, place = Lines(), place_of(given)
    pace = Pace.of(given.processes, None if given.minutes is None else 60 * given.minutes)
    found = study(given.data / file, place, rules=rules, plan=plan, whole=whole, pace=pace, progress=progress)
    write_study(found, place)
    seconds = time.monotonic() - progress.start
    print(found.verdict.sentence, *found.verdict.reasons, f"{seconds:.0f} s", f"{found.left} left", sep="\n")
    load = os.getloadavg()[1]  # over the last five minutes, its own processes included
    told = {"seconds": seconds, "processes": given.processes, "left": found.left, "load": load}
    (given.out / f"{place.name}.seconds.json").write_text(json.dumps(told) + "\n")


def main():
    """Read the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--set", choices=list(SETS), required=True)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--classifier", default="resnet18_small")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--side", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--minutes", type=float)
    run(parser.parse_args())


if __name__ == "__main__":
    main()
