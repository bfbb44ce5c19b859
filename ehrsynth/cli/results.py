"""The numbers of a report.json as two short tables, or as they are."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer

from ehrsynth.cli.drawing import show_json, show_table

_BETTER = {"higher": "higher is better", "lower": "lower is better", "half": "0.5 is perfect"}


def show_results(report: Path, *, as_json: bool) -> None:
    """Print the decision, the scores and the risks of a report."""
    found = json.loads(report.read_text(encoding="utf-8"))
    if as_json:
        show_json(found)
        return
    typer.echo(f"{found['sentence']} The report: {report.with_suffix('.html')}")
    checks = [
        ("yes" if c["passed"] else "no", c["name"], c["value"], _limit(c), c["source"])
        for c in found["checks"]
    ]
    show_table(("", "check", "value", "limit", "whose"), checks)
    scores = [
        (_words(name), *_numbers(s), s["reference"], _BETTER[s["better"]])
        for name, s in found["scores"].items()
    ]
    show_table(("score", "value", "95 % interval", "real against real", ""), scores)
    risks = [(_words(name), *_numbers(r), r["n_attacks"]) for name, r in found["risks"].items()]
    show_table(("risk", "value", "95 % interval", "attacks"), risks)


def _limit(check: Mapping[str, Any]) -> str | None:
    return None if check["limit"] is None else f"{check['comparison']} {check['limit']:g}"


def _words(name: str) -> str:
    return name.replace("_", " ")


def _numbers(item: Mapping[str, Any]) -> tuple[float | None, str | None]:
    if item["value"] is None or item["low"] is None:
        return item["value"], item["reason"] or None
    return item["value"], f"{item['low']:.3f} to {item['high']:.3f}"
