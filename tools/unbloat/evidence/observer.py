"""One instrumented run: imports the package through the probes and writes down what it did.

Runs in a process of its own; what leaves it is plain JSON, read by `unbloat.evidence.facts`.
"""

from __future__ import annotations

import ast
import dis
import importlib.abc
import importlib.machinery
import inspect
import math
import sys
import threading
from collections import deque
from collections.abc import ItemsView, Iterator, KeysView, Mapping, Sequence, ValuesView
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import astuple
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import coverage

from unbloat.edit.edits import Span
from unbloat.evidence.config_reads import ConfigReads
from unbloat.evidence.instrument import PROBE, Site, instrument
from unbloat.evidence.places import Place, Places
from unbloat.evidence.plain_configs import own_type

_PLAIN = (bool, str, type(None))
_NUMBERS = (int, float)
_LONGEST_TEXT = 64
_MOST_VALUES = 4
_OF_ATTRIBUTES = frozenset("LOAD_ATTR LOAD_METHOD STORE_ATTR DELETE_ATTR".split())
_CONTAINERS = (list, tuple, dict, set, frozenset, str, bytes, bytearray, range, deque, KeysView, ValuesView, ItemsView)


class Probe:
    """What the instrumented copy of one module reports to."""

    def __init__(
        self, file: str, sites: Sequence[Site], tree: str, places: Places, config: ConfigReads, names: frozenset[str]
    ) -> None:
        self.file = file
        self.sites = sites
        self.counts = [[0, 0] for _ in sites]
        self.callers: dict[int, bool] = {}
        self.arguments: dict[int, dict[str, list[Any]]] = {}
        self.config_paths: dict[int, dict[str, list[str | None]]] = {}
        self.calls: dict[int, dict[tuple[str, Span] | None, None]] = {}
        self.indirect: dict[int, dict[tuple[str, Span], None]] = {}
        self.stored: dict[int, list[Any]] = {}
        self.names: dict[int, dict[str, None]] = {}
        self.elsewhere: dict[int, None] = {}  # functions that ran in a thread of their own
        self._thread = threading.get_ident()
        self._decided = threading.local()
        self._tree = tree
        self._places = places
        self._config = config
        self._names = names

    def test(self, number: int, value: Any) -> bool:
        outcome = bool(value)
        self.counts[number][outcome] += 1
        return outcome

    def operand(self, number: int, decides: bool, value: Any) -> bool:
        """The truth of an operand; if that decides the whole, `last` gives the value."""
        outcome = self.test(number, value)
        if outcome is decides:
            self._decided.value = value
        return outcome

    def last(self) -> Any:
        """The operand that has just decided in this thread; nothing of the package runs between the two."""
        return self._decided.__dict__.pop("value")

    def hit(self, number: int) -> None:
        self.counts[number][1] += 1

    def reach(self, number: int, value: Any) -> Any:
        self.counts[number][1] += 1
        return value

    def walk(self, number: int, value: Any) -> Any:
        self.counts[number][isinstance(value, _CONTAINERS)] += 1
        return value

    def enter(self, number: int, arguments: Mapping[str, Any]) -> None:
        self.counts[number][1] += 1
        if threading.get_ident() != self._thread:
            self.elsewhere[number] = None
        caller = sys._getframe(2)
        external = not caller.f_code.co_filename.startswith(self._tree)
        self.callers[number] = self.callers.get(number, False) or external
        place = self._places.caller(caller, is_forward=sys._getframe(1).f_code.co_name == "forward")
        self.calls.setdefault(number, {})[place] = None
        if place is None and (beneath := self._places.beneath(caller)) is not None:
            self.indirect.setdefault(number, {})[beneath] = None
        seen = self.arguments.setdefault(number, {})
        for name, value in arguments.items():
            if name in self._names:
                self._note_config(number, name, value, external)
            _add(seen.setdefault(name, []), value)

    def type_of(self, value: Any) -> Any:
        """What `type` says of an object, as if nobody watched it."""
        return own_type(value)

    def take(self, name: str, value: Any) -> Any:
        """What stands for an argument under the name of a config: the config, watched.

        Whoever hands it over, the function checks what arrives. Of what the subject made, it may expect to get itself.
        """
        caller = sys._getframe(2)
        comes_in = not caller.f_code.co_filename.startswith(self._tree) and self._places.beneath(caller) is None
        return self._config.watch(value, name, as_twin=comes_in)

    def store(self, number: int, value: Any) -> Any:
        """What is stored in an attribute: a plain value, a number, or the type of anything else."""
        _add(self.stored.setdefault(number, []), value)
        return value

    def name(self, number: int, value: Any) -> Any:
        """The computed name of an attribute."""
        if isinstance(value, str):
            self.names.setdefault(number, {})[value] = None
        return value

    def keys(self, number: int, value: Any) -> Any:
        """The keyword arguments that a call unpacks from a plain dictionary."""
        self.counts[number][type(value) is dict] += 1
        if type(value) is dict:
            self.names.setdefault(number, {}).update((key, None) for key in value if isinstance(key, str))
        return value

    def _note_config(self, number: int, name: str, value: Any, external: bool) -> None:
        path = self._config.admit(value) if external else self._config.key_of(value)
        paths = self.config_paths.setdefault(number, {}).setdefault(name, [])
        if path not in paths:
            paths.append(path)

    def result(self) -> dict[str, Any]:
        return {
            "sites": [[*astuple(site.span), site.kind, site.index] for site in self.sites],
            "counts": self.counts,
            "external": [number for number, external in self.callers.items() if external],
            "elsewhere": list(self.elsewhere),
            "arguments": {str(number): values for number, values in self.arguments.items()},
            "config_paths": {str(number): paths for number, paths in self.config_paths.items()},
            "calls": {
                str(number): [None if place is None else [place[0], *astuple(place[1])] for place in places]
                for number, places in self.calls.items()
            },
            "indirect": {
                str(number): [[place[0], *astuple(place[1])] for place in places] for number, places in self.indirect.items()
            },
            "stored": {str(number): values for number, values in self.stored.items()},
            "names": {str(number): list(names) for number, names in self.names.items()},
        }


def _plain(value: Any) -> list[Any]:
    """A flag, `None` or a mode string; a number; anything else is only `other`."""
    if type(value) in _PLAIN and not (isinstance(value, str) and len(value) > _LONGEST_TEXT):
        return ["plain", value]
    return ["number", value] if type(value) in _NUMBERS and math.isfinite(value) else ["other", None]


def _add(values: list[Any], value: Any) -> None:
    """Note a value, of anything but flags, texts and numbers its type; the first few values, and one of each type."""
    kind, content = _plain(value)
    found = [kind, content if kind != "other" else f"{type(value).__module__}:{type(value).__qualname__}"]
    if any(_same(found, known) for known in values):
        return
    if len(values) < _MOST_VALUES or kind == "other" or not any(type(content) is type(known[1]) for known in values):
        values.append(found)


def _same(one: list[Any], other: list[Any]) -> bool:
    """Equal, and of one type: `1`, `1.0` and `True` are three values."""
    return one == other and type(one[1]) is type(other[1])


def _fields_of_self(part: Any) -> Iterator[str]:
    """The attributes of the object that a method of a class reads or sets by their names."""
    function = inspect.unwrap(getattr(part, "fget", None) or getattr(part, "__func__", part))
    code = getattr(function, "__code__", None)
    if not isinstance(code, CodeType) or not code.co_argcount:
        return
    is_self = False
    for instruction in dis.get_instructions(code):
        if is_self and instruction.opname in _OF_ATTRIBUTES:
            yield str(instruction.argval)
        is_self = instruction.opname.startswith("LOAD_FAST") and instruction.argval == code.co_varnames[0]


class _Loader(importlib.machinery.SourceFileLoader):
    """Compiles the probed copy, never reads or writes bytecode files."""

    def __init__(self, name: str, path: str, observation: Observation) -> None:
        super().__init__(name, path)
        self._observation = observation

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        tree, sites = instrument(ast.parse(self.get_data(path), path), self._observation.taken)
        self._observation.add(path, sites)
        return compile(tree, path, "exec", dont_inherit=True)

    def exec_module(self, module: ModuleType) -> None:
        code = self.get_code(module.__name__)
        module.__dict__[PROBE] = self._observation.probes[self.path]
        self._observation.modules.append(module)
        exec(code, module.__dict__)


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, observation: Observation) -> None:
        self._observation = observation

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> Any:
        if fullname.partition(".")[0] != self._observation.package:
            return None
        where = path if path is not None else [self._observation.tree]
        spec = importlib.machinery.PathFinder.find_spec(fullname, where, target)
        if spec is not None and spec.origin is not None and isinstance(spec.loader, importlib.machinery.SourceFileLoader):
            spec.loader = _Loader(fullname, spec.origin, self._observation)
        return spec


class Observation:
    """What one instrumented workload leaves behind."""

    def __init__(self, tree: Path, package: str, parameters: frozenset[str], watches: bool) -> None:
        self.tree = str(tree) + "/"
        self.package = package
        self.probes: dict[str, Probe] = {}
        self.places = Places(self.tree)
        self.config = ConfigReads(self.tree, self.places)
        self.operations: set[Place] = set()
        self.lines: dict[str, list[int]] = {}
        self.foreign: list[list[str]] = []
        self.framework: set[str] = set()
        self.modules: list[ModuleType] = []
        self._parameters = parameters
        self.taken = parameters if watches else frozenset()

    def add(self, path: str, sites: list[Site]) -> None:
        self.probes[path] = Probe(path[len(self.tree) :], sites, self.tree, self.places, self.config, self._parameters)

    def note_classes(self) -> None:
        """The methods of the package's classes that a class from elsewhere, which they derive from, has as well."""
        for module in self.modules:
            for value in list(vars(module).values()):
                if isinstance(value, type) and value.__module__ == module.__name__:
                    self._note_class(vars(module)[PROBE].file, value)

    def _note_class(self, file: str, owner: type) -> None:
        bases = [base for base in owner.__mro__ if not self._is_own(base)]
        foreign = {name for base in bases for name in vars(base)}
        fields = {name for base in bases for part in vars(base).values() for name in _fields_of_self(part)}
        self.framework |= {name for name in foreign | fields if not name.startswith("__")}
        self.foreign += [[file, owner.__qualname__, name] for name in sorted(foreign & vars(owner).keys())]
        for inner in list(vars(owner).values()):
            if isinstance(inner, type) and inner.__qualname__.startswith(owner.__qualname__ + "."):
                self._note_class(file, inner)

    def _is_own(self, owner: type) -> bool:
        return owner.__module__.partition(".")[0] == self.package

    def result(self) -> dict[str, Any]:
        return {
            "files": {probe.file: probe.result() for probe in self.probes.values()},
            "lines": self.lines,
            "reads": [[file, *astuple(span), sorted(keys)] for (file, span), keys in sorted(self.config.reads.items())],
            "values": self.config.values,
            "handed_in": self.config.handed_in,
            "direct": [[file, *astuple(span), sorted(roots)] for (file, span), roots in sorted(self.config.direct.items())],
            "operations": [[file, *astuple(span)] for file, span in sorted(self.operations)],
            "roots": self.config.roots,
            "writes": sorted(self.config.writes | {*self.config.changed()}),
            "foreign": self.foreign,
            "framework": sorted(self.framework),
        }


def _noting_operations(observation: Observation) -> AbstractContextManager[object]:
    """Note what torch computes, where torch is there."""
    if "torch" not in sys.modules:
        return nullcontext()
    from unbloat.evidence.operations import NoteOperations

    return NoteOperations(observation.places, observation.operations)


@contextmanager
def observe(options: dict[str, Any]) -> Iterator[Observation]:
    """Watch whatever runs inside: probes, executed lines, config reads.

    Options: `tree` (the folder that holds the package), `package`, `parameters` (names of config parameters), `watches`
    (whether configs that are no OmegaConf containers are watched), `workload`.
    """
    parameters = frozenset(options["parameters"])
    observation = Observation(Path(options["tree"]), options["package"], parameters, options["watches"])
    finder = _Finder(observation)
    monitor = coverage.Coverage(
        data_file=None,
        config_file=False,
        source=[options["tree"]],
        context=options["workload"],
        concurrency=["thread"],
        messages=False,
    )
    sys.meta_path.insert(0, finder)
    monitor.start()
    try:
        with observation.config.installed(), _noting_operations(observation):
            yield observation
    finally:
        monitor.stop()
        sys.meta_path.remove(finder)
        observation.note_classes()
        data = monitor.get_data()
        for file in data.measured_files():
            observation.lines[file[len(observation.tree) :]] = sorted(data.lines(file) or ())
