"""What an expression rests on, given that of the variables, attributes, parameters and functions that it uses."""

from __future__ import annotations

import ast
import builtins
from abc import abstractmethod

from unbloat.edit.edits import Span
from unbloat.evidence.environment import UNKNOWN, is_ours, variable_read, variables_written
from unbloat.evidence.facts import Facts
from unbloat.evidence.flow.atoms import (
    DYNAMIC,
    OBJECT,
    STATIC,
    Atom,
    Atoms,
    Parameter,
    Read,
    Source,
    Variable,
    join,
    looked_into,
    union,
)
from unbloat.evidence.flow.calls import Calls, Definition, Passed, enclosing_function, is_bound, passed
from unbloat.evidence.flow.config_access import ConfigAccess, only_looks
from unbloat.evidence.flow.containers import makes_empty, may_change
from unbloat.evidence.flow.times import is_read_at_one_time, varies
from unbloat.evidence.functions import children, default_of
from unbloat.evidence.names import (
    CONFIG_FUNCTIONS,
    FRAMEWORK_ATTRIBUTES,
    HALT,
    PURE_FUNCTIONS,
    PURE_METHODS,
    UNSEEN,
    is_setting,
)
from unbloat.evidence.namespaces import asks_for_no_variable
from unbloat.evidence.program import Module, Program
from unbloat.evidence.scopes import Scope

_TYPE_QUESTIONS = frozenset("callable isinstance issubclass type hasattr".split())
_PURE_LIBRARIES = frozenset("math operator".split())
# Their functions hand back tensors, arrays or modules, never None; what is in them is data.
_ARRAY_LIBRARIES = frozenset("torch numpy einops".split())
# What these hand back is up to files, callbacks or the machine.
_OPEN_LIBRARIES = ("torch.distributed", "torch.hub", "torch.jit", "torch.utils", "torch.backends")
_CONFIG_READERS = PURE_METHODS | CONFIG_FUNCTIONS | {"getattr", "hasattr", "OmegaConf", "select"}


class Expressions(ConfigAccess):
    """Rules for every kind of expression."""

    def __init__(self, program: Program, facts: Facts, files: frozenset[str]) -> None:
        super().__init__(program, facts)
        self.calls = Calls(program, facts, files)
        self._written = frozenset(variables_written(program))
        self._sweep: dict[ast.expr, Source] = {}
        self._reads: dict[ast.Name, tuple[Scope | None, bool, bool]] = {}

    @abstractmethod
    def _variable(self, scope: Scope, name: str) -> Source: ...

    @abstractmethod
    def _attribute(self, owner: ast.ClassDef, name: str) -> Source: ...

    @abstractmethod
    def _influence(self, module: Module, node: ast.AST) -> Atoms:
        """What decides whether `node` runs, up to its function."""

    @abstractmethod
    def _made(self, owner: ast.ClassDef, name: str) -> Atoms:
        """What it rests on that an object has an attribute."""

    @abstractmethod
    def _returned(self, function: Definition) -> Source: ...

    @abstractmethod
    def _returned_element(self, function: Definition, index: int, count: int) -> Source: ...

    @abstractmethod
    def _owners(self, module: Module, node: ast.expr) -> list[ast.ClassDef] | None:
        """The classes of the subject of which an expression is known to give an instance; None if that is not known."""

    def source(self, module: Module, node: ast.expr) -> Source:
        """What an expression rests on, parameters of the function around it unresolved."""
        if node not in self._sweep:
            self._sweep[node] = DYNAMIC  # an expression is no part of itself
            self._sweep[node] = self._source(module, node)
        return self._sweep[node]

    def _source(self, module: Module, node: ast.expr) -> Source:
        if (read := self._config_read(module, node)) is not None:
            return read
        found = self._evaluated(module, node)
        if (module.file, Span.of(node)) not in self._facts.direct or getattr(node, "inserted", False):
            return found
        read = self._keys_read(module, node)  # it walks a config, or asks what is in it
        content = looked_into(found.content) if only_looks(node) else found.content
        return Source(union([content, read.content]), union([found.presence, read.presence]))

    def _evaluated(self, module: Module, node: ast.expr) -> Source:
        match node:
            case ast.Constant() | ast.Lambda():
                return STATIC
            case ast.Name():
                return self._name(module, node)
            case ast.Attribute():
                return self._member(module, node)
            case ast.Call():
                return self._call(module, node)
            case ast.Compare():
                return self._compare(module, node)
            case ast.NamedExpr():
                return self.source(module, node.value)
            case ast.IfExp():
                return self._conditional(module, node)
            case ast.BoolOp():
                operands = join(self.source(module, part) for part in node.values if not is_unseen(part))
                return Source(operands.content, operands.content if operands.content is not None else operands.presence)
            case ast.Subscript():
                parts = self._joined(module, node)
                return Source(parts.content, parts.content)
            case ast.Await() | ast.Yield() | ast.YieldFrom():
                return DYNAMIC
            case ast.BinOp() | ast.UnaryOp(op=ast.USub() | ast.UAdd() | ast.Invert()):
                parts = self._joined(module, node)
                return Source(parts.content, parts.presence)  # of which type it is, its operands say
            case _:
                parts = self._joined(module, node)
                return Source(parts.content, frozenset())

    def _joined(self, module: Module, node: ast.expr) -> Source:
        return join(self.source(module, part) for part in children(node))

    def _conditional(self, module: Module, node: ast.IfExp) -> Source:
        arms = [arm for arm in (node.body, node.orelse) if not is_unseen(arm)]
        if len(arms) == 1:
            return self.source(module, arms[0])
        test = self.source(module, node.test).content
        return join([*(self.source(module, arm) for arm in arms), Source(test, test)])

    # -- names and members --------------------------------------------------------------------------------------

    def _name(self, module: Module, node: ast.Name) -> Source:
        if node not in self._reads:
            self._reads[node] = _read_of(module, node)
        holder, at_one_time, in_passes = self._reads[node]
        if holder is None:
            return STATIC if hasattr(builtins, node.id) else DYNAMIC
        if not at_one_time:
            return DYNAMIC
        found = self._variable(holder, node.id)
        if not in_passes:
            return found
        control = self._influence(module, node)  # data must not say which pass gets here
        return Source(union([found.content, control]), union([found.presence, control]))

    def _class_named(self, module: Module, node: ast.Name) -> ast.ClassDef | None:
        found = self._definition(module, node)
        return found if isinstance(found, ast.ClassDef) else None

    def _definition(self, module: Module, node: ast.Name) -> ast.AST | None:
        scope = module.scope_of_name(node)
        found = self._program.definition(module, scope, node.id)
        return found[1].node if found is not None else None

    def _member(self, module: Module, node: ast.Attribute) -> Source:
        if node.attr in FRAMEWORK_ATTRIBUTES:
            return DYNAMIC
        base = node.value
        if isinstance(base, ast.Name):
            scope = module.scope_of_name(base)
            target = self._program.imported_module(module, scope, base.id)
            if isinstance(target, Module):
                return (
                    self._variable(target.scopes.module, node.attr) if node.attr in target.scopes.module.bindings else DYNAMIC
                )
            if isinstance(target, str):
                # What the pinned versions of another package hold, unless somebody may set it.
                return DYNAMIC if is_setting(f"{target}.{node.attr}") else STATIC
            if isinstance(self._definition(module, base), ast.FunctionDef | ast.AsyncFunctionDef):
                return DYNAMIC  # a function's own field
        if (owners := self._owners(module, base)) is not None:
            return join(self._attribute(owner, node.attr) for owner in owners)
        held = self.source(module, base)
        return Source(held.content, held.content)

    # -- calls --------------------------------------------------------------------------------------------------

    def _call(self, module: Module, node: ast.Call) -> Source:
        if (variable := variable_read(self._program, module, node)) is not None:
            known = variable != UNKNOWN and not is_ours(variable) and not self._written & {variable, UNKNOWN}
            found: Atoms = frozenset({Variable(variable)}) if known else None
            return Source(found, found)
        if callees := self.calls.callees(module, node):
            if any(self._may_be_another(module, node, *callee) for callee in callees):
                return DYNAMIC
            result = join(self._result(module, node, *callee) for callee in callees)
            # Data may say which of several functions it is.
            return result if len(callees) == 1 else Source(None, result.presence)
        function = node.func
        if isinstance(function, ast.Name):
            return self._named_call(module, node, function)
        if not isinstance(function, ast.Attribute):
            return DYNAMIC
        dotted = self._dotted(module, function)
        library = dotted.partition(".")[0]
        if library:
            if dotted.startswith("omegaconf.OmegaConf.") and function.attr in CONFIG_FUNCTIONS and node.args:
                return self._config_function(module, node, function.attr)
            if library in _PURE_LIBRARIES:
                content = self._arguments(module, node)
                return Source(content, frozenset())
            known = library in _ARRAY_LIBRARIES and not dotted.startswith(_OPEN_LIBRARIES) and function.attr != "load"
            return OBJECT if known else DYNAMIC
        if function.attr in PURE_METHODS:
            content = union([self.source(module, function.value).content, self._arguments(module, node)])
            return Source(content, content if function.attr == "get" else frozenset())
        return DYNAMIC

    def _may_be_another(self, module: Module, node: ast.Call, callee: Module, function: Definition) -> bool:
        """Whether something that the runs do not note as a function (a `lambda`) may be called here as well."""
        if isinstance(node.func, ast.Attribute) and node.func.attr == function.name:
            if isinstance(callee.parents[function], ast.ClassDef):
                return self._program.patches.field(function.name)
            return self._program.patches.module_name(function.name)
        return not self.calls.hands_on(module, node, function)

    def _config_function(self, module: Module, node: ast.Call, name: str) -> Source:
        """What OmegaConf says of a config: of which kind it is, or what is in it."""
        content = self._arguments(module, node)
        if name in ("is_config", "is_dict", "is_list"):
            return Source(self.source(module, node.args[0]).presence, frozenset())
        return Source(None if name == "to_container" else content, content)

    def _named_call(self, module: Module, node: ast.Call, function: ast.Name) -> Source:
        scope = module.scope_of(node)
        if scope.resolve(function.id) is None:
            return self._builtin_call(module, node, function.id)
        found = self._program.definition(module, scope, function.id)
        if found is not None and isinstance(found[1].node, ast.ClassDef):
            return OBJECT
        return DYNAMIC

    def _builtin_call(self, module: Module, node: ast.Call, name: str) -> Source:
        if name in ("getattr", "hasattr") and len(node.args) > 1:
            return self._looked_up(module, node, name)
        if name in _TYPE_QUESTIONS and node.args:
            content = union(
                [self.source(module, node.args[0]).presence, *(self.source(module, part).content for part in node.args[1:])]
            )
            return Source(content, frozenset())
        applied = node.args[0] if name in ("map", "filter") and node.args else None
        applies = (
            isinstance(applied, ast.Name)
            and applied.id in PURE_FUNCTIONS
            and module.scope_of(applied).resolve(applied.id) is None
        )
        if name not in PURE_FUNCTIONS and not applies:
            return DYNAMIC
        content = self._arguments(module, node)
        return Source(content, frozenset() if name not in ("abs", "max", "min", "round", "sum") else content)

    def _looked_up(self, module: Module, node: ast.Call, name: str) -> Source:
        """`getattr` and `hasattr` with a literal name, of an object of the subject."""
        base, literal = node.args[0], node.args[1]
        if not isinstance(literal, ast.Constant) or not isinstance(literal.value, str):
            return DYNAMIC
        if literal.value in FRAMEWORK_ATTRIBUTES:
            return DYNAMIC
        owners = self._owners(module, base)
        if owners is None:
            held = self.source(module, base)
            if name == "hasattr":
                return Source(held.content, frozenset())
            return join([Source(held.content, held.content), *(self.source(module, part) for part in node.args[2:])])
        made = union(self._made(owner, literal.value) for owner in owners)
        if name == "hasattr":
            return Source(made, frozenset())
        stored = join(self._attribute(owner, literal.value) for owner in owners)
        missing = [Source(made, made)] if len(node.args) > 2 else []
        return join([stored, *missing, *(self.source(module, part) for part in node.args[2:])])

    def _compare(self, module: Module, node: ast.Compare) -> Source:
        if asks_for_no_variable(module, node):
            return STATIC
        parts = [node.left, *node.comparators]
        if all(isinstance(operator, ast.Is | ast.IsNot) for operator in node.ops):
            if any(isinstance(part, ast.Constant) and part.value is None for part in parts):
                return Source(union(self.source(module, part).presence for part in parts), frozenset())
        if isinstance(node.ops[0], ast.In | ast.NotIn) and len(node.ops) == 1 and self._is_empty(module, parts[1]):
            return Source(self.source(module, parts[1]).content, frozenset())  # nothing is in there, whatever it is
        return Source(union(self.source(module, part).content for part in parts), frozenset())

    def _is_empty(self, module: Module, node: ast.expr) -> bool:
        """Whether an expression names a container that was made empty; whether somebody filled it, its content says."""
        if not isinstance(node, ast.Name):
            return False
        holder = module.scope_of_name(node).resolve(node.id)
        values = [one.value for one in holder.bindings[node.id]] if holder is not None else []
        return len(values) == 1 and values[0] is not None and makes_empty(values[0])

    def _arguments(self, module: Module, node: ast.Call) -> Atoms:
        parts = [*node.args, *(keyword.value for keyword in node.keywords)]
        return union(self.source(module, part).content for part in parts)

    def _result(self, module: Module, node: ast.Call, callee: Module, function: Definition) -> Source:
        """What a function returns, its parameters replaced by what this call passes."""
        if function.name in ("__init__", "__new__", "__post_init__"):
            return OBJECT
        return self._as_called(module, node, callee, function, self._returned(function))

    def _result_element(self, module: Module, node: ast.Call, index: int, count: int) -> Source | None:
        """Element `index` of the `count` that a call of a function returns; None if it may call several, or another one."""
        callees = self.calls.callees(module, node)
        if len(callees) != 1 or self._may_be_another(module, node, *callees[0]):
            return None
        callee, function = callees[0]
        return self._as_called(module, node, callee, function, self._returned_element(function, index, count))

    def _as_called(self, module: Module, node: ast.Call, callee: Module, function: Definition, returned: Source) -> Source:
        return Source(
            self._substituted(module, node, callee, function, returned.content),
            self._substituted(module, node, callee, function, returned.presence),
        )

    def _substituted(self, module: Module, node: ast.Call, callee: Module, function: Definition, atoms: Atoms) -> Atoms:
        if atoms is None:
            return None
        parts: list[Atoms] = []
        for atom in atoms:
            parts.append(self._replaced(module, node, callee, function, atom))
        return union(parts)

    def _replaced(self, module: Module, node: ast.Call, callee: Module, function: Definition, atom: Atom) -> Atoms:
        if isinstance(atom, Read) and atom.function is function:
            place = Span.of(node)
            if not self._facts.keys_read(module.file, place):
                return frozenset({atom})
            return frozenset({Read(enclosing_function(module, node), module.file, place, atom.presence)})
        if not isinstance(atom, Parameter) or atom.function is not function:
            return frozenset({atom})
        if function.args.vararg is not None and atom.name == function.args.vararg.arg:
            return self._gathered(module, node, callee, function)
        argument = passed(self._facts, module, node, callee, function, atom.name)
        if argument in (Passed.UNKNOWN, Passed.UNSEEN):
            return None
        if argument is Passed.DEFAULT:
            default = default_of(function, atom.name)
            assert default is not None
            argument, module = default, callee
        assert isinstance(argument, ast.expr)
        found = self.source(module, argument)
        if atom.presence:
            return found.presence
        return None if may_change(argument) else found.content

    def _gathered(self, module: Module, node: ast.Call, callee: Module, function: Definition) -> Atoms:
        """What the arguments rest on that a call passes for `*args`."""
        first = len(function.args.posonlyargs) + len(function.args.args) - is_bound(module, callee, function, node)
        if any(isinstance(part, ast.Starred) for part in node.args):
            return None
        return union(self.source(module, part).content for part in node.args[first:])

    def _dotted(self, module: Module, node: ast.expr) -> str:
        """The dotted name of what an expression reaches in another package; empty otherwise."""
        if isinstance(node, ast.Attribute):
            owner = self._dotted(module, node.value)
            return f"{owner}.{node.attr}" if owner else ""
        if not isinstance(node, ast.Name):
            return ""
        scope = module.scope_of_name(node)
        target = self._program.imported_module(module, scope, node.id)
        return target if isinstance(target, str) else ""


def is_unseen(node: ast.expr) -> bool:
    """Whether an expression stands for one that no workload evaluated."""
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in (UNSEEN, HALT)


def _read_of(module: Module, node: ast.Name) -> tuple[Scope | None, bool, bool]:
    """The scope that holds a variable, whether it has one value wherever it is read, and whether that varies by passes."""
    scope = module.scope_of_name(node)
    holder = scope.resolve(node.id)
    if holder is None or not is_read_at_one_time(module, holder, node):
        return holder, False, False
    return holder, True, varies(module, holder, node)
