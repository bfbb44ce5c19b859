"""What one forgetting asks of the release job: further checks of the gate, the ledger, the certificate."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from ehrsynth.deletion.certificate import Side, certify
from ehrsynth.deletion.earlier import CERTIFICATE, FORGOTTEN, KEY, Earlier, Ledger, model_hash
from ehrsynth.deletion.relearning import Relearning
from ehrsynth.files import canonical_json, content_hash, sha256
from ehrsynth.generators.base import AbstractGenerator
from ehrsynth.generators.recipes import recipe
from ehrsynth.release.manifest import MANIFEST
from ehrsynth.release.merkle import Tree
from ehrsynth.release.renewal import Renewal
from ehrsynth.release.request import Request, load_request
from ehrsynth.release.sealing import INTERNAL, PRIVATE_FILE
from ehrsynth.report.decision import Check, Decision, compare

TOGETHER = 11  # the smallest group that health statistics offices publish about
WAITING, SEEDED = "Patients forgotten since the last table", "Seeds that somebody knows"
Outcome = Literal["published", "waits", "blocked", "none", "inside"]
SAID: Mapping[Outcome, str] = {
    "published": "a new table was published",
    "waits": f"a new table waits until {TOGETHER} patients are forgotten together, since the difference of "
    "two tables can expose one person",
    "blocked": "no new table: the gate says no",
    "inside": "no table was made for others: twins of real patients stay inside",
    "none": "no table was made; where one of the old model left, none of the new one should until "
    f"{TOGETHER} patients are forgotten together, since the difference of two tables can expose one person",
}


def outcome(decision: Decision) -> Outcome:
    """What becomes of a new table: only those checks that forgetting itself adds make it wait."""
    if decision.released:
        return "published"
    return "waits" if {check.name for check in decision.failed} <= {WAITING, SEEDED} else "blocked"


@dataclass(slots=True)
class Renewing:
    """One forgetting under way.

    Parameters
    ----------
    hashes
        The forgotten patients' keyed hashes.
    tree
        Of the patients who remain.
    seeded
        Whether somebody knows the seed: no table is published then.
    behind
        The keyed hashes of those of them from whom the last published table was learnt.
    bystanders
        Who is proven absent besides: they were named, and had never been learnt.
    """

    earlier: Earlier
    relearning: Relearning
    hashes: tuple[bytes, ...] = field(repr=False)
    tree: Tree = field(repr=False)
    seeded: bool
    behind: tuple[bytes, ...] = field(default=(), repr=False)
    bystanders: tuple[bytes, ...] = field(default=(), repr=False)
    _outcome: Outcome = "blocked"

    @property
    def grown(self) -> Ledger:
        """The ledger with these patients."""
        return self.earlier.ledger.with_more(self.hashes, self.behind)

    def ledger(self, decision: Decision) -> Ledger:
        """The ledger after the decision."""
        return self.grown.after_a_table() if decision.released else self.grown

    def renewal(self) -> Renewal:
        """What the job does otherwise."""
        request = self.earlier.request
        private = has_guarantee(recipe(request.generator, request.settings))
        return Renewal(
            self.relearning,
            further_checks(self.grown, private=private, seeded=self.seeded),
            self.earlier.attempt,
            replaces(self.earlier),
            self._files,
            self._finish,
            request.sampled,
        )

    def _files(self, decision: Decision) -> Mapping[str, bytes]:
        self._outcome = outcome(decision)
        return {
            FORGOTTEN: self.ledger(decision).as_bytes(),
            KEY: self.earlier.key.hex().encode() + b"\n",
        }

    def _finish(self, folder: Path) -> None:
        write_certificate(
            folder,
            self.earlier,
            self.tree,
            (*self.hashes, *self.bystanders),
            after=load_request(folder / INTERNAL),
            method=self.relearning.said,
            table=self._outcome,
        )


def further_checks(grown: Ledger, *, private: bool, seeded: bool) -> tuple[Check, ...]:
    """The checks of a gate that forgetting adds and that say no.

    Parameters
    ----------
    grown
        The ledger with those who are forgotten now.
    private
        Whether what is made has a guarantee.
    seeded
        Whether somebody knows the seed.
    """
    found = [] if private or not grown.published else [_together(len(grown.pending))]
    found += [_known_seed()] if seeded else []
    return tuple(check for check in found if not check.passed)


def write_certificate(  # noqa: PLR0913 - what it states
    folder: Path,
    earlier: Earlier,
    tree: Tree,
    hashes: Sequence[bytes],
    *,
    after: Request,
    method: str,
    table: Outcome,
) -> None:
    """Write the certificate into what takes the place of an earlier one, when all else is there."""
    content = certify(
        side_before(earlier),
        side_of(
            after,
            manifest=sha256(folder / INTERNAL / MANIFEST),
            model=model_hash(folder, earlier.kind),
            certificate=None,
        ),
        tree,
        hashes,
        method=method,
        table=SAID[table],
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        key=earlier.key,
    )
    (folder / CERTIFICATE).write_bytes(content)
    (folder / CERTIFICATE).chmod(PRIVATE_FILE)


def has_guarantee(chosen: AbstractGenerator) -> bool:
    """Whether a recipe learns under differential privacy."""
    return chosen.asked is not None


def side_before(earlier: Earlier) -> Side:
    """What is replaced."""
    return side_of(
        earlier.request,
        manifest=earlier.manifest_hash,
        model=earlier.model_hash,
        certificate=earlier.certificate_hash,
    )


def replaces(earlier: Earlier) -> dict[str, str | None]:
    """What the manifest of the new one says of the old one."""
    return {"manifest_sha256": earlier.manifest_hash, "certificate_sha256": earlier.certificate_hash}


def side_of(request: Request, *, manifest: str, model: str | None, certificate: str | None) -> Side:
    """One side of a certificate, from what was asked for and the hashes of what came of it."""
    made = canonical_json({"generator": request.generator, "settings": dict(request.settings)})
    return Side(manifest, request.code, content_hash(made), model, request.census, certificate)


def _together(pending: int) -> Check:
    return compare(
        WAITING,
        pending,
        TOGETHER,
        "at least",
        explanation=f"A new table waits until {TOGETHER} patients from whom the last one was learnt are "
        "forgotten together: the difference of two tables can expose one person. Patients who were held out "
        "change neither table and do not count. The model has forgotten all of them already.",
        source="ours",
        citation="11 is the smallest cell that health statistics offices commonly publish.",
    )


def _known_seed() -> Check:
    return compare(
        SEEDED,
        1,
        0,
        "at most",
        explanation="The seed of this fit was given, which is for tests: no table of it may leave.",
        source="ours",
        citation="With a known seed, an outsider who knows all patients but one can test for that one.",
    )
