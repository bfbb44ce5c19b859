import pytest

from ehrsynth.errors import RequestError
from ehrsynth.generators.recipes import parse_settings, recipe


def test_settings_are_read_as_json_or_as_words() -> None:
    found = parse_settings(
        ["epochs=20", "layers=[64, 64]", "kind=wide", "rate=1e-3", "equation=a=b", "empty="]
    )
    assert found == {
        "epochs": 20,
        "layers": [64, 64],
        "kind": "wide",
        "rate": 1e-3,
        "equation": "a=b",
        "empty": "",
    }


@pytest.mark.parametrize("words", [["epochs"], ["=3"], ["epochs=1", "epochs=2"]])
def test_a_word_that_is_no_setting_is_refused(words: list[str]) -> None:
    with pytest.raises(RequestError):
        parse_settings(words)


def test_a_recipe_has_its_settings_and_is_a_value() -> None:
    assert recipe("tvae", {"epochs": 7}).epochs == 7
    assert recipe("tvae", {"epochs": 7}) == recipe("tvae", {"epochs": 7}) != recipe("tvae")


def test_every_problem_is_told_at_once() -> None:
    with pytest.raises(RequestError) as info:
        recipe("tvae", {"epoch": 7, "batchsize": 3, "l2scale": -1})
    for words in ("Did you mean 'epochs'?", "Did you mean 'batch_size'?", "l2scale"):
        assert words in str(info.value)


def test_an_unknown_generator_lists_the_known() -> None:
    with pytest.raises(RequestError, match="independent"):
        recipe("tvea")
