"""Binding times: which values are a function of the pinned config alone.

A value is STATIC when everything that can influence it is: the data it is computed from *and* the control that decides
which of several definitions applies. The analysis is a greatest fixpoint over the whole subject: everything starts
STATIC and is demoted by what is not known to be (data, tensors, counters, what a framework hands in, anything that
escapes). It never computes a value: what a STATIC decision decides is what every run saw it decide.

Source: partial evaluation's congruent division (Jones, Gomard & Sestoft 1993, ch. 4), with noninterference for control.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

from unbloat.edit.edits import Span
from unbloat.evidence.callers import Callers, argument_of, has_default, own_nodes
from unbloat.evidence.control import Control, Influence
from unbloat.evidence.environment import variable_read
from unbloat.evidence.facts import Facts
from unbloat.evidence.program import FUNCTIONS, Callee, Module, Program
from unbloat.evidence.scopes import Binding, Function, Scope, parameters
from unbloat.evidence.swallow import Swallowers

PURE_FUNCTIONS = frozenset(
    "abs all any bool callable complex dict enumerate float format frozenset getattr hasattr hash int "
    "isinstance issubclass len list max min range repr reversed round set sorted str sum tuple type zip".split()
)
PURE_METHODS = frozenset(
    "casefold count endswith find format get index isdigit isidentifier isnumeric items join keys lower "
    "lstrip partition removeprefix removesuffix replace rpartition rsplit rstrip split splitlines "
    "startswith strip title upper values".split()
)
CONFIG_FUNCTIONS = frozenset({"select", "is_missing", "is_config", "is_dict", "is_list", "is_none", "to_container"})
# Attributes that torch and Lightning change behind the subject's back.
FRAMEWORK_ATTRIBUTES = frozenset(
    "training trainer current_epoch global_step logger device dtype automatic_optimization fabric".split()
)

Key: TypeAlias = tuple[object, str]  # a scope and a name, a class family and an attribute, a function and "return"


@dataclass(frozen=True)
class Value:
    """What a value depends on: parameters of functions, or (None) something that is not known before the run.

    `presence` is the same for the question whether the value is `None`: an object is built from data, yet known to be one.
    """

    content: frozenset[Key] | None
    presence: frozenset[Key] | None

    @property
    def is_static(self) -> bool:
        return self.content is not None


STATIC = Value(frozenset(), frozenset())
OBJECT = Value(None, frozenset())
DYNAMIC = Value(None, None)


def _union(parts: Iterable[frozenset[Key] | None]) -> frozenset[Key] | None:
    found: frozenset[Key] = frozenset()
    for part in parts:
        if part is None:
            return None
        found |= part
    return found


def join(values: Iterable[Value]) -> Value:
    """A value that may be any of these: it depends on what all of them depend on."""
    values = list(values)
    return Value(_union(value.content for value in values), _union(value.presence for value in values))


class BindingTimes:
    """The binding time of every expression of a program."""

    def __init__(self, program: Program, facts: Facts, config_parameters: frozenset[str], swallowers: Swallowers) -> None:
        self._program = program
        self._facts = facts
        self._config_parameters = config_parameters
        self._swallowers = swallowers
        self._control = {module: Control(module) for module in program.modules.values()}
        self._values: dict[Key, Value] = {}
        self._callers = Callers(program)
        self._changed = False
        self._settled = False
        self._settle()

    # -- answers ------------------------------------------------------------------------------------------------

    def is_static(self, module: Module, expression: ast.expr) -> bool:
        """Whether the pinned config alone decides what `expression` evaluates to, each time it is evaluated."""
        return self._grounded(self.value(module, expression).content, set())

    def control_of(self, module: Module, node: ast.AST) -> tuple[Influence, ...]:
        return self._control[module].of(node)

    def definitions_of(self, module: Module, node: ast.Attribute) -> list[tuple[Module, ast.expr]]:
        """The expressions that give a field (`self.x`) its value, with what decides between them."""
        assert isinstance(node.value, ast.Name)
        scope = module.scopes.of_name.get(node.value) or module.scope_of(node.value)
        owner = self._program.class_of_self(module, scope, node.value.id)
        stores = self._callers.stores(owner, node.attr) if owner is not None else None
        found = []
        for where, store, value in stores or []:
            found += [(where, value)] if value is not None else []
            found += [(where, one.expression) for one in self.control_of(where, store)] if len(stores or []) > 1 else []
        return found

    def arguments_for(self, key: Key) -> list[tuple[Module, ast.expr]]:
        """The expressions that the subject's own calls hand to a parameter."""
        function, name = key
        assert isinstance(function, FUNCTIONS)
        return [
            (module, argument)
            for module, call, callee in self._callers.of(function)
            if (argument := argument_of(call, callee, name)) is not None
        ]

    def pinned_argument(self, function: Function, name: str) -> tuple[object] | None:
        """The value, in a tuple, that every outside caller left to an option's default or passed as that."""
        if isinstance(function, ast.Lambda) or not has_default(function, name):
            return None
        place = (self._program.module_of[function].file, Span.of(function))
        if place not in self._facts.external:
            return None
        found = self._facts.arguments.get(place, {}).get(name, ())
        return (found[0][1],) if len(found) == 1 and found[0][0] == "plain" else None

    # -- parameters ---------------------------------------------------------------------------------------------

    def _grounded(self, content: frozenset[Key] | None, visiting: set[Key]) -> bool:
        """Whether every parameter that something depends on is itself static; recursion is given the benefit."""
        if content is None:
            return False
        for key in content - visiting:
            visiting.add(key)
            if not self._parameter_is_static(key, visiting):
                return False
        return True

    def _parameter_is_static(self, key: Key, visiting: set[Key]) -> bool:
        function, name = key
        assert isinstance(function, FUNCTIONS)
        module = self._program.module_of[function]
        if name in self._config_parameters:
            return self.is_config_parameter(module, function, name, visiting)
        if self._callers.escapes(function):
            return False
        if not isinstance(function, ast.Lambda) and (module.file, Span.of(function)) in self._facts.external:
            if self.pinned_argument(function, name) is None:
                return False
        return self._agree(function, name, visiting)

    def _agree(self, function: Function, name: str, visiting: set[Key]) -> bool:
        """All calls pass something static, and either the same or each has been seen to happen."""
        passed = set()
        seen = True
        for module, call, callee in self._callers.of(function):
            if any(isinstance(part, ast.Starred) for part in call.args) or any(k.arg is None for k in call.keywords):
                return False
            argument = argument_of(call, callee, name)
            if argument is None:
                return False
            if not self._grounded(self.value(self._owner(argument, module), argument).content, visiting):
                return False
            passed.add(ast.dump(argument))
            seen = seen and bool(self._facts.executed(module.file, call.lineno))
        return seen or len(passed) <= 1

    def _owner(self, argument: ast.expr, caller: Module) -> Module:
        """A default is evaluated in the module of the function, not of its caller."""
        if argument in caller.parents:
            return caller
        return next(module for module in self._program.modules.values() if argument in module.parents)

    def is_config_parameter(self, module: Module, function: Function, name: str, visiting: set[Key] | None = None) -> bool:
        """Whether every call hands in the pinned config, or a part of it.

        The runs say what they handed in. For all other calls there is the guard, which needs one part to compare with, and
        somebody to hear it; where it is missing, the subject's own calls must be known to pass nothing else.
        """
        if isinstance(function, ast.Lambda):
            return False
        place = (module.file, Span.of(function))
        paths = self._facts.config_paths.get(place, {}).get(name, ())
        if not paths or None in paths:
            return False
        guarded = is_guarded(self._facts, module, function)
        if guarded and len(paths) > 1:
            return False
        if guarded and function not in self._swallowers.loud_functions:
            return True
        if not guarded and self._callers.escapes(function):
            return False
        return self._agree(function, name, {(function, name)} if visiting is None else visiting)

    # -- the fixpoint -------------------------------------------------------------------------------------------

    def _settle(self) -> None:
        self._changed = True
        while self._changed:
            self._changed = False
            for key in list(self._values):
                self._update(key)
            if not self._values:
                self._touch_everything()
                self._changed = bool(self._values)
        self._settled = True

    def _touch_everything(self) -> None:
        for module, node in self._program.walk():
            if isinstance(node, ast.expr) and not isinstance(getattr(node, "ctx", None), ast.Store | ast.Del):
                self.value(module, node)

    def _lookup(self, key: Key) -> Value:
        if key not in self._values:
            assert not self._settled, f"binding time asked for too late: {key}"
            self._values[key] = STATIC
            self._changed = True
        return self._values[key]

    def _update(self, key: Key) -> None:
        owner, name = key
        if isinstance(owner, Scope):
            value = self._variable(owner, name)
        elif isinstance(owner, ast.ClassDef):
            value = self._attribute(owner, name)
        else:
            assert isinstance(owner, FUNCTIONS)
            value = self._body(owner) if name == "body" else self._returned(owner)
        # Only ever downwards, so that the fixpoint ends.
        value = join([self._values[key], value])
        if value != self._values[key]:
            self._values[key] = value
            self._changed = True

    def _variable(self, scope: Scope, name: str) -> Value:
        module = self._program.module_of[scope.node]
        bindings = scope.bindings[name]
        if scope is module.scopes.module and self._program.patches.module_name(name):
            return DYNAMIC
        values = [self._bound(module, scope, binding) for binding in bindings]
        if len(bindings) > 1:
            if not scope.is_function and any(self._is_in_function(module, binding, scope) for binding in bindings):
                return DYNAMIC
            controls = [self._controlled(module, binding.node) for binding in bindings if binding.kind != "parameter"]
            return join([*values, *controls])
        return values[0]

    def _is_in_function(self, module: Module, binding: Binding, scope: Scope) -> bool:
        """Whether a module's or class's name is (re)bound from inside a function, at a time nobody knows."""
        return module.enclosing(binding.node, (*FUNCTIONS, ast.ClassDef)) not in (None, scope.node)

    def _controlled(self, module: Module, node: ast.AST) -> Value:
        """The control that decides whether `node` runs, as a dependence."""
        content = _union(self._influence(module, one.expression) for one in self._control[module].of(node))
        return Value(content, content)

    def _influence(self, module: Module, expression: ast.expr) -> frozenset[Key] | None:
        """What an expression's outcome depends on, an exception from inside a function that it calls included."""
        parts = [self.value(module, expression, looked_at=True).content]
        for node in ast.walk(expression):
            if isinstance(node, ast.Call) and (callee := self._program.callee(module, module.scope_of(node), node)):
                body = self._lookup((callee.function, "body")).content
                parts.append(self._substituted(module, node, callee, body))
        return _union(parts)

    def _body(self, function: Function) -> Value:
        """Everything that a function evaluates, its own calls' bodies included."""
        module = self._program.module_of[function]
        content = _union(
            self._influence(module, node)
            for node in own_nodes(function)
            if isinstance(node, ast.expr) and not isinstance(getattr(node, "ctx", None), ast.Store | ast.Del)
        )
        return Value(content, content)

    def _bound(self, module: Module, scope: Scope, binding: Binding) -> Value:
        node = binding.node
        match binding.kind:
            case "parameter":
                return self._parameter(module, scope, node)
            case "assign":
                assert binding.value is not None
                if _is_display(binding.value):
                    return self._display(module, scope, binding)
                return self.value(module, binding.value)
            case "augmented":
                assert isinstance(node, ast.AugAssign)
                return self.value(module, node.value)
            case "for" | "comprehension":
                assert isinstance(node, ast.For | ast.AsyncFor | ast.comprehension)
                return self.value(module, node.iter)
            case "unpack":
                return self._unpacked(module, node)
            case "import":
                return self._imported(module, scope, node)
            case "def" | "class":
                return STATIC
            case _:
                return DYNAMIC

    def _imported(self, module: Module, scope: Scope, node: ast.AST) -> Value:
        """A class or constant of another package is what the pinned versions make it; anything else there may move."""
        assert isinstance(node, ast.alias)
        name = node.asname or node.name.partition(".")[0]
        found = self._program.definition(module, scope, name)
        if found is not None and found[1].node is not node:
            owner = found[0].scopes.module
            return self._lookup((owner, node.name))
        target = self._program.imported_module(module, scope, name)
        if isinstance(module.parents[node], ast.Import) or isinstance(target, Module) or node.name[:1].isupper():
            return STATIC
        return OBJECT

    def _unpacked(self, module: Module, node: ast.AST) -> Value:
        if isinstance(node, ast.Assign):
            value = self.value(module, node.value)
        elif isinstance(node, ast.For | ast.comprehension):
            value = self.value(module, node.iter)
        else:
            return DYNAMIC
        return Value(value.content, value.content)

    def _parameter(self, module: Module, scope: Scope, node: ast.AST) -> Value:
        function = scope.node
        assert isinstance(function, FUNCTIONS) and isinstance(node, ast.arg)
        if node in (function.args.vararg, function.args.kwarg):
            return OBJECT
        first = next(iter(parameters(function)), None)
        if node is first and isinstance(module.parents.get(function), ast.ClassDef):
            return OBJECT
        key: Key = (function, node.arg)
        return Value(frozenset({key}), frozenset({key}))

    def _display(self, module: Module, scope: Scope, binding: Binding) -> Value:
        """A list, set or dict with a name is static only if nobody can change it."""
        assert binding.value is not None
        name = next(name for name, found in scope.bindings.items() if binding in found)
        for other in module.scopes.by_node.values():
            for read in other.reads.get(name, ()):
                if other.resolve(name) is scope and not _only_looked_at(module, read):
                    return OBJECT
        if not scope.is_function and self._callers.is_imported(module, name):
            return OBJECT
        return self.value(module, binding.value, looked_at=True)

    def _attribute(self, owner: ast.ClassDef, name: str) -> Value:
        """A field: all stores through `self` in the family, and any store of that name through anything else."""
        stores = self._callers.stores(owner, name)
        if stores is None or not stores:
            return DYNAMIC
        values = []
        for module, node, value in stores:
            values.append(DYNAMIC if value is None else OBJECT if _is_display(value) else self.value(module, value))
            if len(stores) > 1:
                values.append(self._controlled(module, node))
        if len(stores) > 1 and not self._callers.are_construction(stores):
            return DYNAMIC
        return join(values)

    def _returned(self, function: Function) -> Value:
        module = self._program.module_of[function]
        if isinstance(function, ast.Lambda):
            return self.value(module, function.body)
        if isinstance(function, ast.AsyncFunctionDef) or (function.decorator_list and not _is_plain(function)):
            return DYNAMIC
        returns = [node for node in own_nodes(function) if isinstance(node, ast.Return)]
        if any(isinstance(node, ast.Yield | ast.YieldFrom) for node in own_nodes(function)):
            return DYNAMIC
        values = [
            OBJECT if _is_display(node.value) else self.value(module, node.value) for node in returns if node.value is not None
        ]
        if len(returns) == 1 and function.body[-1] is returns[0]:
            return join(values)
        return join([*values, *(self._controlled(module, node) for node in returns)])

    # -- expressions --------------------------------------------------------------------------------------------

    def value(self, module: Module, node: ast.expr, *, looked_at: bool = False) -> Value:
        """The binding time of an expression; `looked_at` says that nobody keeps (and so changes) a container."""
        match node:
            case ast.Constant():
                return STATIC
            case ast.Name():
                return self._name(module, node)
            case ast.Attribute():
                return self._member(module, node)
            case ast.Call():
                return self._call(module, node)
            case ast.Compare():
                return self._compare(module, node)
            case ast.Lambda():
                return STATIC
            case ast.NamedExpr():
                return self.value(module, node.value)
            case ast.List() | ast.Set() | ast.Dict():
                parts = join(self.value(module, part, looked_at=True) for part in _children(node))
                return parts if looked_at else Value(None, frozenset())
            case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
                parts = self._join_all(module, node)
                return parts if looked_at else Value(None, frozenset())
            case ast.IfExp():
                arms = join([self.value(module, node.body), self.value(module, node.orelse)])
                test = self.value(module, node.test).content
                return join([arms, Value(test, test)])
            case ast.BoolOp():
                operands = join(self.value(module, part) for part in node.values)
                return Value(operands.content, operands.content)
            case ast.Await() | ast.Yield() | ast.YieldFrom() | ast.Starred():
                return DYNAMIC
            case _:
                parts = self._join_all(module, node)
                return Value(parts.content, frozenset())

    def _join_all(self, module: Module, node: ast.expr) -> Value:
        return join(self.value(module, part, looked_at=True) for part in _children(node))

    def _name(self, module: Module, node: ast.Name) -> Value:
        scope = module.scopes.of_name.get(node) or module.scope_of(node)
        holder = scope.resolve(node.id)
        if holder is None:
            import builtins

            return STATIC if hasattr(builtins, node.id) else DYNAMIC
        if len(holder.bindings[node.id]) > 1 and holder.is_function and _function_of(scope) is not holder:
            return DYNAMIC  # a closure reads it at a time nobody knows
        return self._lookup((holder, node.id))

    def _member(self, module: Module, node: ast.Attribute) -> Value:
        if isinstance(node.value, ast.Name):
            scope = module.scopes.of_name.get(node.value) or module.scope_of(node.value)
            if owner := self._program.class_of_self(module, scope, node.value.id):
                return self._field(owner, node.attr)
            target = self._program.imported_module(module, scope, node.value.id)
            if isinstance(target, Module):
                if node.attr in target.scopes.module.bindings:
                    return self._lookup((target.scopes.module, node.attr))
                return DYNAMIC
            if target is not None and not self._program.definition(module, scope, node.value.id):
                # A class or constant of another package is what the pinned versions make it; anything else may move.
                return STATIC if node.attr[:1].isupper() else OBJECT
        base = self.value(module, node.value)
        return Value(base.content, base.content)

    def _field(self, owner: ast.ClassDef, name: str) -> Value:
        if name in FRAMEWORK_ATTRIBUTES and self._program.has_foreign_base(owner):
            return DYNAMIC
        return self._lookup((self._program.family(owner)[0], name))

    def _compare(self, module: Module, node: ast.Compare) -> Value:
        absent = [isinstance(part, ast.Constant) and part.value is None for part in node.comparators]
        if all(absent) and all(isinstance(operator, ast.Is | ast.IsNot) for operator in node.ops):
            presence = self.value(module, node.left).presence
            return Value(presence, frozenset())
        return Value(self._join_all(module, node).content, frozenset())

    def _call(self, module: Module, node: ast.Call) -> Value:
        scope = module.scope_of(node)
        if callee := self._program.callee(module, scope, node):
            return self._result(module, node, callee)
        function = node.func
        if variable_read(self._program, module, node) is not None:
            content = self._arguments(module, node)
            return Value(content, content)
        if isinstance(function, ast.Name) and scope.resolve(function.id) is None:
            if function.id in PURE_FUNCTIONS and not _reads_self(node):
                content = self._arguments(module, node)
                return Value(content, content if function.id == "getattr" else frozenset())
            return DYNAMIC
        if isinstance(function, ast.Attribute):
            return self._method_call(module, scope, node, function)
        found = self._program.definition(module, scope, function.id) if isinstance(function, ast.Name) else None
        return OBJECT if found is not None and isinstance(found[1].node, ast.ClassDef) else DYNAMIC

    def _method_call(self, module: Module, scope: Scope, node: ast.Call, function: ast.Attribute) -> Value:
        if isinstance(function.value, ast.Name):
            target = self._program.imported_module(module, scope, function.value.id)
            if isinstance(target, str):
                return self._library_call(module, node, f"{target}.{function.attr}")
        if function.attr in PURE_METHODS:
            base = self.value(module, function.value, looked_at=True).content
            content = _union([base, self._arguments(module, node)])
            return Value(content, content if function.attr == "get" else frozenset())
        return DYNAMIC

    def _library_call(self, module: Module, node: ast.Call, dotted: str) -> Value:
        owner, _, name = dotted.rpartition(".")
        if owner == "omegaconf.OmegaConf" and name in CONFIG_FUNCTIONS:
            content = self._arguments(module, node)
            return Value(content, content)
        return DYNAMIC

    def _arguments(self, module: Module, node: ast.Call) -> frozenset[Key] | None:
        parts = [*node.args, *(keyword.value for keyword in node.keywords)]
        return _union(self.value(module, part, looked_at=True).content for part in parts)

    def _result(self, module: Module, node: ast.Call, callee: Callee) -> Value:
        """What a function of the subject returns, with its own parameters replaced by this call's arguments."""
        if not isinstance(callee.function, ast.Lambda) and callee.function.name == "__init__":
            return OBJECT
        returned = self._lookup((callee.function, "return"))
        return Value(
            self._substituted(module, node, callee, returned.content),
            self._substituted(module, node, callee, returned.presence),
        )

    def _substituted(
        self, module: Module, node: ast.Call, callee: Callee, content: frozenset[Key] | None
    ) -> frozenset[Key] | None:
        if content is None:
            return None
        parts: list[frozenset[Key] | None] = []
        for key in content:
            if key[0] is not callee.function:
                parts.append(frozenset({key}))
                continue
            argument = argument_of(node, callee, key[1])
            parts.append(None if argument is None else self.value(self._owner(argument, module), argument).content)
        return _union(parts)


def is_guarded(facts: Facts, module: Module, function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether a function checks the config that it gets: whoever is not of the subject may call it."""
    return (module.file, Span.of(function)) in facts.external or not function.name.startswith("_") or function.name == "__init__"


def _children(node: ast.expr) -> Iterable[ast.expr]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.expr):
            yield child
        elif isinstance(child, ast.comprehension):
            yield child.iter
            yield from child.ifs


def _is_display(node: ast.expr | None) -> bool:
    return isinstance(node, ast.List | ast.Set | ast.Dict | ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp)


def _only_looked_at(module: Module, read: ast.Name) -> bool:
    """Whether a use of a container neither changes it nor hands it on."""
    parent: ast.AST = module.parents[read]
    match parent:
        case ast.Subscript(value=value, ctx=ast.Load()):
            return value is read
        case ast.Compare():
            return all(isinstance(operator, ast.In | ast.NotIn | ast.Eq | ast.NotEq) for operator in parent.ops)
        case ast.For(iter=source) | ast.comprehension(iter=source):
            return source is read
        case ast.Call(func=ast.Name(id=name)):
            return name in PURE_FUNCTIONS
        case ast.Attribute(attr=name):
            call = module.parents[parent]
            return name in PURE_METHODS and isinstance(call, ast.Call) and call.func is parent
    return False


def _reads_self(node: ast.Call) -> bool:
    """`getattr(self, …)` asks for an attribute, which may change."""
    return bool(node.args) and isinstance(node.args[0], ast.Name) and node.args[0].id in ("self", "cls")


def _function_of(scope: Scope) -> Scope:
    while scope.is_comprehension and scope.parent is not None:
        scope = scope.parent
    return scope


def _is_plain(function: ast.FunctionDef) -> bool:
    return all(ast.unparse(decorator) in ("staticmethod", "classmethod") for decorator in function.decorator_list)
