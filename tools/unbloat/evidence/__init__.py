"""What is known about the legacy: what the runs did, and what can be told without running it."""

from unbloat.evidence.binding import BindingTimes
from unbloat.evidence.config_flow import ConfigFlow
from unbloat.evidence.facts import Facts, Outcomes
from unbloat.evidence.program import Module, Program, program_around
from unbloat.evidence.purity import Purity
from unbloat.evidence.references import References, identifiers_of
from unbloat.evidence.support import NOTHING, PinnedArgument, PinnedField, Support, Supports, Unsupported, joined
from unbloat.evidence.swallow import LOUD, LegacyErrors, Swallowers

__all__ = [
    "LOUD",
    "NOTHING",
    "BindingTimes",
    "ConfigFlow",
    "Facts",
    "LegacyErrors",
    "Module",
    "Outcomes",
    "PinnedArgument",
    "PinnedField",
    "Program",
    "Purity",
    "References",
    "Support",
    "Supports",
    "Swallowers",
    "Unsupported",
    "identifiers_of",
    "joined",
    "program_around",
]
