"""Accept what can be accepted: a batch at once if it holds, otherwise in halves, down to the guilty ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item")


@dataclass(frozen=True)
class Accepted(Generic[Item]):
    """These hold together with everything that was accepted before."""

    items: tuple[Item, ...]


@dataclass(frozen=True)
class Rejected(Generic[Item]):
    """This one does not, for this reason."""

    item: Item
    reason: str


def settle(batch: Sequence[Item], judge: Callable[[tuple[Item, ...]], str | None]) -> Iterator[Accepted[Item] | Rejected[Item]]:
    """Split a batch into what holds and what does not.

    `judge` gets everything accepted from this batch so far plus the items in question, and returns None if they hold, or
    the reason why not. Later items may depend on earlier ones, so the order is kept.
    """
    accepted: tuple[Item, ...] = ()
    pending = [tuple(batch)]
    while pending:
        part = pending.pop()
        reason = judge((*accepted, *part))
        if reason is None:
            accepted += part
            yield Accepted(part)
        elif len(part) == 1:
            yield Rejected(part[0], reason)
        else:
            middle = len(part) // 2
            pending += [part[middle:], part[:middle]]
