"""Measure the twins: python scripts/benchmark/twins NAME [--data DIR] [--processes 2] [--again].

NAME is one of ihdp, acic, stroke, observational, lalonde, noise, jumps, cohort, refusals; each writes
reports/twins/NAME.md and NAME.json. What is measured already by the same settings is not measured again.
ihdp, acic, lalonde and noise need a folder of public tables that are not bundled.
"""

import argparse
import sys
from importlib import import_module
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

NAMES = ("ihdp", "acic", "stroke", "observational", "lalonde", "noise", "jumps", "cohort", "refusals")
PROCESSES = 2
NEED_DATA = {"ihdp", "acic", "lalonde", "noise"}


def main() -> None:
    """Run one of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("name", choices=NAMES)
    parser.add_argument("--data", type=Path, metavar="DIR", help="a folder of public tables")
    parser.add_argument("--runs", type=int, help="fewer runs than the report wants, for a quick look")
    parser.add_argument("--processes", type=int, default=PROCESSES, help="runs at a time, one thread each")
    parser.add_argument("--again", action="store_true", help="measure anew what was measured before")
    parser.add_argument(
        "--publish", action="store_true", help="refusals, jumps: let the package say these rates"
    )
    given = parser.parse_args()
    if given.name in NEED_DATA and given.data is None:
        print(f"skipped: {given.name} needs tables that are not bundled: give their folder with --data DIR")
        return
    import_module(f"twins.{given.name}").run(given)


if __name__ == "__main__":
    main()
