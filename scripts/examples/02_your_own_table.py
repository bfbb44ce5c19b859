"""From a file that nobody has described yet to a model that is saved and loaded again.

Writes reports/examples/02_your_own_table.yaml: the proposed schema, with a comment at each guess.
"""

import tempfile
from pathlib import Path

import ehrsynth

OUT = Path(__file__).parents[2] / "reports" / "examples"


def main() -> None:
    """Run the example."""
    support2 = ehrsynth.bundled("support2")
    with tempfile.TemporaryDirectory() as folder:
        mine = Path(folder) / "patients.csv"  # stands for a table of your own
        known = support2.schema.subset(("age", "sex", "dzgroup", "scoma", "meanbp", "crea", "hospdead"))
        ehrsynth.write_table(ehrsynth.read_table(support2.path, known), known, mine)

        schema, comments = ehrsynth.infer_schema(mine, name="patients")
        OUT.mkdir(parents=True, exist_ok=True)
        ehrsynth.save_schema(schema, OUT / "02_your_own_table.yaml", comments=comments)

        table = ehrsynth.read_table(mine, schema)
        ehrsynth.generator("independent").fit(table, schema, seed=1).save(Path(folder) / "model")
        sample = ehrsynth.load_model(Path(folder) / "model").sample(5, seed=2)
    print(sample.table.to_string())


if __name__ == "__main__":
    main()
