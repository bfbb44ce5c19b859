"""The flagship issue's bars, computed from the cells: met, missed, or not measured yet."""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import mean

from ehrsynth.statistics import corrected_paired_interval
from tabular.cells import MADE, Cell
from tabular.learners import ISSUE
from tabular.membership import ATTACKS
from tabular.sources import LARGER, SOURCES
from tabular.systems import CALIBRATION, MANY_SEEDS, OURS, PEERS, RIVAL

Cells = dict[tuple[str, str, int], Cell]
SEEDS = (1, 2, 3)
CHOOSES = "auto"


@dataclass(frozen=True)
class Bar:
    """A demand, what was found (None: not measured), over how many seeds, and whether it is met."""

    table: str
    demand: str
    found: float | None
    limit: float | None
    met: bool | None
    seeds: int = 0


def value(cell: Cell, *path: str) -> float | None:
    """A figure of a judged cell, or a time of a made one; None where there is none or the cell is stale."""
    found: object = cell.made if path[0] in {"fit", "sample", "peak_mb"} else cell.judged
    if found is cell.judged and cell.judged.get("of", cell.made.get("csv")) != cell.made.get("csv"):
        return None
    for key in path:
        found = found.get(key) if isinstance(found, dict) else None
    return float(found) if isinstance(found, int | float) else None


def average(every: Cells, table: str, system: str, *path: str) -> tuple[float | None, int]:
    """The mean over the seeds that have the figure, and their number."""
    cells = [c for (t, s, _), c in every.items() if (t, s) == (table, system)]
    known = [v for c in cells if (v := value(c, *path)) is not None]
    return (mean(known) if known else None), len(known)


def bars(every: Cells) -> list[Bar]:
    """All bars that this benchmark measures."""
    found: list[Bar] = []
    for table, (c2st, tstr, attack, seconds) in FIXED.items():
        found += _fixed(every, table, c2st, tstr, attack, seconds)
    found += _ist(every)
    found.append(
        _below_best(every, "hypothyroid", -0.05, "C2ST at least 0.05 below the best peer's", "c2st", ISSUE)
    )
    for table in LARGER:
        for judge in ("logistic_regression", "neural_network"):
            words = f"C2ST by {judge.replace('_', ' ')} not above the best peer's"
            found.append(_below_best(every, table, 0.0, words, "c2st", judge))
        best = _best_peer(every, table, max, "tstr", ISSUE)
        limit = None if best is None else best - 0.002
        found.append(
            _against(
                every, table, "TSTR at most 0.002 below the best peer's", limit, "tstr", ISSUE, least=True
            )
        )
        for attack in ATTACKS:
            rival = average(every, table, RIVAL, "membership", "all", attack, "auroc")[0]
            limit = None if rival is None else rival + 0.04
            words = f"membership ({attack}) at most 0.04 above TabularARGN's"
            found.append(_against(every, table, words, limit, "membership", "all", attack, "auroc"))
        found.append(_ratio(every, table, 0.3))
    sides = ("training", "holdout", "synthetic")
    gaps = [average(every, "support2", OURS, "gaps_alone", side)[0] for side in sides]
    # The real figure is the mean of both halves: one alone moves by 0.01 from split to split.
    apart = None if None in gaps else abs((gaps[0] + gaps[1]) / 2 - gaps[2])
    words = "hospdead from the missing pattern alone: AUROC differs by at most 0.02"
    found.append(
        _bar("support2", words, apart, 0.02, average(every, "support2", OURS, "gaps_alone", "synthetic")[1])
    )
    small = [table for table in SOURCES if table not in LARGER]
    return found + [_chosen_well(every, table, metric) for table in small for metric in ("c2st", "tstr")]


def _chosen_well(every: Cells, table: str, metric: str) -> Bar:
    """`auto` less the best other system over the same splits: the end of the interval that shows harm."""
    least = metric == "tstr"
    by_split: dict[str, dict[int, float]] = {}
    for (where, system, seed), cell in every.items():
        if where == table and (figure := value(cell, metric, ISSUE)) is not None:
            by_split.setdefault(system, {})[seed] = figure
    auto = by_split.pop(CHOOSES, {})
    rivals = {
        name: figures
        for name, figures in by_split.items()
        if figures.keys() == auto.keys() and name not in {*CALIBRATION, "real"}
    }
    words = f"auto less the best other system in {'TSTR' if least else 'C2ST'} (paired interval)"
    if len(auto) < len(MANY_SEEDS) or not rivals:
        return Bar(table, words, None, 0.0, None, len(auto))
    best = (max if least else min)(rivals, key=lambda name: mean(rivals[name].values()))
    differences = [auto[seed] - rivals[best][seed] for seed in auto]
    # Both parts of a split are halves of the table.
    interval = corrected_paired_interval(differences, n_train=1, n_test=1)
    end = "upper end" if least else "lower end"
    words = f"auto less {best}, the best other of {len(rivals)} in {'TSTR' if least else 'C2ST'}: {end}"
    return _bar(table, words, interval.high if least else interval.low, 0.0, len(auto), least=least)


# C2ST at most, TSTR at least, membership AUROCs at most, fit seconds at most.
FIXED = {
    "ist": (0.575, 0.852, 0.53, 30),
    "support2": (0.65, 0.99, 0.535, 40),
    "adult": (0.53, 0.925, 0.525, None),
}


def _fixed(
    every: Cells, table: str, c2st: float, tstr: float, attack: float, seconds: float | None
) -> list[Bar]:
    found = [
        _against(every, table, "C2ST by the issue's trees", c2st, "c2st", ISSUE),
        _against(every, table, "TSTR by the issue's trees", tstr, "tstr", ISSUE, least=True),
    ]
    found += [
        _against(every, table, f"membership AUROC ({name})", attack, "membership", "all", name, "auroc")
        for name in ATTACKS
    ]
    if seconds is not None:
        found.append(_against(every, table, "fit seconds", seconds, "fit", "wall"))
    return found


def _ist(every: Cells) -> list[Bar]:
    found = [_against(every, "ist", "DCR share", 0.53, "dcr_share"), _ratio(every, "ist", 0.15)]
    for name in ATTACKS:
        words = f"upper end of the TPR at 1 % FPR ({name}), all records"
        found.append(_against(every, "ist", words, 0.03, "membership", "all", name, "tpr_high"))
        low, seeds = average(every, "ist", "paired", name, "low")
        words = f"TPR ({name}) on the most isolated less TabularARGN's: lower end of the paired interval"
        found.append(_bar("ist", words, low, 0.0, seeds))
    return found


def _against(
    every: Cells, table: str, words: str, limit: float | None, *path: str, least: bool = False
) -> Bar:
    found, seeds = average(every, table, OURS, *path)
    return _bar(table, words, found, limit, seeds, least=least)


def _bar(
    table: str, words: str, found: float | None, limit: float | None, seeds: int, *, least: bool = False
) -> Bar:
    if found is None or limit is None:
        return Bar(table, words, found, limit, None, seeds)
    met = found >= limit if least else found <= limit
    return Bar(table, f"{words}, {'at least' if least else 'at most'} {limit:.3f}", found, limit, met, seeds)


def _best_peer(every: Cells, table: str, best: Callable, *path: str) -> float | None:
    known = [v for peer in PEERS if (v := average(every, table, peer, *path)[0]) is not None]
    return best(known) if known else None


def _below_best(every: Cells, table: str, shift: float, words: str, *path: str) -> Bar:
    best = _best_peer(every, table, min, *path)
    return _against(every, table, words, None if best is None else best + shift, *path)


def _ratio(every: Cells, table: str, limit: float) -> Bar:
    """Ours over TabularARGN's seconds of the same seed, where both were made without a cap."""
    known = []
    for seed in SEEDS:
        pair = [every.get((table, name, seed)) for name in (OURS, RIVAL)]
        if all(c is not None and c.state == MADE for c in pair):
            known.append(value(pair[0], "fit", "wall") / value(pair[1], "fit", "wall"))
    return _bar(table, "fit time over TabularARGN's", mean(known) if known else None, limit, len(known))
