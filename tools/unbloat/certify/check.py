"""Recompute a certificate and name the first thing that differs: what lies on disk first, then what runs.

On the machine that it was written on, everything is compared. On another one, ledgers have other bits: there both trees run
side by side, and the digests of ledgers and environment are left out, which is said.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from unbloat.certify.digests import ROLE, environment_resource, materials, plans, stripped_files, stripped_until, tool
from unbloat.certify.gates import compare_gates, ended, goldens
from unbloat.certify.statement import Resource, digest_of, statement
from unbloat.errors import SubjectError
from unbloat.golden.environment import Lane
from unbloat.golden.lanes import choose
from unbloat.record import Say
from unbloat.subject import Phase, Subject
from unbloat.verify.server import Server

_SHOWN = 12
Descriptors = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Difference:
    """What differs first, and how."""

    name: str
    what: str

    def __str__(self) -> str:
        return f"{self.name}: {self.what}"


@dataclass(frozen=True)
class Verdict:
    """What was compared, in which lane, and the first difference."""

    lane: Lane
    difference: Difference | None
    compared: int = 0
    left_out: tuple[str, ...] = ()
    environment: tuple[str, ...] = field(default=())
    """What differs between the two machines, one line each."""


def check(subject: Subject, server: Server, certificate: Mapping[str, Any], say: Say) -> Verdict:
    """Compare a certificate with what is here.

    Raises:
        SubjectError: nothing is stripped here, or, on the machine of the certificate, there is no journal of it.
        VerificationError: a workload fails on the legacy.
    """
    made, used = _by_name(certificate["subject"]), _by_name(certificate["predicate"]["configuration"])
    recorded_in = {key: value for key, value in _annotations(used.get("environment", {})).items() if key != ROLE}
    which = choose(recorded_in, server.environment).lane
    apart = tuple(_apart(recorded_in, server.environment))
    found = _forged(used, recorded_in) or on_disk(subject, certificate)
    if found is not None:
        return Verdict(which, found, environment=apart)
    left_out: tuple[str, ...] = ()
    if which is Lane.SAME_MACHINE:
        phases = stripped_until(subject)
    else:
        phases, left_out = _elsewhere(subject, used)
    here = plans(subject, phases) if not left_out else []
    if (found := _first(_only(used, {"plan"} if not left_out else ()), here)) is not None:
        return Verdict(which, found, environment=apart, left_out=left_out)
    ran = compare_gates(subject, phases, server, say)
    tests = ended(subject, phases, ran, planned=not left_out)
    if which is Lane.ACROSS_MACHINES:
        left_out = (*left_out, *(name for name, one in used.items() if _role(one) in ("golden", "environment")))
        fresh: list[Resource] = []
    else:
        fresh = [*goldens(ran), environment_resource(server.environment)]
    whole = statement(stripped_files(subject), [*materials(subject), *here, *fresh, tool()], tests)
    found = _first_anywhere(_without(certificate, left_out), whole)
    return Verdict(which, found, len(made) + len(used) - len(left_out) + len(ran), left_out, apart)


def on_disk(subject: Subject, certificate: Mapping[str, Any]) -> Difference | None:
    """The first difference of those that take neither a run nor a journal to tell."""
    made, used = _by_name(certificate["subject"]), _by_name(certificate["predicate"]["configuration"])
    known = {"legacy", "description", "config", "input", "workload", "script"}
    return _first(_only(used, known), materials(subject)) or _first(made, stripped_files(subject))


def _elsewhere(subject: Subject, used: Descriptors) -> tuple[tuple[Phase, ...], tuple[str, ...]]:
    """The phases that a certificate speaks of, and their plans if there are no journals here to compare them with."""
    named = [name for name, one in used.items() if _role(one) == "plan"]
    phases = tuple(phase for phase in subject.phases if f"plan/{phase.name}" in named)
    try:
        here = {f"plan/{phase.name}" for phase in stripped_until(subject)}
    except SubjectError:
        here = set()
    return phases, tuple(named) if set(named) - here else ()


def _forged(used: Descriptors, recorded_in: Mapping[str, str]) -> Difference | None:
    """An environment that its own digest does not fit would choose the lane."""
    if (one := used.get("environment")) is None:
        return Difference("environment", "is missing in the certificate")
    if one["digest"]["sha256"] != digest_of(dict(recorded_in)):
        return Difference("environment", "its digest in the certificate is not that of its annotations")
    return None


def _apart(recorded_in: Mapping[str, str], here: Mapping[str, str]) -> Iterable[str]:
    for key in sorted(recorded_in.keys() | here.keys()):
        if recorded_in.get(key) != here.get(key):
            yield f"{key}: {recorded_in.get(key, 'unknown')} in the certificate, {here.get(key, 'unknown')} here"


def _first(expected: Descriptors, found: Iterable[Resource]) -> Difference | None:
    """The first descriptor that is not as it is here."""
    here = {one.name: one.to_json() for one in found}
    for name in [*expected, *here]:
        if name not in here:
            return Difference(name, "is in the certificate, and not here")
        if name not in expected:
            return Difference(name, "is here, and not in the certificate")
        if (one := _descriptor(name, expected[name], here[name])) is not None:
            return one
    return None


def _descriptor(name: str, expected: Mapping[str, Any], here: Mapping[str, Any]) -> Difference | None:
    wanted, found = expected["digest"]["sha256"], here["digest"]["sha256"]
    if wanted != found:
        return Difference(name, f"sha256 {wanted[:_SHOWN]}… in the certificate, {found[:_SHOWN]}… here")
    for key in sorted(_annotations(expected).keys() | _annotations(here).keys()):
        pair = [_annotations(one).get(key) for one in (expected, here)]
        if pair[0] != pair[1]:
            return Difference(name, f"{key} is {pair[0]!r} in the certificate, {pair[1]!r} here")
    return None if dict(expected) == dict(here) else Difference(name, "has other fields in the certificate than here")


def _first_anywhere(certificate: Mapping[str, Any], here: Mapping[str, Any]) -> Difference | None:
    """The first difference of two whole certificates."""
    wanted, found = certificate["predicate"], here["predicate"]
    configuration = [Resource(one["name"], one["digest"]["sha256"], _annotations(one)) for one in found["configuration"]]
    if (one := _first(_by_name(wanted["configuration"]), configuration)) is not None:
        return one
    for key in ("failedTests", "warnedTests", "passedTests", "result"):
        if wanted[key] != found[key]:
            return Difference(f"predicate.{key}", f"{_shown(wanted[key])} in the certificate, {_shown(found[key])} here")
    same = dict(certificate) == dict(here)
    return None if same else Difference("certificate", "has other fields, or another order, than here")


def _shown(value: str | Sequence[str]) -> str:
    return value if isinstance(value, str) else ", ".join(value) or "none"


def _without(certificate: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    """A certificate without some descriptors; without plans also without the test that the tree is what they leave."""
    predicate = certificate["predicate"]
    kept = [one for one in predicate["configuration"] if one["name"] not in names]
    passed = predicate["passedTests"]
    if any(name.startswith("plan/") for name in names):
        passed = [name for name in passed if name != "tree"]
    return {**certificate, "predicate": {**predicate, "configuration": kept, "passedTests": passed}}


def _by_name(descriptors: Iterable[Mapping[str, Any]]) -> Descriptors:
    return {one["name"]: one for one in descriptors}


def _only(descriptors: Descriptors, roles: Collection[str]) -> Descriptors:
    return {name: one for name, one in descriptors.items() if _role(one) in roles}


def _role(descriptor: Mapping[str, Any]) -> object:
    return _annotations(descriptor).get(ROLE)


def _annotations(descriptor: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = descriptor.get("annotations", {})
    return found
