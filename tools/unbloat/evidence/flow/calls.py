"""Who calls whom, as the runs saw it, in the code that is left."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from unbloat.edit.edits import Span
from unbloat.evidence.facts import Facts
from unbloat.evidence.functions import default_of
from unbloat.evidence.kept import kept
from unbloat.evidence.names import last_name
from unbloat.evidence.program import FUNCTIONS, Module, Program
from unbloat.evidence.scopes import Function

Definition = ast.FunctionDef | ast.AsyncFunctionDef
_CALLED_BY_OBJECT = frozenset("__call__ __init__ __new__ __post_init__ forward".split())


class Calls:
    """The observed call graph of a program."""

    def __init__(self, program: Program, facts: Facts, files: frozenset[str] = frozenset()) -> None:
        """`files`: those of which code that no workload executed counts as a caller, too, where it is no wire."""
        self._facts = facts
        self._program = program
        self._partial = frozenset().union(*map(_partials, program.modules.values()))
        self._callees: dict[tuple[str, Span], list[tuple[Module, Definition]]] = {}
        self._beneath: dict[tuple[str, Span], list[tuple[Module, Definition]]] = {}
        self._unseen: dict[str, list[tuple[Module, ast.Call]]] = {}
        for module in program.modules.values():
            for node in _places(module).calls if module.file in files else ():
                if self._is_unseen(module, node):
                    self._unseen.setdefault(last_name(node.func), []).append((module, node))
        for place, callers in facts.calls.items():
            if (function := self._function_at(*place)) is not None:
                for caller in callers:
                    if caller is not None:
                        self._callees.setdefault(self._call_at(caller), []).append(function)
        for place, through in facts.indirect.items():
            if (function := self._function_at(*place)) is not None:
                for caller in through:
                    self._beneath.setdefault(self._call_at(caller), []).append(function)

    def _function_at(self, file: str, span: Span) -> tuple[Module, Definition] | None:
        module = self._program.modules.get(file)
        found = _places(module).functions.get(span) if module is not None else None
        return (module, found) if module is not None and found is not None else None

    def _nodes_at(self, file: str, span: Span) -> list[tuple[Module, ast.AST]]:
        module = self._program.modules.get(file)
        return [(module, node) for node in _places(module).nodes.get(span, ())] if module is not None else []

    def _call_at(self, place: tuple[str, Span]) -> tuple[str, Span]:
        """The place of a call as the tree has it: in Python 3.11 a chained call begins on the line of its method's name."""
        file, span = place
        module = self._program.modules.get(file)
        if module is None or span in _places(module).nodes:
            return place
        return file, _places(module).by_end.get((span.end_line, span.end_column), span)

    def callees(self, module: Module, call: ast.Call) -> list[tuple[Module, Definition]]:
        """The functions that a call was seen to reach."""
        return self._callees.get((module.file, Span.of(call)), [])

    def beneath(self, module: Module, node: ast.expr | ast.stmt) -> list[tuple[Module, Definition]]:
        """The functions that ran while an expression was under way, called by it or by a library that it called."""
        place = (module.file, Span.of(node))
        return [*self._callees.get(place, ()), *self._beneath.get(place, ())]

    def is_external(self, module: Module, function: Definition) -> bool:
        """Whether somebody who is not of the subject called a function."""
        return None in self._facts.calls.get((module.file, Span.of(function)), ())

    def callers(self, module: Module, function: Definition) -> Iterator[tuple[Module, ast.Call | None]]:
        """The calls that reached a function; None for a place that does not show what it passes.

        That is an operator, a property, or a call of something else that calls it (`sorted(…, key=f)`, a partial).
        """
        for place in sorted(one for one in self._facts.calls.get((module.file, Span.of(function)), ()) if one is not None):
            nodes = self._nodes_at(*self._call_at(place))
            calls = [(where, node) for where, node in nodes if isinstance(node, ast.Call)]
            if calls:
                where, call = calls[0]
                yield where, call if self.hands_on(where, call, function) else None
            elif nodes:
                yield nodes[0][0], None
        owner = module.parents.get(function)
        of_class = isinstance(owner, ast.ClassDef) and function.name in ("__init__", "__new__")
        for where, call in self._unseen.get(owner.name if isinstance(owner, ast.ClassDef) and of_class else function.name, ()):
            yield where, call if self.hands_on(where, call, function) else None

    def _is_unseen(self, module: Module, node: ast.Call) -> bool:
        """Whether no workload executed a call, and it does not only prepare an error."""
        if getattr(node, "inserted", False) or module.file not in self._facts.lines:
            return False
        statement = module.statement_of(node)
        if self._facts.executed(module.file, node.lineno) or self._facts.executed(module.file, statement.lineno):
            return False
        blocks = (getattr(module.parents.get(statement), name, None) for name in ("body", "orelse", "finalbody"))
        return not any(isinstance(block, list) and statement in block and isinstance(block[-1], ast.Raise) for block in blocks)

    def hands_on(self, module: Module, call: ast.Call, function: Definition) -> bool:
        """Whether the arguments of a call are those of the function that it was seen to reach."""
        target = call.func
        by_object = function.name in _CALLED_BY_OBJECT  # `Box(…)`, `layer(…)`
        if isinstance(target, ast.Name):
            scope = module.scope_of(call)
            found = self._program.definition(module, scope, target.id)
            if found is not None and isinstance(found[1].node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                return by_object or found[1].node is function
            known = scope.resolve(target.id) is not None and target.id not in self._partial
            return known and (by_object or target.id == function.name)
        if isinstance(target, ast.Attribute):
            if target.attr in self._partial or target.attr == "partial":
                return False
            return target.attr == function.name or (by_object and not self._is_library(module, call, target))
        return by_object and not (isinstance(target, ast.Call) and "partial" in ast.unparse(target.func))

    def _is_library(self, module: Module, call: ast.Call, target: ast.expr) -> bool:
        while isinstance(target, ast.Attribute):
            target = target.value
        if not isinstance(target, ast.Name):
            return False
        return isinstance(self._program.imported_module(module, module.scope_of(call), target.id), str)


@dataclass(frozen=True, eq=False)
class _Places:
    """A module's nodes by their places."""

    nodes: Mapping[Span, list[ast.AST]]
    functions: Mapping[Span, Definition]
    by_end: Mapping[tuple[int, int], Span]
    """The places of calls by where they end."""
    calls: tuple[ast.Call, ...]


@kept
def _places(module: Module) -> _Places:
    nodes: dict[Span, list[ast.AST]] = {}
    for node in module.nodes:
        if isinstance(node, ast.expr | ast.stmt) and not getattr(node, "inserted", False):
            nodes.setdefault(Span.of(node), []).append(node)
    functions = {Span.of(node): node for node in module.nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    by_end = {
        (span.end_line, span.end_column): span
        for span, found in nodes.items()
        if any(isinstance(node, ast.Call) for node in found)
    }
    calls = tuple(node for node in module.nodes if isinstance(node, ast.Call))
    return _Places(nodes, functions, by_end, calls)


@kept
def _partials(module: Module) -> frozenset[str]:
    """Names and attributes that hold a function with some of its arguments filled in."""
    found: set[str] = set()
    for node in module.nodes:
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            called = (part.func for part in ast.walk(node.value) if isinstance(part, ast.Call))
            if any("partial" in name for function in called for name in _names_in(function)):
                for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                    found.update(_names_in(target))
    return frozenset(found)


def _names_in(node: ast.expr) -> Iterator[str]:
    """The names, attributes and strings in an expression."""
    for part in ast.walk(node):
        match part:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.Constant(value=str(name)):
                yield name


def is_bound(where: Module, module: Module, function: Function, call: ast.Call) -> bool:
    """Whether a call fills the first parameter by itself."""
    owner = module.parents.get(function)
    if not isinstance(owner, ast.ClassDef) or isinstance(function, ast.Lambda):
        return False
    if any(ast.unparse(one) == "staticmethod" for one in function.decorator_list):
        return False
    base = call.func.value if isinstance(call.func, ast.Attribute) else None
    if isinstance(base, ast.Name) and function.name != "__call__" and _names_class(where, call, base.id, owner.name):
        return any(ast.unparse(one) == "classmethod" for one in function.decorator_list)
    return True


def _names_class(module: Module, call: ast.Call, name: str, owner: str) -> bool:
    """Whether a name stands for a class, not for an object; of what is imported, its spelling has to tell."""
    holder = module.scope_of(call).resolve(name)
    kinds = {binding.kind for binding in holder.bindings[name]} if holder is not None else set()
    if kinds == {"import"}:
        return name == owner or (name[:1].isupper() and not name.isupper())
    return kinds == {"class"} or name == "cls"


class Passed:
    """What a call passes for a parameter."""

    UNKNOWN = "unknown"
    DEFAULT = "default"
    UNSEEN = "default, as far as the runs saw what `**` unpacked"


def passed(facts: Facts, module: Module, call: ast.Call, callee: Module, function: Definition, name: str) -> ast.expr | str:
    """The argument of a call for a parameter, or that it is left to its default, or that this cannot be told."""
    for keyword in call.keywords:
        if keyword.arg == name:
            return keyword.value
    arguments = function.args
    positional = [one.arg for one in [*arguments.posonlyargs, *arguments.args]]
    if name in positional:
        index = positional.index(name) - is_bound(module, callee, function, call)
        starred = next((number for number, part in enumerate(call.args) if isinstance(part, ast.Starred)), None)
        if starred is not None and index >= starred:
            return Passed.UNKNOWN
        if 0 <= index < len(call.args):
            return call.args[index]
    for keyword in call.keywords:
        if keyword.arg is None and name in facts.names.get((module.file, Span.of(keyword.value)), frozenset()):
            return Passed.UNKNOWN
        if keyword.arg is None and facts.outcomes(module.file, Span.of(keyword.value), "keys").false:
            return Passed.UNKNOWN  # it was no plain dictionary, so its keys were not looked at
    if default_of(function, name) is None:
        return Passed.UNKNOWN
    return Passed.UNSEEN if any(keyword.arg is None for keyword in call.keywords) else Passed.DEFAULT


def enclosing_function(module: Module, node: ast.AST) -> Function | None:
    """The function whose run evaluates `node`; comprehensions belong to theirs."""
    scope = module.scope_of(node)
    while scope.is_comprehension and scope.parent is not None:
        scope = scope.parent
    return scope.node if isinstance(scope.node, FUNCTIONS) else None
