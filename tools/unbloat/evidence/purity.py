"""Which expressions and functions do nothing but compute: only these may be dropped together with their result.

Pure means: no store that outlives the call, no input or output, no random draw, nothing unknown. An exception that pure
code might raise by accident, on data that no workload saw, is not counted as an effect; a function that says `raise` checks
something, and its calls are not dropped. Logging counts as nothing, by contract.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from unbloat.edit.edits import Span
from unbloat.evidence.circular import Circular
from unbloat.evidence.facts import Facts
from unbloat.evidence.functions import own_nodes
from unbloat.evidence.instrument import CONSUMERS, consumes
from unbloat.evidence.names import CONFIG_FUNCTIONS, PURE_FUNCTIONS, PURE_METHODS
from unbloat.evidence.namespaces import asks_for_variables
from unbloat.evidence.program import FUNCTIONS, Callee, Module, Program
from unbloat.evidence.scopes import Function, Scope
from unbloat.evidence.special import is_plain, operands, special_methods
from unbloat.subject import Contract

_READING_METHODS = frozenset(
    "as_posix buffers children copy dim element_size exists is_dir is_file item modules most_common named_buffers "
    "named_children named_modules named_parameters numel parameters resolve size stem tolist".split()
)
# Generators that torch makes anew for each call.
_MODULE_WALKS = frozenset(
    "buffers children modules named_buffers named_children named_modules named_parameters parameters".split()
)
_MUTATING_METHODS = frozenset("add append clear discard extend insert pop remove setdefault sort update".split())
_FRESH = frozenset("Counter OrderedDict defaultdict deque dict list set bytearray".split())
_PURE_LIBRARY = frozenset(
    "collections.Counter collections.OrderedDict collections.defaultdict collections.deque copy.copy copy.deepcopy os.getenv "
    "os.path.abspath os.path.basename os.path.dirname os.path.exists os.path.isdir os.path.isfile os.path.join "
    "os.path.splitext pathlib.Path time.monotonic time.perf_counter time.time torch.cuda.is_available "
    "torch.cuda.device_count torch.is_tensor numpy.isscalar".split()
)
_LOG_METHODS = frozenset("critical debug error exception info log warn warning".split())


class Purity:
    """Answers for one program under one contract."""

    def __init__(self, program: Program, facts: Facts, contract: Contract) -> None:
        self._program = program
        self._facts = facts
        self._contract = contract
        self._functions: Circular[Function] = Circular(self._judge)
        self._checking: dict[Function, bool] = {}
        self._called: dict[Function, list[Callee]] = {}
        self._functions_named: dict[str, list[ast.FunctionDef | ast.AsyncFunctionDef]] = {}
        for node in program.module_of:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                self._functions_named.setdefault(node.name, []).append(node)
        self._specials: frozenset[str] = frozenset()
        self._properties: frozenset[str] = frozenset()
        self._settle()

    def _settle(self) -> None:
        """Which special methods and properties do more than compute: at first none, and what calls one of those does, too."""
        methods = list(self._methods())
        while True:
            specials = frozenset(n.name for n in methods if n.name.startswith("__") and not self._is_pure_method(n))
            properties = frozenset(n.name for n in methods if n.decorator_list and not self._is_pure_method(n))
            self._functions.clear()
            if (specials, properties) == (self._specials, self._properties):
                return
            self._specials, self._properties = specials, properties

    # -- logging ------------------------------------------------------------------------------------------------

    def is_log_call(self, module: Module, node: ast.AST) -> bool:
        """Whether a call writes to a logger."""
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or node.func.attr not in _LOG_METHODS:
            return False
        base = node.func.value
        if ast.unparse(base) in self._contract.loggers:
            return True
        return isinstance(base, ast.Name) and self._is_logger(module, base)

    def is_logger_setup(self, module: Module, node: ast.AST) -> bool:
        """Whether a call makes a logger: the standard library's, or a function that the contract names."""
        if not isinstance(node, ast.Call):
            return False
        return self._dotted(module, node.func) in {"logging.getLogger", *self._contract.logging_setup}

    def _is_logger(self, module: Module, node: ast.Name) -> bool:
        scope = module.scope_of_name(node)
        if self._program.imported_module(module, scope, node.id) == "logging":
            return True
        found = self._program.definition(module, scope, node.id)
        return found is not None and found[1].value is not None and self.is_logger_setup(found[0], found[1].value)

    # -- expressions --------------------------------------------------------------------------------------------

    def is_pure(self, module: Module, expression: ast.expr) -> bool:
        """Whether evaluating an expression leaves no trace."""
        return all(self._node(module, node, None) for node in _evaluated(expression))

    def _node(self, module: Module, node: ast.AST, function: Function | None) -> bool:
        if isinstance(node, ast.NamedExpr):
            return function is not None and not isinstance(function, ast.Lambda)
        if isinstance(node, ast.Await | ast.Yield | ast.YieldFrom | ast.AsyncFor):
            return False
        if self._runs_special(module, node):
            return False
        if isinstance(node, ast.For | ast.comprehension):
            return self.walks_freely(module, node.iter)
        return not isinstance(node, ast.Call) or self._call(module, node, function)

    def _runs_special(self, module: Module, node: ast.AST) -> bool:
        """Whether an operator, item, attribute or the like may run a method of the subject that does more than compute."""
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load) and node.attr in self._properties:
            return True
        if not self._specials or not (self._specials & special_methods(node)):
            return False
        if isinstance(node, ast.expr) and self._facts.keys_read(module.file, Span.of(node)):
            return False  # it was seen to read the config
        return not all(is_plain(part) or self._is_module(module, module.scope_of(node), part) for part in operands(node))

    def _methods(self) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
        for node, module in self._program.module_of.items():
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and isinstance(module.parents[node], ast.ClassDef):
                yield node

    def _is_pure_method(self, function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
        """What a property does when it is read; a static or class method does nothing before it is called."""
        if not function.decorator_list:
            return self.is_pure_function(function)
        plain = all(ast.unparse(one) in ("property", "staticmethod", "classmethod") for one in function.decorator_list)
        if isinstance(function, ast.AsyncFunctionDef) or not plain:
            return False
        module = self._program.module_of[function]
        nodes = (node for node in own_nodes(function) if node not in function.decorator_list)
        return all(self._statement(module, function, node) for node in nodes)

    def _call(self, module: Module, node: ast.Call, function: Function | None) -> bool:
        if self.is_log_call(module, node) or self.is_logger_setup(module, node):
            return True
        scope = module.scope_of(node)
        if (callee := self._program.callee(module, scope, node)) is not None:
            return self.is_pure_function(callee.function)
        if isinstance(node.func, ast.Name):
            if scope.resolve(node.func.id) is None:
                if asks_for_variables(module, node):
                    return True
                walked = node.args if consumes(node) else []
                # What `id` gives differs from run to run, but asking leaves no trace.
                known = node.func.id in PURE_FUNCTIONS | CONSUMERS | {"id"} or node.func.id.endswith("Error")
                return known and all(self.walks_freely(module, part) for part in walked)
            found = self._program.definition(module, scope, node.func.id)
            if found is not None and isinstance(found[1].node, ast.ClassDef):
                return self._is_plain_class(found[1].node)
        if self._dotted(module, node.func) in _PURE_LIBRARY:
            return True
        if not isinstance(node.func, ast.Attribute):
            return False
        if self._dotted(module, node.func.value) == "omegaconf.OmegaConf":
            return node.func.attr in CONFIG_FUNCTIONS
        if ast.unparse(node.func) == "os.environ.get":
            return True
        if self._is_module(module, scope, node.func.value):
            return False
        if node.func.attr in _MUTATING_METHODS and function is not None:
            return self._is_fresh(module, function, node.func.value)
        if _is_namesake(node, node.func):
            return False
        return node.func.attr in PURE_METHODS | _READING_METHODS and not self._is_redefined(node.func.attr)

    def walks_freely(self, module: Module, node: ast.expr) -> bool:
        """Whether walking an iterable leaves no trace: it is a container, or an iterator made on the spot over one."""
        match node:
            case ast.Constant() | ast.List() | ast.Tuple() | ast.Set() | ast.Dict():
                return True
            case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
                return all(self.walks_freely(module, part.iter) for part in node.generators)
            case ast.Call(func=ast.Attribute(attr=name)) if name in _MODULE_WALKS and not self._is_redefined(name):
                return True
            case ast.Call(func=ast.Name(id=name)) if name in CONSUMERS | {"range"}:
                return all(self.walks_freely(module, part) for part in node.args) if name != "range" else True
        return self._facts.walked_containers_only(module.file, Span.of(node))

    def _is_module(self, module: Module, scope: Scope, base: ast.expr) -> bool:
        while isinstance(base, ast.Attribute):
            base = base.value
        return (
            isinstance(base, ast.Name)
            and isinstance(self._program.imported_module(module, scope, base.id), str)
            and self._dotted(module, base) != "os"
        )

    def _is_redefined(self, method: str) -> bool:
        """Whether a class of the subject has a method of that name that does more than compute."""
        return any(not self.is_pure_function(node) for node in self._functions_named.get(method, ()))

    def _is_plain_class(self, owner: ast.ClassDef) -> bool:
        """A class without a foreign base whose construction runs no code of its own."""
        return not self._program.has_foreign_base(owner) and not any(
            isinstance(node, ast.FunctionDef) and node.name in ("__init__", "__new__", "__post_init__")
            for relative in self._program.family(owner)
            for node in relative.body
        )

    def _dotted(self, module: Module, node: ast.expr) -> str:
        """The full dotted name of what an expression reaches through imports; empty if that is not plain to see."""
        if isinstance(node, ast.Attribute):
            owner = self._dotted(module, node.value)
            return f"{owner}.{node.attr}" if owner else ""
        if not isinstance(node, ast.Name):
            return ""
        scope = module.scope_of_name(node)
        target = self._program.imported_module(module, scope, node.id)
        if isinstance(target, Module):
            return target.name
        return target or ""

    # -- functions ----------------------------------------------------------------------------------------------

    def is_pure_function(self, function: Function) -> bool:
        """Whether calling a function of the subject leaves no trace."""
        return self._functions(function)

    def _is_engineering(self, function: Function) -> bool:
        """Whether the contract says that nobody asks for what a function does."""
        if not self._contract.engineering or isinstance(function, ast.Lambda):
            return False
        module = self._program.module_of[function]
        names, outer = [function.name], module.parents[function]
        while isinstance(outer, ast.ClassDef):
            names.insert(0, outer.name)
            outer = module.parents[outer]
        return ".".join([module.name, *names]) in self._contract.engineering

    def is_engineering(self, module: Module, expression: ast.expr) -> bool:
        """Whether an expression calls what the contract says that nobody asks for, with arguments that only compute."""
        if not isinstance(expression, ast.Call):
            return False
        callee = self._program.callee(module, module.scope_of(expression), expression)
        if callee is None or not self._is_engineering(callee.function):
            return False
        parts = [*expression.args, *(keyword.value for keyword in expression.keywords)]
        return all(self.is_pure(module, part) for part in parts)

    def checks_something(self, module: Module, expression: ast.expr) -> bool:
        """Whether evaluating an expression runs a function of the subject that says `raise` or `assert`: that is its use."""
        return any(self._checks(callee) for callee in self._callees(module, ast.walk(expression)))

    def _checks(self, start: Callee) -> bool:
        """Whether a function, or one that it calls, says `raise` or `assert`."""
        pending = [start]
        seen: set[Function] = set()
        while pending and start.function not in self._checking:
            callee = pending.pop()
            function = callee.function
            if function in seen or self._checking.get(function) is False:
                continue
            seen.add(function)
            nodes = own_nodes(function)
            if self._checking.get(function) or any(isinstance(node, ast.Raise | ast.Assert) for node in nodes):
                self._checking[start.function] = True
            if function not in self._called:
                self._called[function] = self._callees(callee.module, nodes)
            pending += self._called[function]
        if start.function not in self._checking:
            self._checking |= dict.fromkeys(seen, False)
        return self._checking[start.function]

    def _callees(self, module: Module, nodes: Iterable[ast.AST]) -> list[Callee]:
        """The functions that calls among some nodes are known to reach, but for engineering."""
        calls = (node for node in nodes if isinstance(node, ast.Call))
        found = (self._program.callee(module, module.scope_of(call), call) for call in calls)
        return [callee for callee in found if callee is not None and not self._is_engineering(callee.function)]

    def _judge(self, function: Function) -> bool:
        if self._is_engineering(function):
            return True
        module = self._program.module_of[function]
        if isinstance(function, ast.Lambda):
            return self.is_pure(module, function.body)
        if isinstance(function, ast.AsyncFunctionDef) or function.decorator_list:
            return False
        return all(self._statement(module, function, node) for node in own_nodes(function))

    def _statement(self, module: Module, function: ast.FunctionDef, node: ast.AST) -> bool:
        if isinstance(node, ast.Global | ast.Nonlocal | ast.Delete | ast.With | ast.AsyncWith | ast.ClassDef):
            return False
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store | ast.Del):
            first = function.args.args[0].arg if function.args.args else None
            return function.name == "__init__" and isinstance(node.value, ast.Name) and node.value.id == first
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store | ast.Del):
            return self._is_fresh(module, function, node.value)
        if (
            isinstance(node, ast.AugAssign)
            and isinstance(node.target, ast.Name)
            and not self._is_own(module, function, node.target)
        ):
            return False  # `x += y` changes a list or a tensor that somebody else may hold
        return self._node(module, node, function)

    def _is_own(self, module: Module, function: Function, name: ast.Name) -> bool:
        """Whether whatever a variable holds was made in this very function."""
        scope = module.scopes.by_node[function]
        return scope.resolve(name.id) is scope and all(
            binding.kind == "augmented" or (binding.value is not None and _makes_object(binding.value))
            for binding in scope.bindings[name.id]
        )

    def _is_fresh(self, module: Module, function: Function, base: ast.expr) -> bool:
        """Whether a container was made in this very function, so that changing it stays inside."""
        if not isinstance(base, ast.Name):
            return False
        scope = module.scopes.by_node[function]
        return scope.resolve(base.id) is scope and all(
            binding.value is not None and _makes_container(binding.value) for binding in scope.bindings[base.id]
        )


def _is_namesake(node: ast.Call, function: ast.Attribute) -> bool:
    """Whether a method shares its name with one of a text or mapping, and does more: of a thread, a queue, a path."""
    match function.attr:
        case "join":
            return not isinstance(function.value, ast.Constant | ast.JoinedStr)
        case "get":
            return not node.args
        case "replace":
            return len(node.args) + len(node.keywords) < 2
    return False


def cannot_raise(expression: ast.expr) -> bool:
    """Whether evaluating an expression only hands on, or makes, objects."""
    match expression:
        case ast.Constant() | ast.Name() | ast.Lambda():
            return True
        case ast.Tuple(elts=parts) | ast.List(elts=parts):
            return all(cannot_raise(part) for part in parts)
        case ast.Dict(keys=keys, values=values):
            return all(isinstance(key, ast.Constant) for key in keys) and all(cannot_raise(value) for value in values)
        case ast.Compare(left=left, ops=operators, comparators=others):
            simple = all(isinstance(operator, ast.Is | ast.IsNot) for operator in operators)
            return simple and all(cannot_raise(part) for part in [left, *others])
    return False


def only_asks(expression: ast.expr) -> bool:
    """Whether an expression only asks objects what they are (`x.size(0)`, `getattr(x, "y", None)`), and converts nothing.

    Its errors are mistakes; nobody tells data apart by them, unless a `try` stands right around it.
    """
    for node in ast.walk(expression):
        match node:
            case ast.Call(func=ast.Attribute(attr=name)):
                if name not in _READING_METHODS - {"item", "tolist", "resolve", "stem"}:
                    return False
            case ast.Call(func=ast.Name(id=name), args=arguments):
                if name not in ("bool", "hasattr", "isinstance", "callable", "getattr") or (
                    name == "getattr" and len(arguments) < 3
                ):
                    return False
            case ast.Call() | ast.Subscript() | ast.BinOp() | ast.Starred() | ast.Await() | ast.NamedExpr():
                return False
    return True


def _evaluated(expression: ast.expr) -> list[ast.AST]:
    """The nodes of an expression that run when it is evaluated: a lambda's body does not."""
    pending: list[ast.AST] = [expression]
    found = []
    while pending:
        node = pending.pop()
        found.append(node)
        if not isinstance(node, FUNCTIONS):
            pending.extend(ast.iter_child_nodes(node))
    return found


def _makes_object(value: ast.expr) -> bool:
    """Whether an expression gives what nobody else holds, or what nobody can change."""
    if isinstance(value, ast.Constant | ast.JoinedStr | ast.Compare | ast.BinOp) or _makes_container(value):
        return True
    return (
        isinstance(value, ast.Call)
        and isinstance(value.func, ast.Name)
        and value.func.id in ("bool", "float", "int", "len", "str")
    )


def _makes_container(value: ast.expr) -> bool:
    if isinstance(value, ast.List | ast.Dict | ast.Set | ast.ListComp | ast.DictComp | ast.SetComp):
        return True
    return isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id in _FRESH
