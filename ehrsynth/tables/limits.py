"""Results beyond a limit of detection: "<0.5" says that something was measured, and not how much."""

import re

from ehrsynth.schema import IntegerColumn, NumberColumn, Schema

LIMIT = re.compile(r"(?:[<>]=?|≤|≥)\s*\d+(?:\.\d+)?", re.ASCII)


def limits_as_missing(schema: Schema) -> tuple[str, ...]:
    """What a report says of numbers whose results beyond a limit the schema counts as missing.

    Such results are the lowest or the highest, so that a mean without them is off: a reader must know.
    """
    names = [
        column.name
        for column in schema.learnt
        if isinstance(column, IntegerColumn | NumberColumn)
        and any(map(LIMIT.fullmatch, column.missing_codes))
    ]
    if not names:
        return ()
    said = (
        f"{', '.join(names)}: results beyond a limit of detection count as missing, so that means and "
        "quantiles are those of the other results; write numbers for them if they should be learnt"
    )
    return (said,)
