"""What is known about the legacy: what the runs did, and what can be told without running it."""

from unbloat.evidence.catchers import LOUD, LOUDER, Catchers
from unbloat.evidence.facts import Facts, Outcomes
from unbloat.evidence.flow import Flow
from unbloat.evidence.program import Module, Program, program_around
from unbloat.evidence.purity import Purity
from unbloat.evidence.references import References, identifiers_of
from unbloat.evidence.support import NOTHING, PinnedArgument, Support, joined

__all__ = [
    "LOUD",
    "LOUDER",
    "NOTHING",
    "Catchers",
    "Facts",
    "Flow",
    "Module",
    "Outcomes",
    "PinnedArgument",
    "Program",
    "Purity",
    "References",
    "Support",
    "identifiers_of",
    "joined",
    "program_around",
]
