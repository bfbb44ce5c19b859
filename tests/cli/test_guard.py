import errno
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import typer.main
from rich.text import Text

from ehrsynth.cli import app
from ehrsynth.cli.guard import ending, guarded
from ehrsynth.errors import DataError, MissingPackage, ReleaseBlocked


def caught(error: BaseException) -> BaseException:
    with pytest.raises(type(error)) as info:
        raise error
    return info.value


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (DataError("wrong", ["age: 3 values"]), 2, "age: 3 values"),
        (MissingPackage("tvae", "sdv"), 2, "pip install 'ehrsynth[sdv]'"),
        (ReleaseBlocked("Blocked", ["singling out"]), 3, "singling out"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (MemoryError(), 2, "memory"),
        (OSError(errno.ENOSPC, "No space left on device", "out.csv"), 2, "disk is full"),
        (PermissionError(errno.EACCES, "Permission denied", "secret.csv"), 2, "secret.csv"),
        (ModuleNotFoundError("No module named 'x'", name="x"), 2, "pip install"),
    ],
)
def test_each_ending_has_its_code_and_words(error: BaseException, code: int, says: str) -> None:
    found, message = ending(caught(error))
    assert found == code
    assert says in message


def test_an_unexpected_error_shows_its_type_and_place_but_no_value() -> None:
    code, message = ending(caught(ValueError("could not convert string to float: 'Smith'")))
    assert code == 1
    assert "ValueError" in message
    assert "test_guard.py:" in message
    assert "Smith" not in message


def verbs(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    yield name, command
    for inner, one in getattr(command, "commands", {}).items():
        yield from verbs(one, f"{name} {inner}")


VERBS = dict(verbs(typer.main.get_command(app), "ehrsynth"))


@pytest.mark.parametrize("name", VERBS)
def test_a_help_text_is_shown_as_it_was_written(name: str) -> None:
    """What stands in square brackets is markup to rich, and vanishes: defaults did."""
    texts = [VERBS[name].help, *(getattr(param, "help", None) for param in VERBS[name].params)]
    assert [t for t in texts if t and Text.from_markup(t).plain != t] == []


def test_a_foreign_warning_with_a_value_in_it_is_not_shown(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    @guarded
    def verb() -> None:
        warnings.warn("unknown category 'Smith'", UserWarning, stacklevel=1)

    monkeypatch.setattr("sys.warnoptions", [])
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        monkeypatch.setattr(warnings, "showwarning", lambda message, *_: print(message))  # noqa: T201
        verb()
        assert "Smith" not in capsys.readouterr().out
        monkeypatch.setattr("sys.warnoptions", ["always"])
        verb()
        assert "Smith" in capsys.readouterr().out
