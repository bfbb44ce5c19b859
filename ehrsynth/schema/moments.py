"""Days and moments of a schema file: real ones of the calendar, written as ISO 8601 has them."""

import datetime as dt
import re
from typing import Annotated

from pydantic import BeforeValidator, WithJsonSchema

EPOCH = dt.datetime(1970, 1, 1)  # noqa: DTZ001 - tables hold moments without a time zone
_ISO = re.compile(r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2})?)?")


def _moment(value: object) -> object:
    # Numbers would be read as seconds since 1970.
    if isinstance(value, dt.date):
        return value
    try:
        if isinstance(value, str) and _ISO.fullmatch(value):
            return dt.datetime.fromisoformat(value)
    except ValueError:
        pass  # a day that no calendar has
    message = f"is {value!r}: write a real day as 2020-01-31"
    raise ValueError(message)


def _day(value: object) -> object:
    moment = _moment(value)
    if isinstance(moment, dt.datetime) and moment.time() == dt.time():
        return moment.date()
    return moment


Day = Annotated[dt.date, BeforeValidator(_day)]
Moment = Annotated[dt.datetime, BeforeValidator(_moment), WithJsonSchema({"type": "string"})]
