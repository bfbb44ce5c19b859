"""The report: decisions and provenance as values, and one page that shows them."""

from ehrsynth.report.decision import Check, Decision
from ehrsynth.report.provenance import Guarantee, Provenance, Rows

__all__ = ["Check", "Decision", "Guarantee", "Provenance", "Rows"]
