"""The twins' job: a table and a question in; answers, a cohort and, for synthetic patients, a decision out.

Twins of real patients are these patients' data: everything stays in `internal/`. Twins of synthetic patients
may leave in `share/` when the attacks find nothing on patients learnt from that they do not find on patients
whom neither the generator nor the outcome models saw, and when a randomised trial does not contradict them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from ehrsynth.errors import Refused, ReleaseBlocked, RequestError
from ehrsynth.files import must_be_free
from ehrsynth.progress import Progress, silent
from ehrsynth.release.looks import enter_look, looks, marks_of
from ehrsynth.release.manifest import secrets_of
from ehrsynth.release.policy import Policy, load_policy
from ehrsynth.release.provenance import provenance_of
from ehrsynth.release.reading import whole_table
from ehrsynth.release.register import place_of
from ehrsynth.release.twin_answers import TwinAnswers, answers
from ehrsynth.release.twin_folders import TwinProduct, write_twins
from ehrsynth.release.twin_patients import TwinPatients, patients_for_twins
from ehrsynth.release.twin_request import TwinNote, TwinRenewal, Wanted, asked_for
from ehrsynth.report.decision import Decision
from ehrsynth.report.provenance import Provenance, Rows
from ehrsynth.schema import Schema
from ehrsynth.twins.question import Request, ask
from ehrsynth.twins.results import ANSWERED, as_json

PACKAGES = ("ehrsynth", "lightgbm", "numpy", "pandas", "scikit-learn", "scipy")


@dataclass(frozen=True, slots=True)
class TwinsResult:
    """What came of it: the answer as plain values, the gate's decision on a synthetic cohort, the folder."""

    answer: Mapping[str, Any]
    decision: Decision | None
    folder: Path

    def raise_if_refused(self) -> None:
        """Raise if anything that was asked for was withheld, but for some patients of a cohort.

        Where the numbers of some patients are withheld and those of others given ("answered in part"), the
        answers that are given are right, and the files and the page say whose are missing.

        Raises
        ------
        Refused
            Lists every reason, with the flag that overrides it.
        ReleaseBlocked
            If nothing was refused but the cohort may not leave.
        """
        reasons = [
            f"{'' if r['outcome'] == 'all' else r['outcome'] + ': '}{r['reason']} (override: {r['override']})"
            for r in self.answer["refusals"]
            if not r["overridden"] and self.answer["verdict"] not in ANSWERED
        ]
        reasons += [
            f"the trial contradicts {failed} of {len(check['cells'])} numbers ({check['outcome']})"
            for check in self.answer["trial_check"]
            if (failed := sum(not cell["passed"] for cell in check["cells"]))
        ]
        reasons += [
            f"the trial check was not computed ({check['outcome']}): {check['reason']}"
            for check in self.answer["trial_check"]
            if not check["cells"]
        ]
        where = f"see {self.folder / 'internal'}"
        if reasons:
            raise Refused(f"refused: {reasons[0]}", (*reasons[1:], where))
        if self.decision is not None and not self.decision.released:
            raise ReleaseBlocked(f"blocked: {self.decision.reasons[0]}", (*self.decision.reasons[1:], where))


def make_twins(  # noqa: PLR0913 - one argument for each thing that a person decides
    data: Path | str | pd.DataFrame,
    schema: Schema,
    request: Request,
    out: Path | str,
    *,
    wanted: Wanted | None = None,
    seed: int | None = None,
    key: bytes | None = None,
    policy: Policy | None = None,
    train_on_synthetic: bool = False,
    register: Path | None = None,
    command: str = "",
    renewal: TwinRenewal | None = None,
    progress: Progress | None = None,
) -> TwinsResult:
    """Answer a question about a table and write what may be written.

    Parameters
    ----------
    out
        The folder to make: `internal/` always; `share/` only for a cohort of synthetic patients that the gate
        lets go.
    seed, key
        None: fresh. The key splits off the patients whom nothing sees; both stand in the internal manifest.
    register
        The register of what was learnt from this data set, default beside `out`: each cohort of synthetic
        twins is a look at the patients, which divides the level of the next, be it a release or twins.
    renewal
        Where this takes the place of an earlier job (`ehrsynth.deletion`): what is done otherwise.

    Raises
    ------
    RequestError, DataError
        If the question or the table is wrong.
    OutputError
        If `out` is taken or cannot be written; nothing is left behind.
    """
    out, report, wanted = Path(out), progress or silent, wanted or Wanted()
    must_be_free(out)
    policy = load_policy() if policy is None else policy
    question = ask(request, schema)
    if wanted.trial and not question.randomised:
        raise RequestError("the trial check needs randomised arms: say --design randomised, if they were")
    report(0.0, "reading the table")
    table = whole_table(data, schema)
    book, marks = place_of(out, register), None if wanted.synthetic is None else marks_of(table, schema)
    looked = 0 if marks is None else looks(book, marks)
    hidden = secrets_of(data, table, out, seed=seed, key=key, looked=looked)
    if renewal is not None:
        hidden = replace(hidden, attempt=hidden.attempt + renewal.attempt)
    asked = asked_for(table, schema, request, wanted, key=hidden.key, accepted=train_on_synthetic)
    real = patients_for_twins(
        table,
        question,
        request,
        wanted,
        hidden=hidden,
        policy=policy,
        accepted=train_on_synthetic,
        renewed=renewal is not None,
    )
    found = answers(real, wanted, policy, report)
    report(0.97, "writing")
    if renewal is not None:
        found = replace(found, decision=renewal.with_checks(found.decision))
    answer = _answer(found, real, wanted)
    provenance = _provenance(real, found, wanted, policy, command)
    note = TwinNote(asked, renewal)
    write_twins(out, TwinProduct(answer, found.cohort, found.decision, provenance, real.hidden, policy, note))
    if marks is not None and found.decision is not None:
        enter_look(book, marks, out, released=found.decision.released)
    report(1.0, str(answer["verdict"]))
    return TwinsResult(answer, found.decision, out)


def _answer(found: TwinAnswers, real: TwinPatients, wanted: Wanted) -> dict[str, Any]:
    answer = as_json(found.study, found.checks, found.cohort)
    cohort = {
        "patients": len(found.cohort),
        "synthetic": found.cohort.synthetic,
        "made_by": wanted.generator if wanted.synthetic is not None else None,
        "draws": wanted.draws,
        "split": real.cut.how if real.cut is not None else "",
        "outside_support": int(found.cohort.support.outside.sum()),
        "withheld": int(found.cohort.withheld.sum()),
    }
    release = None if found.decision is None else found.decision.as_json()
    return {**answer, "cohort": cohort, "actions": list(real.actions), "release": release}


def _provenance(
    real: TwinPatients, found: TwinAnswers, wanted: Wanted, policy: Policy, command: str
) -> Provenance:
    unseen = len(real.cut.control) if real.cut is not None else 0
    drawn = len(found.cohort) if found.cohort.synthetic else 0
    rows = Rows(len(real.table), len(real.learnt), unseen, drawn)
    return replace(
        provenance_of(real.question.schema, policy, found.evaluation, rows=rows, packages=PACKAGES),
        generator=wanted.generator if wanted.synthetic is not None else "",
        recipe=dict(wanted.settings),
        actions=real.actions,
        seed=real.hidden.seed,
        command=command,
        attempt=real.hidden.attempt,
    )
