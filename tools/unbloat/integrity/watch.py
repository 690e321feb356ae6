"""In a run's own process: the modules of every model that a workload builds, and what was set up around them.

A model is looked at where a workload hands it to `golden.model`; if no workload does, every outermost module of the package
that it constructed is, at the end. Beside that: optimizers with their groups as they were made, schedulers, clipping, autocast,
seeds.
Nothing here computes with tensors while the workload runs but means and deviations, for which its recorder's tape is paused.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

import numpy
import torch
from torch.optim.lr_scheduler import LRScheduler
from torch.optim.optimizer import Optimizer

from unbloat.golden.ledger import digest_of
from unbloat.golden.recorder import Recorder
from unbloat.golden.torch_values import _tied, dtype_name
from unbloat.verify.aliased import aliased

_PLAIN = (bool, int, float, str, type(None))
_INTERNAL = frozenset({"training", "call_super_init", "dump_patches"})


class Watch:
    """What a run has set up; plain values throughout."""

    def __init__(self, package: str, *, constructed: bool) -> None:
        """With `constructed`, the package's modules are kept for the case that nobody hands one to the recorder."""
        self._package = package
        self._keep = constructed
        self._constructed: list[torch.nn.Module] = []
        self.models: dict[str, list[dict[str, Any]]] = {}
        self.tied: dict[str, list[list[str]]] = {}
        self.events: dict[str, list[Any]] = {}

    def look(self, name: str, model: torch.nn.Module) -> None:
        """Keep a model as it is now; under the name of the first time it has that name."""
        if name not in self.models:
            self.models[name] = [_layer(path, module) for path, module in model.named_modules()]
            self.tied[name] = [list(names) for names in _tied(model)]

    def note(self, kind: str, what: object) -> None:
        """An event, once."""
        known = self.events.setdefault(kind, [])
        if what not in known:
            known.append(what)

    def constructed(self, module: torch.nn.Module) -> None:
        if self._keep and type(module).__module__.partition(".")[0] == self._package:
            self._constructed.append(module)

    def finish(self) -> None:
        """If no model was handed to the recorder: those that nothing else holds, in the order of their construction."""
        if self.models:
            return
        inside = {id(child) for one in self._constructed for child in one.modules() if child is not one}
        for number, module in enumerate(one for one in self._constructed if id(one) not in inside):
            self.look(f"{type(module).__qualname__} {number}", module)

    def result(self) -> dict[str, Any]:
        return {"models": self.models, "tied": self.tied, "events": self.events}


@contextmanager
def watch(options: Mapping[str, Any]) -> Iterator[Watch]:
    """An observer. Options: `package`, `constructed`, and those of `aliased`."""
    seen = Watch(options["package"], constructed=options["constructed"])
    with ExitStack() as stack:
        stack.enter_context(aliased(options))
        for owner, name, after in _watched(seen):
            stack.enter_context(mock.patch.object(owner, name, _then(getattr(owner, name), after)))
        yield seen
        seen.note("default dtype", str(torch.get_default_dtype()).removeprefix("torch."))
        with torch.no_grad():
            seen.finish()


def _watched(seen: Watch) -> Iterator[tuple[Any, str, Callable[..., None]]]:
    """What is called, and what is noted after it."""

    def model(recorder: Recorder, name: str, module: torch.nn.Module) -> None:
        with recorder._aside():
            seen.look(name, module)

    yield Recorder, "model", model
    yield torch.nn.Module, "__init__", lambda module, *_, **__: seen.constructed(module)
    yield Optimizer, "__init__", lambda one, *_, **__: seen.note("optimizer", _optimizer(one))
    yield LRScheduler, "__init__", lambda one, *_, **__: seen.note("scheduler", _settings(one, type(one).__qualname__))
    yield torch.autocast, "__enter__", lambda one: seen.note("autocast", [one.device, str(one.fast_dtype), one._enabled])
    for name in ("clip_grad_norm_", "clip_grad_value_"):
        yield torch.nn.utils, name, functools.partial(_clipped, seen, name)
    for library, owner, name in (("python", random, "seed"), ("numpy", numpy.random, "seed"), ("torch", torch, "manual_seed")):
        yield owner, name, functools.partial(_seeded, seen, library)


def _clipped(seen: Watch, name: str, parameters: object, *arguments: object, **options: object) -> None:
    seen.note("clipping", [name, [repr(one) for one in arguments], {key: repr(value) for key, value in options.items()}])


def _seeded(seen: Watch, library: str, seed: object = None, *_: object) -> None:
    seen.note("seeds", [library, repr(seed)])


def _then(original: Callable[..., Any], after: Callable[..., None]) -> Callable[..., Any]:
    @functools.wraps(original)
    def called(*arguments: Any, **options: Any) -> Any:
        result = original(*arguments, **options)
        after(*arguments, **options)
        return result

    return called


def _layer(path: str, module: torch.nn.Module) -> dict[str, Any]:
    """One module with its own parameters and buffers, and the plain values among its attributes."""
    return {
        "path": path,
        "class": type(module).__qualname__,
        "own": type(module).__module__,
        "settings": _settings(module)["settings"],
        "parameters": {name: _tensor(one) for name, one in module.named_parameters(recurse=False)},
        "buffers": {name: _tensor(one) for name, one in module.named_buffers(recurse=False)},
    }


def _settings(one: object, kind: str = "") -> dict[str, Any]:
    """Attributes that hold plain values; what begins with an underscore is nobody's to set."""
    found = {
        name: repr(value)
        for name, value in vars(one).items()
        if not name.startswith("_") and name not in _INTERNAL and _is_plain(value)
    }
    return {"class": kind, "settings": dict(sorted(found.items()))}


def _is_plain(value: object) -> bool:
    if isinstance(value, list | tuple):
        return all(isinstance(one, _PLAIN) for one in value)
    return isinstance(value, _PLAIN)


def _tensor(one: torch.Tensor) -> dict[str, Any]:
    flat = one.detach().cpu().contiguous().reshape(-1)
    wide = flat.double() if flat.is_floating_point() and flat.numel() else None
    return {
        "shape": list(one.shape),
        "dtype": dtype_name(one),
        "trained": one.requires_grad,
        "digest": digest_of(dtype_name(one), one.shape, flat.view(torch.uint8).numpy() if flat.numel() else b""),
        "mean": None if wide is None else f"{wide.mean().item():.6g}",
        "deviation": None if wide is None else f"{wide.std(correction=0).item():.6g}",
    }


def _optimizer(one: Optimizer) -> dict[str, Any]:
    groups = []
    for group in one.param_groups:
        options = {name: repr(value) for name, value in group.items() if name != "params" and _is_plain(value)}
        sizes = [parameter.numel() for parameter in group["params"]]
        groups.append({"tensors": len(sizes), "parameters": sum(sizes), "options": dict(sorted(options.items()))})
    return {"class": type(one).__qualname__, "groups": groups}
