"""Choosing a generator for a table by what it does with patients whom it has not seen.

`auto` is the generator: it judges candidates on repeated splits (`judging`), chooses by a stated rule
(`choice`), and learns the whole table with the one that was chosen.
"""

from ehrsynth.selection.auto import Auto

__all__ = ["Auto"]
