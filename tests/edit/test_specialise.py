"""What each edit means for the tree, and which edits are refused."""

from __future__ import annotations

import ast
import itertools
from typing import Any

import pytest
from unbloat.edit import (
    Check,
    CutTry,
    DropAlias,
    DropArgument,
    DropElement,
    DropFilter,
    DropHandler,
    DropModule,
    DropParameter,
    DropStatement,
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
    from_json,
    render,
    specialise,
    to_json,
)
from unbloat.errors import EditError

MEANINGS = [
    pytest.param("a\nb", [(DropStatement, "a")], "b", id="drop"),
    pytest.param("def f():\n  a", [(DropStatement, "a")], "def f():\n  pass", id="emptied body"),
    pytest.param("def f():\n  'd'\n  a", [(DropStatement, "a")], "def f():\n  'd'", id="docstring is a body"),
    pytest.param("if x:\n  a\nelse:\n  b", [(DropStatement, "b")], "if x:\n  a", id="emptied else"),
    pytest.param("for i in x:\n  a\nelse:\n  b", [(DropStatement, "b")], "for i in x:\n  a", id="emptied for-else"),
    pytest.param("if x:\n  a\n  b\nelse:\n  c", [(KeepBranch, "if", True)], "a\nb", id="keep body"),
    pytest.param("if x:\n  a\nelse:\n  b", [(KeepBranch, "if", False)], "b", id="keep else"),
    pytest.param("if x:\n  a\nb", [(KeepBranch, "if", False)], "b", id="keep a missing else"),
    pytest.param("while x:\n  a\nelse:\n  b", [(KeepBranch, "while", False)], "b", id="while that never runs"),
    pytest.param("a if b else c", [(KeepArm, "a if b else c", False)], "c", id="arm"),
    pytest.param("a or b or c", [(KeepOperands, "a or b or c", 1, 3)], "b or c", id="operands"),
    pytest.param("a or b or c", [(KeepOperands, "a or b or c", 1, 2)], "b", id="operand"),
    pytest.param("f(a)", [(ReplaceExpression, "a", "b or c")], "f(b or c)", id="replace"),
    pytest.param("try:\n  a\nexcept E:\n  b\nelse:\n  c\nfinally:\n  d", [(FlattenTry, "try")], "a\nc\nd", id="flatten"),
    pytest.param(
        "try:\n  a\nexcept E:\n  b\nexcept F:\n  c",
        [(DropHandler, "except E")],
        "try:\n  a\nexcept F:\n  c",
        id="one of two handlers",
    ),
    pytest.param("try:\n  a\nexcept E:\n  b\nelse:\n  c", [(DropHandler, "except")], "a\nc", id="last handler"),
    pytest.param(
        "try:\n  a\nexcept E:\n  b\nelse:\n  c\nfinally:\n  d",
        [(DropHandler, "except")],
        "try:\n  a\n  c\nfinally:\n  d",
        id="last handler before a finally",
    ),
    pytest.param(
        "try:\n  a\nexcept* E:\n  b\nfinally:\n  d",
        [(DropHandler, "except")],
        "try:\n  a\nfinally:\n  d",
        id="last handler of a try*",
    ),
    pytest.param("try:\n  a\nfinally:\n  d", [(DropStatement, "d")], "a", id="emptied finally without handlers"),
    pytest.param("[x for x in y if a if b]", [(DropFilter, "a")], "[x for x in y if b]", id="filter"),
    pytest.param("import a, b as c", [(DropAlias, "a")], "import b as c", id="name"),
    pytest.param("from a import b, c", [(DropAlias, "b"), (DropAlias, "c")], "", id="all names"),
    pytest.param("from a import *", [(DropAlias, "*")], "", id="star"),
    pytest.param("x = y = f()", [(KeepValue, "x")], "f()", id="value"),
    pytest.param("x += f()", [(KeepValue, "x")], "f()", id="augmented value"),
    pytest.param("x: int = f()\ny: int", [(KeepValue, "x"), (KeepValue, "y")], "f()", id="annotated values"),
    pytest.param(
        "if x:\n  a", [(Tripwire, "if", "orelse", "m")], "if x:\n  a\nelse:\n  raise NotImplementedError('m')", id="wire"
    ),
    pytest.param("if x: a", [(Tripwire, "if", "body", "m", "Halt")], "if x: raise Halt('m')", id="wire with another error"),
    pytest.param(
        "if x:\n  a\nelif y:\n  b",
        [(Tripwire, "if", "body", "m")],
        "if x:\n  raise NotImplementedError('m')\nelif y:\n  b",
        id="wire in a body",
    ),
    pytest.param(
        "if x:\n  a\nelse:\n  b",
        [(Tripwire, "if", "orelse", "m"), (KeepBranch, "if", False)],
        "raise NotImplementedError('m')",
        id="wire in the kept branch",
    ),
    pytest.param(
        "for i in x:\n  a",
        [(Tripwire, "for", "body", "m"), (DropStatement, "a")],
        "for i in x:\n  raise NotImplementedError('m')",
        id="wire in a loop",
    ),
    pytest.param(
        "for i in x: a",
        [(Tripwire, "for", "orelse", "m")],
        "for i in x: a\nelse: raise NotImplementedError('m')",
        id="wire behind a loop",
    ),
    pytest.param(
        "while x:\n  a\nelse:\n  b",
        [(Tripwire, "while", "orelse", "m"), (KeepBranch, "while", False)],
        "raise NotImplementedError('m')",
        id="wire behind a while that never runs",
    ),
    pytest.param(
        "@d\nasync def f(x):\n  'd'\n  a",
        [(Tripwire, "async", "body", "m"), (InsertInFunction, "async", "z()"), (DropParameter, "x")],
        "@d\nasync def f(): raise NotImplementedError('m')",
        id="wire in a function",
    ),
    pytest.param(
        "@d\ndef f(x):\n  'd'\n  a\n  b",
        [(Tripwire, "def", "body", "m", "Halt", True), (DropParameter, "x")],
        "@d\ndef f():\n  'd'\n  raise Halt('m')",
        id="wire behind a docstring",
    ),
    pytest.param(
        "def f(x):\n  'd'; a\n  b",
        [(Tripwire, "def", "body", "m", "Halt", True)],
        "def f(x):\n  'd'\n  raise Halt('m')",
        id="wire behind a docstring, which was not alone on its line",
    ),
    pytest.param(
        "def f(x): 'd'; a",
        [(Tripwire, "def", "body", "m", "Halt", True)],
        "def f(x):\n  'd'\n  raise Halt('m')",
        id="wire behind a docstring on the line of its function",
    ),
    pytest.param(
        "try:\n  a\n  b\n  c\nexcept E:\n  d",
        [(CutTry, "try", "b", False, "m")],
        "try:\n  a\n  b\nexcept E:\n  d\nelse:\n  raise NotImplementedError('m')",
        id="cut behind a statement",
    ),
    pytest.param(
        "try:\n  a\n  if b:\n    c\n  else: c\n  d\nexcept E:\n  e\nelse:\n  f\nfinally:\n  g",
        [(CutTry, "try", "if", True, "m")],
        "try:\n  a\n  b\nexcept E:\n  e\nelse:\n  raise NotImplementedError('m')\nfinally:\n  g",
        id="cut behind a test",
    ),
    pytest.param(
        "try:\n  a\n  b\nexcept E:\n  c",
        [(CutTry, "try", "a", False, "m"), (DropHandler, "except")],
        "a\nraise NotImplementedError('m')",
        id="cut try that dissolves",
    ),
    pytest.param(
        "def f(a, b=1, /, c=2, *d, e=3, g, **h): i",
        [(DropParameter, "b"), (DropParameter, "e")],
        "def f(a, /, c=2, *d, g, **h): i",
        id="parameters and their defaults",
    ),
    pytest.param(
        "def f(a, b=1, *, c, d=2): i",
        [(DropParameter, "a"), (DropParameter, "c"), (DropParameter, "d")],
        "def f(b=1): i",
        id="all keyword-only parameters",
    ),
    pytest.param(
        "def f(a, b=x if y else z): i", [(DropParameter, "b"), (KeepArm, "x if y else z", True)], "def f(a): i", id="default"
    ),
    pytest.param(
        "f(a, b and c)", [(KeepOperands, "b and c", 1, 2), (DropArgument, "c")], "f(a)", id="what is left of an argument"
    ),
    pytest.param(
        "f(a, *b, k=c, **d)", [(DropArgument, "a"), (DropArgument, "k=c")], "f(*b, **d)", id="arguments beside starred ones"
    ),
    pytest.param(
        "if x or y:\n  a\nelse:\n  b",
        [(Check, "if", False, "forbid", "m:1"), (KeepOperands, "x or y", 0, 1)],
        "forbid(x, 'm:1')\nb",
        id="check",
    ),
    pytest.param(
        "if x: a\nelif y: b",
        [(Check, "if", True, "require", "m:1"), (KeepBranch, "if", True)],
        "a",
        id="a branch that is kept needs no check",
    ),
    pytest.param(
        "def f(a=0, b=1, c=2, *, d, **e): i",
        [(DropParameter, "a", True), (DropParameter, "c", False)],
        "def f(*, b=1, d, **e): i",
        id="the rest by keyword",
    ),
    pytest.param("x = ['a', ['b'], 'c']", [(DropElement, "'b'"), (DropElement, "'c'")], "x = ['a', []]", id="elements"),
    pytest.param("class A(B, k=f(a)): x", [(DropArgument, "a")], "class A(B, k=f()): x", id="argument in a class header"),
    pytest.param(
        "def f():\n  'd'\n  a",
        [(InsertInFunction, "def", "z()"), (InsertInFunction, "def", "if g: h()")],
        "def f():\n  'd'\n  if g: h()\n  z()\n  a",
        id="insert in a function",
    ),
    pytest.param(
        "def f():\n  'd'\n  a",
        [(InsertInFunction, "def", "z()"), (DropStatement, "'d'"), (DropStatement, "a")],
        "def f():\n  z()",
        id="insert in an emptied function",
    ),
    pytest.param(
        "'d'\nfrom __future__ import annotations\nimport a",
        [(InsertImport, "import z")],
        "'d'\nfrom __future__ import annotations\nimport z\nimport a",
        id="insert an import",
    ),
    pytest.param("", [(InsertImport, "import z")], "import z", id="insert in an empty module"),
    pytest.param(
        "if a:\n  if b:\n    c\n    d\n  e\nelse:\n  f",
        [(KeepBranch, "if a", True), (KeepBranch, "if b", True), (DropStatement, "d")],
        "c\ne",
        id="nested branches",
    ),
    pytest.param(
        "a or (b if c else d)",
        [(KeepOperands, "a or (b if c else d)", 1, 2), (KeepArm, "b if c else d", True), (ReplaceExpression, "b", "z")],
        "z",
        id="nested expressions",
    ),
    pytest.param(
        "if a:\n  b\nelse:\n  c = d",
        [(KeepBranch, "if", True), (DropStatement, "c"), (ReplaceExpression, "d", "e")],
        "b",
        id="edits in removed code",
    ),
    pytest.param("x = f()", [(KeepValue, "x"), (DropStatement, "x")], "", id="drop wins"),
    pytest.param("a or b", [(ReplaceExpression, "a or b", "z"), (KeepOperands, "a or b", 0, 1)], "z", id="replace wins"),
    pytest.param(
        "a or b or c",
        [(KeepOperands, "a or b or c", 0, 2), (KeepOperands, "a or b or c", 1, 3)],
        "b",
        id="operands that both edits keep",
    ),
]


@pytest.mark.parametrize(("source", "named", "expected"), MEANINGS)
def test_meaning(source: str, named: list[Any], expected: str, edits_of: Any) -> None:
    tree = ast.parse(source)
    untouched = ast.dump(tree, include_attributes=True)
    edits = edits_of(source, named)
    for order in itertools.permutations(edits):
        assert ast.dump(specialise(tree, order)) == ast.dump(ast.parse(expected))
    assert ast.dump(tree, include_attributes=True) == untouched
    assert [from_json(to_json(edit)) for edit in edits] == edits


def test_kept_nodes_keep_their_positions(edits_of: Any) -> None:
    source = "if x:\n    y = a if b else [\n        c]\nz"
    edits = edits_of(source, [(KeepBranch, "if", True), (KeepArm, "a if b else [\n        c]", False)])
    assignment = specialise(ast.parse(source), edits).body[0]
    assert isinstance(assignment, ast.Assign)
    assert Span.of(assignment) == Span(2, 4, 3, 10)
    assert Span.of(assignment.value) == Span(2, 20, 3, 10)


def test_edits_of_a_second_round_are_found_on_the_specialised_tree(edits_of: Any) -> None:
    source = "if x:\n    a\n    b"
    first = edits_of(source, [(KeepBranch, "if", True)])
    second = DropStatement(Span.of(specialise(ast.parse(source), first).body[1]))
    assert ast.unparse(specialise(ast.parse(source), [second, *first])) == "a"


@pytest.mark.parametrize(
    ("source", "named", "position"),
    [
        pytest.param("if x:\n  a\n  b", [(DropStatement, "a"), (DropStatement, "b")], Span(2, 2, 3, 3), id="pass"),
        pytest.param("if x:\n  a\nelse:\n  b\n  c", [(Tripwire, "if", "orelse", "")], Span(4, 2, 5, 3), id="branch"),
        pytest.param("if x:\n  a", [(Tripwire, "if", "orelse", "")], Span(1, 0, 2, 3), id="missing branch"),
        pytest.param("def f():\n  'd'\n  a", [(Tripwire, "def", "body", "")], Span(2, 2, 3, 3), id="function"),
        pytest.param("f(a)", [(ReplaceExpression, "a", "b + c")], Span(1, 2, 1, 3), id="expression"),
        pytest.param("def f():\n  a", [(InsertInFunction, "def", "z()")], Span(2, 2, 2, 3), id="statement"),
    ],
)
def test_inserted_nodes_say_so(source: str, named: list[Any], position: Span, edits_of: Any) -> None:
    tree = specialise(ast.parse(source), edits_of(source, named))
    inserted = [node for node in ast.walk(tree) if hasattr(node, "inserted")]
    spans = [Span.of(node) for node in inserted if isinstance(node, ast.stmt | ast.expr)]
    assert set(spans) == {position}
    assert not any(hasattr(node, "inserted") for node in ast.walk(ast.parse(source)))


HERE, NOWHERE = Span(1, 0, 1, 1), Span(7, 0, 7, 1)
REFUSED = [
    pytest.param("a", [DropStatement(NOWHERE)], "line 7, column 0: no statement", id="no such place"),
    pytest.param("a", [KeepValue(HERE)], "no assignment here", id="other node"),
    pytest.param("a", [DropFilter(HERE)], "no comprehension filter", id="no filter"),
    pytest.param("a", [ReplaceExpression(HERE, "b"), ReplaceExpression(HERE, "c")], "contradict", id="two sources"),
    pytest.param("a", [ReplaceExpression(HERE, "b c")], "is no expression", id="no expression"),
    pytest.param("a = b", [ReplaceExpression(HERE, "c")], "no value that can be replaced", id="target"),
    pytest.param("import a", [InsertImport("a")], "is no import", id="no import"),
    pytest.param("import a", [InsertImport("import")], "is no statement", id="no statement"),
    pytest.param("import a", [InsertImport("import b; import c")], "2 statements", id="two statements"),
    pytest.param("if a: b", [Tripwire(Span(1, 0, 1, 7), "else", "m")], "no 'else'", id="unknown branch"),
    pytest.param("def f(): b", [Tripwire(Span(1, 0, 1, 10), "orelse", "m")], "no 'orelse'", id="function with an else"),
    pytest.param("with a: b", [Tripwire(Span(1, 0, 1, 9), "body", "m")], "no if, loop or function", id="no branches"),
    pytest.param("with a: b", [CutTry(Span(1, 0, 1, 9), HERE, False, "m")], "no try", id="cut of a with"),
    pytest.param("try: a\nfinally: b", [CutTry(Span(1, 0, 2, 10), Span(2, 9, 2, 10), False, "m")], "no statement", id="cut"),
    pytest.param("try: a\nfinally: b", [CutTry(Span(1, 0, 2, 10), Span(1, 5, 1, 6), True, "m")], "no if", id="no test"),
    pytest.param("def f(*a): b", [DropParameter(Span(1, 7, 1, 8))], "no parameter of a `def`", id="starred parameter"),
    pytest.param("def f(a, *b): c", [DropParameter(Span(1, 6, 1, 7), True)], "by keyword alone", id="others by position"),
    pytest.param("def f(a, /): c", [DropParameter(Span(1, 6, 1, 7), True)], "by keyword alone", id="only by position"),
    pytest.param("('a',)", [DropElement(Span(1, 1, 1, 4))], "no element of a list", id="element of a tuple"),
    pytest.param("a", [DropModule()], "nothing to change in it", id="whole file"),
    pytest.param("while a: b", [Check(Span(1, 0, 1, 10), True, "f", "m")], "no if here", id="check of a while"),
    pytest.param(
        "if a: b",
        [Check(Span(1, 0, 1, 7), True, "f", "m"), Check(Span(1, 0, 1, 7), False, "f", "m")],
        "contradict",
        id="two checks",
    ),
    pytest.param("lambda a: b", [DropParameter(Span(1, 7, 1, 8))], "no parameter of a `def`", id="lambda"),
    pytest.param("f(*a)", [DropArgument(Span(1, 2, 1, 4))], "no argument of a call", id="starred argument"),
    pytest.param("f(**a)", [DropArgument(Span(1, 2, 1, 5))], "no argument of a call", id="arguments from a mapping"),
    pytest.param("class A(B): c", [DropArgument(Span(1, 8, 1, 9))], "no argument of a call", id="base class"),
    pytest.param("class A(k=B): c", [DropArgument(Span(1, 8, 1, 11))], "no argument of a call", id="keyword of a class"),
    pytest.param("while a: b", [KeepBranch(Span(1, 0, 1, 10), True)], "no branch to keep", id="endless while"),
    pytest.param("a or b", [KeepOperands(Span(1, 0, 1, 6), 1, 3)], "operands 1 to 3 of 2", id="too many operands"),
    pytest.param("a or b", [KeepOperands(Span(1, 0, 1, 6), 1, 1)], "operands 1 to 1 of 2", id="no operand"),
    pytest.param(
        "a or b",
        [KeepOperands(Span(1, 0, 1, 6), 0, 1), KeepOperands(Span(1, 0, 1, 6), 1, 2)],
        "no operand in common",
        id="other operands",
    ),
    pytest.param(
        "if a: b",
        [KeepBranch(Span(1, 0, 1, 7), True), KeepBranch(Span(1, 0, 1, 7), False)],
        "contradict",
        id="two outcomes",
    ),
]


@pytest.mark.parametrize(("source", "edits", "message"), REFUSED)
def test_refused(source: str, edits: list[Any], message: str) -> None:
    with pytest.raises(EditError, match=message):
        specialise(ast.parse(source), edits)
    with pytest.raises(EditError, match=message):
        render(source, edits)


def test_unknown_kinds_are_not_read() -> None:
    with pytest.raises(EditError, match="unknown edit 'Rename'"):
        from_json({"edit": "Rename"})
