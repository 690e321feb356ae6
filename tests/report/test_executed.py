"""What ran, statement by statement, and how it compares with what is left."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from unbloat.cli import main
from unbloat.measure import counted_statements
from unbloat.report.executed import Executed, executed_statements

# (a module, the lines that ran, the lines on which the statements that count as executed begin)
CASES = {
    "no line": ("a = 1\nb = 2\n", [], []),
    "one of two": ("a = 1\nb = 2\n", [2], [2]),
    "a docstring, and a text after it": ('"""Doc."""\n"more"\na = 1\n', [1, 2, 3], [2, 3]),
    "pass": ("if a:\n    pass\n", [1, 2], [1]),
    "a function that is not called": ("def f():\n    return 1\n", [1], [1]),
    "a branch not taken": ("if a:\n    b()\nelse:\n    c()\n", [1, 4], [1, 4]),
    "a body alone does not count for what holds it": ("try:\n    a()\nfinally:\n    b()\n", [2], [2]),
    "a call of which a later line ran first": ("a = (\n    b\n    + c\n)\n", [2], [1]),
    "a head of several lines": ("if (\n    a\n    and b\n):\n    c()\n", [2], [1]),
    "a decorator": ("@a\ndef f():\n    return 1\n", [1, 2], [2]),
    "cases": ("match a:\n    case 1:\n        b()\n    case _:\n        c()\n", [1, 4, 5], [1, 5]),
    "one line": ("if a: b()\n", [1], [1, 1]),
}


@pytest.mark.parametrize("case", CASES)
def test_statements_of_which_a_line_ran(case: str) -> None:
    source, lines, expected = CASES[case]
    found = executed_statements(ast.parse(source), set(lines).__contains__)
    assert sorted(node.lineno for node in found) == expected


def test_a_statement_counts_as_it_is_measured() -> None:
    tree = ast.parse('"""Doc."""\n"more"\n\nclass A:\n    """Doc."""\n\n    pass\n\nx = 1\n')
    assert [type(node).__name__ for node in counted_statements(tree)] == ["Expr", "ClassDef", "Assign"]


def test_a_workload_that_leaves_the_package_alone_divides_nothing() -> None:
    assert Executed(package=10, executed=0, stripped=10).line().endswith("10 left: inf times what is executed")


def test_the_ratio_is_shown() -> None:
    found = Executed(package=1000, executed=200, stripped=150)
    assert found.line() == (
        "statements: 1000 in the package, 200 executed by the workloads, 150 left: 0.75 times what is executed"
    )


STRIP = '[subject]\npackage = "lone"\ninstalled = "lone==1"\nstripped = "stripped"\n[golden]\nworkloads = "work.py"\n'
MODULE = b"def used(x):\n    return x + 1\n\n\ndef unused(x):\n    y = x\n    return y\n"


def test_the_report_of_an_installed_package_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    site = tmp_path / "site"
    for name, content in {
        "lone/__init__.py": MODULE,
        "lone-1.dist-info/METADATA": b"Name: lone\nVersion: 1\n",
        "lone-1.dist-info/RECORD": b"lone/__init__.py,,\n",
    }.items():
        (site / name).parent.mkdir(parents=True, exist_ok=True)
        (site / name).write_bytes(content)
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setenv("PYTHONPATH", str(site))
    subject, page = tmp_path / "subject" / "strip.toml", tmp_path / "page.md"
    subject.parent.mkdir()
    subject.write_text(STRIP)
    (subject.parent / "work.py").write_text("def work(golden):\n    import lone\n\n    golden.record('x', lone.used(1))\n")
    assert main(["strip", "--subject", str(subject)]) == 0
    capsys.readouterr()
    assert main(["report", "--subject", str(subject), "--status", str(page)]) == 0
    expected = "statements: 5 in the package, 3 executed by the workloads, "
    assert expected in capsys.readouterr().out
    assert page.read_text().startswith("# lone==1\n") and expected.capitalize() in page.read_text()
