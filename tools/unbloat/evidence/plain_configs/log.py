"""Who is told of the accesses to what is watched, and which key it has."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any, Protocol


class Log(Protocol):
    """What is told of the accesses."""

    def read(self, key: str, answer: list[Any] | None) -> None:
        """A key was read, or, if there is no answer, more than any pin can hold."""

    def read_keys(self, key: str, keys: list[str]) -> None:
        """It was read which keys there are."""

    def read_any(self, key: str, answer: bool) -> None:
        """It was read whether there is any key."""

    def wrote(self, key: str) -> None: ...

    def is_own(self, function: object) -> bool:
        """Whether a function is of the subject, and so is read there."""

    def unnoticed(self) -> AbstractContextManager[None]:
        """A time in which no access counts."""


class Register(Protocol):
    """What a stand needs to know."""

    log: Log

    def key_of(self, value: Any) -> str | None:
        """The key of what is watched; None for anything else."""

    def enlist(self, value: Any, key: str) -> None:
        """From now on a value has that key."""

    def answer(self, key: str, value: Any) -> list[Any] | None:
        """What a read of a key found, if a pin can hold it."""
