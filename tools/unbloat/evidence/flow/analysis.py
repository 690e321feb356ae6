"""Which values the pins settle, in the code that is left when unseen code has become wires.

A greatest fixpoint: every value starts as settled by nothing and collects what it rests on, or is found to rest on data.
What the runs saw makes it precise: who called whom with which arguments, what was stored in attributes, which expression
read which key. A wire (`raise NotImplementedError`) influences nothing behind it: whoever gets past it took the way that
the runs took. So a decision that is settled here goes the way it went, or an error comes first.

Source: binding-time analysis (Jones, Gomard & Sestoft 1993, ch. 4) over a call graph from traces.
"""

from __future__ import annotations

import ast

from unbloat.edit.edits import Span
from unbloat.evidence.facts import Facts, Found
from unbloat.evidence.flow.atoms import (
    DYNAMIC,
    OBJECT,
    STATIC,
    Atom,
    Atoms,
    Held,
    Parameter,
    Read,
    Source,
    Variable,
    join,
    looked_into,
    union,
)
from unbloat.evidence.flow.attributes import HARMLESS_DECORATORS, Attributes, is_one_presence, is_one_value
from unbloat.evidence.flow.calls import Definition, Passed, passed
from unbloat.evidence.flow.config_access import is_mapping
from unbloat.evidence.flow.containers import is_changed, may_change
from unbloat.evidence.flow.control import deciding
from unbloat.evidence.flow.times import varies
from unbloat.evidence.functions import default_of, is_guarded, own_nodes
from unbloat.evidence.program import FUNCTIONS, Module, Program
from unbloat.evidence.references import asked_for_by_strangers
from unbloat.evidence.scopes import Binding, Scope, parameters
from unbloat.evidence.support import NOTHING, PinnedArgument, Support, type_of

Key = tuple[object, str]


class Flow(Attributes):
    """What every expression of a program rests on."""

    def __init__(self, program: Program, facts: Facts, config_parameters: frozenset[str], files: frozenset[str]) -> None:
        super().__init__(program, facts, files)
        self._config_parameters = config_parameters
        self._files = files
        self._asked_for = asked_for_by_strangers(program)
        self._values: dict[Key, Source] = {}
        self._containers: dict[tuple[Scope, str, ast.expr], bool] = {}
        self._deciding: dict[ast.AST, tuple[ast.expr | None, ...]] = {}
        expressions = [
            (module, node)
            for module, node in program.walk()
            if isinstance(node, ast.expr) and not isinstance(getattr(node, "ctx", None), ast.Store | ast.Del)
        ]
        self._changed = True
        while self._changed:
            self._changed = False
            self._sweep.clear()
            for module, node in expressions:
                self.source(module, node)
            for key in list(self._values):
                self._update(key)

    # -- answers ------------------------------------------------------------------------------------------------

    def support(self, module: Module, expression: ast.expr) -> Support | None:
        """The pins that settle what an expression evaluates to, each time; None if data has a say."""
        return self._pins(self._resolved(self.source(module, expression).content))

    def config(self, module: Module, expression: ast.expr) -> Support | None:
        """What it rests on which config, or part of one, an expression gives; None if data has a say."""
        return self._pins(looked_into(self._resolved(self.source(module, expression).content)))

    def option(self, function: Definition, name: str) -> Support | None:
        """The pins that settle what a parameter is, whoever calls."""
        return self._pins(self._parameter(Parameter(function, name)))

    def _pins(self, atoms: Atoms) -> Support | None:
        if atoms is None:
            return None
        support = NOTHING
        for atom in atoms:
            match atom:
                case Read(file=file, place=place, presence=presence, key=key):
                    keys = self._facts.keys_read(file, place) if key is None else frozenset({key})
                    found = self._pinned_keys(keys, presence)
                    if found is None:
                        return None
                    support = support.and_(found)
                case Variable(name=name):
                    support = support.and_(Support(environment=frozenset({name})))
                case PinnedArgument():
                    support = support.and_(Support(arguments=frozenset({atom})))
                case Held():
                    return None
        return support

    def _pinned_keys(self, keys: frozenset[str], presence: bool) -> Support | None:
        by_type = {key for key in keys if presence or is_mapping(self._facts, key)}
        for key in keys:
            values = self._facts.values[key]
            there = self._facts.found_in_configs(key)
            if len(there) > 1 and (key not in by_type or len({type_of(one) for one in there}) > 1):
                return None  # a pin that differs between two workloads is none
            if key in by_type and len({type_of(value) for value in values}) != 1:
                return None
            if key not in by_type and len(values) != 1:
                return None
        return Support(keys=keys - by_type, types=frozenset(by_type))

    def _resolved(self, atoms: Atoms) -> Atoms:
        """Atoms with every parameter replaced by what its callers pass."""
        if atoms is None:
            return None
        return union(self._parameter(atom) if isinstance(atom, Parameter) else frozenset({atom}) for atom in atoms)

    # -- the fixpoint -------------------------------------------------------------------------------------------

    def _lookup(self, key: Key) -> Source:
        if key not in self._values:
            self._values[key] = STATIC
            self._changed = True
        return self._values[key]

    def _update(self, key: Key) -> None:
        owner, name = key
        if isinstance(owner, Scope):
            found = self._bound_variable(owner, name)
        elif isinstance(owner, ast.ClassDef):
            found = self._stored_attribute(owner, name)
        elif name.startswith("return"):
            assert isinstance(owner, ast.FunctionDef | ast.AsyncFunctionDef)
            found = self._result_of(owner, [int(part) for part in name.split()[1:]])
        else:
            assert isinstance(owner, FUNCTIONS)
            found = self._passed_parameter(owner, name.removeprefix("parameter "))
        known = self._values[key]
        joined = join([known, found])  # only ever more, so that this ends
        if joined != known:
            self._values[key] = joined
            self._changed = True

    def _variable(self, scope: Scope, name: str) -> Source:
        return self._lookup((scope, name))

    def _attribute(self, owner: ast.ClassDef, name: str) -> Source:
        return self._lookup((self._program.family(owner)[0], name))

    def _returned(self, function: Definition) -> Source:
        return self._lookup((function, "return"))

    def _returned_element(self, function: Definition, index: int, count: int) -> Source:
        return self._lookup((function, f"return {index} {count}"))

    def _parameter(self, atom: Parameter) -> Atoms:
        found = self._lookup((atom.function, f"parameter {atom.name}"))
        atoms = found.presence if atom.presence else found.content
        return looked_into(atoms) if atom.looked_into else atoms

    # -- variables ----------------------------------------------------------------------------------------------

    def _bound_variable(self, scope: Scope, name: str) -> Source:
        module = self._program.module_of[scope.node]
        bindings = scope.bindings[name]
        if scope is module.scopes.module and self._program.patches.module_name(name):
            return DYNAMIC
        if any(self._is_rebound_elsewhere(module, binding, scope) for binding in bindings):
            return DYNAMIC
        found = [self._bound(module, scope, name, binding) for binding in bindings]
        if len(bindings) > 1:
            influences = [self._influence(module, one.node) for one in bindings if one.kind != "parameter"]
            found += [Source(atoms, atoms) for atoms in influences]
        return join(found)

    def _is_rebound_elsewhere(self, module: Module, binding: Binding, scope: Scope) -> bool:
        """Whether a binding is made from inside another function (`nonlocal`, `global`), at a time nobody knows."""
        return module.enclosing(binding.node, (*FUNCTIONS, ast.ClassDef)) not in (None, scope.node) and (
            binding.kind not in ("parameter", "comprehension") and not scope.is_comprehension
        )

    def _bound(self, module: Module, scope: Scope, name: str, binding: Binding) -> Source:
        node = binding.node
        match binding.kind:
            case "parameter":
                return self._as_parameter(module, scope, node)
            case "assign":
                assert binding.value is not None
                return self._assigned(module, scope, name, node, binding.value)
            case "augmented":
                assert isinstance(node, ast.AugAssign)
                return self.source(module, node.value)
            case "for":
                assert isinstance(node, ast.For | ast.AsyncFor)
                return self._walked(module, node)
            case "unpack":
                return self._unpacked(module, scope, name, node)
            case "import":
                return self._imported(module, scope, node)
            case "def" | "class":
                return STATIC
            case _:
                return DYNAMIC

    def _assigned(self, module: Module, scope: Scope, name: str, node: ast.AST, value: ast.expr) -> Source:
        found = self.source(module, value)
        if not may_change(value):
            return found
        shared = isinstance(node, ast.NamedExpr) or (isinstance(node, ast.Assign) and len(node.targets) > 1)
        if (scope, name, value) not in self._containers:
            self._containers[scope, name, value] = shared or is_changed(self._program, module, scope, name, value)
        return Source(None, found.presence) if self._containers[scope, name, value] else found

    def _unpacked(self, module: Module, scope: Scope, name: str, node: ast.AST) -> Source:
        if isinstance(node, ast.Assign):
            for target in node.targets:
                if (
                    isinstance(target, ast.Tuple)
                    and isinstance(node.value, ast.Tuple)
                    and len(target.elts) == len(node.value.elts)
                ):
                    for part, value in zip(target.elts, node.value.elts, strict=True):
                        if isinstance(part, ast.Name) and part.id == name and not isinstance(value, ast.Starred):
                            return self._assigned(module, scope, name, node, value)
                if (element := self._unpacked_result(module, name, target, node.value)) is not None:
                    return element
            content = None if may_change(node.value) else self.source(module, node.value).content
            return Source(content, content)
        return self._walked(module, node) if isinstance(node, ast.For) else DYNAMIC

    def _unpacked_result(self, module: Module, name: str, target: ast.expr, value: ast.expr) -> Source | None:
        """The element of what a function returns that a target of this name gets, if that is plain to see."""
        if not isinstance(target, ast.Tuple) or not isinstance(value, ast.Call):
            return None
        names = [part.id for part in target.elts if isinstance(part, ast.Name)]
        if len(names) != len(target.elts) or names.count(name) != 1:
            return None
        return self._result_element(module, value, names.index(name), len(names))

    def _walked(self, module: Module, node: ast.For | ast.AsyncFor) -> Source:
        content = self.source(module, node.iter).content
        return Source(content, content)

    def _imported(self, module: Module, scope: Scope, node: ast.AST) -> Source:
        assert isinstance(node, ast.alias)
        name = node.asname or node.name.partition(".")[0]
        found = self._program.definition(module, scope, name)
        if found is not None and found[1].node is not node:
            return self._variable(found[0].scopes.module, node.name)
        return STATIC  # what the pinned versions make it

    def _as_parameter(self, module: Module, scope: Scope, node: ast.AST) -> Source:
        function = scope.node
        assert isinstance(function, FUNCTIONS) and isinstance(node, ast.arg)
        if isinstance(function, ast.Lambda):
            return DYNAMIC
        if node is function.args.kwarg:
            return OBJECT
        if node is function.args.vararg:
            self._lookup((function, f"parameter {node.arg}"))
            return Source(frozenset({Parameter(function, node.arg)}), frozenset())
        if node is next(iter(parameters(function)), None) and isinstance(module.parents.get(function), ast.ClassDef):
            if not any(ast.unparse(one) == "staticmethod" for one in function.decorator_list):
                return OBJECT
        self._lookup((function, f"parameter {node.arg}"))  # known before anybody asks what callers pass
        return Source(
            frozenset({Parameter(function, node.arg)}),
            frozenset({Parameter(function, node.arg, presence=True)}),
        )

    # -- parameters ---------------------------------------------------------------------------------------------

    def _passed_parameter(self, function: ast.AST, name: str) -> Source:
        assert isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        module = self._program.module_of[function]
        place = (module.file, Span.of(function))
        if function.args.vararg is not None and name == function.args.vararg.arg:
            return OBJECT  # what is in it is known of one call at a time
        if name in self._config_parameters:
            paths = self._facts.config_paths.get(place, {}).get(name, ())
            if len(paths) == 1 and paths[0] is not None:
                return self._handed_in(module, function, name, paths[0])
        seen = self._facts.arguments.get(place, {}).get(name, ())
        found: list[Source] = []
        if self.calls.is_external(module, function):
            found.append(self._from_outside(module, function, name, seen))
        for where, call in self.calls.callers(module, function):
            found.append(DYNAMIC if call is None else self._from(where, call, module, function, name, seen))
        if not found:
            return STATIC  # nobody calls it
        joined = join(found)
        if not is_one_value(seen) and not (len(found) == 1 and all(kind == "other" for kind, _ in seen)):
            joined = Source(None, joined.presence)
        joined = joined if is_one_presence(seen) else Source(joined.content, None)
        return self._checked(module, function, name, joined, seen)

    def _checked(self, module: Module, function: Definition, name: str, found: Source, seen: tuple[Found, ...]) -> Source:
        """What a public function of the phase's files is handed by anybody else, it has to check itself."""
        is_open = is_guarded(self._facts, module, function) or function.name in self._asked_for
        if not is_open or isinstance(module.enclosing(function, FUNCTIONS), FUNCTIONS):
            return found
        if self.calls.is_external(module, function) or module.file not in self._files:
            return found
        place = (module.file, Span.of(function))
        content: Atoms = None
        if is_one_value(seen):
            content = frozenset({PinnedArgument(*place, name, (seen[0][1],))})
        is_none = [kind == "plain" and value is None for kind, value in seen]
        there: Atoms = content if all(is_none) else frozenset({PinnedArgument(*place, name, ())})
        return Source(union([found.content, content]), union([found.presence, there]))

    def _handed_in(self, module: Module, function: Definition, name: str, path: str) -> Source:
        """A config, which the guard holds to the pinned one, at least to being one; private functions get what callers pass."""
        there = frozenset[Atom]({Read(None, module.file, Span.of(function), presence=True, key=path)})
        found = [Source(there | {Held(path)} if self._facts.is_object(path) else there, there)]
        if not is_guarded(self._facts, module, function) or module.file not in self._files:
            for where, call in self.calls.callers(module, function):
                found.append(DYNAMIC if call is None else self._from(where, call, module, function, name, ()))
        return join(found)

    def _from_outside(self, module: Module, function: Definition, name: str, seen: tuple[Found, ...]) -> Source:
        """An option that everybody outside left as it is, or passed as one and the same flag."""
        checked = module.file in self._files
        if not checked or default_of(function, name) is None or len(seen) != 1 or seen[0][0] != "plain":
            return DYNAMIC
        pin: Atoms = frozenset({PinnedArgument(module.file, Span.of(function), name, (seen[0][1],))})
        return Source(pin, pin)

    def _from(
        self, where: Module, call: ast.Call, module: Module, function: Definition, name: str, seen: tuple[Found, ...]
    ) -> Source:
        argument = passed(self._facts, where, call, module, function, name)
        if argument in (Passed.UNKNOWN, Passed.UNSEEN):
            # Whatever somebody unpacks there, the function checks what arrives.
            return self._from_outside(module, function, name, seen)
        if argument is Passed.DEFAULT:
            default = default_of(function, name)
            assert default is not None
            return self._handed_on(module, default)
        assert isinstance(argument, ast.expr)
        return self._handed_on(where, argument)

    def _handed_on(self, module: Module, argument: ast.expr) -> Source:
        found = self._resolved_source(self.source(module, argument))
        return Source(None, found.presence) if may_change(argument) or self._varies(module, argument) else found

    def _varies(self, module: Module, argument: ast.expr) -> bool:
        """Whether an argument is another one in the next pass of a loop: which pass gets to a decision may be up to data."""
        for part in ast.walk(argument):
            if isinstance(part, ast.Name):
                holder = module.scope_of_name(part).resolve(part.id)
                if holder is not None and varies(module, holder, part):
                    return True
        return False

    # -- functions ----------------------------------------------------------------------------------------------

    def _result_of(self, function: Definition, part: list[int]) -> Source:
        """What a function returns; with `part`, an index and a count, that element of the tuples that it returns."""
        module = self._program.module_of[function]
        nodes = own_nodes(function)
        if isinstance(function, ast.AsyncFunctionDef) or any(isinstance(node, ast.Yield | ast.YieldFrom) for node in nodes):
            return DYNAMIC
        if any(ast.unparse(one) not in HARMLESS_DECORATORS for one in function.decorator_list):
            return DYNAMIC
        returns = [node for node in nodes if isinstance(node, ast.Return)]
        found = []
        for node in returns:
            shown = _element(node.value, *part) if part else node.value
            if shown is None and part:
                return DYNAMIC
            value = STATIC if shown is None else self.source(module, shown)
            found.append(Source(None, value.presence) if shown is not None and may_change(shown) else value)
        if len(returns) > 1 or (returns and function.body[-1] is not returns[0]):
            influences = [self._influence(module, node) for node in returns]
            found += [Source(atoms, atoms) for atoms in influences]
        return join(found)

    # -- control ------------------------------------------------------------------------------------------------

    def _influence(self, module: Module, node: ast.AST) -> Atoms:
        """What decides whether `node` runs, up to its function, and how often."""
        if node not in self._deciding:
            self._deciding[node] = tuple(deciding(self.calls, module, node))
        return union([one if one is None else self.source(module, one).content for one in self._deciding[node]])


def _element(value: ast.expr | None, index: int, count: int) -> ast.expr | None:
    """An element of a tuple that is written out; None for any other value."""
    if not isinstance(value, ast.Tuple) or len(value.elts) != count or any(isinstance(one, ast.Starred) for one in value.elts):
        return None
    return value.elts[index]
