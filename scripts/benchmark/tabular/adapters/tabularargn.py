"""TabularARGN with its defaults (mostlyai-engine, Apache-2.0). Its environment has no torchvision."""

import pandas as pd
from measured import Job, System, run
from mostlyai.engine import TabularARGN


def learn(table: pd.DataFrame, job: Job) -> TabularARGN:
    """Fit with defaults."""
    model = TabularARGN(random_state=job["seed"], workspace_dir=job["scratch"])
    model.fit(table)
    return model


def draw(model: TabularARGN, rows: int, job: Job) -> pd.DataFrame:
    """Synthetic rows."""
    del job
    return model.sample(n_samples=rows)


if __name__ == "__main__":
    run(System(learn, draw))
