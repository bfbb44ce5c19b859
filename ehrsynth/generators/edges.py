"""Valid patients of low density, for testing edge cases, from any model that knows the density of a row."""

import numpy as np

from ehrsynth.encoding import decode, encode
from ehrsynth.errors import RequestError
from ehrsynth.generators.base import AbstractFitted, Sample
from ehrsynth.generators.density import knows_density
from ehrsynth.progress import Progress, part
from ehrsynth.tables.origin import mark_synthetic

EDGE = 20  # one row in so many is at the edge
_FEWEST_FOR_AN_EDGE = 2_000


def draw_edge(
    fitted: AbstractFitted, n: int, *, where: str | None, seed: int, progress: Progress | None
) -> Sample:
    """Draw valid patients of low density.

    Of 20 times as many patients as asked for (at least 2,000) those with the lowest `log_prob` are kept.
    `probability` is the share of patients (of those that meet the condition) that is as rare as the likeliest
    of them or rarer, and `acceptance` the share of all proposals that was kept.

    Parameters
    ----------
    fitted
        A model that knows the density of a patient.
    n, where, seed
        As for `AbstractFitted.sample`.
    """
    if n < 1:
        raise RequestError(f"{n} rows were asked for; at least 1 can be drawn")
    density, candidates = knows_density(fitted), max(EDGE * n, _FEWEST_FOR_AN_EDGE)
    drawn = fitted.sample(candidates, where=where, seed=seed, progress=part(progress, 0.0, 0.8))
    log_prob = density.log_prob(drawn.table)
    rows = np.sort(np.argsort(log_prob, kind="stable")[:n])
    share = float((log_prob <= log_prob[rows].max()).mean())
    part(progress, 0.8, 1.0)(1.0, f"{n} rows")
    table = mark_synthetic(decode(encode(drawn.table, fitted.schema)[rows], fitted.schema))
    worth = max(1.0, n * drawn.effective_sample_size / candidates)
    return Sample(table, worth, drawn.acceptance * n / candidates, share)
