"""Leave one site out: does a method still help patients of a hospital that nobody learnt from?"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ehrsynth.progress import Progress
from ehrsynth.rebalance.groups import EVERYONE
from ehrsynth.rebalance.methods import UNTREATED
from ehrsynth.rebalance.protocol import rebalance_protocol
from ehrsynth.rebalance.splits import Splits, sites_left_out
from ehrsynth.rebalance.study import Study, study
from ehrsynth.rebalance.wishes import Prepared


@dataclass(frozen=True, slots=True, eq=False)
class SitesOut:
    """Each site predicted from the patients of all others.

    `study` has a site where another has a split: its intervals are over sites, which are the clusters.
    """

    sites: tuple[str, ...]
    study: Study

    def as_json(self) -> dict[str, Any]:
        """Plain values: for each method and group the mean over sites, and the difference against "none"."""
        found = self.study
        return {
            "sites": list(self.sites),
            "methods": {
                name: {
                    group: {
                        "auroc": found.mean(name, group, "auroc"),
                        "sites": int((~np.isnan(found.of(name, group, "auroc"))).sum()),
                        "difference": None
                        if name == UNTREATED or (d := found.difference(name, group, "auroc")) is None
                        else d._asdict(),
                    }
                    for group in found.groups
                }
                for name in found.methods
            },
        }


def leave_sites_out(
    ready: Prepared, studied: Study, helped: Sequence[str], *, seed: int, progress: Progress | None = None
) -> SitesOut | None:
    """Judge "none" and the best methods on sites left out; None where there are fewer than two large sites.

    A site's AUROC in a group exists only where the site has patients of the group with and without the event.
    """
    settings = rebalance_protocol()
    if ready.site is None:
        return None
    splits = sites_left_out(ready.site, most=settings.sites, minimum=settings.site_minimum)
    if len(splits) < 2:  # noqa: PLR2004 - an interval over sites needs two
        return None
    table: pd.DataFrame = ready.table
    found = study(
        table,
        ready.plan,
        ready.schema,
        _best(studied, helped)[: settings.site_methods],
        splits=Splits(tuple(splits.values()), 1e-6),  # sites share no patient: nothing is widened
        seed=seed,
        progress=progress,
    )
    return SitesOut(tuple(ready.site_names[number] for number in splits), found)


def _best(studied: Study, helped: Sequence[str]) -> list[str]:
    groups = list(helped) or [EVERYONE]
    mean = {
        name: float(np.mean([studied.mean(name, group, "auroc") for group in groups]))
        for name in studied.methods
        if name != UNTREATED
    }
    return sorted(mean, key=lambda name: -mean[name])
