"""Rearrange a stripped package step by step; every step is judged, and one that is noticed is left out."""

from __future__ import annotations

from unbloat.restructure.aliases import Aliases, by_new_names, load_aliases, save_aliases
from unbloat.restructure.run import Judge, Restructured, gate, restructure, with_aliases

__all__ = [
    "Aliases",
    "Judge",
    "Restructured",
    "by_new_names",
    "gate",
    "load_aliases",
    "restructure",
    "save_aliases",
    "with_aliases",
]
