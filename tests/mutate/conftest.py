"""A small subject with a stripped tree, and the command in this process."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from textwrap import dedent
from typing import Any

import pytest
from unbloat.cli import main
from unbloat.subject import Subject


@dataclass(frozen=True)
class Told:
    """What `unbloat mutate` answered."""

    code: int
    out: str
    err: str
    found: Mapping[str, Any]

    def verdicts(self) -> dict[str, str]:
        return {one["change"]: one["verdict"] for one in self.found["mutants"]}

    def of(self, change: str) -> Mapping[str, Any]:
        return next(one for one in self.found["mutants"] if one["change"] == change)


@pytest.fixture
def mutated(make_subject: Callable[..., Subject], capsys: pytest.CaptureFixture[str]) -> Callable[..., Told]:
    """Writes a subject whose stripped module is `module`, unless there is one, and runs the command."""
    subjects: list[Subject] = []

    def run(module: str, *arguments: str, notes: str = "", **subject: Any) -> Told:
        if not subjects:
            subjects.append(make_subject(module, **subject))
        (made,) = subjects
        package = made.stripped / "pkg"
        package.mkdir(parents=True, exist_ok=True)
        for name, text in {"__init__": "", "module": module}.items():
            (package / f"{name}.py").write_text(dedent(text).lstrip("\n"))
        (made.root / "strip.mutants.toml").write_text(dedent(notes))
        report = made.root / "mutants.json"
        report.unlink(missing_ok=True)
        capsys.readouterr()
        code = main(["mutate", "--subject", str(made.file), "--json", str(report), *arguments])
        out, err = capsys.readouterr()
        return Told(code, out, err, json.loads(report.read_text()) if report.is_file() else {})

    return run
