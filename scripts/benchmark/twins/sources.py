"""The public tables with schemas that say what is treatment, outcome and covariate."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from ehrsynth.schema import Schema
from ehrsynth.tables import read_table, table_from_frame
from ehrsynth.tables.bundled import bundled

COVARIATE, OUTCOME = ("covariate",), ("outcome",)


class Simulated(NamedTuple):
    """A table whose truth is known: mean outcome of each patient without and with treatment."""

    table: pd.DataFrame
    schema: Schema
    means: np.ndarray
    treated: np.ndarray
    unseen: np.ndarray | None = None


def columns_of(frame: pd.DataFrame) -> tuple[pd.DataFrame, list[dict[str, object]]]:
    """A frame's columns as covariates: yes or no, whole numbers, words, and numbers of four decimals."""
    frame, found = frame.copy(), []
    for name in frame.columns:
        values = frame[name]
        if values.dtype == object:
            kind = {"kind": "category", "values": tuple(sorted(values.unique()))}
        elif values.nunique() == 2:  # noqa: PLR2004
            frame[name] = (values == values.max()).astype(int)
            kind = {"kind": "boolean", "true": "1", "false": "0"}
        elif (values == values.round()).all():
            kind = {"kind": "integer", "minimum": int(values.min()), "maximum": int(values.max())}
        else:
            frame[name] = values.round(4)
            low, high = float(np.floor(values.min())), float(np.ceil(values.max()))
            kind = {"kind": "number", "minimum": low, "maximum": high, "decimals": 4}
        missing = bool(values.isna().any())
        found.append({"name": str(name), **kind, "missing": missing, "roles": COVARIATE})
    return frame, found


def numeric_study(covariates: pd.DataFrame, treated: np.ndarray, outcome: np.ndarray, name: str):
    """A table and schema with a treatment `t` and a numeric outcome `y`."""
    frame, columns = columns_of(covariates)
    frame["t"], frame["y"] = treated.astype(int), np.round(outcome, 4)
    reach = float(np.ceil(np.abs(outcome).max() * 2))
    columns += [
        {"name": "t", "kind": "boolean", "true": "1", "false": "0", "roles": ("treatment",)},
        {
            "name": "y",
            "kind": "number",
            "minimum": -reach,
            "maximum": reach,
            "decimals": 4,
            "roles": ("outcome",),
        },
    ]
    schema = Schema(name=name, citation="benchmark", columns=tuple(columns))
    return table_from_frame(frame, schema), schema


def ihdp(folder: Path, number: int) -> Simulated:
    """One realisation of IHDP (Hill 2011), 747 children."""
    raw = pd.read_csv(folder / "ihdp" / f"ihdp_npci_{number}.csv.gz", header=None)
    covariates = raw.iloc[:, 5:].set_axis([f"x{k}" for k in range(1, 26)], axis=1)
    table, schema = numeric_study(covariates, raw[0].to_numpy(), raw[1].to_numpy(), "ihdp")
    return Simulated(table, schema, raw[[3, 4]].to_numpy(), raw[0].to_numpy(int), raw[2].to_numpy())


def acic(folder: Path, number: int) -> Simulated:
    """One setting of the ACIC 2016 competition (Dorie et al. 2019), 4,802 pregnancies."""
    x = pd.read_csv(folder / "acic2016" / "x.csv.gz")
    z = pd.read_csv(folder / "acic2016" / f"zymu_{number}.csv.gz")
    outcome = np.where(z["z"] == 1, z["y1"], z["y0"])
    table, schema = numeric_study(x, z["z"].to_numpy(), outcome, "acic2016")
    return Simulated(table, schema, z[["mu0", "mu1"]].to_numpy(), z["z"].to_numpy(int))


def lalonde(folder: Path, name: str) -> tuple[pd.DataFrame, Schema]:
    """A job training table: `nswdemo` (the experiment) or `nswpsid1` (its treated with PSID's comparison)."""
    raw = pd.read_csv(folder / "lalonde" / f"{name}.csv").drop(columns=["rownames"])
    if raw["re74"].isna().any():
        raw = raw.drop(columns=["re74"])
    return numeric_study(
        raw.drop(columns=["trt", "re78"]), raw["trt"].to_numpy(), raw["re78"].to_numpy(), name
    )


def stroke(*, centres: bool) -> tuple[pd.DataFrame, Schema]:
    """The bundled stroke trial; the site is the hospital (inside a benchmark) or the country."""
    trial = bundled("ist")
    schema = trial.schema
    if centres:
        hospital = {"name": "HOSPNUM", "kind": "integer", "minimum": 1, "maximum": 999, "roles": ("site",)}
        columns = [
            c.model_copy(update={"roles": tuple(r for r in c.roles if r != "site")}) for c in schema.columns
        ]
        schema = schema.changed(
            columns=(hospital, *columns), left_out=tuple(c for c in schema.left_out if c.name != "HOSPNUM")
        )
    return read_table(trial.path, schema), schema
