"""The frozen protocol of a study: `protocol.yaml` as a value, and the hash of its content."""

import hashlib
from functools import cache
from importlib.resources import files

import yaml
from pydantic import Field

from ehrsynth.evaluation.protocol import protocol as evaluation_protocol
from ehrsynth.files import canonical_json
from ehrsynth.schema.columns import Strict


class RebalanceProtocol(Strict):
    """How a study of rebalancing is made and judged: see the comments in protocol.yaml."""

    version: int
    splits: int = Field(ge=2)
    test_share: float = Field(gt=0, lt=1)
    rows_needed: int = Field(ge=2)
    events_needed: int = Field(ge=1)
    level: float = Field(gt=0, lt=1)
    worthwhile: float = Field(ge=0, lt=1)
    slope_worse: float = Field(ge=0)
    risk_off: float = Field(ge=0, lt=1)
    others_worse: float = Field(ge=0, lt=1)
    specificity: float = Field(gt=0, lt=1)
    kept_shares: tuple[float, ...] = Field(min_length=1)
    restored_by: int = Field(ge=0)
    sites: int = Field(ge=0)
    site_minimum: int = Field(ge=2)
    site_methods: int = Field(ge=0)

    @property
    def hash(self) -> str:
        """Hex SHA-256 of its content and of the learners' settings, comments aside."""
        learners = evaluation_protocol()
        content = {
            "rebalance": self.model_dump(mode="json"),
            "boosted_trees": learners.boosted_trees.model_dump(mode="json"),
            "logistic_regression": learners.logistic_regression.model_dump(mode="json"),
        }
        return hashlib.sha256(canonical_json(content)).hexdigest()


@cache
def rebalance_protocol() -> RebalanceProtocol:
    """The protocol that ships with this version of ehrsynth."""
    text = files("ehrsynth.rebalance").joinpath("protocol.yaml").read_text(encoding="utf-8")
    return RebalanceProtocol(**yaml.safe_load(text))
