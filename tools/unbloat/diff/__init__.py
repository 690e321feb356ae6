"""Where two trees first part: the first operation or recorded value that differs though what it was made from agrees."""

from __future__ import annotations

from unbloat.diff.finding import Finding, Kind, Operation, Place
from unbloat.diff.run import first_divergence, locate
from unbloat.diff.size import Size

__all__ = ["Finding", "Kind", "Operation", "Place", "Size", "first_divergence", "locate"]
