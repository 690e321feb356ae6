"""What is known about the legacy: what the runs did, and what can be told without running it."""

from unbloat.evidence.binding import BindingTimes
from unbloat.evidence.facts import Facts, Outcomes
from unbloat.evidence.program import Module, Program
from unbloat.evidence.purity import Purity
from unbloat.evidence.references import References, identifiers_of
from unbloat.evidence.support import PinnedArgument, Support, Supports, Unsupported

__all__ = [
    "BindingTimes",
    "Facts",
    "Module",
    "Outcomes",
    "PinnedArgument",
    "Program",
    "Purity",
    "References",
    "Support",
    "Supports",
    "Unsupported",
    "identifiers_of",
]
