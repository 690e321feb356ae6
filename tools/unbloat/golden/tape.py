"""A tape of every aten operation: what was computed, even where no recorded value shows it.

A dispatch mode sees the operations below autograd and hands them on unchanged. A torch-function mode would be
simpler, but it turns off fused paths and thereby changes the numbers. Modes belong to one thread: what other threads
compute is not on the tape.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from unbloat.golden.leaf import Leaf, lines

CHUNK = 256


class Tape(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Folds operations into one leaf per chunk, handed over as soon as the chunk is full."""

    def __init__(self, add: Callable[[str, Leaf], None]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._add = add
        self._ops: list[str] = []
        self._chunks = 0
        self._paused = False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if self._paused:
            return unchanged(func, args, kwargs)
        # Described before the call: operations that work in place change their own arguments.
        inputs = ", ".join(_tensors((*args, *(kwargs or {}).values())))
        result = unchanged(func, args, kwargs)
        # Markers for a profiler compute nothing.
        if func.namespace != "profiler":
            self._ops.append(f"{func}({inputs}) -> {', '.join(_tensors((result,)))}")
        if len(self._ops) == CHUNK:
            self._hand_over()
        return result

    @contextmanager
    def aside(self) -> Iterator[None]:
        """What the recorder itself computes is no part of the workload."""
        before, self._paused = self._paused, True
        try:
            yield
        finally:
            self._paused = before

    def finish(self) -> None:
        """The last, partial chunk and the total."""
        total = self._chunks * CHUNK + len(self._ops)
        if self._ops:
            self._hand_over()
        self._add("tape", Leaf("tape", "count", (), str(total).encode(), f"{total} operations"))

    def _hand_over(self) -> None:
        preview = f"{self._ops[0]} … {self._ops[-1]}"
        self._add(f"tape[{self._chunks}]", lines("tape", self._ops, preview))
        self._chunks += 1
        self._ops = []


def unchanged(func: Any, args: Any, kwargs: Any) -> Any:
    """Call an operation from within a dispatch mode so that it computes what it does without one.

    In inference mode whole compositions (`linear`) come to a mode, and beneath it views of parameters no longer ask for
    gradients, by which `matmul` chooses its kernel. So they get back the dispatch keys that a call without modes has.
    """
    if not torch.is_inference_mode_enabled() or not _is_composition(func):
        return func(*args, **(kwargs or {}))
    include, exclude = _keys_without_modes()
    if torch._C._dispatch_tls_local_include_set().has(torch._C.DispatchKey.Python):
        include = include | torch._C.DispatchKeySet(torch._C.DispatchKey.Python)  # there are more modes to come
    with torch._C._ForceDispatchKeyGuard(include, exclude):
        return func(*args, **(kwargs or {}))


@functools.cache
def _is_composition(func: Any) -> bool:
    """Whether an operation is made of others, and what it gives is no view of what it gets."""
    made_of_others = func.has_kernel_for_dispatch_key(torch._C.DispatchKey.CompositeImplicitAutograd)
    return made_of_others and all(one.alias_info is None for one in func._schema.returns)


@functools.cache
def _keys_without_modes() -> tuple[Any, Any]:
    """What inference mode includes and excludes by itself; asked where no mode can answer."""
    found: list[Any] = []

    def ask() -> None:
        with torch.inference_mode():
            found.append(torch._C._dispatch_tls_local_include_set())
            found.append(torch._C._dispatch_tls_local_exclude_set())

    # Dispatch keys belong to a thread, and a new one has none of this one's modes.
    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    return found[0], found[1]


def _tensors(values: Any) -> Iterator[str]:
    for value in values:
        if isinstance(value, torch.Tensor):
            yield f"{str(value.dtype).removeprefix('torch.')}{list(value.shape)}"
        elif isinstance(value, list | tuple):
            yield from _tensors(value)
