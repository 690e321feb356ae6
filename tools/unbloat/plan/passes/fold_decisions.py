"""Fold decisions that the pinned config takes.

Safe because a decision is folded only if (1) it is STATIC: nothing but the pinned config, untouched options, the
environment and the code itself can influence it, control included; (2) every workload that reached it saw the one
outcome; (3) what it rests on is known key by key, so that the generated guard refuses any config that could decide
otherwise; and (4) the test itself leaves no trace. The test is never computed here: the outcome is what the runs saw.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from unbloat.edit import DropFilter, DropStatement, Edit, KeepArm, KeepBranch, KeepOperands, Span, first_operand
from unbloat.evidence import Module, Support, joined
from unbloat.evidence.purity import only_asks
from unbloat.evidence.support import type_of
from unbloat.plan.example import Example
from unbloat.plan.lines import lines_of
from unbloat.plan.removal import Evidence, Removal
from unbloat.plan.view import View

NAME = "fold decisions"

EXAMPLES = (
    Example(
        "a flag of the config, read defensively",
        before="""
        def run(cfg):
            if bool(getattr(getattr(cfg, "extra", None), "enabled", False)):
                return "extra"
            return "plain"
        """,
        after="""
        def run(cfg):
            return "plain"
        """,
        config={"extra": {"enabled": False}},
    ),
    Example(
        "a mode that chooses between two ways",
        before="""
        def run(cfg):
            mode = cfg.get("mode", "train")
            if mode == "train":
                size = 1
            else:
                size = 2
            return size if mode else None
        """,
        after="""
        def run(cfg):
            mode = cfg.get("mode", "train")
            size = 1
            return size
        """,
        config={"mode": "train"},
    ),
    Example(
        "operands of `and` and `or`",
        before="""
        def run(cfg):
            return (cfg.wide and len([1])) or 0
        """,
        after="""
        def run(cfg):
            return len([1])
        """,
        config={"wide": True},
    ),
    Example(
        "a check of a number stays, since the number may well be another one; a check of a flag goes",
        before="""
        def run(cfg):
            assert cfg.size % 2 == 0
            assert not cfg.strict
            return cfg.size
        """,
        after="""
        def run(cfg):
            assert cfg.size % 2 == 0
            return cfg.size
        """,
        config={"size": 4, "strict": False},
    ),
    Example(
        "a variable that no statement binds is not in `locals()`",
        first=("fold decisions",),
        before="""
        def run(cfg):
            size = 2
            if "scale" in locals() and scale:
                size *= scale
            return size
        """,
        after="""
        def run(cfg):
            size = 2
            return size
        """,
    ),
    Example(
        "a variable that a branch binds may be in `locals()`, and so may any that somebody writes into it",
        before="""
        def run(cfg, x=1):
            if x > 3: scale = 2
            return x * scale if "scale" in locals() else wider(x)

        def wider(x):
            if x > 2: locals()["scale"] = x
            return x * 2 if "scale" in locals() else x
        """,
        after="""
        def run(cfg, x=1):
            if x > 3: scale = 2
            return x * scale if "scale" in locals() else wider(x)

        def wider(x):
            if x > 2: locals()["scale"] = x
            return x * 2 if "scale" in locals() else x
        """,
    ),
    Example(
        "data decides: nothing may go",
        before="""
        def run(cfg, values=(3, 1)):
            total = 0
            for value in values:
                if value > total:
                    total = value
            return total
        """,
        after="""
        def run(cfg, values=(3, 1)):
            total = 0
            for value in values:
                if value > total:
                    total = value
            return total
        """,
        calls=(([2, 5],),),
    ),
    Example(
        "a flag that the code itself rewrites from data",
        before="""
        def run(cfg, values=()):
            flag = cfg.strict
            if len(values) > 3:
                flag = True
            return 1 if flag else 2
        """,
        after="""
        def run(cfg, values=()):
            flag = cfg.strict
            if len(values) > 3:
                flag = True
            return 1 if flag else 2
        """,
        config={"strict": False},
        calls=(([1],),),
    ),
    Example(
        "a config key that is written during the run",
        before="""
        def run(cfg, values=(1,)):
            cfg.seen = len(values) > 3
            return 1 if cfg.seen else 2
        """,
        after="""
        def run(cfg, values=(1,)):
            cfg.seen = len(values) > 3
            return 1 if cfg.seen else 2
        """,
        config={"seen": False},
        calls=(([1],),),
    ),
    Example(
        "what is in a container that nobody fills any more, and one of several things that a function returns",
        first=("trip unseen code",),
        before="""
        def run(cfg, values=(1, 2)):
            skipped = set()
            doubled = []
            if len(values) > 9:
                skipped.add(len(values))
                doubled.append(len(values))
            total, extra = parts(values)
            for value in values:
                if value in skipped:
                    continue
                total += value
            for value in doubled:
                total += 2 * value
            if extra is not None:
                total += extra
            return total

        def parts(values):
            extra = None
            if len(values) > 5:
                extra = values[5]
            return len(values), extra
        """,
        after="""
        def run(cfg, values=(1, 2)):
            skipped = set()
            doubled = []
            if len(values) > 9:
                raise NotImplementedError("stripped: pkg/module.py:5-6")
            total, extra = parts(values)
            for value in values:
                total += value
            return total

        def parts(values):
            extra = None
            if len(values) > 5:
                raise NotImplementedError("stripped: pkg/module.py:21")
            return len(values), extra
        """,
    ),
    Example(
        "a leading operand; what data can decide stays",
        first=("fold decisions", "drop dead stores"),
        before="""
        class Box:
            def __init__(self):
                self.lid = None

        def run(cfg, size=1):
            box = Box()
            if cfg.strict and box.lid is not None and size > 3:
                size = box.lid
            return size
        """,
        after="""
        class Box:
            def __init__(self):
                self.lid = None

        def run(cfg, size=1):
            box = Box()
            if box.lid is not None and size > 3:
                size = box.lid
            return size
        """,
        config={"strict": True},
    ),
)


def propose(view: View) -> Iterator[Removal]:
    """Every decision of the phase's files that the pins settle."""
    gone: list[tuple[str, Span]] = []
    for module, node in view.nodes():
        if isinstance(node, ast.stmt | ast.expr) and any(f == module.file and s.holds(Span.of(node)) for f, s in gone):
            continue
        for removal, dropped in _folds(view, module, node):
            yield removal
            gone += [(module.file, Span.of(part)) for part in dropped]


def _folds(view: View, module: Module, node: ast.AST) -> Iterator[tuple[Removal, list[ast.stmt] | list[ast.expr]]]:
    match node:
        case ast.If() | ast.While():
            outcome = _outcome(view, module, node, node.test, type(node).__name__.lower())
            if outcome is None or (isinstance(node, ast.While) and outcome):
                return
            dropped = node.orelse if outcome else node.body
            edit: Edit = KeepBranch(Span.of(node), outcome)
            fold = _fold(view, module, node.test, edit, outcome, [node.test, *dropped])
            if fold is not None:
                yield fold, dropped
        case ast.IfExp():
            outcome = _outcome(view, module, node, node.test, "ifexp")
            if outcome is not None:
                arm = node.orelse if outcome else node.body
                fold = _fold(view, module, node.test, KeepArm(Span.of(node), outcome), outcome, [node.test, arm])
                if fold is not None:
                    yield fold, [arm]
        case ast.For():
            if (loop := _empty_loop(view, module, node)) is not None:
                whole: list[ast.stmt] = [node]
                yield loop, whole
        case ast.BoolOp():
            yield from _operands(view, module, node)
        case ast.Assert() if view.facts.executed(module.file, node.test.lineno):
            if view.catchers.caught(module, node, None):
                return
            fold = _fold(view, module, node.test, DropStatement(Span.of(node)), True, [node])
            if fold is not None and not _freezes_numbers(view, fold.support):
                dropped_statement: list[ast.stmt] = [node]
                yield fold, dropped_statement
        case ast.comprehension():
            for condition in node.ifs:
                if _outcome(view, module, condition, condition, "filter"):
                    fold = _fold(view, module, condition, DropFilter(Span.of(condition)), True, [condition])
                    if fold is not None:
                        yield fold, [condition]


def _empty_loop(view: View, module: Module, node: ast.For) -> Removal | None:
    """A loop over what is always empty, whose body is an error by now."""
    if node.orelse or not (isinstance(node.body[0], ast.Raise) and getattr(node.body[0], "inserted", False)):
        return None
    support = joined([view.flow.support(module, node.iter), view.dropping(module, node.iter)])
    if support is None:
        return None
    reason = f"`{ast.unparse(node.iter)}` is always empty{_because(view, support)}"
    place = Span.of(node)
    return Removal(module.file, DropStatement(place), NAME, Evidence.PINNED, reason, place, lines_of([node]), support)


def _operands(view: View, module: Module, node: ast.BoolOp) -> Iterator[tuple[Removal, list[ast.expr]]]:
    """Leading operands that never decide go; the first that always decides is the last to stay."""
    decides = isinstance(node.op, ast.Or)
    first, last = 0, len(node.values)
    support = Support()
    # Only an unbroken run of operands from the left: each is reached because those before it let it be.
    for index, operand in enumerate(node.values[:-1]):
        outcome = _operand_outcome(view, module, node, index, operand)
        found = _settled(view, module, operand) if outcome is not None else None
        if outcome is None or found is None or not view.is_heard(module.file, Span.of(operand), found):
            break
        support = support.and_(found)
        if outcome is decides:
            last = index + 1
            break
        if not view.leaves_no_trace(module, operand):
            break
        first = index + 1
    if (first, last) == (0, len(node.values)):
        return
    dropped = [*node.values[:first], *node.values[last:]]
    reason = f"`{ast.unparse(node)}` keeps operand{'s' if last - first > 1 else ''} {first + 1} to {last}"
    before = first_operand(node)
    edit = KeepOperands(Span.of(node), before + first, before + last)
    yield Removal(module.file, edit, NAME, Evidence.PINNED, reason, Span.of(node), lines_of(dropped), support), dropped


def _operand_outcome(view: View, module: Module, node: ast.BoolOp, index: int, operand: ast.expr) -> bool | None:
    return view.facts.outcomes(module.file, Span.of(node), "operand", first_operand(node) + index).only


def _outcome(view: View, module: Module, node: ast.stmt | ast.expr, test: ast.expr, kind: str) -> bool | None:
    """The one outcome of a STATIC decision."""
    outcomes = view.facts.outcomes(module.file, Span.of(node), kind)
    return outcomes.only


def _fold(view: View, module: Module, test: ast.expr, edit: Edit, outcome: bool, gone: list[ast.AST]) -> Removal | None:
    if not view.leaves_no_trace(module, test):
        return None
    support = _settled(view, module, test)
    if support is None:
        return None
    reason = f"`{ast.unparse(test)}` is always {'true' if outcome else 'false'}{_because(view, support)}"
    return Removal(module.file, edit, NAME, Evidence.PINNED, reason, Span.of(test), lines_of(gone), support)


def _settled(view: View, module: Module, test: ast.expr) -> Support | None:
    """The pins that settle a test; where its error would be caught, those of all that is in it, not of its outcome alone."""
    support = view.flow.support(module, test)
    if support is None or only_asks(test) or not view.catchers.caught(module, test, None):
        return support
    parts = [part for part in ast.walk(test) if isinstance(part, ast.expr)]
    return joined([support, *(view.flow.config(module, part) for part in parts)])


def _freezes_numbers(view: View, support: Support) -> bool:
    """Whether a number of the config, which may well be another one, would have to stay as it is. No check is worth that."""
    values = [value for key in support.keys for _, value in view.facts.values[key]]
    return any(isinstance(value, int | float) and not isinstance(value, bool) for value in values)


def _because(view: View, support: Support) -> str:
    parts = [f"{key} {_shown(*view.facts.values[key][0])}" for key in sorted(support.keys)]
    parts += [f"{key or 'the config'}: {type_of(view.facts.values[key][0])}" for key in sorted(support.types)]
    parts += [f"argument {pin.name} in {pin.values!r}" for pin in sorted(support.arguments, key=lambda pin: pin.name)]
    parts += [f"${name}" for name in sorted(support.environment)]
    return f" ({', '.join(parts[:4])}{', …' if len(parts) > 4 else ''})" if parts else ""


def _shown(kind: str, value: object) -> str:
    return f"= {value!r}" if kind == "value" else "is absent" if kind == "absent" else "is there"
