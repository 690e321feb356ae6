"""A certificate of what was stripped from what, and that nothing noticed: written, and recomputed by whoever doubts it."""

from __future__ import annotations

from unbloat.certify.check import Difference, Verdict, check, on_disk
from unbloat.certify.make import certify
from unbloat.certify.statement import load_statement, result_of, to_text

__all__ = ["Difference", "Verdict", "certify", "check", "load_statement", "on_disk", "result_of", "to_text"]
