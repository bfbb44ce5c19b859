"""Methods by name: the registered ones, and each registered generator as a method that fills groups up.

A method is written as its name and settings: ``smote``, ``recalibration of=smote``, ``cart leaf=10``.
"""

from importlib.util import find_spec
from typing import cast

from pydantic import ValidationError

from ehrsynth.errors import MissingPackage, RequestError, unknown
from ehrsynth.generators.recipes import parse_settings
from ehrsynth.rebalance.base import AbstractMethod
from ehrsynth.rebalance.generation import Generation
from ehrsynth.registry import PRIVATE, known, resolve

UNTREATED = "none"
THRESHOLDS = "group_thresholds"
QUICK_GENERATORS = ("cart",)


def names() -> tuple[str, ...]:
    """Every name that `method` takes, sorted: the methods, and the generators without a formal guarantee."""
    return tuple(sorted({*known("method"), *known("generator")} - {Generation.name, *PRIVATE}))


def every(*, thresholds: bool = False) -> tuple[str, ...]:
    """All methods and generators, "none" first; a threshold for each group only where it was asked for."""
    return (UNTREATED, *(n for n in names() if n != UNTREATED and (thresholds or n != THRESHOLDS)))


def quick(*, thresholds: bool = False) -> tuple[str, ...]:
    """The methods that a study tries when none is named: all that take seconds on a few thousand patients.

    A threshold for each group is among them only where it was asked for.
    """
    own = [n for n in known("method") if n != Generation.name and resolve("method", n).quick]
    chosen = [n for n in (*own, *QUICK_GENERATORS) if thresholds or n != THRESHOLDS]
    return (UNTREATED, *sorted(n for n in chosen if n != UNTREATED))


def installed(text: str) -> bool:
    """Whether the optional package that a method needs is there."""
    try:
        made = method(text)
    except MissingPackage:
        return False
    return not made.needs or find_spec(made.needs) is not None


def method(text: str) -> AbstractMethod:
    """The method behind a text.

    Raises
    ------
    RequestError
        If the name or a setting is not known, or a value does not fit; all problems are listed.
    MissingPackage
        If its module needs an optional package that is not installed.
    """
    name, *words = text.split() or [""]
    given = parse_settings(words)
    if name in known("generator"):
        return _checked(Generation, name, {"generator": name, "settings": given})
    if name not in known("method"):
        raise RequestError(unknown("method", name, names()))
    return _checked(cast("type[AbstractMethod]", resolve("method", name)), name, given)


def _checked(kind: type[AbstractMethod], name: str, given: dict[str, object]) -> AbstractMethod:
    fields = list(kind.model_fields)
    problems = [unknown(f"setting of {name}", key, fields) for key in given if key not in fields]
    try:
        made = kind(**{key: value for key, value in given.items() if key in fields})
    except ValidationError as error:
        problems += [f"setting {'.'.join(map(str, e['loc']))} of {name}: {e['msg']}" for e in error.errors()]
    if problems:
        raise RequestError("\n".join(problems))
    if isinstance(made, Generation):
        from ehrsynth.generators.recipes import recipe

        # It says what is wrong with the generator's settings.
        if recipe(made.generator, made.settings).asked is not None:
            raise RequestError(
                f"a rebalanced table holds real patients, so that the guarantee of {made.generator} would "
                "mean nothing: take a generator without epsilon, or release one with it"
            )
    return made
