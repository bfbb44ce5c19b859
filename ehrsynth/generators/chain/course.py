"""The state of a network's training: what one step changes, and what a killed run needs to go on."""

import json
import math

import torch
from safetensors.torch import load, save
from torch import Tensor, nn

_LARGEST_GRADIENT = 1.0
_HEAD = 8  # bytes of a safetensors file that say how long its JSON is
_MOMENTS = ("exp_avg", "exp_avg_sq", "step")


class Course:
    """Weights, their running average, the best average so far, AdamW's moments, and the random stream."""

    def __init__(self, network: nn.Module, generator: torch.Generator, rate: float, decay: float) -> None:
        self.step, self.least, self.in_vain = 0, math.inf, 0
        self._network, self._generator, self._rate = network, generator, rate
        self._optimiser = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=decay)
        self.averaged = {name: weight.detach().cpu().clone() for name, weight in self._weights()}
        self.best = self.averaged

    def take(self, loss: Tensor, *, pace: float, averaging: float) -> None:
        """One step down the gradient, at `pace` of the highest rate; the average keeps so much of itself."""
        for group in self._optimiser.param_groups:
            group["lr"] = self._rate * pace
        self._optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self._network.parameters(), _LARGEST_GRADIENT)
        self._optimiser.step()
        with torch.no_grad():
            for name, weight in self._weights():
                self.averaged[name].lerp_(weight.detach().cpu(), 1 - averaging)
        self.step += 1

    def judge(self, judged: float) -> None:
        """Note how the average did on patients held out."""
        if judged < self.least:
            self.best, self.least, self.in_vain = _copied(self.averaged), judged, 0
        else:
            self.in_vain += 1

    def pack(self) -> bytes:
        """All of it as bytes (safetensors)."""
        tensors: dict[str, Tensor] = {"generator": self._generator.get_state()}
        for name, weight in self._weights():
            tensors[f"weight.{name}"] = weight.detach().cpu()
            tensors[f"averaged.{name}"] = self.averaged[name]
            tensors[f"best.{name}"] = self.best[name].clone()
            for moment in _MOMENTS:
                if moment in (state := self._optimiser.state[weight]):
                    tensors[f"{moment}.{name}"] = state[moment].detach().cpu()
        said = {"step": self.step, "least": self.least, "in_vain": self.in_vain}
        return save({k: t.contiguous() for k, t in tensors.items()}, metadata={"course": json.dumps(said)})

    def restore(self, packed: bytes) -> None:
        """Go on from what `pack` packed, of a course of the same network."""
        length = int.from_bytes(packed[:_HEAD], "little")
        said = json.loads(json.loads(packed[_HEAD : _HEAD + length])["__metadata__"]["course"])
        self.step, self.least, self.in_vain = said["step"], said["least"], said["in_vain"]
        tensors = load(packed)
        self._generator.set_state(tensors["generator"])
        with torch.no_grad():
            for name, weight in self._weights():
                weight.copy_(tensors[f"weight.{name}"])
                moments = {m: tensors[f"{m}.{name}"] for m in _MOMENTS if f"{m}.{name}" in tensors}
                if moments:
                    # The count of steps stays on the processor, as AdamW keeps it.
                    self._optimiser.state[weight] = {
                        m: t if m == "step" else t.to(weight.device) for m, t in moments.items()
                    }
        self.averaged = {name: tensors[f"averaged.{name}"].clone() for name, _ in self._weights()}
        self.best = {name: tensors[f"best.{name}"].clone() for name, _ in self._weights()}

    def _weights(self) -> list[tuple[str, nn.Parameter]]:
        return list(self._network.named_parameters())


def _copied(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: weight.clone() for name, weight in weights.items()}
