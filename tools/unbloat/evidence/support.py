"""What a STATIC decision rests on: the config keys, options and environment variables that must stay as they are.

A fold is safe for every config that answers the reads behind the decision as the pinned one did: the decision is a
function of those answers. So the support of a decision is the set of keys that the runs saw read while it, and
everything that flows into it, was computed. Where that set cannot be told, the decision is not folded.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from unbloat.edit.edits import Span
from unbloat.evidence.binding import BindingTimes
from unbloat.evidence.callers import own_nodes
from unbloat.evidence.config_reads import UNKNOWN_KEY
from unbloat.evidence.facts import Facts
from unbloat.evidence.program import FUNCTIONS, Module, Program
from unbloat.evidence.scopes import Function

Scalar: TypeAlias = bool | int | float | str | None
# As many as the probes tell apart: that many may mean more.
_TOO_MANY_VALUES = 4


@dataclass(frozen=True)
class PinnedArgument:
    """An option of a public function, and the values that the runs saw it take."""

    file: str
    function: Span
    name: str
    values: tuple[Scalar, ...]


@dataclass(frozen=True)
class Support:
    """Everything that has to stay as it was for a decision to stay as it was."""

    keys: frozenset[str] = frozenset()
    environment: frozenset[str] = frozenset()
    arguments: frozenset[PinnedArgument] = frozenset()


@dataclass(frozen=True)
class Unsupported:
    """Why a decision cannot be pinned."""

    reason: str


class Supports:
    """Finds the support of expressions of one program."""

    def __init__(self, program: Program, facts: Facts, binding: BindingTimes) -> None:
        self._program = program
        self._facts = facts
        self._binding = binding
        self._stored = frozenset(self._stored_keys())

    def of(self, module: Module, expression: ast.expr) -> Support | Unsupported:
        """The support of a STATIC expression."""
        gathering = _Gathering(self._program, self._facts, self._binding)
        gathering.expression(module, expression)
        if gathering.trouble is not None:
            return Unsupported(gathering.trouble)
        for key in sorted(gathering.keys):
            if (trouble := self._unpinnable(key)) is not None:
                return Unsupported(trouble)
        return Support(frozenset(gathering.keys), frozenset(gathering.environment), frozenset(gathering.arguments))

    def _unpinnable(self, key: str) -> str | None:
        if key == UNKNOWN_KEY:
            return "reads a config that no workload handed in, or all of it at once"
        if self._facts.is_written(key):
            return f"config key `{key}` is written during the run"
        if self._stored & {"*", key.rpartition(".")[2]}:
            return f"config key `{key}` may be written by the code that stays"
        found = self._facts.values[key]
        if len(found) != 1:
            shown = " and ".join(repr(value) if kind == "value" else kind for kind, value in found[:2])
            return f"config key `{key}` is not the same everywhere: {shown}"
        return None

    def _stored_keys(self) -> Iterator[str]:
        """The last parts of config keys that the code, executed or not, writes to."""
        for module, node in self._program.walk():
            match node:
                case ast.Attribute(value=base, attr=name, ctx=ast.Store() | ast.Del()):
                    if self._is_config(module, base):
                        yield name
                case ast.Subscript(value=base, slice=index, ctx=ast.Store() | ast.Del()):
                    if self._is_config(module, base):
                        yield _literal(index)
                case ast.Call(func=ast.Name(id="setattr" | "delattr"), args=[base, name, *_]):
                    if self._is_config(module, base):
                        yield _literal(name)
                case ast.Call(func=ast.Attribute(value=base, attr="update" | "pop" | "setdefault" | "popitem"), args=arguments):
                    if isinstance(base, ast.Name) and base.id == "OmegaConf":
                        yield _literal(arguments[1]).rpartition(".")[2] if len(arguments) > 1 else "*"
                    elif self._is_config(module, base):
                        yield _literal(arguments[0]) if arguments else "*"

    def _is_config(self, module: Module, base: ast.expr) -> bool:
        """Whether an object may be (a part of) the config: STATIC, and neither a module nor the object itself."""
        if isinstance(base, ast.Constant) or not self._binding.is_static(module, base):
            return False
        if isinstance(base, ast.Name):
            return self._program.imported_module(module, module.scope_of(base), base.id) is None
        return True


def _literal(node: ast.expr) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else "*"


@dataclass
class _Gathering:
    """One walk from an expression to everything that flows into it."""

    program: Program
    facts: Facts
    binding: BindingTimes
    keys: set[str] = field(default_factory=set)
    environment: set[str] = field(default_factory=set)
    arguments: set[PinnedArgument] = field(default_factory=set)
    trouble: str | None = None
    _seen: set[object] = field(default_factory=set)

    def expression(self, module: Module, expression: ast.expr) -> None:
        if expression in self._seen:
            return
        self._seen.add(expression)
        self.keys |= self.facts.keys_read(module.file, Span.of(expression))
        for node in ast.walk(expression):
            self._node(module, node, None)

    def _node(self, module: Module, node: ast.AST, inside: Function | None) -> None:
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            self._name(module, node, inside)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            self._field(module, node)
        elif isinstance(node, ast.Call):
            self._call(module, node)

    def _name(self, module: Module, node: ast.Name, inside: Function | None) -> None:
        """Follow a name to its definitions; those inside a called function are covered by the reads at the call."""
        scope = module.scopes.of_name.get(node) or module.scope_of(node)
        holder = scope.resolve(node.id)
        if holder is None or (holder, node.id) in self._seen or (inside is not None and holder.node is inside):
            return
        self._seen.add((holder, node.id))
        bindings = holder.bindings[node.id]
        for binding in bindings:
            if binding.kind == "parameter":
                assert isinstance(holder.node, FUNCTIONS)
                self._parameter(module, holder.node, node.id)
            for part in _sources(binding.node, binding.value):
                self.expression(module, part)
            if len(bindings) > 1 and binding.kind != "parameter":
                for test in self.binding.control_of(module, binding.node):
                    self.expression(module, test)
            if binding.kind == "import" and (found := self.program.definition(module, holder, node.id)):
                for part in _sources(found[1].node, found[1].value):
                    self.expression(found[0], part)

    def _parameter(self, module: Module, function: Function, name: str) -> None:
        if self.binding.is_config_parameter(module, function, name):
            return
        if not isinstance(function, ast.Lambda) and _is_public(module, function):
            self._option(module, function, name)
        for caller, argument in self.binding.arguments_for((function, name)):
            self.expression(caller if argument in caller.parents else module, argument)

    def _option(self, module: Module, function: ast.FunctionDef | ast.AsyncFunctionDef, name: str) -> None:
        """Anybody may call a public function: its options are held to the values that were seen."""
        found = self.facts.arguments.get((module.file, Span.of(function)), {}).get(name, ())
        if not found or len(found) >= _TOO_MANY_VALUES or any(kind == "other" for kind, _ in found):
            self.trouble = f"parameter `{name}` of public `{function.name}` cannot be held to the values that were seen"
            return
        values = tuple(value for _, value in found)
        self.arguments.add(PinnedArgument(module.file, Span.of(function), name, values))

    def _field(self, module: Module, node: ast.Attribute) -> None:
        for owner, part in self.binding.definitions_of(module, node):
            self.expression(owner, part)

    def _call(self, module: Module, node: ast.Call) -> None:
        if (variable := _environment_variable(node)) is not None:
            if variable == "*":
                self.trouble = "asks for an environment variable whose name is computed"
            self.environment.add(variable)
        callee = self.program.callee(module, module.scope_of(node), node)
        if callee is None or callee.function in self._seen:
            return
        self._seen.add(callee.function)
        for part in own_nodes(callee.function):
            self._node(callee.module, part, callee.function)


def _is_public(module: Module, function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether somebody outside may call a function by its name."""
    if module.enclosing(function, FUNCTIONS) is not None:
        return False
    return not function.name.startswith("_") or function.name.endswith("__")


def _sources(node: ast.AST, value: ast.expr | None) -> Iterator[ast.expr]:
    """The expressions that give a binding its value."""
    if value is not None:
        yield value
    elif isinstance(node, ast.Assign | ast.AugAssign):
        yield node.value
    elif isinstance(node, ast.For | ast.AsyncFor | ast.comprehension):
        yield node.iter


def _environment_variable(node: ast.Call) -> str | None:
    """The variable that a call asks the environment for; `*` if its name is not a literal."""
    if ast.unparse(node.func) not in ("os.environ.get", "os.getenv", "environ.get", "getenv") or not node.args:
        return None
    return _literal(node.args[0])
