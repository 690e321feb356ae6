"""Packages written to mislead the analyses: stripped under one use, every other use is identical or loud."""

from __future__ import annotations

from pathlib import Path

import pytest
from unbloat.verify.server import Server

from tests.differential import Program, Step, compare_uses, shown
from tests.evidence.cases import config_parts, configs, containers, errors, flows, functions, names, objects, strangers, values
from tests.evidence.cases.case import Case


def _program(case: Case) -> Program:
    pinned = _steps(case.config, case.calls)
    others = tuple(_steps(case.config | changed, calls) for changed in case.configs for calls in case.all_calls())
    others += tuple(_steps(case.config, calls) for calls in case.all_calls())
    return Program(case.module, pinned, (*others, *case.uses), case.modules, case.strangers)


def _steps(config: dict[str, object], calls: tuple[Step, ...]) -> tuple[Step, ...]:
    return ("config", {key: value for key, value in config.items() if value is not ...}), *calls


CASES = (
    *config_parts.CASES,
    *configs.CASES,
    *containers.CASES,
    *errors.CASES,
    *flows.CASES,
    *functions.CASES,
    *names.CASES,
    *objects.CASES,
    *strangers.CASES,
    *values.CASES,
)


@pytest.mark.parametrize("case", [pytest.param(case, id=case.title) for case in CASES])
def test_never_quietly_different(case: Case, tmp_path: Path, server: Server) -> None:
    program = _program(case)
    comparison = compare_uses(program, tmp_path, server)
    assert not comparison.silent, shown(program, comparison)
