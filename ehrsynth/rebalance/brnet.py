"""BR-Net: features from which a bias variable cannot be read off, learnt by adversarial training.

Adeli et al., "Representation Learning with Statistical Independence to Mitigate Bias", WACV 2021, doi
10.1109/WACV48630.2021.00256; written here from the paper. An encoder F, a classifier C and a bias head B take
turns on each batch:

1. B learns to predict the bias from F(x), on controls only: bias that belongs to the disease stays in the
   features.
2. F moves so that the squared Pearson correlation of the bias and B(F(x)) falls, on the same controls; B
   rests.
3. F and C learn the label.

The loss of steps 1 and 2 lies between 0 and 1 and does not depend on the scale of B's output, so that it
cannot run away as a squared error can. It sees only what is linear in B's output: how dependent features and
bias still are is to be measured afterwards (`ehrsynth.rebalance.dependence`).

Nothing here knows tables: inputs are arrays, of numbers or of images, whatever the encoder takes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from ehrsynth.errors import NotEnoughData, RequestError
from ehrsynth.progress import Progress, silent
from ehrsynth.randomness import derived_seed, global_seed, torch_generator
from ehrsynth.schema.columns import Strict

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
FEWEST_CONTROLS = 8
_LOOKS = 20
_TINY = 1e-8


class BrNetSettings(Strict):
    """How a BR-Net is trained."""

    features: int = Field(default=16, ge=1, le=4_096, description="features of the encoder that is made here")
    hidden: int = Field(default=64, ge=1, le=4_096, description="width of the encoder that is made here")
    head: int = Field(default=32, ge=1, le=4_096, description="width of the bias head's hidden layer")
    steps: int = Field(default=2_500, ge=1, le=1_000_000, description="rounds of the three steps")
    batch: int = Field(default=256, ge=16, description="rows of a round")
    rate: float = Field(default=1e-4, gt=0, lt=1, description="learning rate of encoder and classifier")
    head_rate: float = Field(default=1e-2, gt=0, lt=1, description="learning rate of the bias head")
    head_steps: int = Field(default=5, ge=1, le=100, description="steps of the bias head in a round")
    adversary_rate: float = Field(
        default=3e-3, ge=0, lt=1, description="learning rate of step 2; 0 leaves the bias in"
    )
    decay: float = Field(default=1e-4, ge=0, description="weight decay of encoder and classifier")


@dataclass(frozen=True, slots=True, eq=False)
class Bias:
    """One variable that the features shall not show.

    Parameters
    ----------
    values
        One number for each row: the category's number, or a measured value; no missing values.
    categorical
        Whether numbers are categories: then each but one has a column of its own.
    """

    values: NDArray[Any]
    categorical: bool

    def columns(self) -> Floats:
        """N x k, each column with mean 0 and spread 1."""
        raw = np.asarray(self.values, np.float64)
        if self.categorical:
            levels = np.unique(raw)
            raw = (raw[:, None] == levels[None, 1 if len(levels) == 2 else 0 :]).astype(np.float64)  # noqa: PLR2004
        raw = raw.reshape(len(raw), -1)
        spread = raw.std(axis=0)
        return np.asarray((raw - raw.mean(axis=0)) / np.where(spread > 0, spread, 1.0))


@dataclass(frozen=True, slots=True, eq=False)
class BrNet:
    """A trained network.

    `classes` are the labels in the order of the probabilities' columns.
    """

    encoder: nn.Module
    classifier: nn.Module
    classes: NDArray[Any]

    def features(self, inputs: NDArray[Any]) -> Floats:
        """The features of each row, n x features."""
        self.encoder.eval()
        with torch.no_grad():
            parts = [self.encoder(part) for part in torch.split(_tensor(inputs), 4_096)]
        return np.asarray(torch.cat(parts).double().numpy())

    def probabilities(self, inputs: NDArray[Any]) -> Floats:
        """The probability of each class, n x classes; rows add up to 1."""
        self.classifier.eval()
        with torch.no_grad():
            logits = self.classifier(_tensor(self.features(inputs)))
        return np.asarray(logits.double().softmax(dim=1).numpy())


def train_brnet(  # noqa: PLR0913 - what it learns from, and how
    inputs: NDArray[Any],
    labels: NDArray[Any],
    bias: Sequence[Bias],
    *,
    controls: Mask | None = None,
    encoder: nn.Module | None = None,
    settings: BrNetSettings | None = None,
    seed: int,
    progress: Progress | None = None,
) -> BrNet:
    """Train a BR-Net.

    Parameters
    ----------
    inputs
        n rows of numbers or images, about standardised; no missing values.
    labels
        n labels of two or more classes.
    bias
        The variables that features shall not show; none trains a plain network.
    controls
        Rows that bias head and adversary learn from; those of the first class when None.
    encoder
        From inputs to n x features, changed in place; a network of two layers when None.
    settings
        How to train; `BrNetSettings()` when None.
    seed
        0 or larger; equal seeds give equal networks on the same machine.

    Raises
    ------
    RequestError
        If lengths differ, a value is not finite, or the loss is no longer a number.
    NotEnoughData
        If there are fewer than two classes, or fewer than 8 controls.
    """
    given = settings or BrNetSettings()
    classes, target = np.unique(labels, return_inverse=True)
    is_control = target == 0 if controls is None else np.asarray(controls, np.bool_)
    _check(inputs, target, bias, is_control, len(classes))
    x, y = _tensor(inputs), torch.from_numpy(target.astype(np.int64))
    columns = [b.columns() for b in bias]
    b = _tensor(np.hstack(columns)) if columns else torch.empty(len(x), 0)
    with global_seed(derived_seed(seed, "br-net")):  # layers take their first weights from the global state
        made = _encoder(x.shape[1], given) if encoder is None else encoder
        width = made(x[:2]).shape[1]
        classifier = nn.Linear(width, len(classes))
        head = nn.Sequential(
            nn.Linear(width, given.head), nn.ReLU(), nn.Linear(given.head, max(1, b.shape[1]))
        )
    rounds = _Rounds(made, classifier, head, given)
    _train(rounds, x, y, b, torch.from_numpy(is_control), seed=seed, progress=progress or silent)
    return BrNet(made, classifier, classes)


def squared_correlation(bias: Tensor, predicted: Tensor) -> Tensor:
    """The mean over columns of the squared Pearson correlation, 0 to 1."""
    a, b = bias - bias.mean(dim=0), predicted - predicted.mean(dim=0)
    together = (a * b).sum(dim=0) ** 2
    found: Tensor = (together / ((a**2).sum(dim=0) * (b**2).sum(dim=0) + _TINY)).mean()
    return found


def _train(  # noqa: PLR0913
    rounds: "_Rounds", x: Tensor, y: Tensor, b: Tensor, controls: Tensor, *, seed: int, progress: Progress
) -> None:
    settings, generator = rounds.settings, torch_generator(seed, "br-net", "batches")
    places = torch.nonzero(controls).flatten()
    size, among = min(settings.batch, len(x)), min(settings.batch, len(places))
    for step in range(settings.steps):
        if b.shape[1] and settings.adversary_rate > 0:
            for _ in range(settings.head_steps):
                own = places[torch.randint(len(places), (among,), generator=generator)]
                rounds.bias_head(x[own], b[own])
            own = places[torch.randint(len(places), (among,), generator=generator)]
            rounds.adversary(x[own], b[own])
        rows = torch.randint(len(x), (size,), generator=generator)
        loss = rounds.label(x[rows], y[rows])
        if step % max(1, settings.steps // _LOOKS) == 0:
            progress(step / settings.steps, f"step {step} of {settings.steps}")
            if not np.isfinite(loss):
                raise RequestError(f"training diverged by step {step} of {settings.steps}: set a lower rate")
    progress(1.0, "trained")


class _Rounds:
    """The three networks with an optimiser for each of the three steps."""

    def __init__(
        self, encoder: nn.Module, classifier: nn.Module, head: nn.Module, settings: BrNetSettings
    ) -> None:
        self.settings, self._encoder, self._classifier, self._head = settings, encoder, classifier, head
        both = [*encoder.parameters(), *classifier.parameters()]
        self._of_head = torch.optim.Adam(head.parameters(), lr=settings.head_rate, fused=True)
        self._of_adversary = torch.optim.Adam(encoder.parameters(), lr=settings.adversary_rate, fused=True)
        self._of_label = torch.optim.AdamW(both, lr=settings.rate, weight_decay=settings.decay, fused=True)
        for network in (encoder, classifier, head):
            network.train()

    def bias_head(self, x: Tensor, b: Tensor) -> None:
        """Step 1: B learns the bias of controls."""
        with torch.no_grad():
            features = self._encoder(x)
        self._step(self._of_head, -squared_correlation(b, self._head(features)))

    def adversary(self, x: Tensor, b: Tensor) -> None:
        """Step 2: F hides it from B."""
        loss = squared_correlation(b, self._head(self._encoder(x)))
        self._step(self._of_adversary, loss)

    def label(self, x: Tensor, y: Tensor) -> float:
        """Step 3: F and C learn the label; gives the loss."""
        loss = nn.functional.cross_entropy(self._classifier(self._encoder(x)), y)
        self._step(self._of_label, loss)
        return float(loss.detach())

    @staticmethod
    def _step(optimiser: torch.optim.Optimizer, loss: Tensor) -> None:
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()


def _encoder(inputs: int, settings: BrNetSettings) -> nn.Module:
    return nn.Sequential(
        # Smooth and bounded: what is learnt among controls holds a little beyond their range, too.
        nn.Linear(inputs, settings.hidden),
        nn.Tanh(),
        nn.Linear(settings.hidden, settings.features),
        nn.Tanh(),
    )


def _tensor(values: NDArray[Any]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))


def _check(
    inputs: NDArray[Any], target: NDArray[Any], bias: Sequence[Bias], controls: Mask, classes: int
) -> None:
    lengths = {len(inputs), len(target), len(controls), *(len(b.values) for b in bias)}
    if len(lengths) > 1:
        raise RequestError(f"inputs, labels, controls and bias have different lengths: {sorted(lengths)}")
    finite = np.isfinite(np.asarray(inputs, np.float64)).all()
    if not finite or not all(np.isfinite(np.asarray(b.values, np.float64)).all() for b in bias):
        raise RequestError(
            "inputs and bias hold missing or infinite values: fill them in, or leave the rows out"
        )
    if classes < 2:  # noqa: PLR2004
        raise NotEnoughData("all rows have the same label: there is nothing to learn")
    if bias and controls.sum() < FEWEST_CONTROLS:
        raise NotEnoughData(f"{int(controls.sum())} rows are controls; the bias head needs {FEWEST_CONTROLS}")
