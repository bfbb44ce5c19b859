"""The private benchmark's peers: what they are handed, what becomes of their rows, where there are none."""

import re
import shutil
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest

sys.path.append(str(Path(__file__).parents[1] / "scripts" / "benchmark"))

import private
import private_peers
import private_report
from private_peers import PEERS, Asked
from tabular import systems

from ehrsynth.encoding import encode
from ehrsynth.generators.public_states import public_table

ENVIRONMENTS = Path(private.__file__).parent / "environments"
ORACLE = "econml"  # of tests/twins/test_oracle.py
HEAD = "import json, resource, sys; import numpy as np; job = json.load(open(sys.argv[1])); "
FIGURES = {"fit": {"wall": 2.0, "cpu": 1.0}, "sample": {"wall": 0.5, "cpu": 0.5}}
# Stands in for the adapter: gives rows back in reverse, so that what comes back is seen to be the adapter's.
REVERSES = (
    "given = np.load(job['train']); assert (given['rows'].max(axis=0) < given['sizes']).all(); "
    "np.savez(job['out'], rows=given['rows'][::-1]); "
    f"open(job['figures'], 'w').write(json.dumps({FIGURES!r}))"
)
SPINS = (
    "resource.setrlimit(resource.RLIMIT_CPU, (job['cap'], resource.RLIM_INFINITY))\nwhile True:\n    pass\n"
)
BREAKS = "raise SystemExit('no domain at /secret/place')"


@pytest.fixture(scope="module")
def patients():
    schema, table = private.opened("ist", None)
    return schema, table.head(400).reset_index(drop=True)


def asked_of(program: str, tmp_path: Path, patients, monkeypatch: pytest.MonkeyPatch, cap: int = 60):
    adapter = tmp_path / "adapter.py"
    adapter.write_text(HEAD + program)
    monkeypatch.setattr(private_peers, "ADAPTER", adapter)
    schema, table = patients
    return private_peers.peer_table(
        "smartnoise-mst", table, schema, Asked(1.0, 1e-6, cap, Path(sys.executable))
    )


def test_rows_keep_their_public_states_on_the_way_to_a_peer_and_back(patients, tmp_path, monkeypatch) -> None:
    found, made = asked_of(REVERSES, tmp_path, patients, monkeypatch)
    assert found["state"] == "made"
    assert (found["fit_seconds"], found["fit_processor_seconds"]) == (2.0, 1.0)
    schema, table = patients
    there, back = encode(table, schema)[::-1], encode(made, schema)
    for place, states in enumerate(public_table(schema)):
        assert np.array_equal(states.assign(back[:, place]), states.assign(there[:, place]))
    wide = [c.name for c in schema.learnt].index("TD")  # days of survival, a grid that is cut into ranges
    assert not np.array_equal(there[:, wide], back[:, wide])


def test_a_peer_is_stopped_after_its_seconds_of_the_processor(patients, tmp_path, monkeypatch) -> None:
    found, made = asked_of(SPINS, tmp_path, patients, monkeypatch, cap=1)
    assert found == {"state": "stopped", "reason": "stopped after 1 s of the processor"}
    assert made is None


def test_a_peer_that_breaks_says_so_without_a_path(patients, tmp_path, monkeypatch) -> None:
    found, made = asked_of(BREAKS, tmp_path, patients, monkeypatch)
    assert found == {"state": "failed", "reason": "no domain at (path)"}
    assert made is None


@pytest.mark.parametrize("peer", PEERS)
def test_without_its_environment_a_peer_is_skipped_and_leaves_no_cell(
    peer: str, tmp_path, monkeypatch, capsys
) -> None:
    monkeypatch.setattr(private, "RESULTS", tmp_path / "dp")
    monkeypatch.setattr(private, "real_cell", lambda *_: {})
    given = Namespace(
        tables=["ist"],
        generators=[peer],
        epsilons=[1.0],
        data=None,
        environments=tmp_path,
        cap=1,
        again=False,
    )
    private.run(given)
    assert "skipped: no environment `smartnoise`" in capsys.readouterr().out
    assert [path.name for path in (tmp_path / "dp" / "ist").iterdir()] == ["real.json"]


@pytest.mark.parametrize("peer", PEERS)
def test_the_real_peers_learn_a_pair_within_a_public_domain(
    peer: str, peers_dir: Path, tmp_path: Path
) -> None:
    python = private_peers.interpreter(peers_dir)
    if python is None:
        pytest.skip("needs smartnoise-synth: scripts/benchmark/environments/make DIR smartnoise")
    rng = np.random.default_rng(1)
    first = rng.integers(0, 3, 2_000)
    rows = np.column_stack([first, (first + (rng.random(2_000) < 0.1)) % 3, rng.integers(0, 2, 2_000)])
    sizes = np.array([5, 3, 2])  # two values of the first column are known and never seen
    np.savez(tmp_path / "train.npz", rows=rows, sizes=sizes)
    job = {"setting": PEERS[peer], "epsilon": 10.0, "delta": 1e-6, "cap": 300, "seed": 1, "rows": 1_000}
    job |= {name: str(tmp_path / file) for name, file in (("train", "train.npz"), ("out", "made.npz"))}
    job |= {"figures": str(tmp_path / "figures.json")}
    private.write_json(tmp_path / "job.json", job)
    command = [str(python), str(private_peers.ADAPTER), str(tmp_path / "job.json")]
    found = private_peers.ran(command, tmp_path, 300)
    assert found["state"] == "made", found["reason"]
    made = np.load(tmp_path / "made.npz")["rows"]
    assert made.shape == (1_000, 3)
    assert ((made >= 0) & (made < sizes)).all()
    assert (made[:, 0] == made[:, 1]).mean() == pytest.approx(0.9, abs=0.05)


def test_the_page_says_why_a_peer_has_no_figure_and_holds_demands_against_ours_only(tmp_path: Path) -> None:
    ours = {"tstr": 0.8, "pairs": 0.06, "fit_processor_seconds": 9.0, "versions": {"numpy": "1"}}
    peer = ours | {"tstr": 0.99, "pairs": 0.01, "versions": {"peer": {"smartnoise-synth": "1.0.8"}}}
    stopped = {"state": "stopped", "reason": "stopped after 300 s", "versions": peer["versions"]}
    results = tmp_path / "dp"
    for name, cell in (("mst", ours), ("smartnoise-mst", peer), ("smartnoise-aim", stopped)):
        path = results / "adult" / f"{name}-1.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        private.write_json(path, cell)
    private_report.write_report(results, tuple(private.SOURCES), private.ALL, private.EPSILONS)
    page = (tmp_path / "dp.md").read_text()
    assert "| Adult, best TSTR at epsilon 1 at least 0.865 | 0.800 (mst) | **missed** |" in page
    assert re.search(r"\| smartnoise-mst \| not run \| 0\.990 \|", page)
    assert re.search(r"\| smartnoise-aim \| not run \| stopped after 300 s \|.*\| none done \|", page)
    assert "smartnoise-synth 1.0.8" in page


def test_every_environment_of_a_peer_is_pinned_to_the_last_package() -> None:
    named = {s.environment for s in systems.systems().values() if s.environment}
    assert named | {private_peers.ENVIRONMENT, ORACLE} == {file.stem for file in ENVIRONMENTS.glob("*.txt")}
    for file in ENVIRONMENTS.glob("*.txt"):
        lines = file.read_text().splitlines()
        assert sum(line.startswith("# imports: ") for line in lines) == 1
        pins = [line for line in lines if not line.startswith("#")]
        assert all(re.fullmatch(r"[A-Za-z0-9_.-]+==[A-Za-z0-9_.]+", pin) for pin in pins), file.name
        names = [re.sub(r"[-_.]+", "-", pin.split("==")[0]).lower() for pin in pins]
        assert len(names) == len(set(names)), file.name


def test_an_unknown_environment_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    command = [str(shutil.which("bash")), str(ENVIRONMENTS / "make"), str(tmp_path / "peers")]
    run = subprocess.run([*command, "smartnoise", "smartnose"], capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert "no environment 'smartnose'; names: arfpy econml smartnoise synthcity tabularargn" in run.stderr
    assert not (tmp_path / "peers").exists()
