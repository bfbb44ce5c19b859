"""The parts of private training hold; and each planted bug in them is caught."""

import numpy as np
import pytest
import torch
from torch import nn

from ehrsynth.dp import descent, soundness
from ehrsynth.dp.budget import Budget
from ehrsynth.dp.descent import Descent, check_module, descend, participants
from ehrsynth.dp.events import SampledGaussian
from ehrsynth.dp.ledger import Ledger
from ehrsynth.dp.noise import NoiseStream
from ehrsynth.errors import BudgetExceeded, RequestError
from ehrsynth.progress import silent


@pytest.mark.parametrize(
    "check", [soundness.gradients, soundness.noise, soundness.sampling, soundness.empty_steps]
)
def test_every_part_is_sound(check) -> None:
    found = check()
    assert found.holds, found.detail


def no_clipping(monkeypatch: pytest.MonkeyPatch) -> soundness.Finding:
    monkeypatch.setattr(descent, "clipping", lambda _sampled, n: torch.ones(n))
    return soundness.gradients()


def noise_over_the_batch(monkeypatch: pytest.MonkeyPatch) -> soundness.Finding:
    monkeypatch.setattr(descent, "noise_deviation", lambda d: d.multiplier * d.clip / d.expected)
    return soundness.noise()


def shuffled_batches(monkeypatch: pytest.MonkeyPatch) -> soundness.Finding:
    """Goes through everybody once before anybody comes again, in batches of one size."""
    deck: list[int] = []

    def next_batch(n: int, rate: float, stream: NoiseStream) -> torch.Tensor:
        if len(deck) < round(n * rate):
            deck[:] = stream.numpy_generator().permutation(n).tolist()
        return torch.tensor([deck.pop() for _ in range(round(n * rate))])

    monkeypatch.setattr(descent, "participants", next_batch)
    return soundness.sampling()


def no_noise_without_anybody(monkeypatch: pytest.MonkeyPatch) -> soundness.Finding:
    whole = descent.private_gradient

    def skipping(sampled, loss, rows, settings, *, stream):
        if not len(participants(len(rows), settings.rate, stream)):
            return [torch.zeros_like(p) for p in sampled.parameters()]
        return whole(sampled, loss, rows, settings, stream=stream)

    monkeypatch.setattr(descent, "private_gradient", skipping)
    return soundness.empty_steps()


BUGS = [no_clipping, noise_over_the_batch, shuffled_batches, no_noise_without_anybody]


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.__name__)
def test_a_planted_bug_is_caught(bug, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not bug(monkeypatch).holds


class Line(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.line = nn.Linear(3, 1)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return self.line(rows)


def squares(module: nn.Module, rows: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    return (module(rows[:, :3]) - rows[:, 3:]).pow(2).sum(dim=1)


def trained(codes: np.ndarray, *, steps: int = 30, planned: int = 30, seed: int | None = 1) -> Line:
    torch_model = Line()
    with torch.no_grad():
        torch_model.line.weight.zero_()
        torch_model.line.bias.zero_()
    plan = [SampledGaussian(0.5, 1.0, planned)]
    ledger = Ledger(lambda: codes, Budget(60.0, 1e-3), accountant="PRV and PLD", plan=plan)
    settings = Descent(0.5, steps, 1.0, 1.0, 100.0, 0.1)
    descend(
        ledger,
        torch_model,
        squares,
        descent=settings,
        stream=NoiseStream(seed, "test"),
        prepare=lambda rows: torch.from_numpy(rows).float(),
        progress=silent,
    )
    account = ledger.close()
    assert account.events == (SampledGaussian(0.5, 1.0, steps),)
    return torch_model


def rows(n: int) -> np.ndarray:
    x = np.random.default_rng(0).integers(-2, 3, (n, 3))
    return np.column_stack([x, x @ [1, -1, 0]]).astype(np.int64)


def test_training_learns_what_noise_leaves() -> None:
    weight = trained(rows(400), steps=40, planned=40).line.weight.detach().numpy()[0]
    assert weight == pytest.approx([1, -1, 0], abs=0.45)


def test_a_known_seed_gives_the_same_weights_and_none_gives_others() -> None:
    one, other = (trained(rows(50), steps=5, seed=3).line.weight for _ in range(2))
    assert torch.equal(one, other)
    assert not torch.equal(trained(rows(50), steps=5, seed=None).line.weight, one)


class Known(NoiseStream):
    """A stream of one word, again and again."""

    def __init__(self, word: int) -> None:
        super().__init__(0)
        self._word = word

    def words(self, n: int) -> np.ndarray:
        return np.full(n, self._word, np.uint64)


@pytest.mark.parametrize("bit", [32, 63])
def test_every_bit_of_the_stream_counts_in_the_noise(bit: int) -> None:
    """A generator of torch keeps the low 32 bits of a seed, and noise of 32 bits can be tried out."""
    settings = Descent(1.0, 1, 1.0, 1.0, 1.0, 0.1)
    sampled = descent.per_sample(Line(), 1.0)
    one, other = (
        descent.private_gradient(sampled, squares, torch.zeros(0, 4), settings, stream=Known(word))
        for word in (5, 5 + (1 << bit))
    )
    sampled.remove_hooks()
    assert not any(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_an_empty_table_trains_on_noise_alone() -> None:
    model = trained(rows(50)[:0], steps=3)
    assert (model.line.weight != 0).all()


def test_the_divisor_does_not_depend_on_who_is_there() -> None:
    """Hardly any noise, and one patient more: gradients differ by that patient's, over the public divisor."""
    data, settings = torch.from_numpy(rows(21)).float(), Descent(1.0, 1, 1e-9, 1.0, 10.0, 0.1)
    sampled = descent.per_sample(Line(), 1.0)
    one, other = (
        descent.private_gradient(sampled, squares, data[:n], settings, stream=NoiseStream(4))
        for n in (20, 21)
    )
    alone = descent.clipped_sum(sampled, squares, data[20:], torch.Generator(), together=9)
    for a, b, part in zip(one, other, alone, strict=True):
        assert torch.allclose(b - a, part / 10, atol=1e-5)
    sampled.remove_hooks()


def test_training_stops_before_the_step_that_would_overspend() -> None:
    torch_model = Line()
    ledger = Ledger(lambda: rows(30), Budget(0.5, 1e-5), accountant="PRV and PLD")
    with pytest.raises(BudgetExceeded):
        descend(
            ledger,
            torch_model,
            squares,
            descent=Descent(0.5, 50, 2.0, 1.0, 15.0, 0.1),
            stream=NoiseStream(1),
            prepare=lambda codes: torch.from_numpy(codes).float(),
            progress=silent,
        )
    assert ledger.close().epsilon <= 0.5


def rough(module: nn.Module, rows: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """No number where a row begins with 9, infinite for 8, else times the last; each draws for itself."""
    found = module(rows[:, :3] + torch.rand(rows[:, :3].shape, generator=generator)).squeeze(1)
    return found * rows[:, 3].where(rows[:, 0] != 8, float("inf")).where(rows[:, 0] != 9, float("nan"))


@pytest.mark.parametrize("value", [8.0, 9.0])
@pytest.mark.parametrize("place", [0, 3, 5])
def test_a_gradient_that_is_no_number_adds_nothing_and_is_no_error(value: float, place: int) -> None:
    """The others add what they add beside one whose loss is 0, with the same draws."""
    sampled, data, sums = descent.per_sample(Line(), 1.0), torch.ones(6, 4), []
    data[:, 1] = torch.arange(6)
    for own in ((0.0, 0.0), (value, 1.0)):
        data[place, 0], data[place, 3] = own
        generator = torch.Generator().manual_seed(1)
        sums.append(descent.clipped_sum(sampled, rough, data, generator, together=4))
    sampled.remove_hooks()
    assert all((part != 0).any() for part in sums[0])
    for beside_nothing, beside_it in zip(*sums, strict=True):
        assert torch.allclose(beside_nothing, beside_it, atol=1e-5)


def test_nothing_but_such_gradients_adds_nothing() -> None:
    sampled = descent.per_sample(Line(), 1.0)
    found = descent.clipped_sum(sampled, rough, torch.full((3, 4), 9.0), torch.Generator(), together=2)
    sampled.remove_hooks()
    assert all((part == 0).all() for part in found)


@pytest.mark.parametrize("layer", [nn.BatchNorm1d(3), nn.Dropout()])
def test_layers_that_mix_patients_are_refused(layer: nn.Module) -> None:
    with pytest.raises(RequestError, match=type(layer).__name__):
        check_module(nn.Sequential(nn.Linear(3, 3), layer))


def test_a_layer_outside_the_loss_is_refused() -> None:
    module = nn.ModuleDict({"used": nn.Linear(3, 1), "idle": nn.Linear(3, 1)})

    class Half(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.parts = module

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.parts["used"](x)

    sampled = descent.per_sample(Half(), 1.0)
    with pytest.raises(RequestError, match="every layer"):
        descent.clipped_sum(sampled, squares, torch.randn(4, 4), torch.Generator(), together=4)
    sampled.remove_hooks()
