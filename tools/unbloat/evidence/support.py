"""What a STATIC decision rests on: the config keys, options and environment variables that must stay as they are.

A fold is safe for every config that answers the reads behind the decision as the pinned one did: the decision is a
function of those answers. So the support of a decision is the set of keys that the runs saw read while it, and
everything that flows into it, was computed. Where that set cannot be told, the decision is not folded.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from unbloat.edit.edits import Span
from unbloat.evidence.binding import BindingTimes
from unbloat.evidence.callers import is_generator, own_nodes
from unbloat.evidence.config_flow import ConfigFlow
from unbloat.evidence.config_reads import UNKNOWN_KEY
from unbloat.evidence.environment import UNKNOWN, is_ours, variable_read, variables_written
from unbloat.evidence.facts import Facts, Found
from unbloat.evidence.program import FUNCTIONS, Module, Program
from unbloat.evidence.scopes import Function, Scope

Scalar: TypeAlias = bool | int | float | str | None
_CHANGING_LISTS = frozenset("append extend insert remove reverse sort".split())


@dataclass(frozen=True)
class PinnedArgument:
    """An option of a public function, and the values that the runs saw it take."""

    file: str
    function: Span
    name: str
    values: tuple[Scalar, ...]


@dataclass(frozen=True)
class PinnedField:
    """A field, or a variable of an outer function, that holds the config (or the part of it at `path`) when a function runs."""

    file: str
    function: Span
    field: str
    path: str


@dataclass(frozen=True)
class Support:
    """Everything that has to stay as it was for a decision to stay as it was.

    Of a key in `keys` the value counts; of one in `types` only whether it is there, is `None`, and of which type it is: a test
    like `x is None` must not freeze a number.
    """

    keys: frozenset[str] = frozenset()
    types: frozenset[str] = frozenset()
    environment: frozenset[str] = frozenset()
    arguments: frozenset[PinnedArgument] = frozenset()
    fields: frozenset[PinnedField] = frozenset()

    def and_(self, other: Support) -> Support:
        return Support(
            self.keys | other.keys,
            self.types | other.types,
            self.environment | other.environment,
            self.arguments | other.arguments,
            self.fields | other.fields,
        )


NOTHING = Support()


def joined(supports: Iterable[Support | None]) -> Support | None:
    """Everything that several things rest on; None if one of them cannot be had."""
    found = NOTHING
    for support in supports:
        if support is None:
            return None
        found = found.and_(support)
    return found


@dataclass(frozen=True)
class Unsupported:
    """Why a decision cannot be pinned."""

    reason: str


class Supports:
    """Finds the support of expressions of one program."""

    def __init__(self, program: Program, facts: Facts, binding: BindingTimes, flow: ConfigFlow) -> None:
        self._program = program
        self._facts = facts
        self._binding = binding
        self._flow = flow
        self._stored = frozenset(self._stored_keys())
        self._written_variables = frozenset(variables_written(program))

    def of(self, module: Module, expression: ast.expr, *, by_type: bool = False) -> Support | Unsupported:
        """The support of a STATIC expression, or of its type alone."""
        gathering = _Gathering(self._program, self._facts, self._binding, self._flow, self._written_variables)
        gathering.expression(module, expression, by_type)
        if gathering.trouble is not None:
            return Unsupported(gathering.trouble)
        types = gathering.types - gathering.keys
        for key in sorted(gathering.keys | types):
            if (trouble := self._unpinnable(key, by_type=key in types)) is not None:
                return Unsupported(trouble)
        return Support(
            frozenset(gathering.keys),
            frozenset(types),
            frozenset(gathering.environment),
            frozenset(gathering.arguments),
            frozenset(gathering.fields),
        )

    def _unpinnable(self, key: str, *, by_type: bool) -> str | None:
        if key == UNKNOWN_KEY:
            return "reads a config that no workload handed in, or all of it at once"
        if self._facts.is_written(key):
            return f"config key `{key}` is written during the run"
        if self._stored & {"*", key.rpartition(".")[2]}:
            return f"config key `{key}` may be written by the code that stays"
        found = self._facts.values[key]
        if len(set(map(type_of, found)) if by_type else found) != 1:
            shown = " and ".join(repr(value) if kind == "value" else kind for kind, value in found[:2])
            return f"config key `{key}` is not the same everywhere: {shown}"
        return None

    def _stored_keys(self) -> Iterator[str]:
        """The last parts of config keys that the code, executed or not, may write to."""
        for module, node in self._program.walk():
            match node:
                case ast.Attribute(value=base, attr=name, ctx=ast.Store() | ast.Del()):
                    if not self._is_self(module, base):
                        yield name
                case ast.Subscript(value=base, slice=index, ctx=ast.Store() | ast.Del()):
                    if self._is_config(module, base):
                        yield _literal(index)
                case ast.Call(func=ast.Name(id="setattr" | "delattr"), args=[base, name, *_]):
                    if self._is_config(module, base):
                        yield _literal(name)
                case ast.Call(func=ast.Attribute(value=base, attr="update" | "pop" | "setdefault" | "popitem" | "clear")):
                    yield from self._stored_by_method(module, node, base)
                case ast.Call(func=ast.Attribute(value=base, attr=name)) if name in _CHANGING_LISTS:
                    if self._is_config(module, base):
                        yield base.attr if isinstance(base, ast.Attribute) else "*"

    def _stored_by_method(self, module: Module, call: ast.Call, base: ast.expr) -> Iterator[str]:
        if isinstance(base, ast.Name) and base.id == "OmegaConf":
            yield _literal(call.args[1]).rpartition(".")[2] if len(call.args) > 1 else "*"
        elif self._is_config(module, base):
            yield _literal(call.args[0]) if call.args and not call.keywords else "*"

    def _is_self(self, module: Module, base: ast.expr) -> bool:
        if not isinstance(base, ast.Name):
            return False
        return self._program.class_of_self(module, module.scopes.of_name[base], base.id) is not None

    def _is_config(self, module: Module, base: ast.expr) -> bool:
        """Whether an object may be (a part of) the config: what a config flows to, or STATIC and nothing else we know."""
        if isinstance(base, ast.Constant) or self._flow.is_fresh(module, base):
            return False
        if isinstance(base, ast.Name):
            if self._program.imported_module(module, module.scope_of(base), base.id) is not None:
                return False
        return self._flow.may_be_config(module, base) or self._binding.is_static(module, base)


def type_of(found: Found) -> str:
    """What is there, by type: a scalar's or list's type, or that a key is absent or a mapping."""
    kind, value = found
    if kind == "keys":
        return "mapping"
    return type(value).__name__ if kind == "value" else kind


def _plain_read(node: ast.expr) -> list[ast.expr] | None:
    """The parts of an access to a config that hands on what it finds, what is accessed first; None for anything else."""
    match node:
        case ast.Attribute(value=base):
            return [base]
        case ast.Subscript(value=base, slice=index):
            return [base, index]
        case ast.Call(func=ast.Name(id="getattr"), args=[base, name, *default], keywords=[]):
            return [base, name] if all(isinstance(part, ast.Constant) for part in default) else None
        case ast.Call(func=ast.Attribute(value=base, attr="get"), args=[name, *default], keywords=[]):
            return [base, name] if all(isinstance(part, ast.Constant) for part in default) else None
    return None


def _literal(node: ast.expr) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else "*"


@dataclass
class _Gathering:
    """One walk from an expression to everything that flows into it."""

    program: Program
    facts: Facts
    binding: BindingTimes
    flow: ConfigFlow
    written_variables: frozenset[str]
    keys: set[str] = field(default_factory=set)
    types: set[str] = field(default_factory=set)
    environment: set[str] = field(default_factory=set)
    arguments: set[PinnedArgument] = field(default_factory=set)
    fields: set[PinnedField] = field(default_factory=set)
    trouble: str | None = None
    _seen: set[object] = field(default_factory=set)

    def expression(self, module: Module, expression: ast.expr, by_type: bool = False) -> None:
        """Gather what an expression's value, or only its type, rests on."""
        if (expression, by_type) in self._seen:
            return
        self._seen.add((expression, by_type))
        match expression:
            case ast.BoolOp():
                for operand in self._evaluated(module, expression):
                    self.expression(module, operand)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                self.expression(module, operand)
            case ast.Compare(left=left, ops=[ast.Is() | ast.IsNot()], comparators=[ast.Constant(value=None)]):
                self.expression(module, left, by_type=True)
            case ast.Call(func=ast.Name(id="isinstance" | "hasattr" | "callable" | "type"), args=[first, *rest]):
                self.expression(module, first, by_type=True)
                for part in rest:
                    self.expression(module, part)
                if isinstance(expression.func, ast.Name) and expression.func.id == "hasattr":
                    self.types |= self.facts.keys_read(module.file, Span.of(expression))
            case ast.IfExp(test=test, body=body, orelse=orelse):
                self.expression(module, test)
                self.expression(module, body, by_type)
                self.expression(module, orelse, by_type)
            case ast.Name():
                self._read(module, expression, by_type)
                self._name(module, expression, None, by_type)
            case _ if by_type and (parts := _plain_read(expression)) is not None:
                self._read(module, expression, by_type=True)
                base, *rest = parts
                self.expression(module, base, by_type=True)
                for part in rest:
                    self.expression(module, part)
            case _:
                self._read(module, expression, by_type=False)
                for node in ast.walk(expression):
                    self._node(module, node, None)

    def _evaluated(self, module: Module, node: ast.BoolOp) -> Iterator[ast.expr]:
        """The operands up to the first that always decides: those behind it were never asked."""
        decides = isinstance(node.op, ast.Or)
        numbers = [site.index for site in self.facts.counts.get(module.file, {}) if site.span == Span.of(node)]
        whole = len(numbers) == len(node.values) - 1
        for index, operand in enumerate(node.values):
            yield operand
            if whole and self.facts.outcomes(module.file, Span.of(node), "operand", index).only is decides:
                return

    def _read(self, module: Module, expression: ast.expr, by_type: bool) -> None:
        found = self.facts.keys_read(module.file, Span.of(expression))
        if by_type:
            self.types |= found
        else:
            self.keys |= found

    def _node(self, module: Module, node: ast.AST, inside: Function | None) -> None:
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            self._name(module, node, inside)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            self._field(module, node)
        elif isinstance(node, ast.Call):
            self._call(module, node)

    def _name(self, module: Module, node: ast.Name, inside: Function | None, by_type: bool = False) -> None:
        """Follow a name to its definitions; those inside a called function are covered by the reads at the call."""
        scope = module.scopes.of_name.get(node) or module.scope_of(node)
        holder = scope.resolve(node.id)
        if holder is None or (inside is not None and holder.node is inside):
            return
        if (holder, node.id, by_type) in self._seen:
            return
        self._seen.add((holder, node.id, by_type))
        bindings = holder.bindings[node.id]
        for binding in bindings:
            if binding.kind == "parameter":
                assert isinstance(holder.node, FUNCTIONS)
                self._late_config(module, node, holder)
                self._parameter(module, holder.node, node.id, by_type)
            for part in _sources(binding.node, binding.value):
                self.expression(module, part, by_type and binding.kind == "assign")
            if len(bindings) > 1 and binding.kind != "parameter":
                for influence in self.binding.control_of(module, binding.node):
                    self.expression(module, influence.expression, by_type=not influence.by_value)
            if binding.kind == "import" and (found := self.program.definition(module, holder, node.id)):
                for part in _sources(found[1].node, found[1].value):
                    self.expression(found[0], part)

    def _parameter(self, module: Module, function: Function, name: str, by_type: bool) -> None:
        if self.binding.is_config_parameter(module, function, name):
            assert not isinstance(function, ast.Lambda)
            # Not a dict, not an object that only looks like a config.
            paths = self.facts.config_paths[(module.file, Span.of(function))][name]
            self.types.update(path for path in paths if path is not None)
            return
        if self.program.class_of_self(module, module.scopes.by_node[function], name) is not None:
            return  # what counts is what is asked of the object
        if not isinstance(function, ast.Lambda) and _is_public(module, function):
            self._option(module, function, name)
        for caller, argument in self.binding.arguments_for((function, name)):
            self.expression(caller if argument in caller.parents else module, argument, by_type)

    def _option(self, module: Module, function: ast.FunctionDef | ast.AsyncFunctionDef, name: str) -> None:
        """Anybody may call a public function: its options are held to the values that were seen."""
        found = self.facts.arguments.get((module.file, Span.of(function)), {}).get(name, ())
        if len(found) != 1 or found[0][0] == "other":
            self.trouble = f"parameter `{name}` of public `{function.name}` cannot be held to the values that were seen"
            return
        values = tuple(value for _, value in found)
        self.arguments.add(PinnedArgument(module.file, Span.of(function), name, values))

    def _field(self, module: Module, node: ast.Attribute) -> None:
        self._live_config(module, node)
        for owner, part in self.binding.definitions_of(module, node):
            self.expression(owner, part)

    def _late_config(self, module: Module, node: ast.Name, holder: Scope) -> None:
        """A closure or a generator may read the config when its caller has long had the chance to change it."""
        assert isinstance(holder.node, FUNCTIONS)
        if not self.binding.is_config_parameter(module, holder.node, node.id):
            return
        function = module.enclosing(node, FUNCTIONS)
        if function is holder.node and not is_generator(function):
            return
        path = self.binding.config_path(module, node)
        if isinstance(function, ast.FunctionDef) and not is_generator(function) and path is not None:
            self.fields.add(PinnedField(module.file, Span.of(function), node.id, path))
        else:
            self.trouble = f"`{node.id}` may be read long after it was handed in"

    def _live_config(self, module: Module, node: ast.Attribute) -> None:
        """A config that an object keeps may change after the object was made: whoever reads it must check it again."""
        assert isinstance(node.value, ast.Name)
        scope = module.scopes.of_name.get(node.value) or module.scope_of(node.value)
        if self.program.class_of_self(module, scope, node.value.id) is None or not self.flow.may_be_config(module, node):
            return
        function = module.enclosing(node, FUNCTIONS)
        path = self.binding.config_path(module, node)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef) and path is not None:
            if function.name != "__init__":
                self.fields.add(PinnedField(module.file, Span.of(function), ast.unparse(node), path))
        else:
            self.trouble = f"`{ast.unparse(node)}` may hold a part of the config, and it is not plain which"

    def _call(self, module: Module, node: ast.Call) -> None:
        if (variable := variable_read(self.program, module, node)) is not None:
            self.trouble = self.trouble or self.environment_trouble(variable)
            self.environment.add(variable)
        callee = self.program.callee(module, module.scope_of(node), node)
        if callee is None or callee.function in self._seen:
            return
        self._seen.add(callee.function)
        for part in own_nodes(callee.function):
            self._node(callee.module, part, callee.function)

    def environment_trouble(self, variable: str) -> str | None:
        """Why a decision cannot rest on an environment variable, if it cannot."""
        if variable == UNKNOWN:
            return "asks for an environment variable whose name is computed"
        if is_ours(variable):
            return f"environment variable {variable} is set for every run of a workload"
        if self.written_variables & {UNKNOWN, variable}:
            return f"environment variable {variable} may be written by the code that stays"
        return None


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
