"""What edits do to the text: everything that stays is verbatim, comments go where their statements go."""

from __future__ import annotations

from typing import Any

import libcst as cst
import pytest
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
)
from unbloat.errors import EditError

STATEMENTS = [
    pytest.param(
        """
        a = 1  # one

        # about b
        b = 2
        # about c
        c = 3
        """,
        [(DropStatement, "b")],
        """
        a = 1  # one
        # about c
        c = 3
        """,
        id="comments above a statement go with it",
    ),
    pytest.param(
        """
        a

        # why
        @decorator
        # more
        def f():
            return 1


        def g(): return 2
        """,
        [(DropStatement, "def f")],
        """
        a


        def g(): return 2
        """,
        id="decorators go with their function",
    ),
    pytest.param("a = 1; b = 2; c = 3  # x\n", [(DropStatement, "a")], "b = 2; c = 3  # x\n", id="first of a line"),
    pytest.param("a = 1; b = 2; c = 3  # x\n", [(DropStatement, "c")], "a = 1; b = 2  # x\n", id="last of a line"),
    pytest.param("a = 1; b = 2;\nc", [(DropStatement, "b")], "a = 1;\nc", id="last of a line that ends in a semicolon"),
    pytest.param("def f(): a; b", [(DropStatement, "b")], "def f(): a", id="suite on the line of its header"),
    pytest.param("def f(): a; b", [(DropStatement, "a"), (DropStatement, "b")], "def f(): pass", id="emptied suite"),
    pytest.param(
        """
        class A:  # why
            # about x
            x = 1
            # the end
        y
        """,
        [(DropStatement, "x")],
        """
        class A:  # why
            pass
            # the end
        y
        """,
        id="emptied class",
    ),
    pytest.param(
        """
        async def f():
            async with a as b:
                async for c in d:
                    e
                else:
                    # about g
                    g
            match h:
                case 1:
                    i
                case _:
                    j
        """,
        [(DropStatement, "e"), (DropStatement, "g"), (DropStatement, "j")],
        """
        async def f():
            async with a as b:
                async for c in d:
                    pass
            match h:
                case 1:
                    i
                case _:
                    pass
        """,
        id="bodies of all sorts",
    ),
]

BRANCHES = [
    pytest.param(
        """
        # about the if
        if x:  # always
            # about a
            a  # one
            b(1,
              2)

            c = '''
            text
        text'''
            # behind
        else:
            d
        e
        """,
        [(KeepBranch, "if", True)],
        """
        # about the if
        # about a
        a  # one
        b(1,
          2)

        c = '''
            text
        text'''
        # behind
        e
        """,
        id="body",
    ),
    pytest.param(
        """
        if x:
            a
        # about the else
        else:  # never
            b
        """,
        [(KeepBranch, "if", False)],
        """
        # about the else
        b
        """,
        id="else",
    ),
    pytest.param("if x: return 1  # why\nb", [(KeepBranch, "if", True)], "return 1  # why\nb", id="one line"),
    pytest.param("# why\nif x: a\nb", [(KeepBranch, "if", False)], "# why\nb", id="what is above all code stays"),
    pytest.param("z\n# why\nif x: a\nb", [(KeepBranch, "if", False)], "z\nb", id="nothing kept"),
    pytest.param(
        """
        if x:
            a
        # why
        elif y:
            b
        else:
            c
        """,
        [(KeepBranch, "if x", False)],
        """
        # why
        if y:
            b
        else:
            c
        """,
        id="an elif becomes the if",
    ),
    pytest.param(
        """
        if x:
            a
        # why
        elif y:  # always
            b
        elif z:
            c
        """,
        [(KeepBranch, "elif y", True)],
        """
        if x:
            a
        # why
        else:
            b
        """,
        id="an elif becomes the else",
    ),
    pytest.param(
        "if x:\n    a\nelif y:\n    b\nelif z:\n    c\n",
        [(KeepBranch, "elif y", False)],
        "if x:\n    a\nelif z:\n    c\n",
        id="an elif goes",
    ),
    pytest.param("if x:\n    a\nelif y:\n    b\n", [(KeepBranch, "elif", False)], "if x:\n    a\n", id="the last elif goes"),
    pytest.param(
        "if x:\n    a\nelif y:\n    b\nelse:\n    c\n", [(DropStatement, "elif")], "if x:\n    a\n", id="a chain goes"
    ),
    pytest.param(
        "if x:\n    a\nelif y:\n    b\n",
        [(KeepBranch, "elif", True), (DropStatement, "b")],
        "if x:\n    a\n",
        id="nothing of an elif stays",
    ),
    pytest.param(
        "if x:\n    a\nelif y:\n    b\nelif z:\n    c\n",
        [(KeepBranch, "elif y", False), (DropStatement, "c")],
        "if x:\n    a\nelif z:\n    pass\n",
        id="an elif goes before an emptied one",
    ),
    pytest.param(
        """
        if x:
            a
        else:
            if y:
                b
            else:
                c
        """,
        [(KeepBranch, "if y", False)],
        """
        if x:
            a
        else:
            c
        """,
        id="an if in an else",
    ),
    pytest.param("while x:\n    a\n# why\nelse:\n    b\nc\n", [(KeepBranch, "while", False)], "# why\nb\nc\n", id="while"),
    pytest.param(
        """
        if x:
            if y:
                a
                # behind a
            # behind y
        else:
            b
        c
        """,
        [(KeepBranch, "if x", True), (KeepBranch, "if y", True)],
        """
        a
        # behind a
        # behind y
        c
        """,
        id="nested branches keep what is behind them",
    ),
    pytest.param(
        "if x: a\nelse: b\n",
        [(Tripwire, "if", "body", 'say "no"'), (Tripwire, "if", "orelse", "no")],
        """
        if x:
            raise NotImplementedError('say "no"')
        else:
            raise NotImplementedError("no")
        """,
        id="tripwires",
    ),
    pytest.param(
        "def f():\n\tif x:  # why\n\t\ta\n\telif y:\n\t\tb\n",
        [(Tripwire, "if", "orelse", "no")],
        'def f():\n\tif x:  # why\n\t\ta\n\telse:\n\t\traise NotImplementedError("no")\n',
        id="tripwire for an elif, in a file with tabs",
    ),
]

TRIES = [
    pytest.param(
        """
        try:
            a
            # about b
            if b and (
                c
            ):  # why
                d
            # about e
            e
        except E:  # caught
            pass
        f
        """,
        [(CutTry, "try", "if", True, "no")],
        """
        try:
            a
            # about b
            b and (
                c
            )
        except E:  # caught
            pass
        else:
            raise NotImplementedError("no")
        f
        """,
        id="cut behind a test",
    ),
    pytest.param(
        "try:\n    if x := y:\n        a\nexcept E:\n    b\n",
        [(CutTry, "try", "if", True, "no")],
        'try:\n    (x := y)\nexcept E:\n    b\nelse:\n    raise NotImplementedError("no")\n',
        id="cut behind a test that binds",
    ),
    pytest.param(
        """
        # why
        try:  # to
            a
            # behind a
        except E:
            b
        # about the else
        else:
            c
        finally:
            d
        e
        """,
        [(FlattenTry, "try")],
        """
        # why
        a
        # behind a
        # about the else
        c
        d
        e
        """,
        id="flatten",
    ),
    pytest.param(
        """
        try: a
        # about E
        except E:
            b
        except F: c
        """,
        [(DropHandler, "except E")],
        """
        try: a
        except F: c
        """,
        id="one handler",
    ),
    pytest.param("try: a\nexcept E: b\nc", [(DropHandler, "except")], "a\nc", id="the only handler"),
    pytest.param(
        """
        try: a
        except* E: b
        else:
            # about c
            c
        finally:
            d  # always
        """,
        [(DropHandler, "except")],
        """
        try:
            a
            # about c
            c
        finally:
            d  # always
        """,
        id="the only handler before a finally",
    ),
    pytest.param(
        "try:\n    a\nexcept E:\n    b\nfinally:\n    c",
        [(DropStatement, "c")],
        "try:\n    a\nexcept E:\n    b",
        id="emptied finally",
    ),
    pytest.param(
        "try:\n    a\nexcept E:\n    b\n", [(DropStatement, "b")], "try:\n    a\nexcept E:\n    pass\n", id="emptied handler"
    ),
]

EXPRESSIONS = [
    pytest.param("x = a if b else c  # y", [(KeepArm, "a if b else c", True)], "x = a  # y", id="arm"),
    pytest.param("x = (a if b else c)", [(KeepArm, "a if b else c", False)], "x = c", id="needless parentheses go"),
    pytest.param(
        "x = (a or b if b else c) * 2", [(KeepArm, "a or b if b else c", True)], "x = (a or b) * 2", id="needed ones stay"
    ),
    pytest.param(
        "x = (\n    a  # one\n    if b\n    else c\n)",
        [(KeepArm, "a  # one\n    if b\n    else c", True)],
        "x = a",
        id="arm over lines",
    ),
    pytest.param(
        "x = (a\n     .b if c else\n     d)",
        [(KeepArm, "a\n     .b if c else\n     d", True)],
        "x = (a\n     .b)",
        id="line breaks need parentheses",
    ),
    pytest.param("return(a or b)", [(KeepOperands, "a or b", 0, 1)], "return(a)", id="no space before"),
    pytest.param("(1 if a else b).real", [(KeepArm, "1 if a else b", True)], "(1).real", id="number before a dot"),
    pytest.param(
        "f(a if b else (x for x in y))", [(KeepArm, "a if b else (x for x in y)", False)], "f((x for x in y))", id="generator"
    ),
    pytest.param(
        "with ((a, b) if c else d): pass",
        [(KeepArm, "(a, b) if c else d", True)],
        "with ((a, b)): pass",
        id="tuple as a context",
    ),
    pytest.param("a * (b or c)", [(KeepOperands, "b or c", 0, 1)], "a * b", id="operand"),
    pytest.param("a * (b + c or d)", [(KeepOperands, "b + c or d", 0, 1)], "a * (b + c)", id="operand that needs parentheses"),
    pytest.param("not (a and b and c)", [(KeepOperands, "a and b and c", 1, 3)], "not (b and c)", id="some operands"),
    pytest.param(
        "if (a and\n    b and  # two\n    c): pass",
        [(KeepOperands, "a and\n    b and  # two\n    c", 0, 2)],
        "if (a and\n    b): pass",
        id="operands over lines",
    ),
    pytest.param("a or (lambda: b)", [(KeepOperands, "a or (lambda: b)", 1, 2)], "(lambda: b)", id="lambda"),
    pytest.param("a and b or c", [(KeepOperands, "a and b or c", 0, 1)], "a and b", id="operand of another kind"),
    pytest.param("x = (a[0] if b else c)", [(KeepArm, "a[0] if b else c", True)], "x = a[0]", id="subscript"),
    pytest.param("a and b or c", [(KeepOperands, "a and b", 1, 2)], "b or c", id="operator of another kind"),
    pytest.param("a + b", [(ReplaceExpression, "b", "c if d else e")], "a + (c if d else e)", id="looser"),
    pytest.param("f(a, b)", [(ReplaceExpression, "b", "c if d else e")], "f(a, c if d else e)", id="looser in an open place"),
    pytest.param("-a", [(ReplaceExpression, "a", "b ** c")], "-(b ** c)", id="cautious"),
    pytest.param("f(x for x in y)", [(ReplaceExpression, "(x for x in y)", "z")], "f(z)", id="the only argument"),
    pytest.param("f(x for x in y)", [(ReplaceExpression, "(x for x in y)", "a, b")], "f((a, b))", id="tuple as an argument"),
    pytest.param("a = (1, 2)", [(ReplaceExpression, "(1, 2)", "None")], "a = None", id="tuple"),
    pytest.param("x = 'é' if 'ß' else ü", [(KeepArm, "'é' if 'ß' else ü", False)], "x = ü", id="beyond ASCII"),
    pytest.param(
        "f'é{a if b else c:>{w or 3}}'",
        [(KeepArm, "a if b else c", True), (KeepOperands, "w or 3", 1, 2)],
        "f'é{a:>{3}}'",
        id="f-string",
    ),
    pytest.param("f'{a if b else {}}'", [(KeepArm, "a if b else {}", False)], "f'{({})}'", id="brace in an f-string"),
    pytest.param(
        "[x for x in y if(a)if b for z in x]", [(DropFilter, "a")], "[x for x in y if b for z in x]", id="first filter"
    ),
    pytest.param("{x: 1 for x in y if a if b}", [(DropFilter, "b")], "{x: 1 for x in y if a}", id="last filter"),
    pytest.param("x = y = f()  # why", [(KeepValue, "x")], "f()  # why", id="value"),
    pytest.param("x = yield a; y += 1, 2", [(KeepValue, "x"), (KeepValue, "y")], "yield a; 1, 2", id="values on a line"),
    pytest.param("x: int = (\n    f())", [(KeepValue, "x")], "(\n    f())", id="annotated value"),
    pytest.param(
        "x = a or (b if c else d and e)",
        [
            (KeepOperands, "a or (b if c else d and e)", 1, 2),
            (KeepArm, "b if c else d and e", False),
            (KeepOperands, "d and e", 1, 2),
        ],
        "x = e",
        id="one in another",
    ),
]

IMPORTS = [
    pytest.param("import a, b, c", [(DropAlias, "c")], "import a, b", id="import"),
    pytest.param("from a import b as x, c", [(DropAlias, "b")], "from a import c", id="from"),
    pytest.param("from a import (b, c)", [(DropAlias, "c")], "from a import (b)", id="parentheses"),
    pytest.param("from a import (b, c,)", [(DropAlias, "c")], "from a import (b,)", id="trailing comma"),
    pytest.param(
        "from a import (\n    b,  # one\n    c,  # two\n    d,  # three\n)",
        [(DropAlias, "b"), (DropAlias, "d")],
        "from a import (\n    c,  # two\n)",
        id="comments",
    ),
    pytest.param(
        "from a import (\n    b,  # one\n    c  # two\n)",
        [(DropAlias, "c")],
        "from a import (\n    b  # one\n)",
        id="no trailing comma",
    ),
    pytest.param(
        "from a import (b,  # one\n               c)",
        [(DropAlias, "c")],
        "from a import (b  # one\n)",
        id="hugging",
    ),
    pytest.param(
        "from a import (\n    # about b\n    b,\n    # about c\n    c,\n    # about d\n    d,\n)",
        [(DropAlias, "b"), (DropAlias, "d")],
        "from a import (\n    # about c\n    c,\n)",
        id="comments above names",
    ),
    pytest.param("# why\nz\n# what\nfrom a import (b)\nc", [(DropAlias, "b")], "# why\nz\nc", id="no name left"),
    pytest.param(
        '# licence\n\n"""Doc."""\n\nfrom __future__ import annotations\n\nimport a\n',
        [(InsertImport, "import z"), (InsertImport, "from y import x")],
        '# licence\n\n"""Doc."""\n\nfrom __future__ import annotations\n\nfrom y import x\nimport z\n\nimport a\n',
        id="insert",
    ),
    pytest.param(
        '"""Doc."""; import a', [(InsertImport, "import z")], '"""Doc."""\n\nimport z\nimport a', id="insert in a line"
    ),
    pytest.param("", [(InsertImport, "import z")], "import z", id="insert in an empty module"),
    pytest.param("# licence\nimport a", [(InsertImport, "import z")], "# licence\nimport z\nimport a", id="insert at the top"),
]

FUNCTIONS = [
    pytest.param(
        'def f():  # why\n    """Doc."""\n\n    # about a\n    a\n',
        [(InsertInFunction, "def", "if x:\n    raise E")],
        'def f():  # why\n    """Doc."""\n    if x:\n        raise E\n\n    # about a\n    a\n',
        id="behind the docstring",
    ),
    pytest.param(
        "async def f(): a; b  # why",
        [(InsertInFunction, "async", "z")],
        "async def f():\n    z\n    a; b  # why",
        id="one line",
    ),
    pytest.param(
        "def f(): 'doc'; b", [(InsertInFunction, "def", "z")], "def f():\n    'doc'\n    z\n    b", id="docstring on one line"
    ),
    pytest.param(
        "def f():\r\n\ta\r\n",
        [(InsertInFunction, "def", "if x:\n    z")],
        "def f():\r\n\tif x:\r\n\t\tz\r\n\ta\r\n",
        id="other line ends",
    ),
]

WIRES = [
    pytest.param(
        """
        # why
        for x in y:  # each
            # about a
            a
            # behind a
        # about the else
        else:
            b
        """,
        [(Tripwire, "for", "body", "no")],
        """
        # why
        for x in y:  # each
            raise NotImplementedError("no")
        # about the else
        else:
            b
        """,
        id="for",
    ),
    pytest.param(
        "for x in y: a; b  # so\nc",
        [(Tripwire, "for", "orelse", "no")],
        'for x in y: a; b  # so\nelse:\n    raise NotImplementedError("no")\nc',
        id="created else of a loop on one line",
    ),
    pytest.param(
        "async def f():\n    async for x in y: a\n",
        [(Tripwire, "async for", "body", "no")],
        'async def f():\n    async for x in y:\n        raise NotImplementedError("no")\n',
        id="async for",
    ),
    pytest.param(
        "while x:\n    a\nelse:\n    b\n",
        [(Tripwire, "while", "body", "no"), (Tripwire, "while", "orelse", "never")],
        'while x:\n    raise NotImplementedError("no")\nelse:\n    raise NotImplementedError("never")\n',
        id="while",
    ),
    pytest.param(
        "while x:\n    a\n# why\nelse:\n    b\nc\n",
        [(Tripwire, "while", "orelse", "no"), (KeepBranch, "while", False)],
        'raise NotImplementedError("no")\nc\n',
        id="while that never runs",
    ),
    pytest.param(
        """
        @one
        # about two
        @two(3)
        def f(a, *, b=1) -> int:  # why
            '''Doc

            of lines.'''
            # about c
            c

            def d():
                return 1
            return 2


        e
        """,
        [(Tripwire, "def f", "body", "no")],
        """
        @one
        # about two
        @two(3)
        def f(a, *, b=1) -> int:  # why
            raise NotImplementedError("no")


        e
        """,
        id="function",
    ),
    pytest.param(
        "class A:\n    async def f(self): return 1  # why\n    x = 2\n",
        [(Tripwire, "async", "body", "no")],
        'class A:\n    async def f(self):\n        raise NotImplementedError("no")\n    x = 2\n',
        id="method on one line",
    ),
    pytest.param(
        """
        def f(a, b):
            if a:
                return 1
        """,
        [(Tripwire, "def", "body", "no"), (DropParameter, "a"), (KeepBranch, "if", True), (InsertInFunction, "def", "z")],
        """
        def f(b):
            raise NotImplementedError("no")
        """,
        id="edits in a body that goes",
    ),
    pytest.param(
        """
        if x:
            a
        # about y
        elif y:  # behind y
            b
        # about z
        elif z:
            c
        d
        """,
        [(Tripwire, "elif y", "orelse", "no")],
        """
        if x:
            a
        # about y
        elif y:  # behind y
            b
        else:
            raise NotImplementedError("no")
        d
        """,
        id="else in place of an elif",
    ),
    pytest.param(
        "if x: a\nelif y: b\nc",
        [(Tripwire, "elif", "body", "no"), (Tripwire, "elif", "orelse", "never")],
        'if x: a\nelif y:\n    raise NotImplementedError("no")\nelse:\n    raise NotImplementedError("never")\nc',
        id="created else of an elif",
    ),
    pytest.param(
        "if x: a\nelif y: b\nc",
        [(Tripwire, "if", "orelse", "no")],
        'if x: a\nelse:\n    raise NotImplementedError("no")\nc',
        id="an elif is an else",
    ),
]

CHECKS = [
    pytest.param(
        """
        # about the if
        if (a  # one
                and b):  # two
            # about c
            c
            # behind c
        else:
            d
        e
        """,
        [(Check, "if", True, "require", "m:1")],
        """
        # about the if
        require((a  # one
                and b), "m:1")
        # about c
        c
        # behind c
        e
        """,
        id="the body is left",
    ),
    pytest.param(
        "def f():\n    if not a:\n        b\n    # about c\n    else:  # two\n        c\n    d\n",
        [(Check, "if", False, "forbid", "m:1")],
        'def f():\n    forbid(not a, "m:1")\n    # about c\n    c\n    d\n',
        id="the else is left",
    ),
    pytest.param(
        "if x: a\nelif y: b\nelse: c\nd",
        [(Check, "if", False, "forbid", "m:1")],
        'forbid(x, "m:1")\nif y: b\nelse: c\nd',
        id="the elif is left",
    ),
    pytest.param("if x or y: a\nd", [(Check, "if", False, "forbid", "m:1")], 'forbid(x or y, "m:1")\nd', id="nothing is left"),
    pytest.param(
        "if x or y: a\nelse: b\n",
        [(Check, "if", True, "require", "m:1"), (KeepOperands, "x or y", 1, 2), (DropStatement, "a")],
        'require(y, "m:1")\n',
        id="edits in the test and in what is left",
    ),
    pytest.param(
        "if x:\n    if y:\n        a\n    # why\n    b\n",
        [(Check, "if y", False, "forbid", "m:2"), (Check, "if x", True, "require", "m:1"), (Tripwire, "if x", "orelse", "no")],
        'require(x, "m:1")\nforbid(y, "m:2")\n# why\nb\n',
        id="one check in another",
    ),
]

PARAMETERS = [
    pytest.param("def f(a, b=1, c=2): d", [(DropParameter, "a")], "def f(b=1, c=2): d", id="first"),
    pytest.param("def f(a, b: x = (1, 2), c=2): d", [(DropParameter, "b")], "def f(a, c=2): d", id="annotated, with a default"),
    pytest.param("def f(a, b=1, c=2): d", [(DropParameter, "c")], "def f(a, b=1): d", id="last"),
    pytest.param("def f(a, b): d", [(DropParameter, "a"), (DropParameter, "b")], "def f(): d", id="all"),
    pytest.param("def f( a, b, ): d", [(DropParameter, "b")], "def f( a, ): d", id="parameters, trailing comma"),
    pytest.param("def f(a, *, b=1, c): d", [(DropParameter, "b")], "def f(a, *, c): d", id="keyword-only"),
    pytest.param("def f(a, *, b): d", [(DropParameter, "b")], "def f(a): d", id="last one after *"),
    pytest.param("def f(*, b=1): d", [(DropParameter, "b")], "def f(): d", id="only one after *"),
    pytest.param("def f(a, *, b, **c): d", [(DropParameter, "b")], "def f(a, **c): d", id="last one between * and **"),
    pytest.param("def f(a, *b, c=1): d", [(DropParameter, "c")], "def f(a, *b): d", id="last one after *args"),
    pytest.param("def f(a, *b, c=1): d", [(DropParameter, "a")], "def f(*b, c=1): d", id="before *args"),
    pytest.param("def f(a, *, b): d", [(DropParameter, "a")], "def f(*, b): d", id="before *"),
    pytest.param("def f(a, /, b): d", [(DropParameter, "b")], "def f(a, /): d", id="last one after /"),
    pytest.param("def f(a, /, b): d", [(DropParameter, "a")], "def f(b): d", id="last one before /"),
    pytest.param("def f(a, /): d", [(DropParameter, "a")], "def f(): d", id="only one before /"),
    pytest.param("def f(a, b=1, /, c=2): d", [(DropParameter, "b")], "def f(a, /, c=2): d", id="positional-only"),
    pytest.param("def f(a, /, b, *, c): d", [(DropParameter, "a"), (DropParameter, "c")], "def f(b): d", id="both separators"),
    pytest.param("def f(a, /, *, c): d", [(DropParameter, "c")], "def f(a, /): d", id="nothing behind the /"),
    pytest.param("async def f(a, b): d", [(DropParameter, "a")], "async def f(b): d", id="async"),
    pytest.param(
        "def f(a=x or y, b=z): d", [(KeepOperands, "x or y", 0, 1), (DropParameter, "b")], "def f(a=x): d", id="default"
    ),
    pytest.param(
        """
        def f(
            # about a
            a: int = 1,  # one
            # about b
            b: str = (
                "x"
            ),  # two

            # about c
            c=3,  # three
            # the end
        ) -> d:
            e
        """,
        [(DropParameter, "b")],
        """
        def f(
            # about a
            a: int = 1,  # one

            # about c
            c=3,  # three
            # the end
        ) -> d:
            e
        """,
        id="parameters over lines: one in the middle",
    ),
    pytest.param(
        "def f(\n    # about a\n    a,  # one\n    # about b\n    b,  # two\n): c",
        [(DropParameter, "a")],
        "def f(\n    # about b\n    b,  # two\n): c",
        id="parameters over lines: the first",
    ),
    pytest.param(
        "def f(\n    a,  # one\n    # about b\n    b,  # two\n): c",
        [(DropParameter, "b")],
        "def f(\n    a,  # one\n): c",
        id="parameters over lines: the last",
    ),
    pytest.param(
        "def f(\n    a,  # one\n    *,\n    b=1  # two\n): c",
        [(DropParameter, "b")],
        "def f(\n    a  # one\n): c",
        id="parameters over lines: the last, without a comma",
    ),
    pytest.param(
        "def f(\n    a,\n    /,  # names are free\n    b,\n): c",
        [(DropParameter, "b")],
        "def f(\n    a,\n    /,  # names are free\n): c",
        id="parameters over lines: behind /",
    ),
    pytest.param("def f(\n    # why\n    a,\n): c", [(DropParameter, "a")], "def f(): c", id="parameters over lines: the only"),
    pytest.param(
        "def f(a, b,\n      c,\n      d): e", [(DropParameter, "b")], "def f(a, c,\n      d): e", id="hanging parameters"
    ),
    pytest.param("def f(a,  # one\n      b): c", [(DropParameter, "b")], "def f(a  # one\n): c", id="hanging, with a comment"),
]

REST_BY_KEYWORD = [
    pytest.param("def f(a, b, c=1): d", [(DropParameter, "a", True)], "def f(*, b, c=1): d", id="all by keyword"),
    pytest.param("def f(a, b, c=1): d", [(DropParameter, "b", True)], "def f(a, *, c=1): d", id="the rest by keyword"),
    pytest.param("def f(a, b=1): d", [(DropParameter, "b", True)], "def f(a): d", id="no rest"),
    pytest.param("def f(a, b=1, **c): d", [(DropParameter, "b", True)], "def f(a, **c): d", id="no rest but **"),
    pytest.param("def f(a, b=1, *, c): d", [(DropParameter, "a", True)], "def f(*, b=1, c): d", id="the * moves"),
    pytest.param("def f(a, b=1, *, c): d", [(DropParameter, "b", True)], "def f(a, *, c): d", id="the * stays"),
    pytest.param(
        "def f(a, b, *, c): d",
        [(DropParameter, "a", True), (DropParameter, "c")],
        "def f(*, b): d",
        id="the * has others behind it",
    ),
    pytest.param("def f(a, /, b, c): d", [(DropParameter, "b", True)], "def f(a, /, *, c): d", id="the * behind a /"),
    pytest.param(
        "def f(a, /, b, c): d", [(DropParameter, "a"), (DropParameter, "b", True)], "def f(*, c): d", id="no / any more"
    ),
    pytest.param(
        "def f(a, b, c, d, e): g",
        [(DropParameter, "d", True), (DropParameter, "b", True)],
        "def f(a, *, c, e): g",
        id="from the first of two",
    ),
    pytest.param(
        """
        class A:
            def f(
                self,  # me
                # about a
                a,  # one
                # about b
                b=2,  # two
            ): c
        """,
        [(DropParameter, "a", True)],
        """
        class A:
            def f(
                self,  # me
                *,
                # about b
                b=2,  # two
            ): c
        """,
        id="the rest by keyword, over lines",
    ),
]

ELEMENTS = [
    pytest.param("x = ['a', 'b', 'c']", [(DropElement, "'a'")], "x = ['b', 'c']", id="first element"),
    pytest.param("x = ['a', 'b', 'c']", [(DropElement, "'c'")], "x = ['a', 'b']", id="last element"),
    pytest.param("x = [ 'a', ]", [(DropElement, "'a'")], "x = []", id="only element"),
    pytest.param(
        "x = [\n    'a',  # one\n    'b',  # two\n    'c',  # three\n]",
        [(DropElement, "'b'"), (DropElement, "'c'")],
        "x = [\n    'a',  # one\n]",
        id="elements over lines",
    ),
    pytest.param(
        "x = [\n    'a',  # one\n    'b'  # two\n]",
        [(DropElement, "'b'")],
        "x = [\n    'a'  # one\n]",
        id="no comma behind elements",
    ),
    pytest.param(
        "x = [\n    # about a\n    'a',\n    # about b\n    'b',\n    # about c\n    'c',\n]",
        [(DropElement, "'a'"), (DropElement, "'c'")],
        "x = [\n    # about b\n    'b',\n]",
        id="comments above elements",
    ),
]

ARGUMENTS = [
    pytest.param("f(a, b, c)", [(DropArgument, "a")], "f(b, c)", id="first argument"),
    pytest.param("f(a, b, c)", [(DropArgument, "b")], "f(a, c)", id="argument in the middle"),
    pytest.param("f(a, b, c)", [(DropArgument, "c")], "f(a, b)", id="last argument"),
    pytest.param("f( a, )", [(DropArgument, "a")], "f()", id="only argument"),
    pytest.param(
        "f(a, b or c)", [(KeepOperands, "b or c", 0, 1), (DropArgument, "b")], "f(a)", id="what is left of an argument"
    ),
    pytest.param("f( a, b , )", [(DropArgument, "b")], "f( a, )", id="arguments, trailing comma"),
    pytest.param("f(a, k=b, *c, **d)", [(DropArgument, "k=b")], "f(a, *c, **d)", id="keyword argument"),
    pytest.param("f(*c, k = (b))", [(DropArgument, "k = (b)")], "f(*c)", id="last keyword argument"),
    pytest.param("f(((a)), b)", [(DropArgument, "a")], "f(b)", id="argument in parentheses"),
    pytest.param("f((a, b), c)", [(DropArgument, "(a, b)")], "f(c)", id="tuple argument"),
    pytest.param("f(x for x in y)", [(DropArgument, "(x for x in y)")], "f()", id="generator without parentheses"),
    pytest.param("f(g(a, b), c)", [(DropArgument, "b"), (DropArgument, "c")], "f(g(a))", id="call in a call"),
    pytest.param("f(g(a, b), c)", [(DropArgument, "b"), (DropArgument, "g(a, b)")], "f(c)", id="argument in one that goes"),
    pytest.param("f(a, b or c)", [(DropArgument, "a"), (KeepOperands, "b or c", 1, 2)], "f(c)", id="edit in one that stays"),
    pytest.param("f(a, b)", [(DropArgument, "a"), (ReplaceExpression, "a", "c")], "f(b)", id="dropping wins"),
    pytest.param("return f(a).g(b)(c)", [(DropArgument, "b"), (DropArgument, "c")], "return f(a).g()()", id="chain of calls"),
    pytest.param(
        """
        f(
            # about a
            a,  # one
            # about b
            k=b,  # two
            # about c
            m=c,  # three
            # the end
        )
        """,
        [(DropArgument, "k=b")],
        """
        f(
            # about a
            a,  # one
            # about c
            m=c,  # three
            # the end
        )
        """,
        id="arguments over lines: one in the middle",
    ),
    pytest.param(
        "f(\n    # about a\n    a,  # one\n    # about b\n    b,  # two\n)",
        [(DropArgument, "a")],
        "f(\n    # about b\n    b,  # two\n)",
        id="arguments over lines: the first",
    ),
    pytest.param(
        "f(\n    a,  # one\n    b  # two\n)", [(DropArgument, "b")], "f(\n    a  # one\n)", id="arguments over lines: the last"
    ),
    pytest.param("f(\n    a,  # one\n)", [(DropArgument, "a")], "f()", id="arguments over lines: the only"),
    pytest.param(
        "f(a,\n  # about b\n  b)", [(DropArgument, "a")], "f(\n  # about b\n  b)", id="comment above the new first argument"
    ),
    pytest.param("f(a,\n  b,\n  c)", [(DropArgument, "a")], "f(b,\n  c)", id="hanging arguments"),
]

TEXTS = [
    *STATEMENTS,
    *BRANCHES,
    *TRIES,
    *EXPRESSIONS,
    *IMPORTS,
    *FUNCTIONS,
    *WIRES,
    *PARAMETERS,
    *REST_BY_KEYWORD,
    *ELEMENTS,
    *ARGUMENTS,
]


@pytest.mark.parametrize(("before", "named", "after"), TEXTS)
def test_text(before: str, named: list[Any], after: str, edits_of: Any, block: Any) -> None:
    source = block(before)
    assert render(source, edits_of(source, named)) == block(after)


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("start", ["", "\ufeff"])
@pytest.mark.parametrize("indent", ["  ", "\t"])
def test_the_rest_stays_as_it_was(ending: str, start: str, indent: str) -> None:
    lines = ["if x:", f"{indent}a = '''1", "2'''", f"{indent}b"]
    source = start + ending.join(lines)
    assert render(source, []) == source
    assert render(source, [DropStatement(Span(4, len(indent), 4, len(indent) + 1))]) == start + ending.join(lines[:3])


@pytest.mark.parametrize(
    ("source", "named", "message"),
    [
        pytest.param("a[b, c]", [(ReplaceExpression, "b, c", "d")], "cannot be edited in the text", id="no node of its own"),
        pytest.param("f'{a or b=}'", [(KeepOperands, "a or b", 0, 1)], "the edits mean 'a or b='", id="the text is quoted"),
        pytest.param(
            "f'{a}'", [(ReplaceExpression, "a", "'\\n'")], "line 1 of the rendered source", id="what f-strings cannot hold"
        ),
        pytest.param(
            "match a:\n  case 1: b",
            [(ReplaceExpression, "1", "c + d")],
            "line 2 of the rendered source: invalid syntax",
            id="pattern",
        ),
        pytest.param("return(a)", [(ReplaceExpression, "a", "b if c else d")], "what LibCST cannot write", id="no space"),
        pytest.param("f'{g(a)=}'", [(DropArgument, "a")], "the edits mean 'g\\(a\\)='", id="an argument is quoted"),
        pytest.param("def f(): a", [(InsertInFunction, "def", "(b): int")], "what LibCST cannot write", id="statement"),
    ],
)
def test_what_the_text_cannot_say(source: str, named: list[Any], message: str, edits_of: Any) -> None:
    with pytest.raises(EditError, match=message):
        render(source, edits_of(source, named))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        pytest.param("a\n(b): int", "line 2: LibCST cannot parse", id="annotated name in parentheses"),
        pytest.param("a\nreturn(b if c else d)", "LibCST cannot parse", id="no space before a conditional expression"),
    ],
)
def test_sources_that_libcst_cannot_parse(source: str, message: str) -> None:
    with pytest.raises(EditError, match=message):
        render(source, [DropStatement(Span(1, 0, 1, 1))])


def test_a_file_is_parsed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """LibCST takes seconds for a large one, and a round edits it again and again."""
    parsed: list[str] = []
    parse = cst.parse_module

    def counted(source: str, *arguments: Any) -> cst.Module:
        parsed.append(source)
        return parse(source, *arguments)

    monkeypatch.setattr(cst, "parse_module", counted)
    source = "def parsed_once(a, b):\n    if a and b:\n        return a\n    return {a: b}\n"
    for outcome in (True, False, True):
        render(source, [KeepBranch(Span(2, 4, 3, 16), outcome)])
    assert len(parsed) == 1
