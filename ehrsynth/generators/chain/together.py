"""Several processes teach one network: each takes its part of every step's patients (torch's own DDP).

The processes are started by ``torchrun``, one for each GPU or machine, and read the same table. All draw the
same patients for a step and keep every n-th of them; gradients are averaged, so that the weights are those of
one process up to rounding. Without GPUs they talk by gloo, with them by NCCL.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from ehrsynth.errors import RequestError


@dataclass(frozen=True, slots=True)
class Team:
    """Which of how many processes this is."""

    rank: int
    size: int
    device: torch.device

    @property
    def leads(self) -> bool:
        """Whether this is the process that writes."""
        return self.rank == 0

    def own(self, rows: Tensor) -> Tensor:
        """The part of a step's patients that is this process's."""
        return rows[self.rank :: self.size]

    def agreed(self, value: float) -> float:
        """The first process's value, in all of them: machines may round differently."""
        if self.size == 1:
            return value
        told = torch.tensor([value], dtype=torch.float64, device=self.device)
        dist.broadcast(told, 0)
        return float(told)

    def seed(self, seed: int) -> int:
        """The first process's seed, in all of them."""
        if self.size == 1:
            return seed
        told = torch.tensor([seed], dtype=torch.int64, device=self.device)
        dist.broadcast(told, 0)
        return int(told)

    def handed_out(self, piece: bytes | None) -> bytes | None:
        """The first process's bytes, in all of them."""
        if self.size == 1:
            return piece
        length = int(self.agreed(-1 if piece is None else len(piece)))
        if length < 0:
            return None
        told = torch.zeros(length, dtype=torch.uint8, device=self.device)
        if piece is not None and self.leads:
            told = torch.from_numpy(np.frombuffer(piece, np.uint8).copy()).to(self.device)
        dist.broadcast(told, 0)
        return told.cpu().numpy().tobytes()


ALONE = Team(0, 1, torch.device("cpu"))


def team() -> Team:
    """The processes that this one belongs to; itself alone where none were started together."""
    if not (dist.is_available() and dist.is_initialized()):
        return ALONE
    rank = dist.get_rank()
    on_gpu = dist.get_backend() == "nccl"
    device = torch.device("cuda", rank % torch.cuda.device_count()) if on_gpu else torch.device("cpu")
    return Team(rank, dist.get_world_size(), device)


@contextmanager
def joined() -> Iterator[Team]:
    """Join the processes that torchrun started.

    Raises
    ------
    RequestError
        If it did not start this one.
    """
    try:
        dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    except (ValueError, RuntimeError) as error:
        raise RequestError(
            f"this process was not started by torchrun ({type(error).__name__}): torchrun --nproc-per-node N"
            " --no-python ehrsynth fit ... --distributed"
        ) from None
    try:
        yield team()
    finally:
        dist.destroy_process_group()


class _OnDevice(nn.Module):
    """A network on another device, whose inputs and outputs are on the processor."""

    def __init__(self, network: nn.Module, device: torch.device) -> None:
        super().__init__()
        self.network, self.device = network.to(device), device

    def forward(self, inputs: Tensor) -> tuple[Tensor, ...]:
        return tuple(scores.cpu() for scores in self.network(inputs.to(self.device)))


def shared_among(network: nn.Module, of: Team) -> nn.Module:
    """The network as all processes train it: its gradients are averaged over them."""
    if of.size == 1:
        return network
    placed = network if of.device.type == "cpu" else _OnDevice(network, of.device)
    return DistributedDataParallel(placed, find_unused_parameters=True)
