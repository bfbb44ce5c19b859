"""`ehrsynth verify`: whether a release is still what was written."""

from pathlib import Path
from typing import Annotated

import typer

from ehrsynth.cli.options import Json

Folder = Annotated[
    Path,
    typer.Argument(
        metavar="RELEASE",
        help="A folder that `release` made, or its share/ alone.",
        exists=True,
        file_okay=False,
    ),
]


def verify(folder: Folder, *, json: Json = False) -> None:
    """Check a release byte for byte against its manifests, and that others cannot read what is internal."""
    from ehrsynth.cli.drawing import show_facts
    from ehrsynth.release.verify import verify as check

    found = check(folder)
    if json:
        facts = {"verdict": "intact" if found.intact else "changed", "decision": found.decision}
        show_facts(facts | {"files": found.files, "problems": list(found.problems)}, as_json=True)
    found.raise_if_changed()
    if not json:
        show_facts({"release": "intact", "decision": found.decision, "files": found.files}, as_json=False)
