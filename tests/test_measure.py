"""Sizes: counted by hand on snippets, and by an independent script on whole trees where that is at hand."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from unbloat.cli import main
from unbloat.errors import SubjectError
from unbloat.measure import Measure, measure_path, measure_source

ROOT = Path(__file__).parents[1]
OTHER_MEASURE = Path(os.environ.get("UNBLOAT_MEASURE", ROOT.parent / "shared" / "tools" / "measure.py"))
TREES = [ROOT / "reproduction" / "legacy", ROOT / "reproduction" / "stripped", ROOT / "tools" / "unbloat", ROOT / "tests"]

# (source, statements, decisions, functions, imports, undefined names)
COUNTED = {
    "nothing": ("", 0, 0, 0, 0, 0),
    "docstrings and pass are no statements": (
        '''
        """Of the module."""
        class Box:
            """Of the class."""
        def run():
            """Of the function."""
            pass
        ''',
        *(2, 0, 1, 0, 0),
    ),
    "a string that is no docstring": ("x = 1\n'text'", 2, 0, 0, 0, 0),
    "one line may hold several": ("a = 1; b = 2; print(a, b)", 3, 0, 0, 0, 0),
    "if, elif, else": ("x = 1\nif x:\n    x = 2\nelif x > 1:\n    x = 3\nelse:\n    x = 4", 6, 2, 0, 0, 0),
    "while and for": ("while True:\n    break\nfor x in []:\n    print(x)", 4, 1, 0, 0, 0),
    "operands": ("a = b = c = 0\nx = a and b and c or a", 2, 3, 0, 0, 0),
    "ternaries": ("x = 1 if True else 2 if False else 3", 1, 2, 0, 0, 0),
    "filters": ("x = [a for a in [] if a if not a for b in [] if b]", 1, 3, 0, 0, 0),
    "handlers": (
        """
        try:
            x = 1
        except ValueError:
            pass
        except (KeyError, TypeError):
            raise
        finally:
            y = 2
        """,
        *(4, 2, 0, 0, 0),
    ),
    "match": ("x = 1\nmatch x:\n    case 1:\n        pass\n    case _:\n        x = 2", 3, 2, 0, 0, 0),
    "functions": (
        "async def a():\n    return lambda: 1\nclass B:\n    def c(self):\n        def d():\n            pass",
        5,
        0,
        3,
        0,
        0,
    ),
    "imports are names": ("import os, sys\nfrom json import load, dump as d\nprint(os, sys, load, d)", 3, 0, 0, 4, 0),
    "undefined names": ("print(here, there)\ndef f():\n    return gone", 3, 0, 1, 0, 3),
    "a global is a statement": ("x = 1\ndef f():\n    global x\n    x = 2", 4, 0, 1, 0, 0),
}


@pytest.mark.parametrize(
    ("source", "statements", "decisions", "functions", "imports", "undefined"), COUNTED.values(), ids=COUNTED
)
def test_counted_by_hand(source: str, statements: int, decisions: int, functions: int, imports: int, undefined: int) -> None:
    found = measure_source(textwrap.dedent(source))
    assert (found.statements, found.decisions, found.functions) == (statements, decisions, functions)
    assert (found.imports, found.undefined) == (imports, undefined)


def test_texts_are_measured_in_bytes() -> None:
    source = 'x   =  "ä"  # comment\n\n'
    found = measure_source(source)
    assert (found.bytes, found.lines, found.normal, found.files) == (len(source) + 1, 2, len("x = 'ä'") + 1, 1)


def test_formatting_changes_only_bytes_and_lines() -> None:
    plain, ugly = (
        measure_source("def f(a):\n    return a or 1\n"),
        measure_source('def f( a ):\n  "why"\n\n  return (a\n   or 1)'),
    )
    assert (plain.statements, plain.decisions, plain.normal) == (ugly.statements, ugly.decisions, ugly.normal)


def test_a_folder_is_the_sum_of_its_modules(tmp_path: Path) -> None:
    (tmp_path / "inner" / "__pycache__").mkdir(parents=True)
    for name in ("a.py", "inner/b.py", "inner/__pycache__/c.py", "readme.txt"):
        (tmp_path / name).write_text("x = 1 or 2\n")
    found = measure_path(tmp_path)
    assert list(found) == ["a.py", "inner/b.py"]
    whole = sum(found.values(), Measure())
    assert (whole.files, whole.bytes, whole.statements, whole.decisions) == (2, 22, 2, 2)
    assert measure_path(tmp_path / "a.py") == {"a.py": found["a.py"]}


BAD_TREES = [
    ("gone", None, ": no such file or folder"),
    ("empty", {}, ": holds no Python files"),
    ("broken", {"a.py": b"x = ="}, r"/a.py: cannot be measured: invalid syntax"),
    ("zeros", {"a.py": b"x = '\0'"}, r"/a.py: cannot be measured: .*null bytes"),
    ("encoded", {"a.py": b"# \xe4\n"}, r"/a.py: not UTF-8 text \(invalid continuation byte at byte 2\)"),
]


@pytest.mark.parametrize(("name", "files", "error"), BAD_TREES)
def test_what_cannot_be_measured(
    name: str, files: dict[str, bytes] | None, error: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tree = tmp_path / name
    if files is not None:
        tree.mkdir()
        for file, content in files.items():
            (tree / file).write_bytes(content)
    with pytest.raises(SubjectError, match=f"^{tree}{error}"):
        measure_path(tree)
    assert main(["measure", str(tree)]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith(f"unbloat: error: {tree}") and err.count("\n") == 1


@pytest.mark.skipif(not OTHER_MEASURE.is_file(), reason="no other measure at hand; name it in UNBLOAT_MEASURE")
@pytest.mark.parametrize("tree", TREES, ids=lambda tree: tree.name)
def test_another_measure_agrees(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [file for file in sorted(tree.rglob("*.py")) if "__pycache__" not in file.parts]
    done = subprocess.run([sys.executable, OTHER_MEASURE, tree, *files], capture_output=True, text=True, check=True)
    others = json.loads(done.stdout.splitlines()[-1])
    assert main(["measure", "--json", str(tree)]) == 0
    found = json.loads(capsys.readouterr().out)
    for key, count in others.pop(str(tree)).items():
        assert found["total"][key] == count, key
    for file, other in others.items():
        mine = found["files"][Path(file).relative_to(tree).as_posix()]
        assert {key: mine[key] for key in other} == other


def test_lines_for_people(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.py").write_text("import os\n")
    assert main(["measure", str(tmp_path)]) == 0
    counts = "files=1 bytes=10 lines=1 statements=1 decisions=0 functions=0 normal=9 imports=1 undefined=0"
    assert capsys.readouterr().out.splitlines() == [f"a.py {counts}", f"total {counts}"]


def test_a_place_is_no_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a:100:.py").write_text("x = 1\n")
    assert main(["measure", str(tmp_path)]) == 0
    assert "a:100:.py files=1" in capsys.readouterr().out
