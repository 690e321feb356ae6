"""Calls from the user's own files into the package: seen as they are, or with one argument changed.

The calls are caught where they are written: whatever a file calls is looked at first. That holds for any tree, even if it
defines the callee elsewhere or without the parameter, and leaves alone what the package calls within itself.
"""

from __future__ import annotations

import ast
import builtins
import copy
import inspect
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from unbloat.challenge.handed_configs import HandedConfigs
from unbloat.challenge.perturb import literal
from unbloat.golden.imports import FreshSource

_CALLEE = "_unbloat_callee"
# These look at the frame that calls them.
_SPECIAL = frozenset({"super", "locals", "globals", "vars", "dir", "eval", "exec"})

Site = tuple[int, int, int, int, int]  # the number of the file, and the place of the call in it


class _Instrument(ast.NodeTransformer):
    """`f(x)` becomes `_unbloat_callee(file, line, …, f)(x)`."""

    def __init__(self, number: int) -> None:
        self._number = number

    def visit_Call(self, node: ast.Call) -> ast.Call:
        self.generic_visit(node)
        if isinstance(node.func, ast.Name) and node.func.id in _SPECIAL:
            return node
        assert node.end_lineno is not None and node.end_col_offset is not None
        site = (self._number, node.lineno, node.col_offset, node.end_lineno, node.end_col_offset)
        asked = ast.Call(ast.Name(_CALLEE, ast.Load()), [*map(ast.Constant, site), node.func], [])
        node.func = ast.fix_missing_locations(ast.copy_location(asked, node.func))
        return node


class UserCalls:
    """Installed around one run; with a change of an argument it lets that in, without any change it only looks.

    `configs` looks at what every call hands over.
    """

    def __init__(
        self, package: str, tree: str, files: Sequence[str], change: Mapping[str, Any], configs: HandedConfigs
    ) -> None:
        self.applied = 0
        self._package = package
        self._tree = Path(tree)
        self._numbers = {file: number for number, file in enumerate(files)}
        self._change = change
        self._configs = configs
        self._sites = {tuple(site) for site in change.get("sites", ())}
        self._seen: dict[str, dict[str, Any]] = {}

    @contextmanager
    def installed(self) -> Iterator[None]:
        original = FreshSource.source_to_code

        def source_to_code(loader: FreshSource, data: Any, path: Any, **options: Any) -> Any:
            if (number := self._numbers.get(str(path))) is not None:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # The compiler's, about how the source is written.
                    tree = _Instrument(number).visit(ast.parse(data, str(path)))
                return compile(tree, str(path), "exec", dont_inherit=True)
            return original(loader, data, path, **options)

        with mock.patch.object(FreshSource, "source_to_code", source_to_code):
            setattr(builtins, _CALLEE, self._callee)
            try:
                yield
            finally:
                delattr(builtins, _CALLEE)

    def seen(self) -> list[dict[str, Any]]:
        return [self._seen[name] for name in sorted(self._seen)]

    def _callee(self, *site_and_callee: Any) -> Any:
        *place, callee = site_and_callee
        site: Site = tuple(place)
        if self._change.get("kind") == "argument":
            wanted = site in self._sites and getattr(callee, "__name__", None) == self._change["callee"]
            return self._changing(callee) if wanted else callee
        return self._watching(site, callee)

    def _is_of_package(self, callee: Any) -> bool:
        """Whether a class, function or method is the package's."""
        function = getattr(callee, "__func__", callee)
        if not isinstance(function, type) and not inspect.isfunction(function):
            return False
        module = getattr(function, "__module__", None)
        return isinstance(module, str) and module.partition(".")[0] == self._package

    def _public_name(self, callee: Any) -> str | None:
        """`module.name` of a class, function or method that the package offers; None for anything else."""
        function = getattr(callee, "__func__", callee)
        if not self._is_of_package(callee) or any(part.startswith(("_", "<")) for part in function.__qualname__.split(".")):
            return None
        return f"{function.__module__}.{function.__qualname__}"

    def _watching(self, site: Site, callee: Any) -> Callable[..., Any]:
        is_own = self._is_of_package(callee)
        name = None if self._change else self._public_name(callee)

        def call(*arguments: Any, **options: Any) -> Any:
            self._configs.look(callee if is_own else None, arguments, options)
            if name is not None:
                self._note(name, site, callee, arguments, options)
            return callee(*arguments, **options)

        return call

    def _changing(self, callee: Any) -> Callable[..., Any]:
        name, index, value = self._change["name"], self._change["index"], ast.literal_eval(self._change["value"])

        def call(*arguments: Any, **options: Any) -> Any:
            self.applied += 1
            other = copy.deepcopy(value)
            if index is not None and len(arguments) > index:
                return callee(*arguments[:index], other, *arguments[index + 1 :], **options)
            return callee(*arguments, **{**options, name: other})

        return call

    def _note(self, name: str, site: Site, callee: Any, arguments: tuple[Any, ...], options: Mapping[str, Any]) -> None:
        try:
            signature = inspect.signature(callee)
            bound = signature.bind(*arguments, **options)
        except (TypeError, ValueError):
            return  # A call that fails, or of something that does not tell what it takes.
        bound.apply_defaults()
        call = self._seen.setdefault(
            name, {"name": name, "file": self._file(callee), "sites": [], "variadic": False, "parameters": {}}
        )
        if list(site) not in call["sites"]:
            call["sites"].append(list(site))
        for index, parameter in enumerate(signature.parameters.values()):
            value = bound.arguments[parameter.name]
            if parameter.kind is parameter.VAR_KEYWORD:
                call["variadic"] = True
                for keyword, passed in value.items():
                    call["parameters"].setdefault(keyword, {"index": None, "value": literal(passed)})
            elif parameter.kind is not parameter.VAR_POSITIONAL:
                place = None if parameter.kind is parameter.KEYWORD_ONLY else index
                call["parameters"].setdefault(parameter.name, {"index": place, "value": literal(value)})
        if call["variadic"] and isinstance(callee, type):
            for parameter in self._inherited(callee):
                call["parameters"].setdefault(parameter.name, {"index": None, "value": literal(parameter.default)})

    def _inherited(self, callee: type) -> Iterator[inspect.Parameter]:
        """What a constructor that takes any keyword can hand on to those of its bases."""
        for base in callee.__mro__[1:]:
            if base.__module__.partition(".")[0] == self._package and "__init__" in vars(base):
                for parameter in inspect.signature(vars(base)["__init__"]).parameters.values():
                    if parameter.default is not parameter.empty:
                        yield parameter

    def _file(self, callee: Any) -> str:
        function = getattr(callee, "__func__", callee)
        file = sys.modules[function.__module__].__file__
        assert file is not None
        return Path(file).relative_to(self._tree).as_posix()
