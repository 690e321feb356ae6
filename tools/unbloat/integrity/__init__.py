"""The self-check of a strict reproduction: what was compared, what is the same, what went and why, and what is not known."""

from __future__ import annotations

from unbloat.integrity.make import integrity_report, plan_report
from unbloat.integrity.markdown import to_markdown
from unbloat.integrity.report import Check, Outcome, Report, Section, Table

__all__ = ["Check", "Outcome", "Report", "Section", "Table", "integrity_report", "plan_report", "to_markdown"]
