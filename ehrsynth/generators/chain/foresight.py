"""An unknown moment from which a known later one is counted: an admission of which the discharge is known.

Drawn by its own link it would lie anywhere in the years, and hardly a particle would meet the discharge. So
every other particle draws the time elapsed, as all patients have it, and counts back; and all are weighed by
that time before the known moment has its turn, which takes the weight back (Pitt and Shephard 1999,
"Filtering via Simulation: Auxiliary Particle Filters", JASA 94).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ehrsynth.generators.chain.elapsed import Elapsed
from ehrsynth.generators.chain.link import Link
from ehrsynth.generators.chain.particles import Chain, Particles
from ehrsynth.generators.chain.states import States

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]

# The density of times that nobody has: somebody may be the first.
_LEAST_DENSITY = 1e-12


@dataclass(frozen=True, slots=True, eq=False)
class _View:
    """Rows whose unknown moment is seen by a known one, `later` (their codes), and the time between them."""

    rows: Codes
    later: Codes
    elapsed: Elapsed
    states: States

    @property
    def _shares(self) -> Floats:
        """The share of each state of the later column among its times."""
        times = np.where(
            self.states.is_missing | (self.states.low >= self.elapsed.border), 0, self.states.share
        )
        return np.asarray(times / max(times.sum(), 1e-300))

    def draw(self, rows: Codes, rng: np.random.Generator) -> Codes:
        """The moment a time before the later one, for some of `rows` (places in them); -1 beyond the grid."""
        states = rng.choice(len(self.states), len(rows), p=self._shares)
        return self.elapsed.origins(self.states.draw(states, None, rng), self.later[rows])

    def within(self) -> Floats:
        """The chance that such a moment lies on the grid, for each of `rows`."""
        later, of = np.unique(self.later, return_inverse=True)
        ends = self.elapsed.counted(later, np.zeros_like(later))
        starts = ends - (self.elapsed.earlier.size - 1)
        low, high, width = self.states.low, self.states.high, self.states.width
        held = np.minimum(high, ends[:, None]) - np.maximum(low, starts[:, None]) + 1
        return np.asarray((np.clip(held / width, 0, 1) @ self._shares)[of])

    def density(self, moments: Codes) -> Floats:
        """How likely the time from these moments to the later ones is over all patients."""
        counted, shares = self.elapsed.counted(self.later, moments), self._shares
        found = np.zeros(len(counted))
        for state in self.states.holding(counted):
            held = np.flatnonzero(state >= 0)
            found[held] += (shares / self.states.width)[state[held]]
        return found


class Foresight:
    """What the known moments say of the unknown ones that they are counted from.

    Parameters
    ----------
    evidence
        n x learnt columns, -1 for unknown.
    """

    def __init__(self, chain: Chain, evidence: Codes) -> None:
        self._views: dict[int, dict[int, _View]] = {}
        for step, place in enumerate(chain.order):
            free = evidence[:, place] < 0
            for later, elapsed in sorted(chain.elapsed.items()):
                link, codes = chain.links[later], evidence[:, chain.order[later]]
                rows = (
                    np.flatnonzero(free & (codes >= 0)) if elapsed.origin == place else np.empty(0, np.int64)
                )
                if len(rows) and isinstance(link, Link):
                    free[rows] = False  # one later moment is enough
                    self._views.setdefault(step, {})[later] = _View(rows, codes[rows], elapsed, link.states)

    def redraw(
        self, run: Particles, step: int, drawn: tuple[Codes, Floats], rng: np.random.Generator
    ) -> Codes:
        """The codes of one step with every other foreseen one drawn anew, and the weights that this takes.

        Parameters
        ----------
        drawn
            The codes of all rows as the links gave them, and the probability that each is present.
        """
        codes, present = drawn
        for view in self._views.get(step, {}).values():
            rows = view.rows
            anew = np.flatnonzero((rng.random(len(rows)) < 1 / 2) & (codes[rows] >= 0))
            counted_back = view.draw(anew, rng)
            codes[rows[anew]] = np.where(counted_back >= 0, counted_back, codes[rows[anew]])
            seen = np.flatnonzero(codes[rows] >= 0)
            at = rows[seen]
            density = run.chain.link(step, run.codes[at]).log_density(run.matrix[at, :step], codes[at])
            by_link = np.exp(density) / np.maximum(present[at], 1e-300)
            by_time = view.density(codes[rows])[seen]
            proposal = by_link * (1 - view.within()[seen] / 2) + by_time / 2
            weight = by_link * np.maximum(by_time, _LEAST_DENSITY) / proposal
            with np.errstate(divide="ignore"):
                run.log_weight[at] += np.log(weight)
        return codes

    def taken_back(self, run: Particles, step: int) -> Floats:
        """The log of what `redraw` foresaw of one step's column, for every row; 0 where it foresaw none."""
        found = np.zeros(len(run))
        for views in self._views.values():
            if step in views:
                view, moments = views[step], run.codes[views[step].rows, views[step].elapsed.origin]
                density = np.maximum(view.density(moments), _LEAST_DENSITY)
                found[view.rows] = np.where(moments >= 0, np.log(density), 0.0)
        return found
