#!/usr/bin/env python
"""Write the README's table of measured numbers from a demo's report.json, named as the one argument."""

import json
import sys
from pathlib import Path
from typing import Any

README = Path(__file__).parents[1] / "README.md"
START, END = "<!-- numbers: written by scripts/readme_numbers.py -->\n", "<!-- end of numbers -->\n"
BETTER = {"higher": "higher is better", "lower": "lower is better", "half": "0.5 is perfect"}


def interval(item: dict[str, Any]) -> str:
    """A value with its 95 % interval."""
    if item["value"] is None:
        return f"not measured: {item['reason']}"
    ends = f" ({item['low']:.3f} to {item['high']:.3f})" if item["low"] is not None else ""
    return f"{item['value']:.3f}{ends}"


def lines(report: dict[str, Any]) -> list[str]:
    """The table as Markdown."""
    about = report["provenance"]
    rows = about["rows"]
    made = [
        (
            f"Generator `{about['generator']}`, learnt from {rows['train']:,} patients, held against "
            f"{rows['holdout']:,} others; {rows['synthetic']:,} synthetic patients. "
            f"The gate's answer: **{report['sentence']}**"
        ),
        "",
        "| score | synthetic (95 % interval) | real against real | |",
        "|---|---|---|---|",
    ]
    for name, score in report["scores"].items():
        reference = "-" if score["reference"] is None else f"{score['reference']:.3f}"
        made.append(
            f"| {name.replace('_', ' ')} | {interval(score)} | {reference} | {BETTER[score['better']]} |"
        )
    made += ["", "| attack | excess success over its control (95 % interval) | attacks |", "|---|---|---|"]
    for name, risk in report["risks"].items():
        made.append(f"| {name.replace('_', ' ')} | {interval(risk)} | {risk['n_attacks']:,} |")
    return made


def main() -> None:
    """Rewrite the part of the README between the two markers."""
    report = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    text = README.read_text(encoding="utf-8")
    before, _, rest = text.partition(START)
    _, _, after = rest.partition(END)
    README.write_text(before + START + "\n".join(lines(report)) + "\n" + END + after, encoding="utf-8")


if __name__ == "__main__":
    main()
