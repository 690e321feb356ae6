"""Which values the pins settle, in the code that is left when unseen code has become wires.

A greatest fixpoint: every value starts as settled by nothing and collects what it rests on, or is found to rest on data.
What the runs saw makes it precise: who called whom with which arguments, what was stored in attributes, which expression
read which key. A wire (`raise NotImplementedError`) influences nothing behind it: whoever gets past it took the way that
the runs took. So a decision that is settled here goes the way it went, or an error comes first.

Source: binding-time analysis (Jones, Gomard & Sestoft 1993, ch. 4) over a call graph from traces.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from unbloat.edit.edits import Span
from unbloat.evidence.facts import Facts, Found
from unbloat.evidence.flow.atoms import DYNAMIC, OBJECT, STATIC, Atoms, Parameter, Read, Source, Variable, join, union
from unbloat.evidence.flow.calls import Definition, Passed, enclosing_function, passed
from unbloat.evidence.flow.containers import is_changed, may_change
from unbloat.evidence.flow.contexts import may_swallow
from unbloat.evidence.flow.expressions import Expressions, is_mapping
from unbloat.evidence.flow.stores import CONSTRUCTION, Store, Stores, has_constructor
from unbloat.evidence.flow.times import varies
from unbloat.evidence.functions import default_of, is_guarded, own_nodes
from unbloat.evidence.program import FUNCTIONS, Module, Program
from unbloat.evidence.references import asked_for_by_strangers
from unbloat.evidence.scopes import Binding, Scope, parameters
from unbloat.evidence.support import NOTHING, PinnedArgument, Support, type_of

_HARMLESS_DECORATORS = frozenset(
    "staticmethod classmethod property torch.no_grad() torch.no_grad torch.inference_mode()".split()
)
Key = tuple[object, str]


class Flow(Expressions):
    """What every expression of a program rests on."""

    def __init__(self, program: Program, facts: Facts, config_parameters: frozenset[str], files: frozenset[str]) -> None:
        super().__init__(program, facts, files)
        self._config_parameters = config_parameters
        self._files = files
        self._asked_for = asked_for_by_strangers(program)
        self._stores = Stores(program, facts, self.calls, files)
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

    def _resolved_source(self, found: Source) -> Source:
        return Source(self._resolved(found.content), self._resolved(found.presence))

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
        return found.presence if atom.presence else found.content

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
        if not _is_one_value(seen) and not (len(found) == 1 and all(kind == "other" for kind, _ in seen)):
            joined = Source(None, joined.presence)
        joined = joined if _is_one_presence(seen) else Source(joined.content, None)
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
        if _is_one_value(seen):
            content = frozenset({PinnedArgument(*place, name, (seen[0][1],))})
        is_none = [kind == "plain" and value is None for kind, value in seen]
        there: Atoms = content if all(is_none) else frozenset({PinnedArgument(*place, name, ())})
        return Source(union([found.content, content]), union([found.presence, there]))

    def _handed_in(self, module: Module, function: Definition, name: str, path: str) -> Source:
        """A config, which the guard holds to the pinned one, at least to being one; private functions get what callers pass."""
        there: Atoms = frozenset({Read(None, module.file, Span.of(function), presence=True, key=path)})
        found = [Source(there, there)]
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
                holder = (module.scopes.of_name.get(part) or module.scope_of(part)).resolve(part.id)
                if holder is not None and varies(module, holder, part):
                    return True
        return False

    # -- attributes ---------------------------------------------------------------------------------------------

    def _stored_attribute(self, owner: ast.ClassDef, name: str) -> Source:
        """A field: what the code that is left stores in it, wherever that is."""
        stores = self._stores.of(owner, name)
        if stores is None:
            return DYNAMIC
        # The runs saw which names `setattr` computed; others must not come about.
        named = union(self._resolved(self.source(*computed).content) for computed in self._stores.computed(owner))
        if named is None:
            return DYNAMIC
        method = self._stores.method(owner, name)
        if method is not None:
            return self._as_member(method) if not stores else DYNAMIC
        if not stores:
            return DYNAMIC
        found = [self._stored(store) for store in stores]
        if len(stores) > 1:
            if not self._stores.are_construction(stores) and not _are_one_constant(stores):
                return DYNAMIC
            influences = [self._resolved(self._influence_of_calls(store.module, store.node)) for store in stores]
            found += [Source(atoms, atoms) for atoms in influences]
        joined = join([*found, Source(named, named)])
        seen = [one for store in stores for one in self._facts.stored.get((store.module.file, Span.of(store.statement)), ())]
        seen = [one for number, one in enumerate(seen) if one not in seen[:number]]
        if not _is_one_value(seen) and any(kind != "other" for kind, _ in seen):
            joined = Source(None, joined.presence)
        return joined if _is_one_presence(seen) else Source(joined.content, None)

    def _stored(self, store: Store) -> Source:
        if isinstance(store.node, ast.AnnAssign) and store.field_of is not None:
            return self._field(store.module, store.field_of, store.node)
        if store.value is None:
            return DYNAMIC
        found = self._resolved_source(self.source(store.module, store.value))
        return Source(None, found.presence) if may_change(store.value) else found

    def _field(self, module: Module, owner: ast.ClassDef, node: ast.AnnAssign) -> Source:
        """A field of a dataclass: what its constructor was called with, wherever that is, or its default."""
        assert isinstance(node.target, ast.Name)
        name = node.target.id
        position = [
            part.target.id for part in owner.body if isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name)
        ]
        made = self._stores.constructions(owner)
        if not made:
            return DYNAMIC
        found = []
        for where, call in made:
            keyword = next((part.value for part in call.keywords if part.arg == name), None)
            if any(isinstance(part, ast.Starred) for part in call.args):
                return DYNAMIC
            if keyword is None and position.index(name) < len(call.args):
                keyword = call.args[position.index(name)]
            if keyword is not None:
                found.append(self._resolved_source(self.source(where, keyword)))
                continue
            unpacked = [part.value for part in call.keywords if part.arg is None]
            if unpacked:
                found.append(self._unpacked_field(where, call, unpacked, name))
            elif node.value is not None:
                found.append(self._default_of_field(module, node.value))
            else:
                return DYNAMIC
        return join(found) if len(found) == 1 else Source(None, join(found).presence)

    def _unpacked_field(self, where: Module, call: ast.Call, unpacked: list[ast.expr], name: str) -> Source:
        """A field that `**config` gives, or does not: the key of that name decides."""
        held = union(self._resolved(self.source(where, part).content) for part in unpacked)
        keys = [key for key in self._facts.keys_read(where.file, Span.of(call)) if key.rpartition(".")[2] == name]
        if held is None or len(keys) > 1 or any(self._may_vary(key) for key in keys):
            return DYNAMIC
        if not keys:
            return DYNAMIC
        function = enclosing_function(where, call)
        place = Span.of(call)
        content: Atoms = frozenset({Read(function, where.file, place, key=keys[0])})
        there: Atoms = frozenset({Read(function, where.file, place, presence=True, key=keys[0])})
        return Source(union([content, held]), union([there, held]))

    def _default_of_field(self, module: Module, default: ast.expr) -> Source:
        if isinstance(default, ast.Call):
            return OBJECT if any(part.arg == "default_factory" for part in default.keywords) else DYNAMIC
        return self.source(module, default)

    def _as_member(self, method: Definition) -> Source:
        if any(ast.unparse(one) == "property" for one in method.decorator_list):
            found = self._returned(method)
            return self._resolved_source(found)
        return STATIC if all(ast.unparse(one) in _HARMLESS_DECORATORS for one in method.decorator_list) else DYNAMIC

    def _made(self, owner: ast.ClassDef, name: str) -> Atoms:
        """What it rests on that an object of `owner` has an attribute from its construction on; None if nobody can tell."""
        ancestors = self._program.ancestors(owner)
        method = self._stores.method(owner, name)
        stores = self._stores.of(owner, name) or []
        if method is not None and not stores:
            return frozenset() if self._program.module_of[method].parents[method] in ancestors else None
        if any(store.deletes for store in stores):
            return None
        stores = [store for store in stores if self._stores.are_construction([store])]
        if not stores:
            return None
        makers = [one for one in self._program.family(owner) if has_constructor(one)]
        parts: list[Atoms] = []
        for store in stores:
            of = store.module.enclosing(store.node, (ast.ClassDef,))
            in_body = store.module.enclosing(store.node, FUNCTIONS) is None
            if of not in ancestors or not (in_body or len(makers) == 1):
                continue  # what some relatives store, others need not
            parts.append(frozenset() if in_body else self._resolved(self._influence_of_calls(store.module, store.node)))
        if frozenset() in parts:
            return frozenset()
        return union(parts) if parts else None

    def _influence_of_calls(self, module: Module, node: ast.AST, seen: tuple[ast.AST, ...] = ()) -> Atoms:
        """What decides whether a node runs while its object is made, through the methods that the constructor calls."""
        function = module.enclosing(node, FUNCTIONS)
        parts = [self._influence(module, node)]
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef) or function.name in CONSTRUCTION:
            return union(parts)
        if function in seen:
            return None
        for where, call in self.calls.callers(module, function):
            parts.append(None if call is None else self._influence_of_calls(where, call, (*seen, function)))
        return union(parts)

    def _owners(self, module: Module, node: ast.expr) -> list[ast.ClassDef] | None:
        if isinstance(node, ast.Name):
            owner = self._self_class(module, node) or self._class_named(module, node)
            if owner is not None:
                return [owner]
        return self._stores.classes_of(module, node)

    # -- functions ----------------------------------------------------------------------------------------------

    def _result_of(self, function: Definition, part: list[int]) -> Source:
        """What a function returns; with `part`, an index and a count, that element of the tuples that it returns."""
        module = self._program.module_of[function]
        nodes = own_nodes(function)
        if isinstance(function, ast.AsyncFunctionDef) or any(isinstance(node, ast.Yield | ast.YieldFrom) for node in nodes):
            return DYNAMIC
        if any(ast.unparse(one) not in _HARMLESS_DECORATORS for one in function.decorator_list):
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
            self._deciding[node] = (*self._around(module, node), *_leaving(module, node))
        return union([one if one is None else self.source(module, one).content for one in self._deciding[node]])

    def _around(self, module: Module, node: ast.AST) -> Iterator[ast.expr | None]:
        """The expressions around `node` that decide, None for what is no expression; wires on the way decide nothing."""
        inner, outer = node, module.parents.get(node)
        while outer is not None and not isinstance(outer, (*FUNCTIONS, ast.ClassDef, ast.Module)):
            match outer:
                case ast.If(test=test):
                    other = outer.orelse if inner in outer.body else outer.body
                    if inner is not test and not _is_wire(other):
                        yield test
                case ast.While(test=test):
                    yield test
                case ast.For(iter=walked) | ast.AsyncFor(iter=walked):
                    yield walked
                case ast.Try() | ast.TryStar() if outer.handlers and not _only_imports(outer):
                    yield None
                case ast.With() | ast.AsyncWith() if may_swallow(self.calls, module, outer):
                    yield None
                case ast.Match() | ast.IfExp() | ast.BoolOp() | ast.comprehension():
                    yield None
            inner, outer = outer, module.parents.get(outer)


def _leaving(module: Module, node: ast.AST) -> Iterator[ast.expr | None]:
    """The same for what decides whether the function, or a pass of a loop, ends before it gets to `node`."""
    function = enclosing_function(module, node)
    if function is None or isinstance(function, ast.Lambda):
        return
    around = set(_ancestors(module, node))
    for part in own_nodes(function):
        if not isinstance(part, ast.Return | ast.Break | ast.Continue) or part is node:
            continue
        within = _loop_around(module, part)  # an earlier pass of it may end it
        if _line(part) >= _line(node) and (within is None or within not in around):
            continue
        if isinstance(part, ast.Return) or within in around:
            outer = module.parents[part]
            inner: ast.AST = part
            while outer is not function:
                if isinstance(outer, ast.If) and inner is not outer.test:
                    yield outer.test
                elif isinstance(outer, ast.For | ast.While | ast.Try | ast.Match):
                    yield outer.iter if isinstance(outer, ast.For) else None
                inner, outer = outer, module.parents[outer]


def _element(value: ast.expr | None, index: int, count: int) -> ast.expr | None:
    """An element of a tuple that is written out; None for any other value."""
    if not isinstance(value, ast.Tuple) or len(value.elts) != count or any(isinstance(one, ast.Starred) for one in value.elts):
        return None
    return value.elts[index]


def _loop_around(module: Module, node: ast.AST) -> ast.AST | None:
    return module.enclosing(node, (ast.For, ast.AsyncFor, ast.While))


def _ancestors(module: Module, node: ast.AST) -> Iterator[ast.AST]:
    outer = module.parents.get(node)
    while outer is not None:
        yield outer
        outer = module.parents.get(outer)


def _is_one_value(seen: tuple[Found, ...] | list[Found]) -> bool:
    return len(seen) == 1 and seen[0][0] != "other"


def _is_one_presence(seen: tuple[Found, ...] | list[Found]) -> bool:
    """Whether everything that was seen is of one type."""
    return len({type(value).__name__ if kind != "other" else str(value) for kind, value in seen}) <= 1


def _are_one_constant(stores: list[Store]) -> bool:
    values = {ast.dump(store.value) if isinstance(store.value, ast.Constant) else None for store in stores}
    return len(values) == 1 and None not in values


def _is_wire(block: list[ast.stmt]) -> bool:
    return bool(block) and isinstance(block[-1], ast.Raise) and getattr(block[-1], "inserted", False)


def _only_imports(node: ast.Try | ast.TryStar) -> bool:
    """Whether all that can fail in a `try` is an import, which the installed versions settle."""
    return all(isinstance(part, ast.Import | ast.ImportFrom | ast.Assign) for part in node.body) and all(
        isinstance(part.value, ast.Constant) for part in node.body if isinstance(part, ast.Assign)
    )


def _line(node: ast.AST) -> int:
    return getattr(node, "lineno", 0)
