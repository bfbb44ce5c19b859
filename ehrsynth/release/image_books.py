"""What a private fit of images asks of the register, where there is no schema that would name the data."""

import math
from dataclasses import dataclass
from pathlib import Path

from ehrsynth.dp.budget import checked_delta
from ehrsynth.errors import RequestError
from ehrsynth.generators.base import PrivacySpent
from ehrsynth.generators.private import BROKEN_OFF
from ehrsynth.release.books import new_register
from ehrsynth.release.policy import Policy
from ehrsynth.release.register import Entry, add, check_asked, entries


@dataclass(frozen=True, slots=True)
class ImageBooks:
    """The register of one set of images under one policy.

    Parameters
    ----------
    name
        What the register calls these patients; tables of the same patients have their schema's name.
    patients
        How many there are, as far as everybody knows.
    """

    register: Path
    name: str
    patients: int
    policy: Policy

    def check(self, epsilon: float, delta: float | None, seed: int | None) -> None:
        """Raise before anything is read, where a private fit cannot be allowed.

        Raises
        ------
        RequestError
            If there is a seed, or delta is too large.
        BudgetExceeded
            If the cap is already reached, or the epsilon asked for is above it.
        """
        if seed is not None:
            raise RequestError(
                "images are learnt under differential privacy without a seed: who knows it can take the "
                "noise off again. Leave --seed out"
            )
        checked_delta(delta, self.patients)
        check_asked(entries(self.register, self.name), epsilon, self._delta, self.policy.epsilon_cap.value)

    def begun(self) -> str:
        """What is not in a register that is new, or new to these images; empty where it is neither.

        Images have no schema that they would be known by: another name is another set.
        """
        if not self.register.is_file():
            return new_register(self.register, private=True)
        if not entries(self.register, self.name):
            return (
                f"the register {self.register.absolute()} holds nothing of {self.name!r} yet: epsilon that "
                "was spent elsewhere, or on the same patients under another name (--data-set), is not in it"
            )
        return ""

    def enter(self, out: Path, spent: PrivacySpent) -> float:
        """Write down what a model cost, before it is saved; epsilon over all that was learnt so far.

        Raises
        ------
        BudgetExceeded
            If it passes the policy's cap: then the model may not be written.
        """
        entry = Entry.now("model", out, None, spent)
        cap = self.policy.epsilon_cap.value
        return add(self.register, self.name, entry, delta=self._delta, cap=cap).epsilon

    def breaks_off(self, out: Path, spent: PrivacySpent) -> None:
        """Write down what a fit has spent that ends without a model, whatever the cap."""
        entry = Entry.now(BROKEN_OFF, out, None, spent)
        add(self.register, self.name, entry, delta=self._delta, cap=math.inf)

    @property
    def _delta(self) -> float:
        return checked_delta(None, self.patients)
