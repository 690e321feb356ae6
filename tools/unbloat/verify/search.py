"""Accept what can be accepted: a batch at once if it holds, otherwise in halves, down to the guilty ones."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

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


Outcome: TypeAlias = Accepted[Item] | Rejected[Item]


class OtherSearchError(ValueError):
    """What is remembered cannot have come from this batch."""


def settle(
    batch: Sequence[Item],
    judge: Callable[[tuple[Item, ...]], str | None],
    past: Sequence[Outcome[Item]] = (),
) -> Iterator[Outcome[Item]]:
    """Split a batch into what holds and what does not.

    `judge` gets everything accepted from this batch so far plus the items in question, and returns None if they hold, or
    the reason why not. Later items may depend on earlier ones, so the order is kept.

    `past` are the first outcomes of a search that was interrupted. They come again without asking the judge, and the
    search goes on in the same halves: two items that hold only together must not be torn apart by an interruption.

    Raises:
        OtherSearchError: `past` does not belong to this batch.
    """
    accepted: tuple[Item, ...] = ()
    pending = [tuple(batch)]
    remembered = deque(past)
    while pending:
        part = pending.pop()
        outcome = _recalled(part, remembered) if remembered else _judged(part, judge((*accepted, *part)))
        if outcome is None:
            middle = len(part) // 2
            pending += [part[middle:], part[:middle]]
            continue
        if isinstance(outcome, Accepted):
            accepted += outcome.items
        yield outcome
    if remembered:
        raise OtherSearchError


def longest(count: int, judge: Callable[[int], str | None], reason: str) -> tuple[int, str]:
    """How long a beginning holds, and why a longer one by one does not.

    Of `count` items in a row, none at all hold and all together do not, for `reason`. What `judge` says of the first so
    many is asked about as often as `count` can be halved.
    """
    low, high = 0, count
    while high - low > 1:
        middle = (low + high) // 2
        if (found := judge(middle)) is None:
            low = middle
        else:
            high, reason = middle, found
    return low, reason


def _judged(part: tuple[Item, ...], reason: str | None) -> Outcome[Item] | None:
    if reason is None:
        return Accepted(part)
    return Rejected(part[0], reason) if len(part) == 1 else None


def _recalled(part: tuple[Item, ...], remembered: deque[Outcome[Item]]) -> Outcome[Item] | None:
    """None says that only a half of this part was decided next, so that as a whole it did not hold."""
    following = remembered[0]
    decided = following.items if isinstance(following, Accepted) else (following.item,)
    if decided == part:
        return remembered.popleft()
    if len(decided) >= len(part):
        raise OtherSearchError
    return None
