"""In a run's own process: which line of the tree, and which module of the model, is running right now.

Asked of the frames on the stack. Hooks would tell the module too, but torch leaves some of its fused paths where hooks
are, and a hook that an exception has skipped leaves a wrong answer behind.
"""

from __future__ import annotations

import enum
import sys
import weakref
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from unbloat.golden import recorder
from unbloat.golden.imports import CodeUnderTest, is_beneath

BACKWARD, OPTIMIZER = "(backward)", "(optimizer)"


class _Role(enum.Enum):
    """What a frame's code is to us, where it is not the user's."""

    MODULE = enum.auto()
    BACKWARD = enum.auto()
    OPTIMIZER = enum.auto()
    RECORDER = enum.auto()
    OTHER = enum.auto()


_TORCH = {
    ("torch/nn/modules/module.py", "Module._call_impl"): _Role.MODULE,
    ("torch/autograd/graph.py", "_engine_run_backward"): _Role.BACKWARD,
    ("torch/optim/optimizer.py", "Optimizer.profile_hook_step.<locals>.wrapper"): _Role.OPTIMIZER,
}


@dataclass(frozen=True)
class _Source:
    """The user's code; `in_tree` is false for the workload and what lies beside it."""

    file: str
    in_tree: bool


@dataclass(frozen=True)
class Whereabouts:
    """`module` is empty outside all modules; `file` is empty if no line of the user's runs."""

    module: str
    file: str
    in_tree: bool
    line: int


class Stack:
    """Answers for the calling thread."""

    def __init__(self, code: CodeUnderTest) -> None:
        self._code = code
        self._roles: dict[CodeType, _Role | _Source] = {}
        self._paths: dict[int, tuple[weakref.ref[Any], dict[int, str]]] = {}

    def operation(self) -> Whereabouts | None:
        """None while the recorder looks at a value, which is no part of the run."""
        modules: list[Any] = []
        source, line, phase, within = _Source("", False), 0, "", True
        frame: FrameType | None = sys._getframe(1)
        while frame is not None:
            match self._role(frame.f_code):
                case _Role.MODULE if within:
                    modules.append(frame.f_locals["self"])
                case _Role.BACKWARD if within:
                    # Its callers are no part of it; a checkpoint's forward, computed anew within it, has modules.
                    within, phase = False, BACKWARD
                case _Role.OPTIMIZER if within and not line:
                    within, phase = False, OPTIMIZER
                case _Role.RECORDER if not line:
                    return None
                case _Source() as known if not line or (known.in_tree and not source.in_tree):
                    source, line = known, frame.f_lineno
            frame = frame.f_back
        return Whereabouts(self._path(modules) or phase, source.file, source.in_tree, line)

    def recording(self) -> Whereabouts:
        """The line that hands a value to the recorder."""
        frame: FrameType | None = sys._getframe(1)
        while frame is not None:
            known = self._role(frame.f_code)
            if isinstance(known, _Source):
                return Whereabouts("", known.file, known.in_tree, frame.f_lineno)
            frame = frame.f_back
        return Whereabouts("", "", False, 0)

    def _role(self, code: CodeType) -> _Role | _Source:
        known = self._roles.get(code)
        if known is None:
            known = self._roles[code] = self._found(code)
        return known

    def _found(self, code: CodeType) -> _Role | _Source:
        if code.co_filename == recorder.__file__:
            return _Role.RECORDER
        if self._code.holds(code.co_filename):
            return _Source(self._code.short(Path(code.co_filename)), is_beneath(code.co_filename, self._code.tree))
        file = "/".join(Path(code.co_filename).parts[-4:])
        return next(
            (role for (end, name), role in _TORCH.items() if file.endswith(end) and code.co_qualname == name), _Role.OTHER
        )

    def _path(self, modules: list[Any]) -> str:
        """From the outermost module on the stack to the innermost, which comes first."""
        if not modules:
            return ""
        inner, root = modules[0], modules[-1]
        path = self._names(root).get(id(inner))
        if path is None:  # It was not there when the root was first seen, or is no part of it.
            self._paths.pop(id(root))
            path = self._names(root).get(id(inner), f"<{type(inner).__name__}>")
        return f"{type(root).__name__}.{path}".rstrip(".")

    def _names(self, root: Any) -> dict[int, str]:
        known = self._paths.get(id(root))
        if known is None or known[0]() is not root:
            known = weakref.ref(root), {id(module): name for name, module in root.named_modules()}
            self._paths[id(root)] = known
        return known[1]
