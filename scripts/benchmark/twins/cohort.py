"""A cohort that is meant to leave: twins of 10,000 synthetic patients of the stroke trial."""

import argparse
import json
import shutil
import time
from typing import Any

from ehrsynth.files import sha256
from ehrsynth.release.twin_request import Wanted
from ehrsynth.release.twins import make_twins
from ehrsynth.release.verify import verify
from ehrsynth.tables.bundled import bundled
from ehrsynth.twins.options import Options
from ehrsynth.twins.question import Request
from twins.writing import OUT, Bar, bars, head, kept, paragraph, table, write

PATIENTS = 10_000
SETTINGS = f"autoregressive, {PATIENTS} synthetic patients, aspirin, dead or dependent, seed 1"
REQUEST = Request(
    treatment="RXASP",
    outcomes=('poor = OCCODE in ("1", "2")',),
    design="randomised",
    by=("SEX", "AGE", "STYPE"),
)


def measure(patients: int) -> dict[str, Any]:
    """The whole job, as the command line does it."""
    trial = bundled("ist")
    out = OUT / "cohort_run"
    shutil.rmtree(out, ignore_errors=True)
    wanted = Wanted(options=Options(individual=False), trial=True, synthetic=patients)
    start = time.perf_counter()
    made = make_twins(
        trial.path, trial.schema, REQUEST, out, wanted=wanted, seed=1, key=b"twins of the stroke trial"
    )
    took = time.perf_counter() - start
    report = json.loads((out / "internal" / "report.json").read_text())
    checked = verify(out)
    found = {
        "verdict": made.answer["verdict"],
        "decision": "" if made.decision is None else made.decision.verdict,
        "sentence": "" if made.decision is None else made.decision.sentence,
        "intact": checked.intact,
        "took": round(took, 1),
        "trial": report["trial_check"],
        "checks": report["release"]["checks"],
        "effects": [e for e in report["outcomes"][0]["average_effects"] if e["group"] == "all patients"],
        "training_n": report["outcomes"][0]["training_n"],
        "files": sorted(f.relative_to(out).as_posix() for f in out.rglob("*") if f.is_file()),
        "report_sha256": sha256(out / "internal" / "report.html"),
    }
    shutil.copy(out / "internal" / "report.html", OUT / "cohort_report.html")
    shutil.rmtree(out)
    return found


def run(given: argparse.Namespace) -> None:
    """Measure and write."""
    result = kept("cohort", SETTINGS, [given.runs or PATIENTS], measure, given=given)[0]
    check = result["trial"][0]
    lines = head("A cohort of 10,000 twins of synthetic patients", "cohort", [result])
    lines += paragraph(
        """
        Half of the stroke trial is learnt from, by the generator and by the outcome models. A third, in
        countries of its own, is what the cohort is held against; the others, of the countries that were
        learnt from, are the control of the attacks. The page of the run:
        [cohort_report.html](cohort_report.html).
        """
    )
    failed = [c for c in check["cells"] if not c["passed"]]
    lines += bars(
        [
            Bar("cells that the trial contradicts", float(len(failed)), at_most=0),
            Bar(
                "attacks and other checks that ran",
                float(sum(c["value"] is not None for c in result["checks"])),
                at_least=1,
            ),
            Bar("folders as they were written (1 yes)", float(result["intact"]), at_least=1),
            Bar("minutes, this machine being shared", result["took"] / 60, at_most=10),
        ]
    )
    effect = result["effects"][0]
    lines += paragraph(
        f"""
        Gate: {result["sentence"]} The average effect is {100 * effect["value"]:+.2f} points
        ({100 * effect["low"]:+.2f} to {100 * effect["high"]:+.2f}, from {result["training_n"]:,} patients
        learnt from).
        """
    )
    lines += ["## The cohort against randomised patients whom nothing saw", ""]
    rows = []
    for c in check["cells"]:
        gap = [f"{100 * c['difference'][end]:+.1f}" for end in ("value", "low", "high")]
        rows.append(
            (
                c["group"],
                f"{c['what']} {c['arm']}",
                f"{100 * c['simulated']:.1f}",
                f"{100 * c['randomised']['value']:.1f}",
                f"{gap[0]} ({gap[1]} to {gap[2]})",
                f"{c['adjusted']:.2f}",
                "pass" if c["passed"] else "**fail**",
            )
        )
    lines += table(
        ("group", "number", "cohort, %", "randomised, %", "difference (95 %)", "p, Holm", ""), rows
    )
    lines += ["## The gate", ""]
    lines += table(
        ("check", "measured", "limit", "answer"),
        [
            (
                c["name"],
                "-" if c["value"] is None else f"{c['value']:.4g}",
                "-" if c["limit"] is None else f"{c['comparison']} {c['limit']:g}",
                "yes" if c["passed"] else "**no**: " + c["explanation"],
            )
            for c in result["checks"]
        ],
    )
    write("cohort", lines)
