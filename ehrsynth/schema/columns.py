"""The column kinds: what a column's values mean, where each item comes from, and how it is written.

Every kind but `identifier` spans a finite grid that the schema alone determines (`Column.size` values
from the smallest to the largest), so that nothing later looks at the data for a bound or a category.

| kind | in memory | in a file |
|---|---|---|
| integer | Int64 | digits |
| number | float64, `decimals` after the point | digits |
| category, code | category dtype, the schema's values in their order | the value |
| boolean | boolean | the `true` and `false` words |
| date, datetime | datetime64[s] | `format` (strftime) |
| duration | float64 in `unit` | a number, `HH:MM`, `HH:MM:SS` or ISO 8601 |
| identifier | string | `pattern` |

A `band` changes neither the grid nor what is read: `ehrsynth.tables.bands` gathers values where a table is
made coarser for a release.
"""

import datetime as dt
import re
from collections import Counter
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from ehrsynth.errors import unknown
from ehrsynth.schema.moments import EPOCH, Day, Moment

Source = Literal["public", "data"]
Role = Literal[
    "patient_key",
    "site",
    "quasi_identifier",
    "protected",
    "sensitive",
    "treatment",
    "outcome",
    "covariate",
    "time",
    "event",
]
LARGEST_EXACT = 2**53
# Neighbours of up to 15 digits are distinct as float64; beyond that, decimals would merge.
DISTINCT_DECIMALS = 10**15
MOST_DECIMALS = 15
CODE_LEVELS = {"ICD-9": (3, 4, 5), "ICD-10": (1, 3, 4, 5), "ATC": (1, 3, 4, 5, 7), "other": ()}


class Strict(BaseModel):
    """A frozen value that refuses unknown fields."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def _word(value: object) -> object:
    if isinstance(value, bool):
        message = "YAML reads this word as true or false: put it in quotes"
        raise ValueError(message)  # noqa: TRY004 - pydantic turns only ValueError into a problem
    return str(value) if isinstance(value, int | float | dt.date) else value


_BAND = "width of the bands in which a release gathers the values, each the middle of its band"
WholeBand = Annotated[int | None, Field(gt=0, description=f"{_BAND}; of dates in days")]
Band = Annotated[float | None, Field(gt=0, description=f"{_BAND}; in the column's unit")]
Word = Annotated[str, BeforeValidator(_word), WithJsonSchema({"type": ["string", "number"]})]


class AbstractColumn(Strict):
    """What all kinds share.

    `source` and `citation` hold for every item of the column (bounds, values, decimals, missingness);
    `item_sources` names the items that are different. `missing_codes` are raw words that mean missing
    here, in addition to the empty field and the schema's own.
    """

    name: Word = Field(min_length=1, description="the column's name, as in the table's header")
    description: str = ""
    roles: tuple[Role, ...] = ()
    missing: bool = Field(default=False, description="may the value be missing?")
    missing_codes: tuple[Word, ...] = ()
    source: Source = "data"
    citation: str = ""
    item_sources: dict[str, Source] = Field(default_factory=dict)

    @property
    def items(self) -> tuple[str, ...]:
        """The items that come from somewhere: the kind, and every field that fixes the domain."""
        own = [n for n in type(self).model_fields if n not in AbstractColumn.model_fields]
        # A band is an item where somebody has declared one: no band says nothing of the data.
        bare = "band" in own and getattr(self, "band", None) is None
        return (*(n for n in own if not (bare and n == "band")), "missing", "missing_codes")

    def source_of(self, item: str) -> Source:
        """Where one of `items` comes from."""
        return self.item_sources.get(item, self.source)

    @model_validator(mode="after")
    def _item_sources_name_items(self) -> Self:
        for item in self.item_sources:
            if item not in self.items:
                raise ValueError(unknown("item in item_sources", item, self.items))
        return self


def _listed(words: list[str]) -> str:
    return ", ".join(map(repr, words))


def _check_order(low: Any, high: Any) -> None:
    if low > high:
        message = f"minimum {low} is above maximum {high}"
        raise ValueError(message)


def _check_format(form: str, bounds: tuple[dt.date, dt.date]) -> None:
    for day in (dt.date(1987, 12, 31), dt.date(2004, 5, 6), *bounds):
        written = day.strftime(form)
        try:
            same = dt.datetime.strptime(written, form).date() == day  # noqa: DTZ007 - days have no time zone
        except (ValueError, re.error):
            same = False
        if not same:
            message = (
                f"format {form!r} does not bring back {day} ({written!r}): day, month and year are needed"
            )
            raise ValueError(message)


class IntegerColumn(AbstractColumn):
    """Whole numbers between two bounds, both included."""

    kind: Literal["integer"] = "integer"
    minimum: int = Field(ge=-LARGEST_EXACT, le=LARGEST_EXACT)
    maximum: int = Field(ge=-LARGEST_EXACT, le=LARGEST_EXACT)
    unit: str = ""
    band: WholeBand = None

    @model_validator(mode="after")
    def _bounds(self) -> Self:
        _check_order(self.minimum, self.maximum)
        if self.size > LARGEST_EXACT:
            message = "the bounds span more than 2**53 values"
            raise ValueError(message)
        return self

    @property
    def size(self) -> int:
        """Number of values on the grid."""
        return self.maximum - self.minimum + 1


class NumberColumn(AbstractColumn):
    """Decimal numbers between two bounds, both included, with `decimals` digits after the point."""

    kind: Literal["number"] = "number"
    minimum: float
    maximum: float
    decimals: int = Field(ge=0, le=MOST_DECIMALS)
    unit: str = ""
    band: Band = None

    @model_validator(mode="after")
    def _bounds(self) -> Self:
        _check_order(self.minimum, self.maximum)
        largest = max(abs(self.minimum), abs(self.maximum), self.maximum - self.minimum)
        if largest * 10.0**self.decimals >= DISTINCT_DECIMALS:
            message = "bounds with this many decimals need more than 15 digits: declare fewer decimals"
            raise ValueError(message)
        for bound in (self.minimum, self.maximum):
            if round(bound, self.decimals) != bound:
                message = f"bound {bound} has more than {self.decimals} decimals"
                raise ValueError(message)
        return self

    @property
    def size(self) -> int:
        """Number of values on the grid."""
        return round((self.maximum - self.minimum) * 10.0**self.decimals) + 1


class _ListedColumn(AbstractColumn):
    values: tuple[Word, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        twice = sorted(v for v, count in Counter(self.values).items() if count > 1)
        if twice:
            message = f"{_listed(twice)}: more than once in values"
            raise ValueError(message)
        if "" in self.values:
            message = "the empty word means missing: it cannot be a value"
            raise ValueError(message)
        both = sorted(set(self.values) & set(self.missing_codes))
        if both:
            message = f"{_listed(both)}: a value and a missing code at once"
            raise ValueError(message)
        return self

    @property
    def size(self) -> int:
        """Number of values."""
        return len(self.values)


class CategoryColumn(_ListedColumn):
    """One of a list of words; `ordered` when the list runs from least to most."""

    kind: Literal["category"] = "category"
    ordered: bool = False
    labels: dict[Word, Word] = Field(default_factory=dict, description="what a value stands for")

    @model_validator(mode="after")
    def _labels_name_values(self) -> Self:
        for word in self.labels:
            if word not in self.values:
                raise ValueError(unknown("value in labels", word, self.values))
        return self


class CodeColumn(_ListedColumn):
    """A code of a hierarchical system: the first `levels` characters name its ancestors.

    Dots do not count as characters: with levels (3, 4, 5), ICD-9 ``"410.11"`` has the ancestors
    ``"410"`` and ``"4101"``.
    """

    kind: Literal["code"] = "code"
    system: Literal["ICD-9", "ICD-10", "ATC", "other"] = "other"
    levels: tuple[int, ...] | None = Field(default=None, description="prefix lengths; default: the system's")

    @property
    def prefix_lengths(self) -> tuple[int, ...]:
        """The declared levels, else those of the system."""
        return CODE_LEVELS[self.system] if self.levels is None else self.levels


class BooleanColumn(AbstractColumn):
    """Yes or no, with the words that stand for them in a file."""

    kind: Literal["boolean"] = "boolean"
    true: Word = "true"
    false: Word = "false"

    @model_validator(mode="after")
    def _differ(self) -> Self:
        if self.true == self.false:
            message = f"true and false are both {self.true!r}"
            raise ValueError(message)
        if "" in {self.true, self.false}:
            message = "the empty word means missing: it cannot be true or false"
            raise ValueError(message)
        both = sorted({self.true, self.false} & set(self.missing_codes))
        if both:
            message = f"{_listed(both)}: a value and a missing code at once"
            raise ValueError(message)
        return self

    @property
    def size(self) -> int:
        """Two."""
        return 2


class DateColumn(AbstractColumn):
    """A day."""

    kind: Literal["date"] = "date"
    minimum: Day
    maximum: Day
    format: str = "%Y-%m-%d"
    band: WholeBand = None

    @model_validator(mode="after")
    def _bounds(self) -> Self:
        _check_order(self.minimum, self.maximum)
        _check_format(self.format, (self.minimum, self.maximum))
        return self

    @property
    def size(self) -> int:
        """Number of days."""
        return (self.maximum - self.minimum).days + 1


class DatetimeColumn(AbstractColumn):
    """A moment without a time zone, as exact as its format: mostly to the second or minute."""

    kind: Literal["datetime"] = "datetime"
    minimum: Moment
    maximum: Moment
    format: str = "%Y-%m-%dT%H:%M:%S"
    band: WholeBand = None

    @model_validator(mode="after")
    def _bounds(self) -> Self:
        for bound in (self.minimum, self.maximum):
            if bound.tzinfo is not None or bound.microsecond:
                message = "bounds are whole seconds without a time zone"
                raise ValueError(message)
        _check_order(self.minimum, self.maximum)
        _check_format(self.format, (self.minimum.date(), self.maximum.date()))
        if self.size < 1:
            message = f"no moment that format {self.format!r} can say lies between the bounds"
            raise ValueError(message)
        return self

    @property
    def step(self) -> int:
        """Seconds from one moment to the next that the format can say: 1, 60, 3,600 or 86,400."""
        said = set(re.findall("%(.)", self.format))
        finest = ((1, "SsTXcr"), (60, "MR"), (3_600, "HI"))
        return next((seconds for seconds, directives in finest if said & set(directives)), 86_400)

    @property
    def first(self) -> int:
        """The first such moment within the bounds, in steps since 1970-01-01."""
        return -(-int((self.minimum - EPOCH).total_seconds()) // self.step)

    @property
    def size(self) -> int:
        """Number of such moments."""
        return int((self.maximum - EPOCH).total_seconds()) // self.step - self.first + 1


class DurationColumn(AbstractColumn):
    """A length of time, as a number of `unit`s with `decimals` digits after the point."""

    kind: Literal["duration"] = "duration"
    minimum: float
    maximum: float
    unit: Literal["seconds", "minutes", "hours", "days", "weeks"]
    decimals: int = Field(default=0, ge=0, le=9)
    format: Literal["number", "HH:MM", "HH:MM:SS", "ISO 8601"] = "number"
    band: Band = None

    @model_validator(mode="after")
    def _bounds(self) -> Self:
        _check_order(self.minimum, self.maximum)
        needed = {"HH:MM": "minutes", "HH:MM:SS": "seconds"}.get(self.format)
        if needed and (self.unit != needed or self.decimals):
            message = f"format {self.format} needs unit {needed} and no decimals"
            raise ValueError(message)
        if (self.maximum - self.minimum) * 10.0**self.decimals >= DISTINCT_DECIMALS:
            message = "bounds with this many decimals need more than 15 digits: declare fewer decimals"
            raise ValueError(message)
        for bound in (self.minimum, self.maximum):
            if round(bound, self.decimals) != bound or abs(bound) * 10.0**self.decimals >= DISTINCT_DECIMALS:
                message = f"bound {bound} does not fit {self.decimals} decimals"
                raise ValueError(message)
        return self

    @property
    def size(self) -> int:
        """Number of values on the grid."""
        return round((self.maximum - self.minimum) * 10.0**self.decimals) + 1


class IdentifierColumn(AbstractColumn):
    """A name for a patient, visit or sample: never learnt, always made anew.

    Each ``#`` of `pattern` is a digit of a running number, for instance ``P######``.
    """

    kind: Literal["identifier"] = "identifier"
    pattern: str = "########"

    @model_validator(mode="after")
    def _one_run_of_digits(self) -> Self:
        if not re.fullmatch(r"[^#]*#+[^#]*", self.pattern):
            message = "pattern needs one run of # for the running number"
            raise ValueError(message)
        return self


LearntColumn = (
    IntegerColumn
    | NumberColumn
    | CategoryColumn
    | CodeColumn
    | BooleanColumn
    | DateColumn
    | DatetimeColumn
    | DurationColumn
)
Column = Annotated[LearntColumn | IdentifierColumn, Field(discriminator="kind")]
