"""The figures of a strip: what is verbatim, what was rewritten and by which pass, what survives and why."""

from __future__ import annotations

import ast
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from unbloat.cli import main
from unbloat.report.verbatim import Source
from unbloat.subject import Subject, load_subject

# (one text, another, whether the first statement of both is the same to the letter)
HEADS = {
    "itself": ("x = 1", "x = 1", True),
    "layout": ("x = f(1,\n      2)", "if a:\n    x = f(1, 2)", True),
    "a comment": ("x = 1  # one", "x = 1", True),
    "another body": ("if a:\n    b()", "if a:\n    c()", True),
    "elif": ("if a:\n    b()", "if z:\n    y()\nelif a:\n    b()", True),
    "quotes": ("x = 'a'", 'x = "a"', False),
    "parentheses": ("x = (1)", "x = 1", False),
    "a decorator": ("@a\ndef f(): pass", "@b\ndef f(): pass", False),
    "a decorator inside": ("class A:\n    @a\n    def f(self): pass", "class A:\n    @b\n    def f(self): pass", True),
    "an argument": ("def f(a, b): pass", "def f(a): pass", False),
    "letters of two bytes": ("é = 'ü'; x = 1", "é = 'ü'; x = 2", True),
}


@pytest.mark.parametrize("case", HEADS)
def test_a_statement_is_compared_by_its_own_tokens(case: str) -> None:
    left, right, same = HEADS[case]
    one, other = Source(left), Source(right)
    last = [node for node in ast.walk(other.tree) if isinstance(node, ast.stmt) and type(node) is type(one.tree.body[0])]
    chosen = last[-1] if case in ("elif", "layout") else last[0]
    assert (one.head(one.tree.body[0]) == other.head(chosen)) is same


MODULE = """
from pkg.helper import helped


def run(cfg, values=(1, 2)):
    total = 0
    extra = 1 if cfg.flag else 2
    if len(values) > 9:
        values = values[:9]
        values = sorted(values)
    if values and cfg.flag:
        total += 1
    for value in values:
        if value > 1:
            total += value
    return total + extra + helped(values)
"""
HELPER = """
def helped(values, scale=1):
    return len(values) * scale


def unused(values):
    return values
"""


@pytest.fixture
def figures(make_subject: Callable[..., Subject], tmp_path: Path) -> dict[str, Any]:
    others = {"helper.py": HELPER, "alone.py": "ALONE = 1\n"}
    made = make_subject(MODULE, config={"flag": False}, calls=((), ([1],)), others=others)
    made.file.write_text(made.file.read_text() + "\n[[restructure]]\nlocal_imports = true\n")
    subject = load_subject(made.file)
    assert main(["strip", "--subject", str(subject.file)]) == 0
    assert main(["report", "--subject", str(subject.file), "--json", str(tmp_path / "results.json")]) == 0
    found: dict[str, Any] = json.loads((tmp_path / "results.json").read_text())
    assert str(tmp_path) not in json.dumps(found)
    return found


def test_figures(figures: dict[str, Any]) -> None:
    sizes = {one["file"]: one for one in figures["files"]}
    assert sizes["pkg/alone.py"]["dropped"] and sizes["pkg/alone.py"]["after"]["statements"] == 0
    assert sizes["pkg/module.py"]["before"]["decisions"] > sizes["pkg/module.py"]["after"]["decisions"]
    assert figures["left_out"] == []
    assert figures["verdicts"] == {"all": "identical"}

    counted = figures["statements"]
    assert counted["wires"] + counted["checks"] == 2 and counted["guard"] >= 1
    rewritten = {one["stripped"]: one for one in figures["rewritten"]}
    assert counted["surviving"] - counted["verbatim"] == len(rewritten)
    assert rewritten["extra = 2"]["passes"] == ["fold decisions"]
    assert rewritten["extra = 2"]["legacy"] == "extra = 1 if cfg.flag else 2"
    assert rewritten["from .helper import helped"]["passes"] == ["restructure"]
    assert all(one["passes"] for one in rewritten.values())

    functions = {one["name"]: one for one in figures["functions"]}
    assert functions["run"]["workloads"] == ["workload"]
    assert functions["run"]["left"] == functions["run"]["executed"] + 2 + 1
    reasons = {one["text"]: one["reason"] for one in figures["decisions"]}
    assert reasons["value > 1"] == "went both ways"

    assert set(figures["recording"]["workload"]) == {"recording", "evidence"}
    assert figures["took"]["all"]["verifications"] >= 1
    assert {"passes", "edit and check", "verification", "all"} <= set(figures["took"]["all"]["seconds"])
    assert 0 < figures["memory"]["command"] < figures["memory"]["at_most"]


def test_a_tree_that_was_edited_has_no_figures(
    make_subject: Callable[..., Subject], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    subject = make_subject(MODULE, config={"flag": False}, others={"helper.py": HELPER})
    assert main(["strip", "--subject", str(subject.file)]) == 0
    path = subject.stripped / "pkg" / "helper.py"
    path.write_text(path.read_text() + "# mine\n")
    assert main(["report", "--subject", str(subject.file), "--json", str(tmp_path / "results.json")]) == 2
    assert "helper.py: is not what `unbloat strip` has left" in capsys.readouterr().err
    assert not (tmp_path / "results.json").exists()


OPEN = """
class Later:
    def __init__(self):
        self.number = 3

    def is_three(self):
        if self.number == 3:
            return True
        return False
"""


def test_files_of_a_phase_that_is_open_have_figures_too(make_subject: Callable[..., Subject], tmp_path: Path) -> None:
    second = '\n[phases.second]\nfiles = ["pkg/later.py"]\ngate = ["workload"]\n'
    subject = make_subject(
        "from pkg.later import Later\n\n\ndef run(cfg):\n    return Later().is_three()\n",
        others={"later.py": OPEN},
        strip=lambda text: text.replace('"pkg/module.py", "pkg/later.py"', '"pkg/module.py"') + second,
    )
    command = ["--subject", str(subject.file)]
    assert main(["strip", *command, "--phase", "all"]) == 0
    assert main(["report", *command, "--json", str(tmp_path / "results.json"), "--html", str(tmp_path / "report.html")]) == 0
    figures = json.loads((tmp_path / "results.json").read_text())
    reasons = {one["text"]: one["reason"] for one in figures["decisions"]}
    assert reasons["self.number == 3"] == "no phase that is stripped has this file"
    assert "is_three" in (tmp_path / "report.html").read_text()
