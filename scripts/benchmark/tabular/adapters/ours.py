"""A generator of ehrsynth with its defaults; the setting names it."""

import lightgbm  # noqa: F401 - imported before the clock starts, as the peers' packages are
import pandas as pd
import scipy.stats  # noqa: F401
import sklearn.tree  # noqa: F401
from measured import Job, System, run

from ehrsynth.generators.base import AbstractFitted
from ehrsynth.generators.recipes import recipe
from ehrsynth.schema.yaml_files import load_schema
from ehrsynth.tables import read_table, write_table


def read(job: Job) -> pd.DataFrame:
    """The table under its schema."""
    return read_table(job["train"], load_schema(job["schema"]))


def learn(table: pd.DataFrame, job: Job) -> AbstractFitted:
    """Fit with defaults."""
    chosen = recipe(job["setting"])
    return chosen.fit(table, load_schema(job["schema"]), seed=job["seed"])


def draw(model: AbstractFitted, rows: int, job: Job) -> pd.DataFrame:
    """Synthetic patients."""
    return model.sample(rows, seed=job["seed"]).table


def write(made: pd.DataFrame, job: Job) -> None:
    """Write as ehrsynth does."""
    write_table(made, load_schema(job["schema"]), job["out"])


if __name__ == "__main__":
    run(System(learn, draw, read, write))
