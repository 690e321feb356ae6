"""Verification on every save: what a change can affect runs again, and its verdict comes as soon as it is known."""

from unbloat.watch.loop import watch

__all__ = ["watch"]
