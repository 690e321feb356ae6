"""Binding times: which values are a function of the pinned config alone.

A value is STATIC when everything that can influence it is: the data it is computed from *and* the control that decides
which of several definitions applies. The analysis is a greatest fixpoint over the whole subject: everything starts
STATIC and is demoted by what is not known to be (data, tensors, counters, what a framework hands in, anything that
escapes). It never computes a value: what a STATIC decision decides is what every run saw it decide.

Source: partial evaluation's congruent division (Jones, Gomard & Sestoft 1993, ch. 4), with noninterference for control.
"""

from __future__ import annotations

import ast

from unbloat.edit.edits import Span
from unbloat.evidence.callers import Callers, argument_of, has_default, own_nodes
from unbloat.evidence.control import Control, Influence
from unbloat.evidence.expressions import PURE_FUNCTIONS, PURE_METHODS, Expressions
from unbloat.evidence.facts import Facts
from unbloat.evidence.program import FUNCTIONS, Module, Program
from unbloat.evidence.scopes import Binding, Function, Scope, parameters
from unbloat.evidence.swallow import Swallowers
from unbloat.evidence.values import DYNAMIC, OBJECT, STATIC, Key, Value, join, union


class BindingTimes(Expressions):
    """The binding time of every expression of a program."""

    def __init__(self, program: Program, facts: Facts, config_parameters: frozenset[str], swallowers: Swallowers) -> None:
        super().__init__(program)
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
        """All calls pass one and the same value, which the config decides.

        That several calls pass the same is known if it is the same constant, or if all of them ran and one value was seen.
        """
        passed: list[tuple[Module, ast.Call, ast.expr]] = []
        for module, call, callee in self._callers.of(function):
            argument = argument_of(call, callee, name)
            if argument is None:
                return False
            if not self._grounded(self.value(self._owner(argument, module), argument).content, visiting):
                return False
            passed.append((module, call, argument))
        if len(passed) < 2:
            place = (
                (self._program.module_of[function].file, Span.of(function)) if not isinstance(function, ast.Lambda) else None
            )
            return bool(passed) or place in self._facts.external
        constants = {(type(part.value), part.value) if isinstance(part, ast.Constant) else None for *_, part in passed}
        if len(constants) == 1 and None not in constants:
            return True
        return self._saw_one_value(function, name) and all(self._ran(module, call) for module, call, _ in passed)

    def _saw_one_value(self, function: Function, name: str) -> bool:
        if isinstance(function, ast.Lambda):
            return False
        place = (self._program.module_of[function].file, Span.of(function))
        if name in self._config_parameters:
            return len(self._facts.config_paths.get(place, {}).get(name, ())) == 1
        found = self._facts.arguments.get(place, {}).get(name, ())
        return len(found) == 1 and found[0][0] != "other"

    def _ran(self, module: Module, call: ast.Call) -> bool:
        """Whether the runs are known to have evaluated a call: its line ran, and nothing inside the statement skips it."""
        outer: ast.AST = call
        while not isinstance(outer, ast.stmt):
            outer = module.parents[outer]
            if isinstance(outer, ast.IfExp | ast.BoolOp | ast.Lambda | ast.comprehension | ast.Compare):
                return False
            if isinstance(outer, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
                return False
        return bool(self._facts.executed(module.file, call.lineno))

    def config_path(self, module: Module, node: ast.expr) -> str | None:
        """The path of the part of the config that an expression gives; None if that is not plain to see."""
        match node:
            case ast.Name():
                scope = module.scopes.of_name.get(node) or module.scope_of(node)
                holder = scope.resolve(node.id)
                if holder is None or len(holder.bindings[node.id]) != 1:
                    return None
                binding = holder.bindings[node.id][0]
                if binding.kind == "assign" and binding.value is not None:
                    return self.config_path(module, binding.value)
                if binding.kind != "parameter" or not isinstance(holder.node, ast.FunctionDef):
                    return None
                paths = self._facts.config_paths.get((module.file, Span.of(holder.node)), {}).get(node.id, ())
                return paths[0] if len(paths) == 1 else None
            case ast.Attribute(value=ast.Name(id=name) as base, attr=attribute):
                scope = module.scopes.of_name.get(base) or module.scope_of(base)
                if (owner := self._program.class_of_self(module, scope, name)) is not None:
                    stores = self._callers.stores(owner, attribute) or []
                    paths = tuple({self.config_path(where, part) if part is not None else None for where, _, part in stores})
                    return paths[0] if len(paths) == 1 else None
        if isinstance(node, ast.Attribute) and (path := self.config_path(module, node.value)) is not None:
            return f"{path}.{node.attr}" if path else node.attr
        return None

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
            if scope.is_function and any(self._is_in_function(module, binding, scope) for binding in bindings):
                return DYNAMIC  # `nonlocal`
            controls = [self._controlled(module, binding.node) for binding in bindings if binding.kind != "parameter"]
            return join([*values, *controls])
        return values[0]

    def _is_in_function(self, module: Module, binding: Binding, scope: Scope) -> bool:
        """Whether a module's or class's name is (re)bound from inside a function, at a time nobody knows."""
        return module.enclosing(binding.node, (*FUNCTIONS, ast.ClassDef)) not in (None, scope.node)

    def _controlled(self, module: Module, node: ast.AST) -> Value:
        """The control that decides whether `node` runs, as a dependence."""
        content = union(self._influence(module, one.expression) for one in self._control[module].of(node))
        return Value(content, content)

    def _influence(self, module: Module, expression: ast.expr) -> frozenset[Key] | None:
        """What an expression's outcome depends on, an exception from inside a function that it calls included."""
        parts = [self.value(module, expression, looked_at=True).content]
        for node in ast.walk(expression):
            if isinstance(node, ast.Call) and (callee := self._program.callee(module, module.scope_of(node), node)):
                body = self._lookup((callee.function, "body")).content
                parts.append(self._substituted(module, node, callee, body))
        return union(parts)

    def _body(self, function: Function) -> Value:
        """Everything that a function evaluates, its own calls' bodies included."""
        module = self._program.module_of[function]
        content = union(
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
        if stores is None or not stores or self._is_filled_by_others(owner, [node for _, node, _ in stores]):
            return DYNAMIC
        values = []
        for module, node, value in stores:
            values.append(DYNAMIC if value is None else OBJECT if _is_display(value) else self.value(module, value))
            if len(stores) > 1:
                values.append(self._controlled(module, node))
                values += self._left_early(module, node)
        if len(stores) > 1 and not self._callers.are_construction(stores):
            return DYNAMIC
        return join(values)

    def _is_filled_by_others(self, owner: ast.ClassDef, stores: list[ast.AST]) -> bool:
        """Whether a decorator (`@dataclass`) or a base (`NamedTuple`) may store a field that the class body declares."""
        family = self._program.family(owner)
        declared = any(isinstance(store, ast.AnnAssign) and store in relative.body for store in stores for relative in family)
        in_body = any(store in relative.body for store in stores for relative in family)
        decorated = any(relative.decorator_list or relative.keywords for relative in family)
        names = {part.name for relative in family for part in relative.body if isinstance(part, ast.FunctionDef)}
        if names & {"__setattr__", "__getattribute__"}:
            return True
        return (in_body and decorated) or (declared and self._program.has_foreign_base(owner))

    def _left_early(self, module: Module, node: ast.AST) -> list[Value]:
        """What decides whether a function returns before it gets to `node`."""
        function = module.enclosing(node, FUNCTIONS)
        if function is None:
            return []
        return [self._controlled(module, part) for part in own_nodes(function) if isinstance(part, ast.Return)]

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


def is_guarded(facts: Facts, module: Module, function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether a function checks the config that it gets: whoever is not of the subject may call it."""
    is_called_from_outside = (module.file, Span.of(function)) in facts.external
    return is_called_from_outside or not function.name.startswith("_") or function.name == "__init__"


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


def _is_plain(function: ast.FunctionDef) -> bool:
    return all(ast.unparse(decorator) in ("staticmethod", "classmethod") for decorator in function.decorator_list)
