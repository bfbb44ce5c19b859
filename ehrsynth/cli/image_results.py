"""What a study of images and raters' answers came to, as short tables, or as JSON."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from ehrsynth.cli.drawing import show_facts, show_json, show_table

if TYPE_CHECKING:
    from ehrsynth.imaging.turing import Judgement

_COLUMNS = (
    "minority recall",
    "matched minority recall",
    "balanced accuracy",
    "AUROC",
    "minority AUROC",
    "Brier",
)


def show_study(report: Path, *, as_json: bool) -> None:
    """Print the verdict, its reasons and the arms of a study."""
    found = json.loads(report.read_text(encoding="utf-8"))
    if as_json:
        show_json({name: value for name, value in found.items() if name != "splits"})
        return
    typer.echo(f"{found['sentence']} The report: {report.with_suffix('.html')}")
    for reason in found["reasons"]:
        typer.echo(f"  {reason}")
    typer.echo(f"  {found['error_rates']}")
    key = "tuned" if "tuned" in found["scores"] else "untuned"
    show_table((f"arm, {key}", *_COLUMNS), _rows(found["scores"][key]))
    areas = [(arm, *own.values()) for arm, own in found["class_aurocs"][key].items()]
    show_table((f"AUROC by class, {key}", *found["classes"]), areas)
    if found["whole_scores"]:
        show_table(("arm, classifier taught whole", *_COLUMNS), _rows(found["whole_scores"]))
    if found["splits_left"]:
        typer.echo(f"{found['splits_left']} splits are not done yet: the same command goes on with them")


def _rows(scores: dict[str, dict[str, float]]) -> list[tuple[Any, ...]]:
    return [(arm, *(own[name] for name in _COLUMNS)) for arm, own in scores.items()]


def show_judgement(found: "Judgement", *, as_json: bool) -> None:
    """Print what raters' answers show."""
    if as_json:
        show_json(asdict(found))
        return
    a, k = found.accuracy, found.kappa
    facts = {
        "raters": found.raters,
        "answers": found.answers,
        "needed": found.needed,
        "accuracy": f"{a.value:.3f} ({a.low:.3f} to {a.high:.3f}, 90 %)",
        "margin": found.margin,
        "achieved margin": found.achieved,
        "answer": "people cannot tell, within the margin"
        if found.equivalent
        else "not shown that people cannot tell",
        "AUROC": f"{found.auroc.value:.3f} ({found.auroc.low:.3f} to {found.auroc.high:.3f})",
        "kappa": "one rater" if k is None else f"{k.value:.3f} ({k.low:.3f} to {k.high:.3f})",
    }
    show_facts(facts, as_json=False)
