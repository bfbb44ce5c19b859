"""The only file that imports ctgan (Business Source License 1.1), lazily: training, and the bare networks.

The package trains; its sampler is not used. Version 0.12.1 builds the condition vector wrongly for every
discrete column but the first, stores the training rows' positions beside each category, draws its
unconditioned rows from log-frequencies, and keeps batch normalisation in training mode while sampling, so
that a row depends on its neighbours. Here the networks' outputs are read by `spans`.
"""

import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ehrsynth.errors import MissingPackage, ModelError, RequestError
from ehrsynth.generators.spans import Span, number_span, word_span
from ehrsynth.progress import Progress
from ehrsynth.randomness import global_seed

if TYPE_CHECKING:
    import torch

Weights = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """A trained network's weights and what its outputs mean."""

    spans: tuple[Span, ...]
    weights: Weights


def require_ctgan(name: str) -> None:
    """Raise MissingPackage unless the package is installed."""
    try:
        import ctgan  # noqa: F401
    except ImportError as error:
        raise MissingPackage(name, "sdv") from error


def train_ctgan(
    frame: pd.DataFrame, words: Sequence[str], settings: Mapping[str, Any], seed: int, progress: Progress
) -> Trained:
    """Train a CTGAN generator on words and numbers without gaps.

    Parameters
    ----------
    frame, words
        As `ehrsynth.generators.plain.to_frame` gives them.
    settings
        Arguments of the package's class.

    Raises
    ------
    RequestError
        If training diverges: the message names the epoch.
    """
    require_ctgan("ctgan")
    from ctgan import CTGAN

    model = _watched(CTGAN, settings, progress)
    with _quiet(seed):
        _fit(model, frame, words)
        network, spans = model._generator, _spans(model._transformer)  # noqa: SLF001 - the only way to them
        shares = [_shares(frame[f"w{s.place}"], s) for s in spans if s.is_word]
        _settle(network, settings["embedding_dim"], shares)
    return Trained(spans, _arrays(network))


def train_tvae(
    frame: pd.DataFrame, words: Sequence[str], settings: Mapping[str, Any], seed: int, progress: Progress
) -> Trained:
    """Train a TVAE decoder; as `train_ctgan`."""
    require_ctgan("tvae")
    from ctgan import TVAE

    model = _watched(TVAE, settings, progress)
    with _quiet(seed):
        _fit(model, frame, words)
    return Trained(_spans(model.transformer), _arrays(model.decoder))


def ctgan_network(
    settings: Mapping[str, Any], n_conditions: int, n_outputs: int, weights: Weights
) -> "torch.nn.Module":
    """CTGAN's generator: noise and a condition vector in, outputs out.

    Raises
    ------
    ModelError
        If the weights are not this network's.
    """
    require_ctgan("ctgan")
    from ctgan.synthesizers.ctgan import Generator

    inputs = settings["embedding_dim"] + n_conditions
    return _filled(lambda: Generator(inputs, settings["generator_dim"], n_outputs), weights)


def tvae_network(settings: Mapping[str, Any], n_outputs: int, weights: Weights) -> "torch.nn.Module":
    """TVAE's decoder: noise in, outputs and their standard deviations out; as `ctgan_network`."""
    require_ctgan("tvae")
    from ctgan.synthesizers.tvae import Decoder

    return _filled(
        lambda: Decoder(settings["embedding_dim"], settings["decompress_dims"], n_outputs), weights
    )


def _filled(build: Any, weights: Weights) -> "torch.nn.Module":
    import torch

    with global_seed(0):  # the first weights, which are replaced, would be drawn from the global state
        network: torch.nn.Module = build()
    wanted = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    if wanted != {name: array.shape for name, array in weights.items()}:
        message = "the stored weights are not of the network that the settings describe: the model is damaged"
        raise ModelError(message)
    network.load_state_dict({name: torch.from_numpy(np.array(array)) for name, array in weights.items()})
    return network.eval()


def _watched(base: Any, settings: Mapping[str, Any], progress: Progress) -> Any:
    """The package's class with its public `loss_values`, set once an epoch, watched."""
    epochs = settings["epochs"]

    class Watched(base):  # type: ignore[misc]
        @property
        def loss_values(self) -> pd.DataFrame | None:
            losses: pd.DataFrame | None = self._losses
            return losses

        @loss_values.setter
        def loss_values(self, losses: pd.DataFrame | None) -> None:
            self._losses = losses
            if losses is None or losses.empty:
                return
            last = losses.iloc[-1]
            epoch = int(last["Epoch"]) + 1
            if not all(math.isfinite(value) for value in last):
                raise RequestError(_diverged(base.__name__, f"in epoch {epoch}"))
            progress(epoch / epochs, f"epoch {epoch} of {epochs}")

    return Watched(**settings, enable_gpu=False)


def _diverged(name: str, when: str) -> str:
    return (
        f"{name} diverged {when}: its loss is no longer a number. "
        "Set a lower learning rate or larger batches, or use another generator"
    )


def _fit(model: Any, frame: pd.DataFrame, words: Sequence[str]) -> None:
    try:
        model.fit(frame, list(words))
    except ValueError as error:
        if "NaN" in str(error):
            raise RequestError(_diverged(type(model).__mro__[1].__name__, "between two epochs")) from error
        raise


@contextmanager
def _quiet(seed: int) -> Iterator[None]:
    """Seeded, in one process (the package would start workers, whose draws no seed reaches), and silent."""
    import joblib

    with global_seed(seed), joblib.parallel_config(backend="sequential"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _spans(transformer: Any) -> tuple[Span, ...]:
    spans = []
    for info in transformer._column_transform_info_list:  # noqa: SLF001 - the only way to it
        place = int(info.column_name[1:])
        if info.column_type == "discrete":
            spans.append(word_span(place, [int(word) for word in info.transform.dummies]))
        else:
            spans.append(_mixture(place, info))
    return tuple(spans)


def _mixture(place: int, info: Any) -> Span:
    # A component maps -1..1 to its values linearly: two points of each tell centre and reach.
    parts = info.output_dimensions - 1
    name = info.column_name
    points = {
        f"{name}.normalized": np.repeat([0.0, 1.0], parts),
        f"{name}.component": np.tile(np.arange(parts), 2),
    }
    values = info.transform.reverse_transform(pd.DataFrame(points).astype(float))[name].to_numpy(np.float64)
    return number_span(place, values[:parts], values[parts:] - values[:parts])


def _shares(words: pd.Series, span: Span) -> NDArray[np.float64]:
    counts = np.bincount(words.astype(int), minlength=len(span.order))
    return np.asarray(counts[span.order] / len(words), np.float64)


def _settle(network: Any, embedding: int, shares: Sequence[NDArray[np.float64]]) -> None:
    """Give batch normalisation the means and variances of unconditioned rows, for use one row at a time."""
    import torch

    norms = [layer for layer in network.modules() if isinstance(layer, torch.nn.BatchNorm1d)]
    for layer in norms:
        layer.reset_running_stats()
        layer.momentum = None  # a plain average over the batches below
    rng = np.random.default_rng(int(torch.randint(2**31, (1,))))
    with torch.no_grad():
        for _ in range(20):
            conditions = condition_vectors(shares, 500, rng)
            noise = rng.standard_normal((500, embedding)).astype(np.float32)
            network(torch.from_numpy(np.concatenate([noise, conditions], axis=1)))


def condition_vectors(
    shares: Sequence[NDArray[np.float64]], n: int, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Condition vectors of rows that nobody conditions: a column at random, a word of it by its share.

    Drawn so, the rows keep every word's share, since each is drawn as often as patients have it.
    """
    starts = np.cumsum([0, *(len(s) for s in shares)])
    vectors = np.zeros((n, int(starts[-1])), np.float32)
    if not shares:
        return vectors
    chosen = rng.integers(len(shares), size=n)
    for column, share in enumerate(shares):
        rows = np.flatnonzero(chosen == column)
        vectors[rows, starts[column] + rng.choice(len(share), len(rows), p=share / share.sum())] = 1
    return vectors


def _arrays(network: Any) -> dict[str, NDArray[Any]]:
    return {name: tensor.detach().cpu().numpy().copy() for name, tensor in network.state_dict().items()}
