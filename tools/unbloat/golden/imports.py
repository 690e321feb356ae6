"""Makes one tree importable, and only as it is written right now."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import types
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.machinery import EXTENSION_SUFFIXES, SOURCE_SUFFIXES, ExtensionFileLoader, FileFinder, SourceFileLoader
from pathlib import Path
from typing import Any

from unbloat.errors import WorkloadError


class FreshSource(SourceFileLoader):
    """Compiles what the file holds now.

    Cached bytecode is matched by size and whole seconds, and candidates are rewritten several times a second: `True`
    and `None` are equally long.
    """

    def path_stats(self, path: Any) -> Any:
        raise OSError("no bytecode is read or written for code under test")

    def source_to_code(self, data: Any, path: Any, *, _optimize: int = -1) -> types.CodeType:  # type: ignore[override]
        # The compiler warns about how source is written (say, an invalid escape), which is not behaviour.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return super().source_to_code(data, path, _optimize=_optimize)


@dataclass(frozen=True)
class CodeUnderTest:
    """The tree, and the folder of the workload file, from which it may import helpers."""

    tree: Path
    beside: Path
    elsewhere: tuple[Path, ...]
    """Other folders on the search path: a virtual environment inside the workload's folder is not under test."""

    def holds(self, file: str) -> bool:
        """Whether the folder that is closest to the file is one of ours."""
        if not is_beneath(file, self.tree, self.beside):
            return False
        around = [folder for folder in (self.tree, self.beside, *self.elsewhere) if is_beneath(file, folder)]
        return max(around, key=lambda folder: len(folder.parts)) in (self.tree, self.beside)

    def short(self, file: Path) -> str:
        """The file's name for a message."""
        for folder in (self.tree, self.beside):
            if file.is_relative_to(folder):
                return file.relative_to(folder).as_posix()
        return str(file)


def is_beneath(file: str, *folders: Path) -> bool:
    """By text: this is asked for every loaded module, and pathlib takes a tenth of a second for them."""
    return any(file == str(folder) or file.startswith(f"{folder}{os.sep}") for folder in folders)


def code_under_test(tree: Path, workload_file: Path) -> CodeUnderTest:
    own = (tree, workload_file.parent)
    elsewhere = tuple(Path(entry) for entry in sys.path if entry and Path(entry) not in own)
    return CodeUnderTest(*own, elsewhere)


@contextmanager
def importable(code: CodeUnderTest) -> Iterator[None]:
    """The tree comes first on the path, the workload's own folder second; everything is put back afterwards."""
    _refuse_shadowed(code.tree)
    path, hooks, loaded = list(sys.path), list(sys.path_hooks), set(sys.modules)
    sys.path[:] = [str(folder) for folder in (code.tree, code.beside, *code.elsewhere)]
    sys.path_hooks.insert(0, _hook(code))
    _forget_finders(code)
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path[:], sys.path_hooks[:] = path, hooks
        _forget_finders(code)
        # All are asked before any goes: a namespace package finds its folders through the package that it is in.
        imported = [name for name in set(sys.modules) - loaded if any(map(code.holds, places_of(sys.modules[name])))]
        for name in imported:
            del sys.modules[name]


def load_file(file: Path, name: str) -> types.ModuleType:
    """Under a private name, since a workload file may be called anything, `random.py` too."""
    spec = importlib.util.spec_from_file_location(name, file, loader=FreshSource(name, str(file)))
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    FreshSource(name, str(file)).exec_module(module)
    return module


def places_of(module: types.ModuleType | None) -> list[str]:
    """Where it was loaded from: its file, or the folders of a namespace package; nothing for a built-in module."""
    file = getattr(module, "__file__", None)
    return [file] if isinstance(file, str) else [str(place) for place in getattr(module, "__path__", [])]


def _hook(code: CodeUnderTest) -> Any:
    fresh = FileFinder.path_hook((ExtensionFileLoader, EXTENSION_SUFFIXES), (FreshSource, SOURCE_SUFFIXES))

    def hook(entry: str) -> Any:
        if not code.holds(entry):
            raise ImportError(f"{entry} is not under test")
        return fresh(entry)

    return hook


def _forget_finders(code: CodeUnderTest) -> None:
    for entry in [entry for entry in sys.path_importer_cache if code.holds(entry)]:
        del sys.path_importer_cache[entry]


def _refuse_shadowed(tree: Path) -> None:
    """A module that is loaded already would be used instead of the tree's, and the run would prove nothing."""
    for found in sorted(tree.iterdir()):
        if found.suffix != ".py" and not (found / "__init__.py").exists():
            continue
        loaded = sys.modules.get(found.stem)
        if loaded is not None and not any(is_beneath(place, tree) for place in places_of(loaded)):
            raise WorkloadError(
                f"module '{found.stem}' of {tree} is hidden by {next(iter(places_of(loaded)), 'a built-in module')}, "
                "which is loaded already; rename it, or do not preload the other"
            )
