"""Put a certificate together from what lies on disk and from runs of both trees."""

from __future__ import annotations

from typing import Any

from unbloat.certify.digests import environment_resource, materials, plans, stripped_files, stripped_until, tool
from unbloat.certify.gates import compare_gates, ended, goldens
from unbloat.certify.statement import statement
from unbloat.record import Say
from unbloat.subject import Subject, check_manifest, check_sources
from unbloat.verify.server import Server


def certify(subject: Subject, server: Server, say: Say) -> dict[str, Any]:
    """The certificate of a stripped tree: a function of the files, of the environment and of what both trees compute.

    Raises:
        SubjectError: nothing is stripped, or the legacy differs from its manifest.
        VerificationError: a workload fails on the legacy.
    """
    check_manifest(subject)
    check_sources(subject)
    phases = stripped_until(subject)
    made, used = stripped_files(subject), [*materials(subject), *plans(subject, phases)]
    found = compare_gates(subject, phases, server, say)
    used += [*goldens(found), environment_resource(server.environment), tool()]
    return statement(made, used, ended(subject, phases, found, planned=True))
