"""In a run's own process: hands every operation on unchanged, and notes what went in and came out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.optim.optimizer import register_optimizer_step_post_hook
from torch.utils._python_dispatch import TorchDispatchMode

from unbloat.golden import values
from unbloat.golden.leaf import Leaf
from unbloat.golden.tape import unchanged
from unbloat.trace.log import Log, Note
from unbloat.trace.records import RANDOM_STATE
from unbloat.trace.whereabouts import BACKWARD, Stack, Whereabouts

Input = tuple[torch.Tensor, bool]
"""An argument, and whether the operation writes to it."""

_DEFAULT_DISPATCH = torch.Tensor.__torch_dispatch__


@dataclass(frozen=True)
class _Signature:
    """What an operation's declaration says: which arguments it writes to, and whether it draws random numbers."""

    written: frozenset[int | str]
    random: bool


@cache
def _signature(func: Any) -> _Signature:
    arguments = list(enumerate(func._schema.arguments))
    written = {key for at, one in arguments if one.alias_info and one.alias_info.is_write for key in (at, one.name)}
    takes_generator = any(one.name == "generator" for _, one in arguments)
    return _Signature(frozenset(written), takes_generator or torch.Tag.nondeterministic_seeded in func.tags)


@contextmanager
def watched(log: Log, stack: Stack) -> Iterator[None]:
    """Every operation inside goes to the log."""

    def count(*_: Any) -> None:
        log.step += 1

    hook = register_optimizer_step_post_hook(count)
    try:
        with Watch(log, stack):
            yield
    finally:
        hook.remove()


class Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """A dispatch mode sees operations below autograd, where looking at them does not change the numbers."""

    def __init__(self, log: Log, stack: Stack) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._log = log
        self._stack = stack
        # By storage. A weak reference keeps the address from being given to another one.
        self._writers: dict[int, tuple[StorageWeakRef, int]] = {}
        self._forward: dict[int, Whereabouts] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        # Markers for a profiler compute nothing.
        here = None if func.namespace == "profiler" else self._stack.operation()
        if here is None:
            return unchanged(func, args, kwargs)
        if not self._log.asks():
            self._log.skip()
            return unchanged(func, args, kwargs)
        here, note = self._derived(here), self._log.note(str(func))
        inputs = list(_tensors({**dict(enumerate(args)), **kwargs}, _signature(func).written))
        self._take(note, func, inputs, args, kwargs)
        result = unchanged(func, args, kwargs)
        self._give(note, func, inputs, result, kwargs)
        self._log.add(note, here)
        return result

    def _take(self, note: Note, func: Any, inputs: Sequence[Input], args: Any, kwargs: dict[str, Any]) -> None:
        """Before the call: an operation may write to its own arguments."""
        note.types = ", ".join(_type(tensor) for tensor, _ in inputs)
        note.arguments = _shown(args, kwargs)
        note.gradients = "".join("+" if torch.is_grad_enabled() and tensor.requires_grad else "-" for tensor, _ in inputs)
        for tensor, written in inputs:
            note.take(_leaves(tensor), _place_in_memory(tensor) if written else "", self._writer(tensor))
        if _signature(func).random:
            note.take([_random_state(kwargs)], RANDOM_STATE, -1)

    def _give(self, note: Note, func: Any, inputs: Sequence[Input], result: Any, kwargs: dict[str, Any]) -> None:
        """What was written to counts as a result."""
        changed = [tensor for tensor, written in inputs if written]
        made = [one for one in _parts(result) if not any(one is tensor for tensor in changed)]
        note.results = ", ".join(_type(one) for one in [*made, *changed] if isinstance(one, torch.Tensor))
        for one in made:
            note.give(_leaves(one), "")
        for tensor in changed:
            note.give(_leaves(tensor), _place_in_memory(tensor))
        if _signature(func).random:
            note.give([_random_state(kwargs)], RANDOM_STATE)
        self._remember(changed, made, [tensor for tensor, _ in inputs])

    def _derived(self, here: Whereabouts) -> Whereabouts:
        """An operation of the backward pass belongs to the line and module of the forward operation that it derives."""
        node = torch._C._current_autograd_node()
        if node is None:
            # Autograd numbers an operation's node just before the operation runs.
            self._forward.setdefault(torch._C._autograd._get_sequence_nr() - 1, here)
            return here
        forward = self._forward.get(node._sequence_nr()) if here.module == BACKWARD else None
        return here if forward is None else replace(forward, module=f"{forward.module} {BACKWARD}".lstrip())

    def _writer(self, tensor: torch.Tensor) -> int:
        known = self._writers.get(_storage(tensor))
        return -1 if known is None else known[1]

    def _remember(self, changed: list[torch.Tensor], made: list[Any], inputs: list[torch.Tensor]) -> None:
        """A view has the memory of what it was taken of, and whoever wrote that."""
        before = {_storage(tensor) for tensor in inputs}
        fresh = [one for one in made if isinstance(one, torch.Tensor) and _storage(one) not in before]
        for tensor in (*changed, *fresh):
            if _storage(tensor):
                reference = StorageWeakRef(tensor.untyped_storage())  # type: ignore[no-untyped-call]
                self._writers[_storage(tensor)] = reference, self._log.count


def _tensors(arguments: dict[int | str, Any], written: frozenset[int | str]) -> Iterator[Input]:
    for key, value in arguments.items():
        for part in _parts(value):
            if isinstance(part, torch.Tensor):
                yield part, key in written


def _parts(value: Any) -> Iterator[Any]:
    if isinstance(value, list | tuple):
        for part in value:
            yield from _parts(part)
    elif value is not None:
        yield value


def _storage(tensor: torch.Tensor) -> int:
    """What tells one piece of memory from another; 0 for tensors that are in more than one."""
    return tensor.untyped_storage()._cdata if _is_plain(tensor) else 0


def _place_in_memory(tensor: torch.Tensor) -> str:
    """Two views of one memory may hold equal values, and yet it matters which of them is written to."""
    return f"@{tensor.storage_offset()} {tensor.stride()}" if _is_plain(tensor) else ""


def _is_plain(tensor: torch.Tensor) -> bool:
    return tensor.layout is torch.strided and not tensor.is_nested and type(tensor).__torch_dispatch__ is _DEFAULT_DISPATCH


def _leaves(value: Any) -> list[Leaf]:
    """The bytes of a tensor or of a number; what has none counts by its type."""
    match value:
        case torch.Tensor() if not _has_bytes(value):
            return [Leaf("opaque", _type(value), (), b"", "")]
        case torch.Tensor() if value.numel() == 1 and _is_plain(value):
            # However it is strided it counts as contiguous, and yet some strides keep its bytes from being read.
            value = value.clone(memory_format=torch.contiguous_format)
        case torch.Tensor() | bool() | int() | float() | complex() | str():
            pass
        case _:
            return [Leaf("opaque", type(value).__name__, (), b"", "")]
    return [leaf for _, leaf in values.leaves("value", value, str)]


def _has_bytes(tensor: torch.Tensor) -> bool:
    odd = tensor.is_meta or tensor.is_quantized or tensor.is_nested or tensor.is_mkldnn
    return not odd and type(tensor).__torch_dispatch__ is _DEFAULT_DISPATCH


def _random_state(kwargs: dict[str, Any]) -> Leaf:
    """As the recorder notes it, so that a recorded state can be found among those that operations left behind."""
    generator = kwargs.get("generator") or torch.default_generator
    raw = generator.get_state().numpy().tobytes()
    return Leaf("rng", "state", (len(raw),), raw, f"{len(raw)} bytes of state")


def _type(tensor: torch.Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')}{list(tensor.shape)}"


def _shown(args: Any, kwargs: dict[str, Any]) -> str:
    return ", ".join([*map(_argument, args), *(f"{name}={_argument(value)}" for name, value in kwargs.items())])


def _argument(value: Any) -> str:
    """As it reads in a call; of an object without a defined text, which would hold its address, the type."""
    match value:
        case torch.Tensor():
            return _type(value)
        case list() | tuple():
            return f"[{', '.join(map(_argument, value))}]"
        case None | bool() | int() | float() | complex() | str():
            return repr(value)
        case torch.dtype() | torch.device() | torch.layout() | torch.memory_format():
            return str(value).removeprefix("torch.")
        case _:
            return type(value).__name__
