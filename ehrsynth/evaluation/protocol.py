"""The frozen protocol: `protocol.yaml` as a value, and its hash, which every result carries."""

import hashlib
from functools import cache
from importlib.resources import files
from typing import Any

import yaml
from pydantic import Field

from ehrsynth.files import canonical_json
from ehrsynth.schema.columns import Strict


class BoostedTrees(Strict):
    """LightGBM's rounds and parameters, handed on as they stand."""

    rounds: int = Field(ge=1)
    parameters: dict[str, bool | int | float | str]


class LogisticRegressionSettings(Strict):
    """The second learner: see the comments in protocol.yaml."""

    penalty: float = Field(gt=0)
    iterations: int = Field(ge=1)
    category_minimum: int = Field(ge=1)
    clip: float = Field(gt=0)


class NeuralNetwork(Strict):
    """The third judge: see the comments in protocol.yaml."""

    hidden: int = Field(ge=1)
    epochs: int = Field(ge=1)
    batch: int = Field(ge=1)
    penalty: float = Field(ge=0)
    learning_rate: float = Field(gt=0)


class Attacks(Strict):
    """How hard the attacks try and when they measure nothing: see the comments in protocol.yaml."""

    targets: int = Field(ge=1)
    pairs: int = Field(ge=1)
    minimum: int = Field(ge=1)
    widest: float = Field(gt=0, le=2)
    query_columns: tuple[int, int]
    queries: int = Field(ge=1)
    attempts: int = Field(ge=1)
    crowd: int = Field(ge=1)
    secrets: int = Field(ge=1)
    hardest: int = Field(ge=1)
    counts: int = Field(ge=2)
    tolerance: float = Field(gt=0, lt=1)


class Protocol(Strict):
    """How ehrsynth measures: see the comments in protocol.yaml."""

    version: int
    folds: int = Field(ge=2)
    groups: int = Field(ge=2)
    pairs: int = Field(ge=1)
    rows: int = Field(ge=2)
    outcomes: int = Field(ge=1)
    few_values: int = Field(ge=2)
    class_minimum: int = Field(ge=1)
    telling_columns: int = Field(ge=1)
    strata: int = Field(ge=1)
    strata_minimum: int = Field(ge=2)
    neighbours: int = Field(ge=1)
    neighbour_rows: int = Field(ge=2)
    rare_share: float = Field(gt=0, lt=1)
    rare_minimum: int = Field(ge=1)
    bootstraps: int = Field(ge=2)
    at_risk: int = Field(ge=1)
    covariates: int = Field(ge=1)
    events_each: int = Field(ge=1)
    side_rows: int = Field(ge=2)
    resamples: int = Field(ge=2)
    importance_rounds: int = Field(ge=1)
    site_minimum: int = Field(ge=1)
    sites: int = Field(ge=1)
    boosted_trees: BoostedTrees
    logistic_regression: LogisticRegressionSettings
    neural_network: NeuralNetwork
    attacks: Attacks

    @property
    def hash(self) -> str:
        """Hex SHA-256 of the protocol's content, comments aside."""
        return hashlib.sha256(canonical_json(self.model_dump(mode="json"))).hexdigest()


@cache
def protocol() -> Protocol:
    """The protocol that ships with this version of ehrsynth."""
    text = files("ehrsynth.evaluation").joinpath("protocol.yaml").read_text(encoding="utf-8")
    content: dict[str, Any] = yaml.safe_load(text)
    return Protocol(**content)
