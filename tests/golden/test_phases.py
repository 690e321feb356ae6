"""What each phase left of the champion: how much, how whole, and that stripping gives it again."""

from __future__ import annotations

import ast
import json
import shutil
from pathlib import Path

import pytest
from unbloat.cli import main
from unbloat.measure import Measure, measure_source
from unbloat.subject import Subject, load_subject
from unbloat.verify.checks import undefined_names
from unbloat.verify.trees import read_tree

ROOT = Path(__file__).parents[2]
SUBJECT = load_subject(ROOT / "reproduction" / "strip.toml")

# What issue and status page promise: at least this share of statements and of decisions is gone, by phase.
GOALS = {"data": (0.60, 0.75), "model": (0.76, 0.91), "training": (0.71, 0.90), "final": (0.77, 0.91)}


@pytest.mark.parametrize("phase", SUBJECT.phases, ids=lambda phase: phase.name)
def test_phase_reaches_its_goals(phase, champion: Subject) -> None:
    def total(folder: Path) -> Measure:
        there = [file for file in phase.files if (folder / file).is_file()]
        return sum((measure_source((folder / file).read_text(), file) for file in there), Measure())

    before, after = total(champion.legacy), total(champion.stripped)
    statements, decisions = GOALS[phase.name]
    assert after.statements <= (1 - statements) * before.statements
    assert after.decisions <= (1 - decisions) * before.decisions


@pytest.mark.parametrize("file", sorted(read_tree(SUBJECT.stripped)))
def test_stripped_file_is_whole(file: str, champion: Subject) -> None:
    """A name that the legacy tests for, and never binds, is no fault of the stripping."""
    before, after = (folder / file for folder in (champion.legacy, champion.stripped))
    known = undefined_names(ast.parse(before.read_text())) if before.is_file() else []
    assert [name for name in undefined_names(ast.parse(after.read_text())) if name not in known] == []


def test_surviving_statements_are_verbatim(champion: Subject) -> None:
    """Every statement of a stripped file stands in the legacy file, in the same order, but for those that docs/ lists."""
    listed = json.loads((ROOT / "docs" / "results.json").read_text())["rewritten"]
    for file in champion.sources():
        if not (champion.stripped / file).is_file():
            continue
        rewritten = {one["stripped"] for one in listed if one["file"] == file}
        known = {ast.unparse(node) for text in rewritten if (node := _parsed(text)) is not None}
        legacy = iter(_simple_statements((champion.legacy / file).read_text()))
        for statement in _simple_statements((champion.stripped / file).read_text()):
            inserted = any(mark in statement for mark in ("pinned", "unbloat_", "raise NotImplementedError"))
            if not inserted and statement not in known:
                assert statement in legacy, f"{file}: {statement!r} is not the legacy's, or not in its order"


def _parsed(text: str) -> ast.Module | None:
    """None for the head of a statement that holds others."""
    try:
        return ast.parse(text)
    except SyntaxError:
        return None


def _simple_statements(text: str) -> list[str]:
    """The statements that hold no others, in the order of the text; an import may have lost names."""
    found = [
        node
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.stmt)
        and not hasattr(node, "body")
        and not isinstance(node, ast.Pass | ast.Import | ast.ImportFrom)
    ]
    return [ast.unparse(node) for node in sorted(found, key=lambda node: (node.lineno, node.col_offset))]


def test_strip_reproduces_the_committed_tree_and_status(tmp_path: Path, champion: Subject) -> None:
    copy = tmp_path / "reproduction"
    ignored = shutil.ignore_patterns(".unbloat", "stripped", "__pycache__")
    shutil.copytree(champion.root, copy, ignore=ignored)
    shutil.copytree(ROOT / "data" / "tasks", tmp_path / "data" / "tasks")
    (tmp_path / "weights").symlink_to(ROOT / "weights")
    status = tmp_path / "STATUS.md"
    assert main(["strip", "--subject", str(copy / "strip.toml")]) == 0
    assert main(["report", "--subject", str(copy / "strip.toml"), "--status", str(status)]) == 0
    assert read_tree(copy / "stripped") == read_tree(champion.stripped)
    assert status.read_text() == (ROOT / "docs" / "progress" / "STATUS.md").read_text()
    assert read_tree(copy / "legacy") == read_tree(champion.legacy)
