r"""How many loops a looped transformer runs, and through how many of them the gradient goes."""

from dataclasses import dataclass
from typing import Any, Optional, Tuple


@dataclass(frozen=True)
class LoopSchedule:
    r"""
    Curriculum of Yang et al., "Looped transformers are better at learning learning algorithms" (2024).

    .. math:: b(e) = \min\big(b_{start} + \lfloor e / every \rfloor \cdot increment, \; b, \; b_{cap}\big),
              \qquad T(e) = \min(T, b(e))

    b: loops; T: the last loops whose output enters the loss.

    [INFERRED] model.looped.scheduler is null in the config (b and T are constant then), so the keys start,
    every and increment are a guess. Alternative considered: T growing together with b.
    """

    b: int
    T: int
    b_cap: Optional[int] = None
    start: Optional[int] = None
    every: int = 1
    increment: int = 1

    def __post_init__(self) -> None:
        if self.b < 1 or self.T < 1 or self.every < 1:
            raise ValueError(f"b, T and every must be at least 1, got {self.b}, {self.T} and {self.every}")

    @classmethod
    def from_config(cls, looped: Any) -> "LoopSchedule":
        """From the node model.looped."""
        curriculum = looped.get("scheduler") or {}
        return cls(
            b=int(looped["b"]),
            T=int(looped["T"]),
            b_cap=None if looped.get("b_cap") is None else int(looped["b_cap"]),
            start=None if curriculum.get("start") is None else int(curriculum["start"]),
            every=int(curriculum.get("every", 1)),
            increment=int(curriculum.get("increment", 1)),
        )

    def at(self, epoch: int) -> Tuple[int, int]:
        """(b, T) of an epoch."""
        loops = self.b
        if self.start is not None:
            loops = min(self.b, self.start + (epoch // self.every) * self.increment)
        if self.b_cap is not None:
            loops = min(loops, self.b_cap)
        loops = max(1, loops)
        return loops, min(self.T, loops)
