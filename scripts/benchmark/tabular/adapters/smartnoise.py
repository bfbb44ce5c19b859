"""MST and AIM as smartnoise-synth has them, with its defaults (MIT), over a domain that is public.

The training table is an archive of `rows` (n x columns, int64, each from 0) and `sizes` (how many values each
column has, whether seen or not). The package is handed that domain ready-made, so that it spends nothing on
it and reads nothing off the rows. What is drawn is written as `rows` too.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from measured import Job, System, run
from snsynth.aim import AIMSynthesizer
from snsynth.mst.mst import MSTSynthesizer
from snsynth.transform.label import LabelTransformer
from snsynth.transform.table import TableTransformer

SYNTHESIZERS = {"mst": MSTSynthesizer, "aim": AIMSynthesizer}


def read(job: Job) -> tuple[pd.DataFrame, TableTransformer]:
    """The training rows, and a transformer that knows every column's values."""
    with np.load(job["train"]) as given:
        rows, sizes = given["rows"], given["sizes"]
    names = [f"c{place}" for place in range(len(sizes))]
    every = np.arange(sizes.max())
    transformer = TableTransformer([LabelTransformer(nullable=False) for _ in names])
    transformer.fit(pd.DataFrame({name: every % size for name, size in zip(names, sizes, strict=True)}))
    return pd.DataFrame(rows, columns=names), transformer


def learn(data: tuple[pd.DataFrame, TableTransformer], job: Job):
    """Fit with defaults. The noise is OpenDP's, which takes no seed; choices come from numpy's."""
    rows, transformer = data
    np.random.seed(job["seed"])  # noqa: NPY002 - the package draws from it
    model = SYNTHESIZERS[job["setting"]](epsilon=job["epsilon"], delta=job["delta"])
    model.fit(rows, transformer=transformer)
    return model


def draw(model, rows: int, job: Job) -> np.ndarray:
    """Synthetic rows."""
    del job
    return np.asarray(model.sample(rows), np.int64)


def write(made: np.ndarray, job: Job) -> None:
    """Keep the rows."""
    np.savez_compressed(Path(job["out"]), rows=made)


if __name__ == "__main__":
    run(System(learn, draw, read, write))
