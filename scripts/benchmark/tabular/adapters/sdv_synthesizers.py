"""CTGAN, TVAE and the Gaussian copula of SDV with their defaults (Business Source License 1.1)."""

import random

import numpy as np
import pandas as pd
import torch
from measured import Job, System, run
from sdv.metadata import Metadata
from sdv.single_table import CTGANSynthesizer, GaussianCopulaSynthesizer, TVAESynthesizer

KINDS = {"ctgan": CTGANSynthesizer, "tvae": TVAESynthesizer, "copula": GaussianCopulaSynthesizer}


def learn(table: pd.DataFrame, job: Job):
    """Fit with defaults; the package knows no seed but the global ones."""
    random.seed(job["seed"])
    np.random.seed(job["seed"])  # noqa: NPY002
    torch.manual_seed(job["seed"])
    sdtypes = {
        name: {"sdtype": "categorical" if kind == "word" else "numerical"}
        for name, kind in job["kinds"].items()
    }
    metadata = Metadata.load_from_dict({"tables": {"table": {"columns": sdtypes}}})
    model = KINDS[job["setting"]](metadata)
    model.fit({"table": table})
    return model


def draw(model, rows: int, job: Job) -> pd.DataFrame:
    """Synthetic rows."""
    del job
    made = model.sample(num_rows=rows)
    return made["table"] if isinstance(made, dict) else made


if __name__ == "__main__":
    run(System(learn, draw))
