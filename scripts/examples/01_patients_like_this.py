"""Learn the stroke trial and draw patients that meet a condition: women of 80 and older.

Writes reports/examples/01_patients_like_this.csv: the real trial and the synthetic patients side by side.
"""

from pathlib import Path

import pandas as pd

import ehrsynth

OUT = Path(__file__).parents[2] / "reports" / "examples"
COLUMNS = ("RDELAY", "RCONSC", "SEX", "AGE", "RSBP", "STYPE", "RXASP", "RXHEP", "OCCODE")
WHERE = 'SEX == "F" and AGE >= 80'


def main() -> None:
    """Run the example."""
    ist = ehrsynth.bundled("ist")
    schema = ist.schema.subset(COLUMNS)
    table = ehrsynth.read_table(ist.path, schema)
    train, _ = ehrsynth.split(table, schema, key=b"a secret of your own")
    model = ehrsynth.generator("independent").fit(train, schema, seed=1)
    sample = model.sample(1_000, where=WHERE, seed=2)

    real = train.query(WHERE)
    means = pd.DataFrame(
        {"real": real.mean(numeric_only=True), "synthetic": sample.table.mean(numeric_only=True)}
    )
    OUT.mkdir(parents=True, exist_ok=True)
    means.round(2).to_csv(OUT / "01_patients_like_this.csv", index_label="mean of")
    print(f"{len(sample.table)} rows, {sample.acceptance:.0%} of the proposals were accepted")
    print(means.round(2).to_string())


if __name__ == "__main__":
    main()
