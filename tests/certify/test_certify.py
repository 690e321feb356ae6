"""A certificate is an in-toto Statement, always the same bytes, and whatever is changed behind it is named."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from unbloat.certify import certify as certified_by
from unbloat.certify import check, to_text
from unbloat.certify.statement import digest_of
from unbloat.golden.environment import Lane
from unbloat.subject import load_subject
from unbloat.verify.server import Server

Certify = Callable[..., tuple[int, list[str]]]

DESCRIPTOR = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 1},
        "digest": {
            "type": "object",
            "properties": {"sha256": {"type": "string", "pattern": "^[0-9a-f]{64}$"}},
            "additionalProperties": {"type": "string", "pattern": "^[0-9a-f]+$"},
            "minProperties": 1,
        },
        "annotations": {"type": "object"},
        **{name: {"type": "string"} for name in ("uri", "content", "downloadLocation", "mediaType")},
    },
    "anyOf": [{"required": [one]} for one in ("uri", "digest", "content")],
    "additionalProperties": False,
}
TESTS = {"type": "array", "items": {"type": "string"}, "uniqueItems": True}
SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "properties": {
        "_type": {"const": "https://in-toto.io/Statement/v1"},
        "subject": {"type": "array", "minItems": 1, "items": {**DESCRIPTOR, "required": ["name", "digest"]}},
        "predicateType": {"const": "https://in-toto.io/attestation/test-result/v0.1"},
        "predicate": {
            "type": "object",
            "properties": {
                "result": {"enum": ["PASSED", "WARNED", "FAILED"]},
                "configuration": {"type": "array", "items": DESCRIPTOR},
                "url": {"type": "string", "format": "uri"},
                **dict.fromkeys(("passedTests", "warnedTests", "failedTests"), TESTS),
            },
            "required": ["result", "configuration"],
            "additionalProperties": False,
        },
    },
    "required": ["_type", "subject", "predicateType", "predicate"],
    "additionalProperties": False,
}
"""Statement v1 with the test-result predicate v0.1, as their specifications have them."""


def read(root: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((root / "certificate.json").read_text())
    return found


def roles(certificate: dict[str, Any]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for one in certificate["predicate"]["configuration"]:
        found.setdefault(one["annotations"]["role"], []).append(one["name"])
    return found


def test_it_is_a_statement_over_everything(certified: Path) -> None:
    certificate = read(certified)
    jsonschema.validate(certificate, SCHEMA, cls=jsonschema.Draft202012Validator)
    assert {one["name"] for one in certificate["subject"]} == {
        f"stripped/pkg/{path.name}" for path in (certified / "stripped" / "pkg").glob("*.py")
    }
    assert roles(certificate) == {
        "legacy": ["legacy/pkg/__init__.py", "legacy/pkg/module.py"],
        "description": ["strip.toml"],
        "config": ["config.yaml"],
        "input": ["weights.json"],
        "workload": ["workloads.py"],
        "plan": ["plan/one", "plan/two"],
        "golden": ["golden/first", "golden/second"],
        "environment": ["environment"],
        "tool": ["unbloat"],
    }
    predicate = certificate["predicate"]
    assert (predicate["result"], predicate["warnedTests"], predicate["failedTests"]) == ("PASSED", [], [])
    assert predicate["passedTests"] == ["tree", "one/first", "two/first", "two/second"]


def test_written_again_it_is_the_same_wherever_it_lies(copy: Path, certify: Certify) -> None:
    before = (copy / "certificate.json").read_bytes()
    assert certify(copy, "--out", copy / "certificate.json") == (0, [f"{copy}/certificate.json: PASSED"])
    assert (copy / "certificate.json").read_bytes() == before
    assert str(copy).encode() not in before
    code, said = certify(copy, "--check", copy / "certificate.json")
    assert code == 0 and said[0] == "lane: same machine: every bit is equal"
    assert said[1].startswith(f"{copy}/certificate.json: PASSED, as recomputed here; ")


def replaced(name: str, old: str, new: str) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        file = root / name
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new, 1))

    return change


def removed(name: str) -> Callable[[Path], None]:
    return lambda root: (root / name).unlink()


def written(name: str) -> Callable[[Path], None]:
    return lambda root: (root / name).write_text("")  # type: ignore[func-returns-value]


def certificate(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    """A change of the certificate itself."""

    def changed(root: Path) -> None:
        found = read(root)
        change(found)
        (root / "certificate.json").write_text(to_text(found))

    return changed


def descriptor(name: str, change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    def inner(found: dict[str, Any]) -> None:
        [one] = [one for one in [*found["predicate"]["configuration"], *found["subject"]] if one["name"] == name]
        change(one)

    return certificate(inner)


def other_digest(one: dict[str, Any]) -> None:
    one["digest"]["sha256"] = "0" * 64


JOURNAL = ".unbloat/one.journal.jsonl"
TAMPERED: dict[str, tuple[Callable[[Path], None], str]] = {
    "a byte of the legacy": (replaced("legacy/pkg/module.py", "return 1", "return 2"), "legacy/pkg/module.py: sha256 "),
    "a file more in the legacy": (written("legacy/pkg/more.py"), "legacy/pkg/more.py: is here, and not in the certificate"),
    "a byte of the stripped tree": (replaced("stripped/pkg/module.py", "* scale", "* scale "), "stripped/pkg/module.py: sha"),
    "a stripped file less": (removed("stripped/pkg/pinned.py"), "stripped/pkg/pinned.py: is in the certificate, and not here"),
    "the config": (replaced("config.yaml", "size: 3", "size: 4"), "config.yaml: sha256 "),
    "the checkpoint": (replaced("weights.json", "2", "3"), "weights.json: sha256 "),
    "the workloads": (replaced("workloads.py", '"text"', '"other"'), "workloads.py: sha256 "),
    "strip.toml": (replaced("strip.toml", "[golden]", "[golden]\nseed = 1"), "strip.toml: sha256 "),
    "the plan": (replaced(JOURNAL, "nothing that is kept refers", "nobody refers"), "plan/one: sha256 "),
    "what a digest is said to be": (descriptor("config.yaml", other_digest), "config.yaml: sha256 000000000000… in the cert"),
    "a golden": (descriptor("golden/second", other_digest), "golden/second: sha256 000000000000… in the certificate, "),
    "a golden's ledger": (
        descriptor("golden/first", lambda one: one["annotations"].update(ledger="xxh3-128:0")),
        "golden/first: ledger is 'xxh3-128:0' in the certificate, 'xxh3-128:",
    ),
    "a plan's count": (
        descriptor("plan/one", lambda one: one["annotations"].update(rejected=9)),
        "plan/one: rejected is 9 in the certificate, 0 here",
    ),
    "the environment": (
        descriptor("environment", lambda one: one["annotations"].update(processor="another")),
        "environment: its digest in the certificate is not that of its annotations",
    ),
    "no environment": (
        certificate(lambda found: found["predicate"]["configuration"].pop(-2)),
        "environment: is missing in the certificate",
    ),
    "the tool": (
        descriptor("unbloat", lambda one: one["annotations"].update(version="9")),
        "unbloat: version is '9' in the certificate, ",
    ),
    "something more": (
        certificate(lambda found: found["predicate"]["configuration"].append({"name": "x", "digest": {"sha256": "0"}})),
        "x: is in the certificate, and not here",
    ),
    "the result": (
        certificate(lambda found: found["predicate"].update(result="WARNED")),
        "predicate.result: WARNED in the certificate, PASSED here",
    ),
    "a test less": (
        certificate(lambda found: found["predicate"]["passedTests"].remove("two/second")),
        "predicate.passedTests: tree, one/first, two/first in the certificate, tree, one/first, two/first, two/second here",
    ),
    "a test that is said to have failed": (
        certificate(lambda found: found["predicate"]["failedTests"].append("tree")),
        "predicate.failedTests: tree in the certificate, none here",
    ),
    "a field more": (
        certificate(lambda found: found["predicate"].update(url="https://example.org")),
        "certificate: has other fields, or another order, than here",
    ),
}


@pytest.mark.parametrize(("change", "difference"), TAMPERED.values(), ids=TAMPERED)
def test_what_is_tampered_with_is_named(change: Callable[[Path], None], difference: str, copy: Path, server: Server) -> None:
    change(copy)
    verdict = check(load_subject(copy / "strip.toml"), server, read(copy), lambda _: None)
    assert str(verdict.difference).startswith(difference)


def test_the_command_names_it_too(copy: Path, certify: Certify) -> None:
    replaced("legacy/pkg/module.py", "return 1", "return 2")(copy)
    code, said = certify(copy, "--check", copy / "certificate.json")
    assert code == 1 and said[-1].startswith("differs: legacy/pkg/module.py: sha256 ")


def on_another_machine(found: dict[str, Any]) -> None:
    [one] = [one for one in found["predicate"]["configuration"] if one["name"] == "environment"]
    one["annotations"]["processor"] = "another"
    one["digest"]["sha256"] = digest_of({key: value for key, value in one["annotations"].items() if key != "role"})
    for one in found["predicate"]["configuration"]:
        if one["name"].startswith("golden/"):
            other_digest(one)


@pytest.mark.parametrize("with_journals", [True, False])
def test_on_another_machine_no_bits_of_ledgers_are_compared(with_journals: bool, copy: Path, certify: Certify) -> None:
    """What the two trees compute is, with both run here."""
    certificate(on_another_machine)(copy)
    left_out = ["golden/first", "golden/second", "environment"]
    if not with_journals:
        for phase in ("one", "two"):
            removed(f".unbloat/{phase}.journal.jsonl")(copy)
        left_out = ["plan/one", "plan/two", *left_out]
    code, said = certify(copy, "--check", copy / "certificate.json")
    assert code == 0
    assert said[0] == f"lane: across machines: {Lane.ACROSS_MACHINES.value}"
    assert said[1].startswith("processor: another in the certificate, ")
    assert said[2] == f"not compared: {', '.join(left_out)}"
    replaced("stripped/pkg/module.py", "* scale", "+ scale")(copy)
    code, said = certify(copy, "--check", copy / "certificate.json")
    assert code == 1 and said[-1].startswith("differs: stripped/pkg/module.py: ")


def test_a_tree_that_computes_something_else_fails(copy: Path, certify: Certify) -> None:
    replaced("stripped/pkg/module.py", "* scale", "+ scale")(copy)
    code, said = certify(copy, "--out", copy / "new.json")
    assert (code, said[-1]) == (1, f"{copy}/new.json: FAILED")
    predicate = json.loads((copy / "new.json").read_text())["predicate"]
    assert predicate["failedTests"] == ["tree", "one/first", "two/first", "two/second"] and predicate["passedTests"] == []
    code, said = certify(copy, "--check", copy / "new.json")
    assert code == 1 and "FAILED, as recomputed here" in said[-1]


def test_an_open_phase_is_a_warning(copy: Path, server: Server) -> None:
    removed(".unbloat/two.journal.jsonl")(copy)
    predicate = certified_by(load_subject(copy / "strip.toml"), server, lambda _: None)["predicate"]
    assert (predicate["result"], predicate["warnedTests"]) == ("WARNED", ["two/first", "two/second"])


REFUSED = {
    "nothing stripped": (removed("stripped/pkg/__init__.py"), "{root}/stripped: holds no package 'pkg'; run `unbloat strip`"),
    "no journal": (removed(JOURNAL), "phase 'one' is not stripped here; run `unbloat strip --phase one` first"),
    "no certificate": (removed("certificate.json"), "{root}/certificate.json: no such file; `unbloat certify --out"),
    "no JSON": (replaced("certificate.json", "{", "["), "{root}/certificate.json: is not JSON: "),
    "another predicate": (
        replaced("certificate.json", "test-result", "vuln"),
        "{root}/certificate.json: is not a certificate of `unbloat certify`: predicateType is ",
    ),
    "another result": (
        replaced("certificate.json", '"PASSED"', '"FINE"'),
        "{root}/certificate.json: is not a certificate of `unbloat certify`: its predicate has no result among ",
    ),
    "no digests": (
        certificate(lambda found: found["subject"][0].pop("digest")),
        "{root}/certificate.json: is not a certificate of `unbloat certify`: subject is no list of distinct names with a sha",
    ),
    "tests that are no names": (
        certificate(lambda found: found["predicate"].update(passedTests=[1])),
        "{root}/certificate.json: is not a certificate of `unbloat certify`: passedTests is no list of names",
    ),
}


@pytest.mark.parametrize(("change", "error"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused(change: Callable[[Path], None], error: str, copy: Path, certify: Certify) -> None:
    change(copy)
    code, [said] = certify(copy, "--check", copy / "certificate.json")
    assert code == 2 and said.startswith(f"unbloat: error: {error.format(root=copy)}")
