"""Two processes that teach one network together get what one gets, up to rounding."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from ehrsynth.errors import RequestError
from ehrsynth.generators.chain.together import ALONE, Team, joined, team
from ehrsynth.schema.yaml_files import save_schema
from ehrsynth.tables import write_table
from ward import WARD, patients

FIT = ("fit", "t.parquet", "--schema", "s.yaml", "--seed", "3")
FIT += ("--set", "learner=neural", "--set", "width=16", "--set", "depth=1", "--set", "epochs=3")


@pytest.fixture
def ward(tmp_path: Path) -> Path:
    write_table(patients(501), WARD, tmp_path / "t.parquet")  # a step has an odd number of patients
    save_schema(WARD, tmp_path / "s.yaml")
    return tmp_path


def started(folder: Path, *words: str, **variables: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", "from ehrsynth.cli import main; main()", *FIT, *words]
    environment = os.environ | {"OMP_NUM_THREADS": "1"} | variables
    return subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )


def free_port() -> str:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return str(found.getsockname()[1])


def test_two_processes_learn_what_one_learns(ward: Path) -> None:
    world = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port()}
    runs = [started(ward, "--distributed", "--out", "two", RANK=str(rank), **world) for rank in (0, 1)]
    runs.append(started(ward, "--out", "one"))
    for run in runs:
        assert run.wait(timeout=300) == 0, run.stderr.read()
    one, two = (load_file(ward / name / "weights.safetensors") for name in ("one", "two"))
    assert one.keys() == two.keys()
    for name, weights in one.items():
        np.testing.assert_allclose(two[name], weights, atol=2e-4, err_msg=name)
    # They moved: an untrained network would be close to anything untrained.
    assert np.abs(one["network.coarse.weight"]).max() > 0.01


def test_parts_of_a_step_are_all_of_it_once() -> None:
    rows = torch.arange(11)
    parts = [Team(rank, 3, torch.device("cpu")).own(rows) for rank in range(3)]
    assert sorted(torch.cat(parts).tolist()) == rows.tolist()
    assert ALONE.own(rows).tolist() == rows.tolist()
    assert (team(), ALONE.agreed(2.5), ALONE.seed(7), ALONE.handed_out(b"x")) == (ALONE, 2.5, 7, b"x")


def test_a_process_that_torchrun_did_not_start_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(RequestError, match="torchrun"), joined():
        pass


def test_a_network_on_another_device_gives_its_scores_back_here() -> None:
    from ehrsynth.generators.chain.together import _OnDevice

    network = torch.nn.Sequential(torch.nn.Linear(3, 2))
    placed = _OnDevice(_Two(network), torch.device("cpu"))
    given = torch.ones(4, 3)
    assert all(torch.equal(one, network(given)) for one in placed(given))
    sum(scores.sum() for scores in placed(given)).backward()
    assert network[0].weight.grad is not None


class _Two(torch.nn.Module):
    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, given: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        scores = self.network(given)
        return scores, scores
