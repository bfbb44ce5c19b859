"""Lines of letters are found where they were put, and not in tissue, noise or the bundled kind of picture."""

import numpy as np
import pytest

from ehrsynth.imaging.captions.letters import Box, joined, text_lines
from pictures import captioned, shapes, tissue


@pytest.mark.parametrize("size", [64, 128, 256, 400])
@pytest.mark.parametrize("fill", [(255, 255, 255), (0, 0, 0), (255, 255, 0)])
def test_a_planted_name_is_found_where_it_stands(size, fill):
    found = 0
    for picture in tissue(6, size, seed=size):
        lines = text_lines(captioned(picture, "SMITH 04/12", fill=fill))
        found += any(line.box.top < 20 and line.box.left < 20 for line in lines)
    assert found == 6


@pytest.mark.parametrize("letters", [8, 10, 16, 24])
def test_letters_of_every_size_are_found(letters):
    pictures = [captioned(p, "Doe John 1961", size=letters) for p in tissue(6, 256, seed=1, colour=False)]
    assert all(text_lines(p) for p in pictures)


@pytest.mark.parametrize("colour", [False, True])
@pytest.mark.parametrize("size", [28, 64, 200])
def test_tissue_has_no_letters(size, colour):
    assert not [p for p in tissue(40, size, seed=2, colour=colour) if text_lines(p)]


def test_noise_has_no_letters():
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 255, (96, 96), dtype=np.uint8) for _ in range(20)]
    assert not [p for p in noise if text_lines(p)]


def test_noisy_shapes_of_few_pixels_have_no_letters():
    pixels, _ = shapes((60, 60, 60), 32, seed=0)
    assert not [p for p in pixels if text_lines(p[..., 0])]


def test_three_marks_are_no_line_unless_three_are_asked_for():
    picture = captioned(tissue(1, 96, colour=False)[0], "ABC", size=16)
    assert not text_lines(picture)
    assert text_lines(picture, letters=3)


def test_boxes_that_touch_are_joined():
    assert joined([Box(0, 0, 4, 4), Box(8, 8, 9, 9), Box(4, 4, 8, 8)]) == [Box(0, 0, 9, 9)]
    assert len(joined([Box(0, 0, 2, 2), Box(5, 5, 6, 6)])) == 2
