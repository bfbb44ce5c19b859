"""A visual Turing test: can a person tell real images from synthetic ones? One page, and what came of it."""

from ehrsynth.imaging.turing.answers import Answers, Judgement, judge, read_answers
from ehrsynth.imaging.turing.page import Key, turing_page

__all__ = ["Answers", "Judgement", "Key", "judge", "read_answers", "turing_page"]
