"""What `--epsilon` means for a verb."""

from collections.abc import Mapping
from pathlib import Path

from ehrsynth.errors import MissingPackage, RequestError
from ehrsynth.registry import known, resolve
from ehrsynth.schema import PublicRows, Schema
from ehrsynth.schema.yaml_files import load_schema


def with_epsilon(
    generator: str, settings: Mapping[str, object], epsilon: float | None, delta: float | None
) -> dict[str, object]:
    """A generator's settings with a budget.

    Raises
    ------
    RequestError
        If the generator has no private form (those that do are named), a budget is given twice, or delta
        without epsilon.
    """
    given = dict(settings)
    asked = {name: value for name, value in (("epsilon", epsilon), ("delta", delta)) if value is not None}
    private = private_generators() if asked else ()
    if asked and generator in known("generator") and generator not in private:
        raise RequestError(
            f"{generator} has no differentially private form; those that do: {', '.join(private)}"
        )
    twice = sorted(asked.keys() & given.keys())
    if twice:
        raise RequestError(f"{' and '.join(twice)} is given twice: as an option and with --set")
    return given | asked


def private_generators() -> tuple[str, ...]:
    """The names of those that can learn under an epsilon, as far as their packages are installed."""
    found = []
    for name in known("generator"):
        try:
            if "epsilon" in resolve("generator", name).model_fields:
                found.append(name)
        except MissingPackage:
            continue
    return tuple(found)


def known_to_all(path: Path, public_rows: int | None) -> Schema:
    """The schema of a file, with a number of patients that whoever runs this declares to be public.

    Raises
    ------
    SchemaError
        If the file holds no schema.
    RequestError
        If the schema declares another number.
    """
    schema = load_schema(path)
    if public_rows is None:
        return schema
    if schema.rows is not None and schema.rows.value != public_rows:
        raise RequestError(
            f"the schema says that {schema.rows.value:,} patients are known to all, and --public-rows "
            f"{public_rows:,}: leave one of them out"
        )
    rows = PublicRows(value=public_rows, citation="declared with --public-rows")
    return schema if schema.rows is not None else schema.changed(rows=rows.model_dump())
