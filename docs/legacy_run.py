"""What only a run of the legacy can tell, as JSON: swallowed exceptions and tensors. The imports want their own process."""

from __future__ import annotations

import ast
import json
import sys
import tempfile
from collections.abc import Callable
from contextlib import chdir
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any

from parameters import LEGACY, by_component, differences, legacy_trainer, original, original_totals, saved_tensors, totals_of

SIDE, PAD = 30, 10


@dataclass(frozen=True)
class Swallowed:
    """An exception that ended in a handler of the package: where the function stood, and what it was."""

    during: str
    file: str
    line: int
    function: str
    exception: str
    message: str


@dataclass(frozen=True)
class Handlers:
    """Lines of one file: of its `except` clauses, of what they hold, and of `raise` in them."""

    clauses: frozenset[int]
    bodies: frozenset[int]
    raises: frozenset[int]


@cache
def _handlers(file: str) -> Handlers:
    tree = ast.parse(Path(file).read_text(encoding="utf-8"))
    handlers = [node for node in ast.walk(tree) if isinstance(node, ast.ExceptHandler)]
    inside = [node for handler in handlers for statement in handler.body for node in ast.walk(statement)]
    return Handlers(
        frozenset(handler.lineno for handler in handlers),
        frozenset(node.lineno for node in inside if isinstance(node, ast.stmt)),
        frozenset(node.lineno for node in inside if isinstance(node, ast.Raise)),
    )


class Tracer:
    """Follows exceptions through the frames of the package.

    One is swallowed if the body of a handler is entered and does not raise: what an `except` clause lets pass, or a handler
    hands on, goes up without another event in its frame.
    """

    def __init__(self, during: str) -> None:
        self._during = during
        self._raised: dict[FrameType, tuple[int, BaseException]] = {}
        self._examined: set[FrameType] = set()
        self._entered: dict[FrameType, int] = {}
        self._caught: dict[int, tuple[BaseException, Swallowed]] = {}

    @property
    def swallowed(self) -> list[Swallowed]:
        return [found for _, found in self._caught.values()]

    def trace(self, frame: FrameType, event: str, argument: Any) -> Any:
        if not frame.f_code.co_filename.startswith(str(LEGACY)):
            return None
        if event == "exception":
            self._caught.pop(id(argument[1]), None)
            self._raised[frame] = (frame.f_lineno, argument[1])
        elif event == "line":
            self._line(frame, _handlers(frame.f_code.co_filename))
        elif event == "return":
            self._raised.pop(frame, None)
            self._examined.discard(frame)
            self._entered.pop(frame, None)
        return self.trace

    def _line(self, frame: FrameType, handlers: Handlers) -> None:
        if frame in self._raised and frame.f_lineno in handlers.clauses:
            self._examined.add(frame)
        elif frame in self._examined and frame.f_lineno in handlers.bodies:
            self._examined.discard(frame)
            line, error = self._raised.pop(frame)
            name = Path(frame.f_code.co_filename).relative_to(LEGACY).as_posix()
            found = Swallowed(self._during, name, line, frame.f_code.co_name, type(error).__name__, str(error))
            self._caught[id(error)] = (error, found)
            self._entered[frame] = id(error)
        if frame in self._entered and frame.f_lineno in handlers.raises:
            self._caught.pop(self._entered.pop(frame), None)


def swallowed(during: str, action: Callable[[], object]) -> list[Swallowed]:
    """Run something, and list what the package swallowed."""
    tracer, before = Tracer(during), sys.gettrace()  # Coverage may be tracing.
    sys.settrace(tracer.trace)
    try:
        action()
    finally:
        sys.settrace(before)
    return tracer.swallowed


def main() -> None:
    result, sys.stdout = sys.stdout, sys.stderr  # whatever the package prints is not the result
    sys.modules["hydra"] = None  # type: ignore[assignment]  # the same result whether it is installed or not
    build = legacy_trainer()  # what imports raise and catch is not the point
    import torch

    trainers: list[Any] = []
    with tempfile.TemporaryDirectory() as folder, chdir(folder), torch.no_grad():
        found = swallowed("construction", lambda: trainers.append(build()))
        trainer = trainers[0].eval()
        grid = torch.full((1, SIDE, SIDE), PAD)
        grid[:, :4, :5] = torch.arange(20).reshape(4, 5) % 10
        pairs = torch.stack([grid, grid], dim=1)
        found += swallowed("teacher-forced forward", lambda: trainer(grid, grid, pairs, pairs))
    tensors = saved_tensors(trainer.core_model)
    totals = totals_of(tensors, trainer)
    components = by_component(tensors)
    report = {
        "swallowed": [asdict(one) for one in found],
        "components": components,
        "tensors": {component: sum(tensor.component == component for tensor in tensors) for component in components},
        "totals": totals,
        "differences": differences(tensors, original(), totals, original_totals()),
    }
    json.dump(report, result)


if __name__ == "__main__":
    main()
