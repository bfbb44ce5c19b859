"""What a twins' job was asked for, kept inside it, so that it can be made again without some patients."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from ehrsynth.files import canonical_json
from ehrsynth.release.census import certificate_key, take_census
from ehrsynth.release.policy import Policy
from ehrsynth.release.request import Options as Asked
from ehrsynth.release.request import Request as Kept
from ehrsynth.report.decision import Check, Decision
from ehrsynth.schema import Schema
from ehrsynth.twins.cohort import DRAWS
from ehrsynth.twins.effects import Candidates
from ehrsynth.twins.options import Options
from ehrsynth.twins.question import Request

TWINS = "twins"
_CANDIDATES = ("bases", "crossed", "robust")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is wanted besides the question.

    Parameters
    ----------
    trial
        Hold the twins against the other half of the trial. A cohort of synthetic patients is held against a
        third of the patients, in sites of their own where there are four or more.
    target
        A file of patients to whom averages are standardised and of whom the cohort is; default: the study's
        own.
    synthetic
        So many synthetic patients as the cohort, from `generator` with `settings`: candidates for release.
    candidates
        Generators that are tried as outcome models.
    """

    options: Options = field(default_factory=Options)
    trial: bool = False
    target: Path | None = None
    synthetic: int | None = None
    generator: str = "autoregressive"
    settings: Mapping[str, object] = field(default_factory=dict)
    candidates: tuple[str, ...] = ("autoregressive",)
    draws: int = DRAWS


@dataclass(frozen=True, slots=True)
class TwinRenewal:
    """What is different in a job that takes the place of an earlier one.

    Parameters
    ----------
    checks
        Further checks on a cohort that may leave.
    attempt
        How often these patients were tried before, in the jobs that this one replaces.
    record
        What the internal manifest says of them.
    files
        Further internal files by name, for the decision that was made.
    finish
        Called with the folder when all else is written, before it gets its name.
    """

    checks: tuple[Check, ...]
    attempt: int
    record: Mapping[str, Any]
    files: Callable[[Decision | None], Mapping[str, bytes]]
    finish: Callable[[Path], None]

    def with_checks(self, decision: Decision | None) -> Decision | None:
        """The decision with the further checks; twins of real patients have none."""
        return None if decision is None else Decision.from_checks([*decision.checks, *self.checks])


@dataclass(frozen=True, slots=True)
class TwinNote:
    """What a job keeps of itself, and of the one that it replaces."""

    asked: Kept
    renewal: TwinRenewal | None = field(default=None, repr=False)

    @property
    def record(self) -> dict[str, Any]:
        """What the internal manifest says of it."""
        replaced = {} if self.renewal is None else {"replaces": dict(self.renewal.record)}
        return {"kind": TWINS, **replaced}

    def write(self, internal: Path, policy: Policy, decision: Decision | None) -> None:
        """Write it into the internal folder."""
        self.asked.save(internal)
        (internal / "policy.json").write_bytes(canonical_json(policy.as_json()))
        files = {} if self.renewal is None else self.renewal.files(decision)
        for name, content in files.items():
            (internal / name).write_bytes(content)

    def finish(self, folder: Path) -> None:
        """What is written when all else is."""
        if self.renewal is not None:
            self.renewal.finish(folder)


def asked_for(
    table: pd.DataFrame,
    schema: Schema,
    request: Request,
    wanted: Wanted,
    *,
    key: bytes,
    accepted: bool,
) -> Kept:
    """Everything that a job was asked for, with who was in the table as it was read.

    Parameters
    ----------
    key
        Of the split.
    accepted
        Whether a table that is marked as synthetic was allowed.
    """
    options, census = wanted.options, take_census(table, schema, certificate_key(key))
    bases = {name: list(getattr(options.candidates, name)) for name in _CANDIDATES}
    # The first arm is the one that others are held against: a mapping would be sorted.
    question = asdict(request) | {"arms": [[name, list(values)] for name, values in request.arms.items()]}
    settings = {
        "question": {name: list(v) if isinstance(v, tuple) else v for name, v in question.items()},
        "options": {
            "level": options.level,
            "folds": options.folds,
            "repeats": options.repeats,
            "accepted": sorted(options.accepted),
            "individual": options.individual,
            "candidates": bases,
        },
        "wanted": {
            "trial": wanted.trial,
            "target": None if wanted.target is None else str(wanted.target),
            "synthetic": wanted.synthetic,
            "generator": wanted.generator,
            "settings": dict(wanted.settings),
            "candidates": list(wanted.candidates),
            "draws": wanted.draws,
        },
    }
    asked = Asked(None, 1, None, second_opinion=False, train_on_synthetic=accepted, register="")
    return Kept(TWINS, settings, schema, asked, census)


def question_of(kept: Kept) -> tuple[Request, Options, dict[str, Any]]:
    """The question, how it was to be answered, and the other arguments of `Wanted`.

    Raises
    ------
    KeyError, TypeError, ValueError
        If they are not what `asked_for` keeps.
    """
    question, options, wanted = (dict(kept.settings[name]) for name in ("question", "options", "wanted"))
    question = {name: tuple(v) if isinstance(v, list) else v for name, v in question.items()}
    question["arms"] = {name: tuple(values) for name, values in question["arms"]}
    bases, crossed, robust = (tuple(options["candidates"][name]) for name in _CANDIDATES)
    options |= {
        "accepted": frozenset(options["accepted"]),
        "candidates": Candidates(bases, crossed, robust),
    }
    wanted["candidates"] = tuple(wanted["candidates"])
    return Request(**question), Options(**options), wanted
