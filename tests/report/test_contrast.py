"""Every text colour of the page keeps a contrast of 4.5, in light, dark and on paper."""

import re
from importlib.resources import files

import pytest

CSS = files("ehrsynth.report").joinpath("templates/page.css").read_text()
TEXT, GROUNDS = ("ink", "muted", "accent", "stop"), ("paper", "card", "soft")


def themes():
    light, dark, paper = (dict(re.findall(r"--([a-z-]+):\s*(#[0-9a-f]{6})", block)) for block in _roots())
    return {"light": light, "dark": light | dark, "print": light | paper}


def _roots():
    return re.findall(r":root \{(.*?)\}", CSS, re.DOTALL)


def luminance(colour):
    parts = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    linear = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first, second):
    high, low = sorted((luminance(first), luminance(second)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_the_measure_itself():
    assert contrast("#ffffff", "#000000") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("theme", ["light", "dark", "print"])
@pytest.mark.parametrize("ground", GROUNDS)
@pytest.mark.parametrize("text", TEXT)
def test_text_can_be_read(theme, text, ground):
    colours = themes()[theme]
    assert contrast(colours[text], colours[ground]) >= 4.5


@pytest.mark.parametrize("theme", ["light", "dark", "print"])
def test_reasons_can_be_read_on_their_own_ground(theme):
    colours = themes()[theme]
    assert contrast(colours["ink"], colours["stop-soft"]) >= 4.5


@pytest.mark.parametrize("theme", ["light", "dark", "print"])
@pytest.mark.parametrize("mark", ["real", "accent", "stop"])
def test_bars_stand_out_from_the_page(theme, mark):
    colours = themes()[theme]
    assert contrast(colours[mark], colours["paper"]) >= 2.9


def test_every_variable_in_use_is_defined():
    used = set(re.findall(r"var\(--([a-z-]+)\)", CSS))
    assert used <= set(re.findall(r"--([a-z-]+):", CSS))
