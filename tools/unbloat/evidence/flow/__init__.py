"""Where values come from, in the code that did run: which decisions the pins settle once unseen code is wired."""

from unbloat.evidence.flow.analysis import Flow

__all__ = ["Flow"]
