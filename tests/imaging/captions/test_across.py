"""What many images share is found by looking at all of them; masks cover it in every image alike."""

import numpy as np
import pytest

from ehrsynth.errors import Refused
from ehrsynth.imaging.captions.across import Looking, Zone
from ehrsynth.imaging.captions.letters import text_lines
from ehrsynth.imaging.captions.masking import masked
from pictures import captioned, tissue


def marks(pictures):
    looking = Looking()
    for picture in pictures:
        looking.show(picture)
    return looking.marks()


def test_clean_images_have_no_marks_and_no_still_pixels():
    found = marks(tissue(30, 96))
    assert found.zones == ()
    assert found.still < 0.01
    assert found.images == 30


def test_one_caption_among_many_images_is_found_and_named():
    pictures = list(tissue(30, 96, colour=False))
    pictures[7] = captioned(pictures[7], "DOE 1961", at=(20, 75))
    (zone,) = marks(pictures).zones
    assert zone.images == (7,)
    assert zone.where.startswith("bottom")


def test_a_logo_that_no_single_image_betrays_is_found_in_all_of_them():
    pictures = tissue(30, 96, colour=False).copy()
    pictures[:, 70:90, 70:73] = 250
    pictures[:, 70:73, 70:90] = 250
    assert not any(text_lines(p) for p in pictures)
    assert any("never changes" in zone.sign for zone in marks(pictures).zones)


def test_a_black_surround_is_still_but_no_mark():
    pictures = tissue(30, 128, colour=False).copy()
    y, x = np.mgrid[:128, :128]
    pictures[:, (y - 64) ** 2 + (x - 64) ** 2 > 58**2] = 0
    found = marks(pictures)
    assert found.zones == ()
    assert found.still > 0.2


def test_short_words_in_one_place_of_many_images_are_found():
    pictures = [captioned(p, f"{k % 90 + 10}A", size=14) for k, p in enumerate(tissue(40, 96, colour=False))]
    assert any("many images" in zone.sign or "letters" in zone.sign for zone in marks(pictures).zones)


def test_images_of_different_sizes_are_looked_at_together():
    pictures = [
        captioned(tissue(1, size, seed=size)[0], "SMITH J", size=size // 8) for size in (96, 128, 192)
    ]
    zones = marks(pictures).zones
    assert sum(len(zone.images) for zone in zones) == 3


def test_a_mask_covers_the_same_place_whatever_the_image_holds():
    zone = Zone(0.0, 0.0, 0.25, 0.5, "letters", (0,))
    plain = tissue(2, 96)
    written = captioned(plain[0], "SMITH")
    covered = [masked(p, [zone]) for p in (written, plain[1])]
    assert not text_lines(covered[0])
    changed = [(c != p).any(axis=2) for c, p in zip(covered, (written, plain[1]), strict=True)]
    box = zone.box((96, 96))
    for picture in changed:
        assert not picture[box.bottom + 2 :].any()
        assert not picture[:, box.right + 2 :].any()
    assert np.ptp(covered[1][2:20, 2:40].reshape(-1, 3), axis=0).max() == 0


def test_text_everywhere_is_refused_rather_than_masked():
    zones = [Zone(0.0, 0.0, 0.5, 1.0, "letters")]
    with pytest.raises(Refused, match="crop"):
        masked(tissue(1, 96)[0], zones)


def test_nothing_to_mask_changes_nothing():
    picture = tissue(1, 96)[0]
    assert masked(picture, ()) is picture
