"""Rounds: what was proposed together, what came of it, and how a journal tells of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from unbloat.edit import DropArgument, DropParameter
from unbloat.plan.removal import Removal
from unbloat.verify.search import Accepted, OtherSearchError, Outcome, Rejected, settle

Batch: TypeAlias = tuple[Removal, ...]
Event: TypeAlias = dict[str, Any]


@dataclass(frozen=True)
class Tried:
    """What became of rounds that were verified together: those up to number `held` hold, and why the next one does not."""

    held: int
    reason: str | None = None

    @property
    def last(self) -> int:
        """The last round of which this tells."""
        return self.held + (self.reason is not None)

    def to_event(self) -> Event:
        return {"event": "tried", "held": self.held, "reason": self.reason}


@dataclass(frozen=True)
class Round:
    """A batch and what came of it."""

    batch: Batch
    outcomes: tuple[Outcome[Batch], ...]

    @property
    def accepted(self) -> list[Removal]:
        return _flat(group for outcome in self.outcomes if isinstance(outcome, Accepted) for group in outcome.items)

    @property
    def rejected(self) -> list[tuple[Removal, str]]:
        found = [outcome for outcome in self.outcomes if isinstance(outcome, Rejected)]
        return [(removal, outcome.reason) for outcome in found for removal in outcome.item]


@dataclass(frozen=True)
class Told:
    """What the journal of an interrupted run tells: whole rounds, the tries, and the beginning of the next round."""

    rounds: tuple[tuple[Event, ...], ...]
    tries: tuple[Tried, ...]
    begun: tuple[Event, ...]

    @classmethod
    def by(cls, events: Iterable[Event]) -> Told:
        """Raises OtherSearchError if a round comes before it was tried."""
        rounds: list[tuple[Event, ...]] = []
        tries: list[Tried] = []
        begun: list[Event] = []
        for event in events:
            match event["event"]:
                case "tried":
                    tries.append(Tried(event["held"], event["reason"]))
                case "accepted" | "rejected":
                    begun.append(event)
                case "round":
                    rounds.append(tuple(begun))
                    begun.clear()
        if len(rounds) + bool(begun) > (tries[-1].last if tries else 0):
            raise OtherSearchError
        return cls(tuple(rounds), tuple(tries), tuple(begun))

    @property
    def open(self) -> Tried | None:
        """The last try, if not all rounds of which it tells are there."""
        return self.tries[-1] if self.tries and len(self.rounds) < self.tries[-1].last else None


def depth(tries: Sequence[Tried]) -> int | None:
    """How many rounds to verify together: all that there are until one does not hold, then one, two, four and so on.

    Where many rounds fail, little is proposed on top of what turns out not to hold, and a round is not verified much more
    often than it would be alone.
    """
    since = next((number for number, one in enumerate(reversed(tries)) if one.reason is not None), None)
    return None if since is None else int(2**since)


def settled(
    batch: Batch,
    judge: Callable[[Batch], str | None],
    past: Sequence[Event] = (),
    known: str | None = None,
) -> Iterator[Outcome[Batch]]:
    """Split a batch into what holds and what does not; `past` are its first events, `known` is why the whole does not hold.

    Raises:
        OtherSearchError: `past` does not belong to this batch.
    """
    groups = tuple(together(batch))

    def judge_groups(part: tuple[Batch, ...]) -> str | None:
        return known if known is not None and part == groups else judge(tuple(_flat(part)))

    return settle(groups, judge_groups, list(_outcomes(groups, past)))


def together(removals: Iterable[Removal]) -> Iterator[Batch]:
    """A parameter goes with the arguments that were passed for it, or not at all; all else goes alone."""
    group: list[Removal] = []
    for removal in removals:
        belongs = isinstance(removal.edit, DropArgument) and group and isinstance(group[0].edit, DropParameter)
        if group and not belongs:
            yield tuple(group)
            group = []
        group.append(removal)
    if group:
        yield tuple(group)


def suspects_last(batch: Batch, faults: Sequence[str]) -> tuple[Batch, ...]:
    """A batch in up to two parts: what is in files that the faults do not name, and what is in those that they do."""
    parts: tuple[list[Removal], list[Removal]] = ([], [])
    for group in together(batch):
        parts[any(removal.file in fault for removal in group for fault in faults)].extend(group)
    return tuple(tuple(part) for part in parts if part)


def about(events: Sequence[Event], batch: Batch) -> list[Event]:
    """The events that tell of these removals."""
    places = {(removal.file, removal.edit) for removal in batch}
    return [event for event in events if any((one.file, one.edit) in places for one in _told_by(event))]


def events_of(outcome: Outcome[Batch]) -> list[Event]:
    """The journal's events for an outcome."""
    if isinstance(outcome, Accepted):
        return [{"event": "accepted", "removals": [removal.to_json() for removal in _flat(outcome.items)]}]
    return [{"event": "rejected", "removal": removal.to_json(), "reason": outcome.reason} for removal in outcome.item]


def removals_of(events: Iterable[Mapping[str, Any]]) -> list[Removal]:
    """What a journal says was accepted."""
    return [Removal.from_json(removal) for event in events if event["event"] == "accepted" for removal in event["removals"]]


def rejections_of(events: Iterable[Mapping[str, Any]]) -> list[tuple[Removal, str]]:
    """What a journal says was rejected, and why."""
    return [(Removal.from_json(event["removal"]), event["reason"]) for event in events if event["event"] == "rejected"]


def _outcomes(groups: Sequence[Batch], events: Sequence[Event]) -> Iterator[Outcome[Batch]]:
    """The outcomes that these events tell; of a group that was rejected, the first event tells all."""
    owner = {removal: group for group in groups for removal in group}
    rejected: Batch = ()
    for event in events:
        told = _told_by(event)
        if not owner.keys() >= set(told):
            raise OtherSearchError
        found = tuple(dict.fromkeys(owner[removal] for removal in told))
        if event["event"] == "accepted":
            yield Accepted(found)
        elif found != (rejected,):
            (rejected,) = found
            yield Rejected(rejected, event["reason"])


def _told_by(event: Event) -> list[Removal]:
    return removals_of([event]) or [removal for removal, _ in rejections_of([event])]


def _flat(groups: Iterable[Batch]) -> list[Removal]:
    return [removal for group in groups for removal in group]
