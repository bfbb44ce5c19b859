"""Options that are given as NAME=VALUE, any number of times."""

from collections.abc import Iterable


def pairs(words: Iterable[str] | None, option: str, example: str, *, last: bool = False) -> dict[str, str]:
    """Values by name; the first equals sign parts them, or the last.

    Parameters
    ----------
    option, example
        What an error says: the option's name, and a value that would do.

    Raises
    ------
    RequestError
        If a word has no name or no value, or a name comes twice.
    """
    from ehrsynth.errors import RequestError

    found: dict[str, str] = {}
    for word in words or ():
        name, equals, value = word.rpartition("=") if last else word.partition("=")
        if not equals or not name.strip() or not value.strip():
            raise RequestError(f"{option} {word!r} is not understood: write for instance {option} {example}")
        if name.strip() in found:
            raise RequestError(f"{option} says {name.strip()!r} twice: say it once")
        found[name.strip()] = value.strip()
    return found
