"""The whole path on public tables that are not bundled: `scripts/test --data DIR`."""

import json
import subprocess
import sys
from pathlib import Path

from ehrsynth.encoding import codes_to_values, encode
from ehrsynth.errors import EhrSynthError
from ehrsynth.generators.recipes import recipe
from ehrsynth.schema.yaml_files import load_schema, save_schema
from ehrsynth.tables import read_raw, read_table, table_from_frame, write_table
from ehrsynth.tables.constraints import satisfied
from ehrsynth.tables.infer import infer_schema

MOST_ROWS, DRAWN = 3_000, 200
WITHOUT_HEADER = "ihdp"  # as the data's own readme says
READ = """
import json, resource, sys
from ehrsynth.schema.yaml_files import load_schema
from ehrsynth.tables import read_table
table = read_table(sys.argv[1], load_schema(sys.argv[2]))
print(json.dumps([len(table), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss]))
"""


def through(path: Path, scratch: Path) -> str:
    """Infer, read, fit, save, sample, write and read again; what went wrong, or nothing."""
    raw = read_raw(path).head(MOST_ROWS)
    schema, comments = infer_schema(raw, name=path.name.partition(".")[0])
    save_schema(schema, scratch / "schema.yaml", comments=comments)
    schema = load_schema(scratch / "schema.yaml")
    model = recipe("independent").fit(table_from_frame(raw, schema), schema, seed=1)
    write_table(model.sample(DRAWN, seed=2).table, schema, scratch / "made.csv")
    made = read_table(scratch / "made.csv", schema)
    valid = satisfied(codes_to_values(encode(made, schema), schema), schema)
    return "" if len(made) == DRAWN and valid.all() else "rows that are not valid"


def test_every_table_with_a_header_goes_all_the_way(data_dir: Path, tmp_path: Path) -> None:
    paths = sorted({*data_dir.rglob("*.csv"), *data_dir.rglob("*.csv.gz")})
    paths = [path for path in paths if WITHOUT_HEADER not in path.relative_to(data_dir).parts]
    assert len(paths) > 1
    wrong = {}
    for path in paths:
        try:
            said = through(path, tmp_path)
        except EhrSynthError as error:
            said = f"{type(error).__name__}: {error}"
        if said:
            wrong[path.name] = said
    assert not wrong


def test_a_large_table_is_read_within_a_gigabyte(data_dir: Path, tmp_path: Path) -> None:
    path = data_dir / "brfss2020_heart.csv.gz"
    schema, _ = infer_schema(path, name="brfss2020_heart")
    save_schema(schema, tmp_path / "schema.yaml")
    command = [sys.executable, "-c", READ, str(path), str(tmp_path / "schema.yaml")]
    run = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    rows, kilobytes = json.loads(run.stdout)
    assert rows == 319_795
    assert kilobytes < 1_000_000
