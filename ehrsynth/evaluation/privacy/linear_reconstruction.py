"""Can secrets be worked out from what the synthetic table counts, as one system of linear equations?"""

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

from ehrsynth.evaluation.base import Risk
from ehrsynth.evaluation.matrix import Floats, Mask, Matrix
from ehrsynth.evaluation.privacy.cells import MISSING, Cells, cells
from ehrsynth.evaluation.privacy.inference import secrets
from ehrsynth.evaluation.privacy.success import rates, worst
from ehrsynth.evaluation.privacy.targets import scene
from ehrsynth.evaluation.protocol import protocol
from ehrsynth.progress import Progress, silent
from ehrsynth.randomness import numpy_generator
from ehrsynth.schema import Schema

_NAME = "linear_reconstruction"
_BINS = 10  # of a known number
_GROUPS = 4  # equally full; a number's is its secret
_FEWEST, _MOST = 2, 6  # known columns of a count; those of one come on top
_JITTER = 1e-6
Flags = NDArray[np.float32]


class _Counts(NamedTuple):
    """Descriptions by known columns: which patients and which synthetic rows each fits, as 0 and 1."""

    patients: Flags
    rows: Flags

    def some(self, kept: Mask) -> "_Counts":
        """Some of them."""
        return _Counts(self.patients[kept], self.rows[kept])


def linear_reconstruction(
    members: pd.DataFrame,
    non_members: pd.DataFrame,
    reference: pd.DataFrame,
    synthetic: pd.DataFrame,
    schema: Schema,
    *,
    seed: int,
    progress: Progress | None = None,
) -> Risk:
    """How often a secret is worked out right from counts of the synthetic table, beyond the control.

    After Annamalai, Gadotti and Rocher (2024, arXiv 2301.10053). The attacker knows all columns of the
    patients but their secrets, and takes what the synthetic table says of many small groups ("of the women
    over 80 from the north, 3 in 10 are smokers") for what holds of these patients. Each such count is a
    linear equation in the patients' secrets; all are solved together by least squares, each weighted by how
    surely the synthetic table counts it. No patient must be unusual for it to work, and more synthetic rows
    make it surer. Groups are drawn from synthetic rows: each value of a known column, and combinations of two
    to six columns, numbers in ten equally full bins. The secret with the largest solution is guessed; a
    number's secret is its quarter. Secrets are those of `inference`.

    Members and patients whom the generator never saw are solved for together, since the attacker does not
    know who is who; these are the control (nothing is learnt from the reference). The attack on membership
    with the same solution stands in the evidence: how far the combinations move a patient towards the true
    secret from where single columns put them. Baseline: the most frequent synthetic value.

    Range and direction: 0 to 1, lower is safer.
    """
    report = progress or silent
    tables = (members, non_members, reference, synthetic)
    there = scene(tables, schema, seed=seed, most=protocol().attacks.targets)
    if there.empty:
        return worst(_NAME, [], if_none="a table has no rows")
    made = there.synthetic.shuffled(numpy_generator(seed, _NAME, "synthetic"))
    hidden = sorted(made.place(name) for name in secrets(schema, made))
    known = [place for place in range(len(made.columns)) if place not in hidden]
    if not known:
        return worst(_NAME, [], if_none="a secret and one other column are needed")
    report(0.1, "linear reconstruction: counting")
    told = _told(there.everybody, made, known, seed)
    attempts, evidence, moved = [], [], np.zeros(len(there.everybody))
    for number, place in enumerate(hidden):
        report(0.3 + 0.7 * number / len(hidden), "linear reconstruction: solving")
        found = _work_out(told, place)
        if found is None:
            continue
        name, moved = made.columns[place].name, moved + found.moved
        baseline = float(np.nanmean(there.parted(found.usual)[0]))
        attempts.append(rates(name, *there.parted(found.right), baseline))
        evidence.append(there.evidence(_NAME, name, found.right, graded=False))
    if attempts:
        evidence.append(there.evidence(_NAME, "all secrets", moved, graded=True))
    return worst(_NAME, attempts, if_none="no synthetic row holds a secret", evidence=evidence)


class _Told(NamedTuple):
    """What the attacker has: the counts, which of them are by one column, and all secrets as groups."""

    counts: _Counts
    single: Mask
    patients: Cells
    rows: Cells
    ready: dict[bytes, tuple["_System", "_System"]]

    def systems(self, held: Mask) -> tuple["_System", "_System"]:
        """All counts, and those by one column, for the synthetic rows that hold a secret."""
        key = held.tobytes()
        if key not in self.ready:
            self.ready[key] = _System(self.counts, held), _System(self.counts.some(self.single), held)
        return self.ready[key]


class _Found(NamedTuple):
    """One secret of every patient.

    Whether it is worked out right, and whether the most frequent value is right, NaN without a secret; and
    how far each patient is moved towards the truth.
    """

    right: Floats
    usual: Floats
    moved: Floats


def _told(everybody: Matrix, made: Matrix, known: list[int], seed: int) -> _Told:
    counts, single = _counts(cells(everybody, made, _BINS), cells(made, made, _BINS), known, seed)
    return _Told(counts, single, cells(everybody, made, _GROUPS), cells(made, made, _GROUPS), {})


def _work_out(told: _Told, place: int) -> _Found | None:
    """One secret; None where no synthetic row holds any, or no patient."""
    truth, drawn = told.patients[:, place], told.rows[:, place]
    held, unknown = drawn != MISSING, truth == MISSING
    if not held.any() or unknown.all():
        return None
    levels = np.unique(drawn[held])
    secret = (drawn[:, None] == levels).astype(np.float64)
    every, single = told.systems(held)
    whole = every.solve(secret)
    moved = whole - single.solve(secret)
    right, usual = (levels[one] == truth for one in (whole.argmax(axis=1), secret.sum(axis=0).argmax()))
    return _Found(
        np.where(unknown, np.nan, right), np.where(unknown, np.nan, usual), _towards(truth, levels, moved)
    )


class _Description(NamedTuple):
    """The columns described, and the synthetic row that they are described as."""

    columns: tuple[int, ...]
    row: NDArray[np.int64]


def _counts(patients: Cells, rows: Cells, known: list[int], seed: int) -> tuple[_Counts, Mask]:
    """The descriptions, and which of them are by one column."""
    rng, wanted = numpy_generator(seed, _NAME, "counts"), protocol().attacks.counts
    described = [_Description((c,), rows[r]) for c in known for r in _one_of_each(rows[:, c])][: wanted // 2]
    single = len(described)
    most = min(_MOST, len(known))
    for _ in range(wanted - single if most >= _FEWEST else 0):
        width = int(rng.integers(_FEWEST, most + 1))
        chosen = tuple(int(c) for c in rng.choice(known, width, replace=False))
        described.append(_Description(chosen, rows[int(rng.integers(len(rows)))]))
    found = _Counts(
        *(np.empty((len(described), len(side)), np.float32) for side in (patients, rows)),
    )
    for place, (chosen, row) in enumerate(described):
        for side, into in zip((patients, rows), found, strict=True):
            into[place] = (side[:, chosen] == row[list(chosen)]).all(axis=1)
    return found, np.arange(len(described)) < single


def _one_of_each(column: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.sort(np.unique(column, return_index=True)[1])


class _System:
    """The equations of a set of counts, made ready for every secret that the same synthetic rows hold."""

    def __init__(self, counts: _Counts, held: Mask) -> None:
        behind, among = counts.rows @ held.astype(np.float32), counts.patients.sum(axis=1)
        kept = (behind > 0) & (among > 0)
        self._held, self._patients, self._rows = held, counts.patients[kept], counts.rows[kept]
        self._size, self._behind = among[kept].astype(np.float64), behind[kept].astype(np.float64)
        system = (self._patients @ self._patients.T).astype(np.float64)
        system[np.diag_indices(len(system))] += self._size**2 / self._behind + _JITTER
        self._factor = cho_factor(system, lower=True, overwrite_a=True)

    def solve(self, secret: Floats) -> Floats:
        """Patients x values of the secret: how likely each patient holds each.

        The best linear guess from the counts, where a patient's secret is a draw with the synthetic share p
        and variance p (1 - p), and a share counted in k synthetic rows errs by p (1 - p) / k: p (1 - p)
        cancels.

        Parameters
        ----------
        secret
            Synthetic rows x values, 1 where the row holds the value.
        """
        usual = secret[self._held].mean(axis=0)
        # In 32 bits: whole numbers up to the number of rows, which they hold exactly.
        said = self._size[:, None] * (self._rows @ secret.astype(np.float32)) / self._behind[:, None]
        solved = cho_solve(self._factor, said - self._size[:, None] * usual)
        return np.asarray(usual + self._patients.T @ solved)


def _towards(truth: NDArray[np.int64], levels: NDArray[np.int64], moved: Floats) -> Floats:
    """How far each patient is moved towards the true secret; 0 where it is missing or no synthetic row's."""
    place = np.minimum(np.searchsorted(levels, truth), len(levels) - 1)
    found = moved[np.arange(len(truth)), place]
    return np.where(levels[place] == truth, found, 0.0)
