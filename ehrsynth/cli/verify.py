"""`ehrsynth verify`: whether a release is still what was written, and a certificate of forgetting holds."""

from pathlib import Path
from typing import Annotated

import typer

from ehrsynth.cli.options import Json

Place = Annotated[
    Path,
    typer.Argument(
        metavar="RELEASE",
        help="What `release`, `fit`, `twins` or `forget` made, a share/ alone, or a certificate.json.",
        exists=True,
    ),
]
Key = Annotated[
    Path | None,
    typer.Option(
        "--key",
        help="The hospital's key to a certificate; else internal/certificate.key beside it.",
        exists=True,
        dir_okay=False,
    ),
]
Patients = Annotated[
    Path | None,
    typer.Option(
        "--patients",
        "-p",
        metavar="IDS",
        help="A file of patient keys: the certificate must prove each of them absent.",
        exists=True,
        dir_okay=False,
    ),
]


def verify(place: Place, *, key: Key = None, patients: Patients = None, json: Json = False) -> None:
    """Check a release byte for byte against its manifests, and that others cannot read what is internal.

    A certificate of forgetting is checked too: its keyed hash and each proof of absence. Ends with 2 when
    something was changed, and with 3 when all is as it was written, but the release was withdrawn.
    """
    from ehrsynth.cli.drawing import show_facts
    from ehrsynth.deletion.verify import verify as check

    found = check(place, key=key, patients=patients)
    if json:
        changed = "not certified" if found.strangers else "changed"
        verdict = changed if not found.intact else "withdrawn" if found.withdrawn else "intact"
        facts = {"verdict": verdict, "decision": found.decision, "withdrawn": found.withdrawn or None}
        show_facts(facts | {"files": found.files, "problems": list(found.problems)}, as_json=True)
    found.raise_if_changed()
    found.raise_if_withdrawn()
    if not json:
        folder = "model" if (place / "model.json").is_file() else "release"
        what = folder if place.is_dir() else "certificate"
        show_facts({what: "intact", "decision": found.decision or None, "files": found.files}, as_json=False)
