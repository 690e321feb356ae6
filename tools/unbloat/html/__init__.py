"""The HTML report: one file that needs nothing else, with both trees side by side and the evidence for every line."""

from __future__ import annotations

from unbloat.html.collect import collect
from unbloat.html.model import Golden, Judged, Report
from unbloat.html.page import page

__all__ = ["Golden", "Judged", "Report", "collect", "page"]
