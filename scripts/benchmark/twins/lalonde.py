"""Job training: the experiment's treated against a comparison group from a survey. A case to refuse."""

import argparse
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from ehrsynth.release.twin_request import Wanted
from ehrsynth.release.twins import make_twins
from ehrsynth.twins.options import Options
from ehrsynth.twins.question import Request
from twins.sources import lalonde
from twins.writing import Bar, bars, clock, head, kept, paragraph, table, write

SETTINGS = "all candidates with autoregressive; 1,000 permutations"
TABLES = {"nswdemo": "the experiment", "nswpsid1": "the treated against PSID"}


def measure(folder: Path, key: tuple[str, str]) -> dict[str, Any]:
    """One table, with or without the override."""
    name, override = key
    table_, schema = lalonde(folder, name)
    randomised = name == "nswdemo"
    request = Request(
        estimand="all" if randomised else "treated", design="randomised" if randomised else "observational"
    )
    accepted = frozenset({"overlap", "placebo", "individual-effects"}) if override else frozenset()
    wanted = Wanted(options=Options(accepted=accepted), draws=10)
    with tempfile.TemporaryDirectory() as place:
        made = make_twins(table_, schema, request, Path(place) / "out", wanted=wanted, seed=1)
    answer = made.answer
    outcome = answer["outcomes"][0]
    effects = [e for e in outcome.get("average_effects", ()) if e["group"] == "all patients"]
    return {
        "verdict": answer["verdict"],
        "refusals": [{k: r[k] for k in ("name", "reason", "overridden")} for r in answer["refusals"]],
        "effective": list(answer["overlap"]["effective"]),
        "patients": list(answer["overlap"]["patients"]),
        "outside_share": answer["overlap"]["outside_share"],
        "effect": effects[0] if effects else None,
    }


def run(given: argparse.Namespace) -> None:
    """Measure and write."""
    keys = [("nswdemo", ""), ("nswpsid1", ""), ("nswpsid1", "override")]
    found = kept("lalonde", SETTINGS, keys, partial(measure, given.data), given=given)
    results = dict(zip(keys, found, strict=True))
    refused, forced = results["nswpsid1", ""], results["nswpsid1", "override"]
    warned = forced["effect"] is not None and any(r["overridden"] for r in forced["refusals"])
    overlap = [r for r in refused["refusals"] if r["name"] == "overlap"]
    lines = head("Job training: no overlap, no answer", "lalonde --data DIR", results.values())
    lines += paragraph(
        """
        The effect on the earnings of those who were trained (the treated), dollars of 1978. The experiment is
        answered; its treated against the survey PSID are refused, and answered with `--accept-overlap` and a
        warning.
        """
    )
    lines += bars(
        [
            Bar("against PSID: refused for overlap (1 yes)", float(bool(overlap)), at_least=1),
            Bar("no number is told then (1 yes)", float(refused["effect"] is None), at_least=1),
            Bar("comparison group's worth", refused["effective"][0], at_most=refused["patients"][0] / 10),
            Bar("with the override: an estimate and its warning (1 yes)", float(warned), at_least=1),
            *clock(results.values()),
        ]
    )
    rows = []
    for key, result in results.items():
        effect = result["effect"]
        said = (
            "refused"
            if effect is None
            else f"{effect['value']:+,.0f} ({effect['low']:+,.0f} to {effect['high']:+,.0f})"
        )
        plain = "" if effect is None else f"{effect['unadjusted']['value']:+,.0f}"
        worth = ", ".join(
            f"{e:,.0f} of {n:,}" for e, n in zip(result["effective"], result["patients"], strict=True)
        )
        reasons = "; ".join(
            f"{r['name']}{' (overridden)' if r['overridden'] else ''}: {r['reason']}"
            for r in result["refusals"]
        )
        rows.append(
            (TABLES[key[0]] + (", overridden" if key[1] else ""), said, plain, worth, reasons or "none")
        )
    lines += table(("table", "effect (90 %)", "unadjusted", "worth: reference, treated", "refusals"), rows)
    write("lalonde", lines)
