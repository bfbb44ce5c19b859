"""A second opinion on the three risks from the anonymeter package: the only file that imports it.

anonymeter 1.1 is right about searching, and wrong in how it counts. Here it makes the queries and finds the
neighbours; sampling, baselines, denominators and what counts as right are ours (`success`, `inference`):

- its inference baseline aligns guesses by index and so loses almost all: ours is a draw from unseen patients;
- it divides by the signed guess when it scores numbers: ours is an absolute share of the schema's range;
- it divides successes by the queries asked for, not by those made: ours by those made;
- it draws targets, links and baselines without a seed, and fails when more attacks are asked for than there
  are control rows: all draws here are seeded, and each side has its own number;
- a missing secret guessed as missing counts as success: targets without a secret are dropped;
- missing values are far from each other, and undefined against a number: here they are filled in first (with
  a word of their own, and with the synthetic median), for the neighbour searches;
- column names with operators or keywords break its queries: columns are renamed.
"""

from dataclasses import replace
from typing import Literal

import numpy as np
import pandas as pd

from ehrsynth.errors import MissingPackage, RequestError, unknown
from ehrsynth.evaluation.base import Risk
from ehrsynth.evaluation.matrix import Floats, Matrix, matrix
from ehrsynth.evaluation.privacy.inference import chance_of_a_draw, guessed_right, secrets
from ehrsynth.evaluation.privacy.linkability import halves_of
from ehrsynth.evaluation.privacy.lone_matches import Matches, alone, overdispersion
from ehrsynth.evaluation.privacy.nearest import listed_columns
from ehrsynth.evaluation.privacy.success import Successes, worst
from ehrsynth.evaluation.privacy.unseen import unseen_patients
from ehrsynth.evaluation.protocol import protocol
from ehrsynth.progress import Progress
from ehrsynth.randomness import global_seed, numpy_generator, small_seed
from ehrsynth.schema import Schema

AttackName = Literal["singling_out", "linkability", "inference"]
_TARGETS = 500
_QUERIES = 500
_ALL = 2**31
_ATTEMPTS = 20_000
_COLUMNS = 3
_EXTRA = "a second opinion on privacy risks (anonymeter)"


def second_opinion(
    members: pd.DataFrame,
    non_members: pd.DataFrame,
    reference: pd.DataFrame,
    synthetic: pd.DataFrame,
    schema: Schema,
    *,
    attack: AttackName,
    seed: int,
    progress: Progress | None = None,
) -> Risk:
    """One of the three risks as anonymeter sees it, with its counting mended.

    The control is, as in our own attacks, all patients whom the generator never saw.

    Parameters
    ----------
    attack
        "singling_out", "linkability" or "inference".

    Raises
    ------
    MissingPackage
        If anonymeter is not installed.
    RequestError
        If the attack has another name.
    """
    attempts = {"singling_out": _singling_out, "linkability": _linkability, "inference": _inference}
    if attack not in attempts:
        raise RequestError(unknown("attack", attack, list(attempts)))
    if progress is not None:
        progress(0.0, f"anonymeter: {attack.replace('_', ' ')}")
    known, made = matrix(members, schema), matrix(synthetic, schema)
    unseen = unseen_patients(non_members, reference, schema)
    if not min(len(known), len(made), len(unseen)):
        return worst(attack, [], if_none="a table has no rows")
    _require_package()
    with global_seed(small_seed(seed, "anonymeter", attack)):
        found = attempts[attack](known, unseen, made, schema, seed)
    return worst(attack, found, if_none="anonymeter made no attack")


def _require_package() -> None:
    try:
        import anonymeter.evaluators  # noqa: F401 - first, or its own modules import each other in a circle
    except ImportError as error:
        raise MissingPackage(_EXTRA, "anonymeter") from error


def _inference(known: Matrix, unseen: Matrix, made: Matrix, schema: Schema, seed: int) -> list[Successes]:
    from anonymeter.neighbors.mixed_types_kneighbors import KNNInferencePredictor

    attempts = []
    for name in secrets(schema, made):
        place, column = made.place(name), made.columns[made.place(name)]
        holders = made.rows(~np.isnan(made.values[:, place]))
        others = [_word(p) for p in range(len(made.columns)) if p != place]
        if not len(holders) or not others:
            continue
        data = _frame(holders, holders).assign(secret=holders.values[:, place])
        predictor = KNNInferencePredictor(data=data, columns=others, target_col="secret", n_jobs=1)
        counts = []
        for side, table in (("members", known), ("unseen", unseen)):
            targets = _drawn(table.rows(~np.isnan(table.values[:, place])), seed, name, side)
            guesses = predictor.predict(_frame(targets, holders)) if len(targets) else pd.Series(dtype=float)
            right = guessed_right(guesses.to_numpy(np.float64), targets.values[:, place], column)
            counts += [int(right.sum()), len(targets)]
        baseline = chance_of_a_draw(known.values[:, place], unseen.values[:, place], column)
        attempts.append(Successes(name, counts[0], counts[1], counts[2], counts[3], baseline))
    return attempts


def _linkability(known: Matrix, unseen: Matrix, made: Matrix, schema: Schema, seed: int) -> list[Successes]:
    from anonymeter.neighbors.mixed_types_kneighbors import MixedTypeKNeighbors

    halves = halves_of(made, schema, seed)
    if halves is None:
        return []
    counts = []
    for side, table in (("members", known), ("unseen", unseen)):
        targets = _drawn(table, seed, "links", side)
        near = []
        for half in (halves.first, halves.second):
            words = [_word(p) for p in half]
            search = MixedTypeKNeighbors(n_neighbors=1, n_jobs=1).fit(_frame(made, made)[words])
            near.append(np.asarray(search.kneighbors(_frame(targets, made)[words])).ravel())
        counts += [int((near[0] == near[1]).sum()), len(targets)]
    # Two rows drawn at random are the same one time in as many as there are.
    return [Successes("both halves", counts[0], counts[1], counts[2], counts[3], 1 / len(made))]


def _singling_out(known: Matrix, unseen: Matrix, made: Matrix, schema: Schema, seed: int) -> list[Successes]:
    import polars as pl
    from anonymeter.evaluators.singling_out_evaluator import (
        multivariate_singling_out_queries,
        univariate_singling_out_queries,
    )

    frames = [pl.DataFrame(_frame(table, None)) for table in (made, known, unseen)]
    distinct = frames[0].unique(maintain_order=True)
    rng = numpy_generator(seed, "anonymeter", "queries")
    width = min(_COLUMNS, len(schema.learnt))
    found = {
        "multivariate": multivariate_singling_out_queries(
            df=distinct, n_queries=_QUERIES, n_cols=width, max_attempts=_ATTEMPTS, rng=rng
        ),
        "univariate": _some(univariate_singling_out_queries(df=distinct, n_queries=_ALL, rng=rng), seed),
    }
    size = min(len(known), len(unseen))
    attempts = []
    for kind, queries in found.items():
        attack, control = (alone(_matches(frame, queries), size) for frame in frames[1:])
        n = len(queries)
        successes = Successes(
            kind, float(attack[0]) * n, n, float(control[0]) * n, n, None, size / len(known)
        )
        attempts.append(replace(successes, spread=overdispersion(attack, control, n)))
    return attempts


def _some(queries: list["pl.Expr"], seed: int) -> list["pl.Expr"]:  # type: ignore[name-defined]  # noqa: F821
    """A seeded draw of the queries, whose order polars' grouping leaves to chance."""
    ordered = sorted(queries, key=str)
    drawn = numpy_generator(seed, "anonymeter", "univariate").permutation(len(ordered))[:_QUERIES]
    return [ordered[place] for place in drawn]


def _matches(frame: "pl.DataFrame", queries: list["pl.Expr"]) -> Matches:  # type: ignore[name-defined]  # noqa: F821
    groups = protocol().groups
    group = np.arange(len(frame)) % groups
    # A comparison with a missing value is null: no match.
    fitting = (frame.select(query.fill_null(False)).to_series().to_numpy() for query in queries)  # noqa: FBT003
    counts = [np.bincount(group[fits], minlength=groups) for fits in fitting]
    return Matches(
        np.array(counts, dtype=np.int64).reshape(len(queries), groups), np.bincount(group, minlength=groups)
    )


def _drawn(table: Matrix, seed: int, *purpose: str) -> Matrix:
    return table.shuffled(numpy_generator(seed, "anonymeter", *purpose), _TARGETS)


def _word(place: int) -> str:
    return f"c{place:04d}"


def _frame(table: Matrix, filled_from: Matrix | None) -> pd.DataFrame:
    """The table as anonymeter wants it: numbers, and words for listed values; gaps filled in if asked."""
    columns: dict[str, object] = {}
    for place, listed in enumerate(listed_columns(table)):
        values: Floats = table.values[:, place]
        missing = np.isnan(values)
        if listed:
            columns[_word(place)] = np.where(missing, "missing", np.char.add("v", values.astype(str)))
        elif filled_from is None:
            columns[_word(place)] = values
        else:
            source = filled_from.values[:, place]
            known = source[~np.isnan(source)]
            columns[_word(place)] = np.where(missing, np.median(known) if len(known) else 0.0, values)
    return pd.DataFrame(columns)
