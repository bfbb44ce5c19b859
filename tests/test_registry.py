"""Third parties add names through entry points; a name that is taken is an error, never a replacement."""

from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint

import pytest

from ehrsynth import registry
from ehrsynth.errors import RequestError
from ehrsynth.registry import known, resolve

Install = Callable[..., None]


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Pretend that packages with these entry points are installed: ``install(("metrics", name, place))``."""

    def act(*points: tuple[str, str, str]) -> None:
        made = [EntryPoint(name, place, f"ehrsynth.{group}") for group, name, place in points]
        monkeypatch.setattr(registry, "entry_points", lambda *, group: [p for p in made if p.group == group])
        known.cache_clear()

    yield act
    known.cache_clear()


@pytest.mark.parametrize(
    ("what", "group"), [("generator", "generators"), ("metric", "metrics"), ("attack", "attacks")]
)
def test_a_third_party_adds_a_name(what: str, group: str, install: Install) -> None:
    ours = set(known(what))
    install((group, "theirs", "fractions:Fraction"))
    assert set(known(what)) == ours | {"theirs"}
    assert list(known(what)) == sorted(known(what))
    assert resolve(what, "theirs").__name__ == "Fraction"


def test_column_kinds_are_not_open(install: Install) -> None:
    install(("column kinds", "theirs", "fractions:Fraction"))
    assert "theirs" not in known("column kind")


@pytest.mark.parametrize("what", ["generator", "metric", "attack"])
def test_a_name_of_ours_cannot_be_taken(what: str, install: Install) -> None:
    taken = next(iter(known(what)))
    install((f"{what}s", taken, "fractions:Fraction"))
    for act in (lambda: known(what), lambda: resolve(what, taken)):
        with pytest.raises(RequestError, match="registered twice") as caught:
            act()
        for word in (taken, "ehrsynth.", "fractions:Fraction", "Uninstall"):
            assert word in str(caught.value)


def test_two_third_parties_cannot_share_a_name(install: Install) -> None:
    install(("attacks", "theirs", "fractions:Fraction"), ("attacks", "theirs", "decimal:Decimal"))
    with pytest.raises(RequestError, match=r"fractions:Fraction, decimal:Decimal"):
        known("attack")


def test_an_unknown_name_is_told_with_the_known_ones() -> None:
    with pytest.raises(RequestError, match="independent") as caught:
        resolve("generator", "independant")
    assert "Did you mean 'independent'?" in str(caught.value)
