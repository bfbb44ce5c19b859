"""`ehrsynth list`: what can be chosen by name."""

from enum import Enum
from typing import Annotated

import typer

from ehrsynth.cli.options import Json


class What(Enum):
    """What can be listed."""

    generators = "generators"
    metrics = "metrics"
    attacks = "attacks"
    methods = "methods"
    columns = "columns"


_TABLES = {
    What.generators: "generator",
    What.metrics: "metric",
    What.attacks: "attack",
    What.methods: "method",
    What.columns: "column kind",
}


def listing(what: Annotated[What, typer.Argument(metavar="WHAT")], *, json: Json = False) -> None:
    """List generators, metrics, attacks, methods of rebalancing or (kinds of) columns."""
    from ehrsynth.cli.drawing import show_json, show_table
    from ehrsynth.errors import MissingPackage
    from ehrsynth.registry import known, resolve

    rows: list[tuple[str, str, str]] = []
    for name in known(_TABLES[what]):
        try:
            about = first_line(resolve(_TABLES[what], name))
            rows.append((name, "yes", about))
        except MissingPackage as error:
            rows.append((name, "no", str(error)))
    if what is What.methods:
        rows = _with_generators(rows)
    if json:
        found = [{"name": n, "installed": i == "yes", "about": a} for n, i, a in rows]
        show_json({what.value: found})
    else:
        show_table(("name", "installed", "about"), rows)


def _with_generators(rows: list[tuple[str, str, str]]) -> list[tuple[str, str, str]]:
    """Each generator is a method, too: it fills groups up."""
    from ehrsynth.rebalance.methods import installed, names

    about = {name: said for name, _, said in rows}
    filled = "Groups are filled up with patients from this generator."
    return [(name, "yes" if installed(name) else "no", about.get(name, filled)) for name in names()]


def first_line(thing: object) -> str:
    """The first line of a docstring."""
    return (thing.__doc__ or "").strip().partition("\n")[0]
