"""What is found out about a tree holds for that tree alone, and is forgotten with it."""

from __future__ import annotations

import ast
import copy
import gc
import weakref

from unbloat.evidence.kept import kept


class Found:
    """Can be told when it is gone."""


def test_each_tree_has_answers_of_its_own() -> None:
    asked: list[tuple[ast.Module, str]] = []

    @kept
    def answer(tree: ast.Module, word: str) -> str:
        asked.append((tree, word))
        return f"{word} of {len(tree.body)}"

    tree = ast.parse("x = 1")
    assert [answer(tree, "size"), answer(tree, "size"), answer(tree, "name")] == ["size of 1", "size of 1", "name of 1"]
    assert len(asked) == 2
    other = copy.copy(tree)
    other.body = []
    assert (answer(other, "size"), answer(tree, "size")) == ("size of 0", "size of 1")


def test_two_functions_do_not_answer_for_each_other() -> None:
    @kept
    def first(tree: ast.Module) -> str:
        return "first"

    @kept
    def second(tree: ast.Module) -> str:
        return "second"

    tree = ast.parse("")
    assert (first(tree), second(tree), first(tree)) == ("first", "second", "first")


def test_answers_go_with_the_tree() -> None:
    @kept
    def answer(tree: ast.Module) -> Found:
        return Found()

    tree = ast.parse("x = 1")
    found = weakref.ref(answer(tree))
    assert found() is not None
    del tree
    gc.collect()
    assert found() is None
