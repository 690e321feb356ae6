"""Answers about functions that ask for one another in circles."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

Key = TypeVar("Key")


class Circular(Generic[Key]):
    """Yes or no for each key, where the answer for one may hang on others and, in a circle, on itself.

    `judge` asks for the others by calling this object, and may answer no the more the more of them are no. Each is taken
    for a yes until it is a no, and then those that asked for it are judged again: the largest set of yeses that agree.
    A chain may be as long as it likes, since nothing here calls itself.
    """

    def __init__(self, judge: Callable[[Key], bool]) -> None:
        self._judge = judge
        self._known: dict[Key, bool] = {}
        self._guesses: dict[Key, bool] | None = None  # while some are judged
        self._asked: set[Key] = set()

    def __call__(self, key: Key) -> bool:
        if key in self._known:
            return self._known[key]
        if self._guesses is not None:
            self._asked.add(key)
            return self._guesses.setdefault(key, True)
        self._known |= self._settled(key)
        return self._known[key]

    def clear(self) -> None:
        """Forget everything, since the ground has changed."""
        self._known.clear()

    def _settled(self, start: Key) -> dict[Key, bool]:
        """The answers for a key and for all that it asks for."""
        self._guesses = guesses = {start: True}
        asking: dict[Key, set[Key]] = {start: set()}
        pending = [start]
        while pending:
            key = pending.pop()
            if not guesses[key]:
                continue
            self._asked = set()
            guesses[key] = self._judge(key)
            for other in self._asked:
                if other not in asking:
                    asking[other] = set()
                    pending.append(other)
                asking[other].add(key)
            if not guesses[key]:
                pending += asking[key]
        self._guesses = None
        return guesses
