"""A mistake planted among the champion's removals is found, kept and told; the rest of the phase goes as ever."""

from __future__ import annotations

import ast
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from unbloat.edit import DropStatement, Span
from unbloat.phases import Recording, strip_phase, verify_tree
from unbloat.plan.passes import STAGES, Pass
from unbloat.plan.removal import Evidence, Removal
from unbloat.plan.view import View
from unbloat.subject import Subject, load_subject

FILE = "champion/data/data_preparation.py"
MISTAKES: Mapping[str, str] = {
    "samples.append((src, tgt, context, task_id))": "workload 'prepare_finetune' differs at ",
    "context_map = dict(zip(tasks, drawn))": f"{FILE}: undefined name `context_map`",
}


def propose(view: View) -> Iterator[Removal]:
    for module, node in view.nodes():
        if isinstance(node, ast.stmt) and ast.unparse(node) in MISTAKES:
            place, lines = Span.of(node), ((node.lineno, node.end_lineno or 0),)
            yield Removal(module.file, DropStatement(place), "planted", Evidence.UNREFERENCED, "a mistake", place, lines)


@pytest.fixture
def copy(champion: Subject, tmp_path: Path) -> Subject:
    """The output of a run with mistakes does not belong into the checkout."""
    ignored = shutil.ignore_patterns(".unbloat", "stripped", "__pycache__")
    shutil.copytree(champion.root, tmp_path / champion.root.name, ignore=ignored)
    for inputs in ("data", "weights"):
        (tmp_path / inputs).symlink_to(champion.root.parent / inputs)
    return load_subject(tmp_path / champion.root.name / "strip.toml")


def test_planted_mistakes_are_found(recorded: Recording, copy: Subject) -> None:
    # The quick workload finds them; that nothing else was lost is for the whole gate to say.
    phase = copy.phases[0]
    quick = replace(phase, gate=("prepare_finetune",))
    stages = ((*STAGES[0], Pass("planted", "It is not.", (), propose)), *STAGES[1:])
    said: list[str] = []
    on_copy = replace(recorded, subject=copy)
    run = strip_phase(on_copy, quick, [], said.append, stages)

    legacy = (copy.legacy / FILE).read_text().splitlines()
    kept = {legacy[removal.line - 1].strip(): reason for removal, reason in run.tally.rejected}
    assert kept.keys() == MISTAKES.keys()
    for statement, reason in MISTAKES.items():
        assert kept[statement].startswith(reason)
        assert any(line.startswith(f"kept {FILE}:") and line.endswith(kept[statement]) for line in said)
    stripped = (copy.stripped / FILE).read_text()
    assert all(statement in stripped for statement in MISTAKES)
    assert len(run.tally.accepted) > 50
    assert verify_tree(on_copy, copy.stripped, [phase], lambda line: None) == []
