"""What one forgetting asks of the release job: further checks of the gate, the ledger, the certificate."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from ehrsynth.deletion.certificate import Side, certify
from ehrsynth.deletion.earlier import CERTIFICATE, FORGOTTEN, KEY, Earlier, Ledger
from ehrsynth.deletion.relearning import Relearning
from ehrsynth.files import canonical_json, content_hash, sha256
from ehrsynth.generators.base import AbstractGenerator
from ehrsynth.generators.recipes import recipe
from ehrsynth.release.manifest import MANIFEST
from ehrsynth.release.merkle import Tree
from ehrsynth.release.renewal import Renewal
from ehrsynth.release.request import Request, load_request
from ehrsynth.release.verify import INTERNAL, PRIVATE_FILE
from ehrsynth.report.decision import Check, Decision, compare

TOGETHER = 11  # the smallest group that health statistics offices publish about
WAITING, SEEDED = "Patients forgotten since the last table", "Seeds that somebody knows"
Outcome = Literal["published", "waits", "blocked", "none"]
SAID: Mapping[Outcome, str] = {
    "published": "a new table was published",
    "waits": f"a new table waits until {TOGETHER} patients are forgotten together, since the difference of "
    "two tables can expose one person",
    "blocked": "no new table: the gate says no",
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
    """

    earlier: Earlier
    relearning: Relearning
    hashes: tuple[bytes, ...] = field(repr=False)
    tree: Tree = field(repr=False)
    seeded: bool
    _outcome: Outcome = "blocked"

    @property
    def grown(self) -> Ledger:
        """The ledger with these patients."""
        return self.earlier.ledger.with_more(self.hashes)

    def ledger(self, decision: Decision) -> Ledger:
        """The ledger after the decision."""
        return self.grown.after_a_table() if decision.released else self.grown

    def renewal(self) -> Renewal:
        """What the job does otherwise."""
        checks = [check for check in self._checks() if not check.passed]
        return Renewal(
            self.relearning,
            tuple(checks),
            self.earlier.attempt,
            replaces(self.earlier),
            self._files,
            self._finish,
        )

    def _checks(self) -> Sequence[Check]:
        request, found = self.earlier.request, []
        if self.grown.published and not has_guarantee(recipe(request.generator, request.settings)):
            found.append(_together(len(self.grown.pending)))
        if self.seeded:
            found.append(_known_seed())
        return found

    def _files(self, decision: Decision) -> Mapping[str, bytes]:
        self._outcome = outcome(decision)
        return {
            FORGOTTEN: self.ledger(decision).as_bytes(),
            KEY: self.earlier.key.hex().encode() + b"\n",
        }

    def _finish(self, folder: Path) -> None:
        internal = folder / INTERNAL
        after = side_of(
            load_request(internal),
            manifest=sha256(internal / MANIFEST),
            model=sha256(internal / "model" / "seal.json"),
            certificate=None,
        )
        content = certify(
            side_before(self.earlier),
            after,
            self.tree,
            self.hashes,
            method=self.relearning.said,
            table=SAID[self._outcome],
            date=datetime.now(UTC).isoformat(timespec="seconds"),
            key=self.earlier.key,
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
        explanation=f"A new table waits until {TOGETHER} patients are forgotten together: the difference of "
        "two tables can expose one person. The model has forgotten them already.",
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
