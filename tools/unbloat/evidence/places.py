"""In an observed run: which expressions of the subject are being evaluated right now.

Python knows the position of each running instruction, so the frames on the stack of the calling thread tell.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import CodeType, FrameType
from typing import TypeAlias

from unbloat.edit.edits import Span

Place: TypeAlias = tuple[str, Span]
"""File and position of an expression or function."""

# What hands a call on with the arguments as they are: decorators like `torch.no_grad()`, and, to `forward` alone (a hook gets
# others), `Module.__call__`.
_DECORATORS = ("torch/utils/_contextlib.py",)
_MODULE_CALL = ("torch/nn/modules/module.py", *_DECORATORS)


class Places:
    """Answers about the code beneath one folder, whose name ends in a slash."""

    def __init__(self, tree: str) -> None:
        self._tree = tree
        self._known: dict[tuple[CodeType, int], Place | None] = {}

    def frames(self, frame: FrameType | None) -> Iterator[FrameType]:
        """The subject's frames on the stack from `frame` outwards."""
        while frame is not None:
            if frame.f_code.co_filename.startswith(self._tree):
                yield frame
            frame = frame.f_back

    def of(self, frame: FrameType) -> Place | None:
        """The expression that a frame of the subject is evaluating."""
        instruction = (frame.f_code, frame.f_lasti)
        if instruction not in self._known:
            self._known[instruction] = _instruction(frame, self._tree)
        return self._known[instruction]

    def under_way(self) -> list[Place]:
        """Every expression of the subject that is under way, innermost first."""
        return [place for frame in self.frames(sys._getframe(1)) if (place := self.of(frame)) is not None]

    def any_under_way(self) -> bool:
        """Whether code of the subject is on the stack at all."""
        return next(self.frames(sys._getframe(1)), None) is not None

    def beneath(self, frame: FrameType | None) -> Place | None:
        """The innermost expression of the subject that is under way at a frame."""
        innermost = next(self.frames(frame), None)
        return self.of(innermost) if innermost is not None else None

    def caller(self, frame: FrameType | None, *, is_forward: bool) -> Place | None:
        """The expression of the subject that calls, directly or through a pass-through; None if somebody else does."""
        while frame is not None and frame.f_code.co_filename.endswith(_MODULE_CALL if is_forward else _DECORATORS):
            frame = frame.f_back
        if frame is None or not frame.f_code.co_filename.startswith(self._tree):
            return None
        return self.of(frame)


def _instruction(frame: FrameType, tree: str) -> Place | None:
    for offset, (line, end_line, column, end_column) in enumerate(frame.f_code.co_positions()):
        if offset * 2 == frame.f_lasti:
            if line is None or end_line is None or column is None or end_column is None:
                return None
            return frame.f_code.co_filename[len(tree) :], Span(line, column, end_line, end_column)
    return None
