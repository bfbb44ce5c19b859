"""Adversarial random forests with their defaults (arfpy, MIT); missing values get words and flags."""

import numpy as np
import pandas as pd
from arfpy import arf
from measured import Job, System, run, with_missing, without_missing


def learn(table: pd.DataFrame, job: Job):
    """Fit the forest and the densities in its leaves."""
    np.random.seed(job["seed"])  # noqa: NPY002 - the package draws from it
    model = arf.arf(x=without_missing(table), verbose=False, random_state=job["seed"])
    model.forde()
    return model, list(table.columns)


def draw(learnt, rows: int, job: Job) -> pd.DataFrame:
    """Synthetic rows."""
    del job
    model, names = learnt
    return with_missing(model.forge(n=rows), names)


if __name__ == "__main__":
    run(System(learn, draw))
