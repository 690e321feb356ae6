"""Packages written to mislead the analyses: stripped under one use, every other use is identical or loud."""

from __future__ import annotations

from pathlib import Path

import pytest
from unbloat.verify.server import Server

from tests.differential import KINDS, Program, Step, compare_uses, shown
from tests.evidence.cases import (
    config_parts,
    configs,
    containers,
    errors,
    flows,
    functions,
    names,
    objects,
    plain_dict_uses,
    plain_dicts,
    plain_namespaces,
    plain_object_parts,
    plain_object_uses,
    plain_objects,
    plain_reads,
    strangers,
    values,
)
from tests.evidence.cases.case import Case


def _program(case: Case) -> Program:
    others = tuple(
        _steps(case.kind, case.config | changed, calls) for changed in (*case.configs, {}) for calls in case.all_calls()
    )
    if case.kind != "config":
        others += tuple(_steps(kind, case.config, calls) for kind in KINDS if kind != case.kind for calls in case.all_calls())
    pinned = _steps(case.kind, case.config, case.calls)
    return Program(case.module, pinned, (*others, *case.uses), case.modules, case.strangers)


def _steps(kind: str, config: dict[str, object], calls: tuple[Step, ...]) -> tuple[Step, ...]:
    return (kind, {key: value for key, value in config.items() if value is not ...}), *calls


CASES = (
    *config_parts.CASES,
    *configs.CASES,
    *containers.CASES,
    *errors.CASES,
    *flows.CASES,
    *functions.CASES,
    *names.CASES,
    *objects.CASES,
    *plain_dict_uses.CASES,
    *plain_dicts.CASES,
    *plain_namespaces.CASES,
    *plain_object_parts.CASES,
    *plain_object_uses.CASES,
    *plain_objects.CASES,
    *plain_reads.CASES,
    *strangers.CASES,
    *values.CASES,
)


@pytest.mark.parametrize("case", [pytest.param(case, id=case.title) for case in CASES])
def test_never_quietly_different(case: Case, tmp_path: Path, server: Server) -> None:
    program = _program(case)
    comparison = compare_uses(program, tmp_path, server)
    assert not comparison.silent, shown(program, comparison)
