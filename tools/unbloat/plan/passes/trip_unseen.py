"""Turn what no workload executed into errors that name the legacy lines: branches, loop bodies, function bodies.

That includes what stands behind a statement of a `try` that raised each time; as the handlers would swallow a wire there, it
goes into the `else`, which only those reach whom nothing stopped.

Safe because nothing becomes silent: whoever needs the code is told so, and where to find it. Where the legacy swallows any
`Exception`, the wire raises what is none. A wire is placed only where its error would surface, judged on the code that the
wires themselves leave: what no workload executed catches nothing.
Files that the contract calls algorithm keep theirs. Everything after this pass looks at the code that did run.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator

from unbloat.edit import CutTry, ReplaceExpression, Span, Tripwire, first_operand
from unbloat.evidence import Module
from unbloat.evidence.instrument import Site
from unbloat.evidence.names import UNSEEN
from unbloat.plan.blocks import blocks_of, is_docstring
from unbloat.plan.example import Example
from unbloat.plan.lines import lines_of
from unbloat.plan.removal import Evidence, Removal
from unbloat.plan.view import View
from unbloat.plan.wires import is_worth_a_wire, standing

NAME = "trip unseen code"

EXAMPLES = (
    Example(
        "a branch for data that never came",
        before="""
        def run(cfg, values=(1,)):
            if len(values) > 9:
                values = values[:9]
                values = sorted(values)
            return sum(values)
        """,
        after="""
        def run(cfg, values=(1,)):
            if len(values) > 9:
                raise NotImplementedError("stripped: pkg/module.py:3-4")
            return sum(values)
        """,
        calls=(([1],),),
    ),
    Example(
        "a branch that raises is loud already",
        before="""
        def run(cfg, values=(1,)):
            if len(values) > 9:
                count = len(values)
                raise ValueError(count)
            return sum(values)
        """,
        after="""
        def run(cfg, values=(1,)):
            if len(values) > 9:
                count = len(values)
                raise ValueError(count)
            return sum(values)
        """,
        calls=(([1],),),
    ),
    Example(
        "a docstring that a decorator gets",
        before="""
        import functools
        from abc import ABC, abstractmethod

        class Base(ABC):
            @abstractmethod
            def name(self):
                "Tell."
                raise KeyError(self)

            @property
            def size(self):
                "Measure."
                return len(self.name())

            @functools.lru_cache
            def wide(self):
                "Widen."
                return self.size * 2

        def run(cfg, x=1, made=None):
            return made.wide() + made.size if x > 2 else Base.name.__doc__
        """,
        after="""
        import functools
        from abc import ABC, abstractmethod

        class Base(ABC):
            @abstractmethod
            def name(self):
                "Tell."
                raise KeyError(self)

            @property
            def size(self):
                raise NotImplementedError("stripped: pkg/module.py:12-13")

            @functools.lru_cache
            def wide(self):
                "Widen."
                raise NotImplementedError("stripped: pkg/module.py:18")

        def run(cfg, x=1, made=None):
            return unbloat_unseen("pkg/module.py:21") if x > 2 else Base.name.__doc__
        """,
    ),
    Example(
        "a function that nobody called, and a loop over nothing",
        before="""
        def run(cfg, values=()):
            for value in values:
                other(value)
            return 1

        def other(value):
            '''Unused.'''
            value = value + 1
            return value
        """,
        after="""
        def run(cfg, values=()):
            for value in values:
                raise NotImplementedError("stripped: pkg/module.py:3")
            return 1

        def other(value):
            raise NotImplementedError("stripped: pkg/module.py:7-9")
        """,
    ),
    Example(
        "expressions: an arm that was never evaluated; one that only names a value stays",
        before="""
        def run(cfg, values=(1,)):
            best = max(values) if values else sum(values)
            size = len(values) or len(cfg)
            return best if size else cfg
        """,
        after="""
        def run(cfg, values=(1,)):
            best = max(values) if values else unbloat_unseen("pkg/module.py:2")
            size = len(values) or unbloat_unseen("pkg/module.py:3")
            return best if size else cfg
        """,
    ),
    Example(
        "what stands behind an `if` that always left",
        before="""
        def run(cfg, values=(1,)):
            if len(values) < 9:
                return sum(values)
            values = sorted(values)
            return sum(values[:9])
        """,
        after="""
        def run(cfg, values=(1,)):
            if len(values) < 9:
                return sum(values)
            else:
                raise NotImplementedError("stripped: pkg/module.py:4-5")
            values = sorted(values)
            return sum(values[:9])
        """,
    ),
    Example(
        "an error behind an `if` that always left needs no wire",
        before="""
        def run(cfg, values=(1,)):
            if len(values) < 9:
                return sum(values)
            raise ValueError(values)
        """,
        after="""
        def run(cfg, values=(1,)):
            if len(values) < 9:
                return sum(values)
            raise ValueError(values)
        """,
    ),
    Example(
        "other cases behind an `if` that always left, before an error",
        before="""
        def run(cfg, values=(1,)):
            if len(values) < 9:
                return sum(values)
            if len(values) < 99:
                return max(values)
            raise ValueError(values)
        """,
        after="""
        def run(cfg, values=(1,)):
            if len(values) < 9:
                return sum(values)
            else:
                raise NotImplementedError("stripped: pkg/module.py:4-6")
            if len(values) < 99:
                return max(values)
            raise ValueError(values)
        """,
    ),
    Example(
        "a handler that fired would swallow any `Exception`",
        before="""
        def run(cfg, text="7"):
            try:
                if text == "zero":
                    return 10 - 10
                return int(text) if text else len(cfg)
            except Exception:
                return None
        """,
        after="""
        def run(cfg, text="7"):
            try:
                if text == "zero":
                    raise unbloat_stripped("stripped: pkg/module.py:4")
                return int(text) if text else unbloat_halt("pkg/module.py:5")
            except Exception:
                return None
        """,
        calls=(("x",), ("8",)),
    ),
    Example(
        "a handler that fired would swallow everything",
        before="""
        def run(cfg, text="7"):
            try:
                if text == "zero":
                    return 10 - 10
                return int(text)
            except:
                return None
        """,
        after="""
        def run(cfg, text="7"):
            try:
                if text == "zero":
                    return 10 - 10
                return int(text)
            except:
                return None
        """,
        calls=(("x",), ("8",)),
    ),
    Example(
        "a handler that never fired would not, because it goes first",
        before="""
        def run(cfg, text="7"):
            try:
                if text == "zero":
                    return 10 - 10
                return int(text)
            except Exception:
                return None
        """,
        after="""
        def run(cfg, text="7"):
            try:
                if text == "zero":
                    raise NotImplementedError("stripped: pkg/module.py:4")
                return int(text)
            except Exception:
                return None
        """,
        calls=(("8",),),
    ),
    Example(
        "what stands behind an error that is swallowed each time",
        before="""
        def run(cfg, text="7"):
            size = 3
            try:
                text = text.strip()
                if cfg.missing.size:
                    size = int(text)
                size = size + 1
            except AttributeError:
                pass
            return size
        """,
        after="""
        def run(cfg, text="7"):
            size = 3
            try:
                text = text.strip()
                cfg.missing.size
            except AttributeError:
                pass
            else:
                raise NotImplementedError("stripped: pkg/module.py:6-7")
            return size
        """,
        config={"missing": None},
    ),
    Example(
        "the only `yield` of a function that runs stays",
        before="""
        def run(cfg, values=()):
            return list(doubled(values))

        def doubled(values):
            for value in values:
                value = value * 2
                yield value
        """,
        after="""
        def run(cfg, values=()):
            return list(doubled(values))

        def doubled(values):
            for value in values:
                value = value * 2
                yield value
        """,
    ),
    Example(
        "what alone binds a name that is still read stays",
        before="""
        def run(cfg, text="7"):
            try:
                text = cfg.missing.size
                size = text.strip()
            except AttributeError:
                pass
            return [size] if cfg.exact else text
        """,
        after="""
        def run(cfg, text="7"):
            try:
                text = cfg.missing.size
                size = text.strip()
            except AttributeError:
                pass
            return [size] if cfg.exact else text
        """,
        config={"missing": None, "exact": False},
    ),
)


def propose(view: View) -> Iterator[Removal]:
    """Every wire that somebody would hear and that leaves no name unbound, once all of them are there."""
    yield from standing(view, [wire for module in view.own_modules() for wire in _wires(view, module)])


def _wires(view: View, module: Module) -> Iterator[Removal]:
    if module.file in view.contract.algorithm or module.file not in view.facts.counts:
        return
    pending: list[ast.AST] = [module.tree]
    while pending:
        node = pending.pop()
        if getattr(node, "inserted", False) or isinstance(node, ast.JoinedStr):
            continue  # before Python 3.12 nothing in an f-string has a position of its own
        wired = list(_wires_of(view, module, node))
        for wire, _ in wired:
            yield wire
        gone = {part for _, parts in wired for part in parts}
        pending += [child for child in ast.iter_child_nodes(node) if child not in gone]


def _wires_of(view: View, module: Module, node: ast.AST) -> Iterator[tuple[Removal, list[ast.AST]]]:
    """The wires of one node, with the parts that go."""
    facts, file = view.facts, module.file
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            if not facts.outcomes(file, Span.of(node), "function").true and is_worth_a_wire(node.body):
                keeps_docstring = is_docstring(node, node.body[0]) and _is_shown_to_others(module, node)
                body = node.body[1:] if keeps_docstring else node.body
                reason = f"no workload called `{node.name}`"
                yield _wire(view, module, node, "body", body, reason, keeps_docstring=keeps_docstring), [*body]
        case ast.If() | ast.While():
            outcome = facts.outcomes(file, Span.of(node), type(node).__name__.lower()).only
            if outcome is None or (isinstance(node, ast.While) and outcome):
                return
            branch, untaken = ("orelse", node.orelse) if outcome else ("body", node.body)
            reason = f"`{ast.unparse(node.test)}` was always {'true' if outcome else 'false'}"
            if outcome and not untaken and isinstance(node, ast.If) and (behind := _behind(view, module, node)):
                yield _wire(view, module, node, "orelse", behind, reason), []
            if untaken and is_worth_a_wire(untaken):
                yield _wire(view, module, node, branch, untaken, reason), [*untaken]
        case ast.For() | ast.AsyncFor():
            first = node.body[0]
            reached = facts.executed(file, node.lineno) and first.lineno > node.iter.lineno
            if reached and not _ran(view, module, first) and is_worth_a_wire(node.body):
                yield _wire(view, module, node, "body", node.body, f"`{ast.unparse(node.iter)}` was always empty"), [*node.body]
        case ast.Try():
            yield from _cut(view, module, node)
        case ast.IfExp():
            outcome = facts.outcomes(file, Span.of(node), "ifexp").only
            if outcome is not None:
                yield from _arm(module, node.orelse if outcome else node.body)
        case ast.ListComp(elt=part) | ast.SetComp(elt=part) | ast.GeneratorExp(elt=part) | ast.Lambda(body=part):
            yield from _element(view, module, part)
        case ast.DictComp():
            for part in (node.key, node.value):
                yield from _element(view, module, part)
        case ast.BoolOp():
            decides = isinstance(node.op, ast.Or)
            for index in range(len(node.values) - 1):
                if facts.outcomes(file, Span.of(node), "operand", first_operand(node) + index).only is decides:
                    for operand in node.values[index + 1 :]:
                        yield from _arm(module, operand)
                    return


def _is_shown_to_others(module: Module, node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether a decorator gets a function that could do something with its docstring."""
    scope = module.scope_of(node)
    for one in node.decorator_list:
        match one:
            case ast.Name(id="classmethod" | "property" | "staticmethod" as name) if scope.resolve(name) is None:
                pass
            case ast.Attribute(value=ast.Name(), attr="deleter" | "getter" | "setter"):
                pass
            case _:
                return True
    return False


def _cut(view: View, module: Module, node: ast.Try) -> Iterator[tuple[Removal, list[ast.AST]]]:
    """What stands in a `try` behind the last statement that began, if a handler caught something each time.

    Then none of them ever came to its end. Of an `if` neither branch of which began, the test did not.
    """
    facts, file = view.facts, module.file
    fired = sum(facts.outcomes(file, Span.of(handler), "handler").true for handler in node.handlers)
    if not fired or fired != facts.outcomes(file, Span.of(node), "try").true:
        return
    last = max((number for number, part in enumerate(node.body) if _ran(view, module, part)), default=None)
    if last is None:
        return
    statement = node.body[last]
    branches = [*statement.body, *statement.orelse] if isinstance(statement, ast.If) else []
    test_only = bool(branches) and not any(_ran(view, module, part) for part in branches)
    gone = [*(branches if test_only else []), *node.body[last + 1 :], *node.orelse]
    if not is_worth_a_wire(gone):
        return
    lines = lines_of(gone)
    edit = CutTry(Span.of(node), Span.of(statement), test_only, _message(module, lines))
    reason = f"the `try` was left with an error each time, at or before line {statement.lineno}"
    yield Removal(file, edit, NAME, Evidence.UNSEEN, reason, Span.of(node), lines), [*gone]


def _ran(view: View, module: Module, statement: ast.stmt) -> bool:
    """Whether any line of a statement ran; the first one of several may hold nothing to run."""
    last = statement.end_lineno or statement.lineno
    return any(view.facts.executed(module.file, line) for line in range(statement.lineno, last + 1))


def _element(view: View, module: Module, part: ast.expr) -> Iterator[tuple[Removal, list[ast.AST]]]:
    """What a comprehension or a `lambda` evaluates, if it never did."""
    site = Site(Span.of(part), "element")
    if site in view.facts.counts.get(module.file, {}) and not view.facts.outcomes(module.file, site.span, site.kind).true:
        yield from _arm(module, part)


def _behind(view: View, module: Module, node: ast.If) -> list[ast.stmt]:
    """What follows an `if` that always left the block, and so never ran."""
    if not isinstance(node.body[-1], ast.Return | ast.Continue | ast.Break):
        return []
    for block in blocks_of(module.parents[node]):
        if node in block:
            behind = block[block.index(node) + 1 :]
            ran = any(_ran(view, module, part) for part in behind)
            return behind if not ran and is_worth_a_wire(behind) else []
    return []


def _arm(module: Module, arm: ast.expr) -> Iterator[tuple[Removal, list[ast.AST]]]:
    """An arm that does something; one that only names a value costs nothing and stays."""
    if getattr(arm, "inserted", False) or not any(
        isinstance(part, ast.Call | ast.Lambda | ast.ListComp) for part in ast.walk(arm)
    ):
        return
    place = Span.of(arm)
    source = f"{UNSEEN}({json.dumps(f'{module.file}:{place.line}', ensure_ascii=False)})"
    edit = ReplaceExpression(place, source)
    reason = f"`{ast.unparse(arm)}` was never evaluated"
    yield Removal(module.file, edit, NAME, Evidence.UNSEEN, reason, place, lines_of([arm])), [arm]


def _wire(
    view: View,
    module: Module,
    node: ast.stmt,
    branch: str,
    untaken: list[ast.stmt],
    reason: str,
    *,
    keeps_docstring: bool = False,
) -> Removal:
    lines = lines_of(untaken)
    message = _message(module, lines)
    # What a missing `else` becomes has the place of its `if`.
    start, end = (Span.of(untaken[0]), Span.of(untaken[-1])) if getattr(node, branch) else (Span.of(node), Span.of(node))
    place = Span(start.line, start.column, end.end_line, end.end_column)
    edit = Tripwire(Span.of(node), branch, message, keeps_docstring=keeps_docstring)
    return Removal(module.file, edit, NAME, Evidence.UNSEEN, reason, place, lines)


def _message(module: Module, lines: tuple[tuple[int, int], ...]) -> str:
    first, last = lines[0][0], lines[-1][1]
    return f"stripped: {module.file}:{first}" + (f"-{last}" if last > first else "")
