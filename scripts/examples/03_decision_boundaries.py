"""What resampling does to a support vector machine: two measurements, one patient in ten with the event.

Writes reports/examples/03_decision_boundaries.png: what it learns from the patients as they are, after over-
and undersampling, SMOTE, ADASYN and generated patients; the dashed line is where both outcomes are as likely
when there are as many of each.
"""

from pathlib import Path

import matplotlib as mpl
import numpy as np
from sklearn.svm import SVC

from ehrsynth.rebalance.treating import treat
from ehrsynth.rebalance.wishes import Wishes, prepare
from ehrsynth.schema import Schema
from ehrsynth.tables.values import from_values, to_values

mpl.use("Agg")
import matplotlib.pyplot as plt

OUT = Path(__file__).parents[2] / "reports" / "examples"
NAMES = {"none": "original", "random_oversampling": "oversampled", "random_undersampling": "undersampled"}
METHODS = ("none", "random_oversampling", "random_undersampling", "smote", "adasyn", "autoregressive")
NUMBER = {"kind": "number", "minimum": -6, "maximum": 6, "decimals": 3}
SCHEMA = Schema(
    name="two",
    columns=({"name": "event", "kind": "boolean"}, {"name": "x", **NUMBER}, {"name": "y", **NUMBER}),
)


def main() -> None:
    """Run the example."""
    rng = np.random.default_rng(3)
    event = np.arange(400) < 40  # noqa: PLR2004
    xy = rng.normal(size=(400, 2)) + event[:, None] * (1.6, 1.2)
    values = {"event": event.astype(float), "x": xy[:, 0], "y": xy[:, 1]}
    ready = prepare(from_values(values, SCHEMA), SCHEMA, Wishes("event", everyone=True, classes="equal"))
    side = np.linspace(-4, 5, 200)
    grid = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
    figure, axes = plt.subplots(2, 3, figsize=(12, 8), sharex=True, sharey=True, layout="constrained")
    for axis, name in zip(axes.flat, METHODS, strict=True):
        table = treat(name, ready.table, ready.plan, ready.schema, seed=1).table
        seen = to_values(ready.table if table is None else table, ready.schema)
        points, ill = np.stack([seen["x"], seen["y"]], axis=1), seen["event"] == 1
        side_of = SVC().fit(points, ill).predict(grid).reshape(200, 200)
        axis.contourf(side, side, side_of, levels=1, colors=("#e7ecef", "#f8d9cf"))
        axis.scatter(*points[~ill].T, s=6, color="#5a626c", label="without the event")
        axis.scatter(*points[ill].T, s=6, color="#a1301c", label="with the event")
        axis.plot(side, (2 - 1.6 * side) / 1.2, "k--", linewidth=1)
        axis.set(title=f"{NAMES.get(name, name)}: {len(points)} rows", xlim=(-4, 5), ylim=(-4, 5))
    axes[0, 0].legend(loc="upper left")
    OUT.mkdir(parents=True, exist_ok=True)
    figure.savefig(OUT / "03_decision_boundaries.png", dpi=100)


if __name__ == "__main__":
    main()
