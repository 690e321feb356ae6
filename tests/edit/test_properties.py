"""Whatever the edits: the text says what the tree means, and what stays is verbatim."""

from __future__ import annotations

import argparse
import ast
import dataclasses
import io
import json
import logging
import random
import textwrap
import tokenize
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import libcst
import omegaconf
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from unbloat.edit import (
    Check,
    CutTry,
    DropAlias,
    DropArgument,
    DropElement,
    DropFilter,
    DropHandler,
    DropParameter,
    DropStatement,
    Edit,
    FlattenTry,
    InsertImport,
    InsertInFunction,
    KeepArm,
    KeepBranch,
    KeepOperands,
    KeepValue,
    ReplaceExpression,
    Span,
    Tripwire,
    render,
    specialise,
)

REPLACEMENTS = ("None", "1", "-1", "{}", "(yield)", "a or b", "x if y else z", "lambda: 0", "a, b", "f(i for i in j)", "not q")
REPLACED = (ast.Name, ast.Constant, ast.Attribute, ast.Call, ast.Compare, ast.BinOp, ast.BoolOp, ast.UnaryOp, ast.GeneratorExp)


def edits_on(node: ast.AST) -> Iterator[Edit]:
    """The edits that fit a node; the rarer the node, the more often they are drawn elsewhere."""
    match node:
        case ast.If():
            yield from (KeepBranch(Span.of(node), outcome) for outcome in (True, False))
            yield from (Tripwire(Span.of(node), branch, 'it\'s "gone"') for branch in ("body", "orelse"))
            if node.test.lineno == node.lineno and node.test.col_offset - node.col_offset < len("elif "):
                yield from (Check(Span.of(node), outcome, "check", 'it\'s "gone"') for outcome in (True, False))
        case ast.While():
            yield KeepBranch(Span.of(node), False)
            yield from (Tripwire(Span.of(node), branch, "gone") for branch in ("body", "orelse"))
        case ast.For() | ast.AsyncFor():
            yield from (Tripwire(Span.of(node), branch, "gone") for branch in ("body", "orelse"))
        case ast.Try() | ast.TryStar():
            yield FlattenTry(Span.of(node))
            if isinstance(node, ast.Try) and node.handlers:
                yield from (CutTry(Span.of(node), Span.of(part), False, "gone") for part in node.body)
                tests = [part for part in node.body if isinstance(part, ast.If)]
                yield from (CutTry(Span.of(node), Span.of(part), True, "gone") for part in tests)
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            yield InsertInFunction(Span.of(node), "if a:\n    b(c)")
            yield Tripwire(Span.of(node), "body", "gone")
            if ast.get_docstring(node, clean=False) is not None:
                yield Tripwire(Span.of(node), "body", "gone", keeps_docstring=True)
        case ast.Assign() | ast.AugAssign() | ast.AnnAssign():
            yield KeepValue(Span.of(node))
        case ast.ExceptHandler():
            yield DropHandler(Span.of(node))
        case ast.alias():
            yield DropAlias(Span.of(node))
        case ast.comprehension():
            yield from (DropFilter(Span.of(test)) for test in node.ifs)
        case ast.IfExp():
            yield from (KeepArm(Span.of(node), outcome) for outcome in (True, False))
        case ast.BoolOp():
            bounds = [(first, last) for last in range(1, len(node.values) + 1) for first in range(last)]
            yield from (KeepOperands(Span.of(node), first, last) for first, last in bounds)
        case _ if isinstance(node, REPLACED) and isinstance(getattr(node, "ctx", ast.Load()), ast.Load):
            yield from (ReplaceExpression(Span.of(node), source) for source in REPLACEMENTS)
    if isinstance(node, ast.stmt):
        yield DropStatement(Span.of(node))


def open_nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """Every node but those of patterns, and of f-strings, whose text need not be able to say what an edit means."""
    yield tree
    for child in ast.iter_child_nodes(tree):
        if not isinstance(child, ast.pattern | ast.JoinedStr):
            yield from open_nodes(child)


def drops_in(node: ast.AST) -> Iterator[Edit]:
    """The parameters of a function, the arguments of a call, or the constants in a list: each of them may go."""
    match node:
        case ast.FunctionDef(args=args) | ast.AsyncFunctionDef(args=args):
            movable = args.args if args.vararg is None else []
            yield from (DropParameter(Span.of(part), part in movable) for part in args.args[::2])
            yield from (DropParameter(Span.of(part)) for part in [*args.posonlyargs, *args.args[1::2], *args.kwonlyargs])
        case ast.Call():
            yield from (DropArgument(Span.of(part)) for part in node.args if not isinstance(part, ast.Starred))
            yield from (DropArgument(Span.of(part)) for part in node.keywords if part.arg is not None)
        case ast.List():
            yield from (DropElement(Span.of(part)) for part in node.elts if isinstance(part, ast.Constant))


def drawn(tree: ast.Module, choices: random.Random, share: float) -> list[Edit]:
    options = [list(edits_on(node)) for node in open_nodes(tree)]
    options += [[edit] for node in open_nodes(tree) for edit in drops_in(node)]
    return [choices.choice(fitting) for fitting in options if fitting and choices.random() < share]


def assert_rendered(source: str, edits: list[Edit]) -> None:
    legacy = ast.parse(source)
    meant = specialise(legacy, edits)
    rendered = render(source, edits)
    written = ast.parse(rendered)
    assert ast.dump(written) == ast.dump(meant)
    assert comments(rendered) <= comments(source)
    former = {Span.of(node): node for node in ast.walk(legacy) if isinstance(node, ast.stmt)}
    old_lines, new_lines = source.encode().splitlines(), rendered.encode().splitlines()
    for new, node in zip(ast.walk(written), ast.walk(meant), strict=True):
        if not isinstance(new, ast.stmt) or not isinstance(node, ast.stmt) or hasattr(node, "body"):
            continue
        if not any(hasattr(part, "inserted") for part in ast.walk(node)):
            old = former[Span.of(node)]
            if ast.dump(old) == ast.dump(node):
                assert text_of(new_lines, new) == text_of(old_lines, old)


def comments(source: str) -> Counter[str]:
    tokens = tokenize.generate_tokens(io.StringIO(source, newline="").readline)
    return Counter(token.string for token in tokens if token.type == tokenize.COMMENT)


def text_of(lines: list[bytes], statement: ast.stmt) -> list[bytes]:
    span = Span.of(statement)
    text = lines[span.line - 1 : span.end_line]
    text[-1] = text[-1][: span.end_column]
    text[0] = text[0][span.column :]
    return [line.strip() for line in text]


EXPRESSION_SHAPES = (
    "{} if {} else {}",
    "{} or {}",
    "{} or {} or {}",
    "{} and {}",
    "not {}",
    "({})",
    "(\n  {}\n  or {}  # why\n)",
    "({}) + ({}) * ({})",
    "-({})",
    "({}).b",
    "({})[{}]",
    "({}) < ({})",
    "f({}, k={})",
    "f(\n  # a\n  ({}),  # one\n  # k\n  k={},  # two\n  *({}),\n  # end\n  m={},  # three\n)",
    "f({},\n  k={}  # k\n)",
    "[\n  # a\n  1,  # one\n  # b\n  ({}),  # two\n  3  # three\n]",
    "f(x for x in y if {})",
    "[{} for x in ({}) if ({}) if ({})]",
    "{{({}): {}}}",
    "(lambda x: {})",
    "(yield {})",
    "(n := {})",
    "f'''é{{({})!r:>{{a}}}}'''",
    "({}, {})",
)
STATEMENT_SHAPES = (
    "{e}",
    "a = {e}; b += {e}; c: d = {e}",
    "# why\nreturn {e}  # so",
    "'''text\n  of lines'''",
    "from a import (\n    b,  # b\n    c as d,\n)",
    "import a, b.c as d",
    "if {e}: a; b",
    "# if\nif {e}:  # x\n{b}\n# elif\nelif {e}:\n{b}\n# else\nelse:  # y\n{b}",
    "if {e}:\n{b}\n    # behind\n\nelse:\n    if {e}:\n        c\n",
    "while {e}:\n{b}\nelse:\n{b}",
    "async for a in {e}:\n{b}\nelse:\n{b}",
    "try:\n{b}\nexcept E:\n{b}\nexcept F:\n{b}\nelse:\n{b}\nfinally:\n{b}",
    "try: a\nexcept* E: b\nelse: c",
    "try:\n{b}\nfinally:\n{b}",
    "with ({e}) as a, b:\n{b}",
    "match {e}:\n    case 1:\n        a\n    case _:\n        b",
    "@d({e})\n# why\ndef f(a={e}) -> b:\n    'doc'\n{b}",
    "async def f(): return {e}",
    "def f(\n    # a\n    a: {e},  # one\n    /,  # slash\n    # b\n    b={e},  # two\n"
    "    *,\n    c,\n    # d\n    d: x = {e}  # end\n):\n{b}",
    "def f(a, b=1, *args, c={e}, **kwargs,): {e}",
    "async def f(a,  # a\n            *, b={e}):  # b\n{b}",
    "for a in {e}: b; c",
    "class A(B, k={e}):\n    # why\n\n{b}\n",
)

expressions = st.recursive(
    st.sampled_from(["a", "b.c", "f()", "1", "'ß'", "None"]),
    lambda inner: st.sampled_from(EXPRESSION_SHAPES).flatmap(
        lambda shape: st.tuples(*[inner] * (shape.replace("{{", "").count("{}"))).map(lambda parts: shape.format(*parts))
    ),
    max_leaves=6,
)


@st.composite
def blocks(draw: Callable[[st.SearchStrategy[Any]], Any], depth: int = 2) -> str:
    """Some statements, one block per `{b}` of their shapes, one expression per `{e}`."""
    text = []
    for shape in draw(st.lists(st.sampled_from(STATEMENT_SHAPES), min_size=1, max_size=3)):
        pieces = shape.split("{b}")
        filled = [pieces[0]]
        for piece in pieces[1:]:
            body = draw(blocks(depth - 1)) if depth else "a"
            filled += [textwrap.indent(body, "    ", lambda line: not line.startswith("  of")), piece]
        whole = "".join(filled)
        while "{e}" in whole:
            whole = whole.replace("{e}", f"({draw(expressions)})" if draw(st.booleans()) else draw(expressions), 1)
        text.append(whole)
    return "\n".join(text)


def is_python(source: str) -> bool:
    try:
        ast.parse(source)
    except SyntaxError:
        return False
    return True


@settings(max_examples=120, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
@given(program=blocks().filter(is_python), choices=st.randoms(use_true_random=False), share=st.sampled_from([0.0, 0.1, 0.4]))
def test_programs(program: str, choices: random.Random, share: float) -> None:
    edits = drawn(ast.parse(program), choices, share)
    assert_rendered(program, edits)
    assert edits or render(program, edits) == program


def modules() -> list[Path]:
    packages = [Path(package.__file__ or "").parent for package in (json, logging, libcst, omegaconf)]
    single = [Path(module.__file__ or "") for module in (argparse, dataclasses)]
    found = single + [path for package in packages for path in package.glob("*.py")]
    return sorted(path for path in found if path.stat().st_size < 100_000)


@pytest.mark.parametrize("path", modules(), ids=lambda path: f"{path.parent.name}/{path.name}")
def test_real_modules(path: Path) -> None:
    source = path.read_bytes().decode()
    choices = random.Random(path.name)
    for share in (0.02, 0.2):
        assert_rendered(source, [*drawn(ast.parse(source), choices, share), InsertImport("import z")])
    assert render(source, []) == source
