"""What a twins' job came to, as short tables, or as JSON."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer

from ehrsynth.cli.drawing import show_json, show_table


def show_twins(answer: Mapping[str, Any], out: Path, *, as_json: bool) -> None:
    """Averages and the trial check as two short tables, or everything as JSON."""
    if as_json:
        from ehrsynth.files import plain

        show_json(plain(answer))
        return
    typer.echo(f"{answer['verdict']}. The report: {out / 'internal' / 'report.html'}")
    for one in answer["refusals"]:
        if one["name"] == "outside-support":
            done = "given all the same" if one["overridden"] else "withheld"
            typer.echo(f"{one['reason']}: their numbers are {done}.")
    _show_averages(answer)
    _show_simulated(answer)
    _show_trial(answer)
    if answer["release"] is not None:
        typer.echo(answer["release"]["sentence"])


def _show_averages(answer: Mapping[str, Any]) -> None:
    effects = [(o["outcome"], e) for o in answer["outcomes"] for e in o.get("average_effects", ())]
    if not effects:
        return
    rows = [
        (name, e["contrast"], e["group"], e["patients"], e["value"], f"{e['low']:.3f} to {e['high']:.3f}")
        for name, e in effects
    ]
    headers = ("outcome", "contrast", "group", "patients", "effect", f"{answer['level']:.0%} interval")
    show_table(headers, rows)
    for label in dict.fromkeys(e["label"] for _, e in effects):
        typer.echo(f"{label[0].upper()}{label[1:]}.")


def _show_simulated(answer: Mapping[str, Any]) -> None:
    """Means of a private model's twins, which have no interval."""
    rows = [
        (o["outcome"], arm, mean)
        for o in answer["outcomes"]
        for arm, mean in o.get("simulated_means", {}).items()
    ]
    if rows:
        show_table(("outcome", "arm", "mean of the twins"), rows)
        typer.echo(answer["noise"])


def _show_trial(answer: Mapping[str, Any]) -> None:
    for check in answer["trial_check"]:
        cells = [
            (
                "yes" if c["passed"] else "no",
                c["what"],
                c["arm"],
                c["group"],
                c["simulated"],
                c["randomised"]["value"],
                f"{c['difference']['low']:+.3f} to {c['difference']['high']:+.3f}",
            )
            for c in check["cells"]
        ]
        why = f": {check['reason']}" if check["reason"] else ""
        typer.echo(f"trial check, {check['outcome']}: {check['verdict']}{why}")
        if not cells:
            continue
        shown = ("", "number", "arm", "group", "simulated", "randomised", "difference (95% interval)")
        show_table(shown, cells)
