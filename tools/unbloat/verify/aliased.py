"""In a run's own process: modules and their names can still be imported as the legacy has them."""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any


class Nothing:
    """Such a run reports nothing of its own."""

    def result(self) -> dict[str, Any]:
        return {}


@contextmanager
def aliased(options: Mapping[str, Any]) -> Iterator[Nothing]:
    """An observer in name: `modules` are legacy names and names now; `names` are those of a module, earlier and now."""
    finder = AliasFinder(options["modules"], options["names"])
    sys.meta_path.insert(0, finder)
    try:
        yield Nothing()
    finally:
        sys.meta_path.remove(finder)


class AliasFinder(importlib.abc.MetaPathFinder):
    """Finds a legacy module as the module that it is now, and a package that is gone as an empty one."""

    def __init__(self, modules: Mapping[str, str], names: Mapping[str, Mapping[str, str]]) -> None:
        self._modules, self._names = modules, names
        self._packages = {module[:at] for module in modules for at, sign in enumerate(module) if sign == "."}

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> Any:
        if fullname in self._modules:
            return importlib.util.spec_from_loader(fullname, _Moved(self._modules[fullname]))
        if fullname not in self._names and fullname not in self._packages:
            return None
        spec = self._real(fullname, path, target)
        if spec is None and fullname in self._packages:
            return importlib.machinery.ModuleSpec(fullname, None, is_package=True)
        if spec is not None and fullname in self._names:
            spec.loader = _Renamed(spec.loader, self._names[fullname])
        return spec

    def _real(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None) -> Any:
        others = (finder for finder in sys.meta_path if finder is not self)
        found = (finder.find_spec(fullname, path, target) for finder in others)
        return next((spec for spec in found if spec is not None), None)


class _Moved(importlib.abc.Loader):
    """There is one module object under both names, so that what one changes the other sees."""

    def __init__(self, now: str) -> None:
        self._now = now

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        module = importlib.import_module(self._now)
        self._spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._spec  # The import system has put that of the legacy name in its place.


class _Renamed(importlib.abc.Loader):
    """Executes the module, and answers for its earlier names."""

    def __init__(self, loader: Any, names: Mapping[str, str]) -> None:
        self._loader = loader
        self._names = names

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        created: ModuleType | None = self._loader.create_module(spec)
        return created

    def exec_module(self, module: ModuleType) -> None:
        # A package's own `__getattr__`, if it defines one, is asked for everything else.
        self._loader.exec_module(module)
        own = module.__dict__.get("__getattr__")

        def __getattr__(name: str) -> Any:
            if name in self._names:
                return getattr(module, self._names[name])
            if own is not None:
                return own(name)
            raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")

        module.__getattr__ = __getattr__  # type: ignore[method-assign]
