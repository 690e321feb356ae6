"""An in-toto Statement with a test-result predicate, as plain JSON.

https://in-toto.io/Statement/v1: what was made, by digest, and a predicate about it. The test-result predicate names the tests
that passed, warned and failed, and under `configuration` everything that they depended on. It is not signed: a signature
(DSSE, say) goes around it, and is its user's business.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from unbloat.errors import SubjectError

STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://in-toto.io/attestation/test-result/v0.1"


class Result(StrEnum):
    PASSED = "PASSED"
    WARNED = "WARNED"
    FAILED = "FAILED"


@dataclass(frozen=True)
class Resource:
    """A ResourceDescriptor: something by its name and sha256, with whatever else is to be said about it."""

    name: str
    sha256: str
    annotations: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        fields: dict[str, Any] = {"name": self.name, "digest": {"sha256": self.sha256}}
        return {**fields, "annotations": dict(self.annotations)} if self.annotations else fields


@dataclass(frozen=True)
class Tests:
    """Names of tests by how they ended."""

    passed: tuple[str, ...] = ()
    warned: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()

    @property
    def result(self) -> Result:
        """A test that nobody could run is a warning; without a single one that passed there is nothing to certify."""
        if self.failed or not self.passed:
            return Result.FAILED
        return Result.WARNED if self.warned else Result.PASSED


def statement(subject: Iterable[Resource], configuration: Iterable[Resource], tests: Tests) -> dict[str, Any]:
    """The whole, with nothing in it that depends on when it was made."""
    return {
        "_type": STATEMENT,
        "subject": [one.to_json() for one in subject],
        "predicateType": PREDICATE,
        "predicate": {
            "result": tests.result.value,
            "configuration": [one.to_json() for one in configuration],
            "passedTests": list(tests.passed),
            "warnedTests": list(tests.warned),
            "failedTests": list(tests.failed),
        },
    }


def to_text(found: Mapping[str, Any]) -> str:
    """Its one way to be written."""
    return json.dumps(found, indent=1, sort_keys=True) + "\n"


def result_of(found: Mapping[str, Any]) -> Result:
    return Result(found["predicate"]["result"])


def load_statement(path: Path) -> dict[str, Any]:
    """A certificate from a file.

    Raises:
        SubjectError: there is none, or it is not one that `unbloat certify` has written.
    """
    if not path.is_file():
        raise SubjectError(f"{path}: no such file; `unbloat certify --out {path}` writes it")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise SubjectError(f"{path}: is not JSON: {error}") from None
    if (fault := _fault(found)) is not None:
        raise SubjectError(f"{path}: is not a certificate of `unbloat certify`: {fault}")
    assert isinstance(found, dict)
    return found


def digest_of(value: object) -> str:
    """The sha256 of a JSON value, written in one way."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _fault(found: object) -> str | None:
    if not isinstance(found, dict):
        return "it holds no object"
    for key, wanted in (("_type", STATEMENT), ("predicateType", PREDICATE)):
        if found.get(key) != wanted:
            return f"{key} is {found.get(key)!r}, not {wanted!r}"
    predicate = found.get("predicate")
    if not isinstance(predicate, dict) or predicate.get("result") not in list(Result):
        return f"its predicate has no result among {', '.join(Result)}"
    for where, resources in (("subject", found.get("subject")), ("configuration", predicate.get("configuration"))):
        if not _are_resources(resources):
            return f"{where} is no list of distinct names with a sha256"
    for tests in ("passedTests", "warnedTests", "failedTests"):
        if not isinstance(predicate.get(tests), list) or not all(isinstance(name, str) for name in predicate[tests]):
            return f"{tests} is no list of names"
    return None


def _are_resources(found: object) -> bool:
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        return False
    names: Sequence[object] = [one.get("name") for one in found]
    digests = [one.get("digest") for one in found]
    return (
        all(isinstance(name, str) for name in names)
        and len(set(names)) == len(names)
        and all(isinstance(digest, dict) and isinstance(digest.get("sha256"), str) for digest in digests)
        and all(isinstance(one.get("annotations", {}), dict) for one in found)
    )
