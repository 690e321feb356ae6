"""Record the legacy: goldens that were seen to repeat, and the evidence of probed runs that changed nothing."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import unbloat
from unbloat.atomic import replace_text
from unbloat.behind import behind
from unbloat.errors import VerificationError, WorkloadError
from unbloat.evidence.facts import Facts
from unbloat.golden.compare import compare
from unbloat.golden.ledger import Ledger
from unbloat.golden.store import load, save
from unbloat.subject import Subject, Workload, check_manifest, check_sources
from unbloat.verify.determinism_check import assert_deterministic
from unbloat.verify.outcome import Failed
from unbloat.verify.server import Server

OBSERVER = "unbloat.evidence.observer:observe"
RECORDING = ("unbloat.record", "unbloat.evidence.observer", "unbloat.verify.warm_process")
"""What makes a recording: a change of any other part of the tool leaves what is recorded as it is."""

Say = Callable[[str], None]


def record(
    subject: Subject, server: Server, say: Say, workloads: Iterable[Workload] | None = None
) -> tuple[dict[str, Ledger], Facts]:
    """The goldens and the facts of some workloads, or of all; what was recorded before under the same key is used again.

    Raises:
        SubjectError: the legacy differs from its manifest, or cannot be read.
        WorkloadError: a workload raised or does not repeat.
        VerificationError: probing changed what a workload computes.
    """
    check_manifest(subject)
    check_sources(subject)
    folder = recordings(subject, server.environment)
    goldens, runs = {}, {}
    for workload in subject.workloads if workloads is None else workloads:
        golden_path, evidence_path = folder / f"{workload.name}.golden.json", folder / f"{workload.name}.evidence.json"
        if (before := _recorded_before(golden_path, evidence_path)) is not None:
            say(f"{workload.name}: recorded before")
            goldens[workload.name], runs[workload.name] = before
            continue
        say(f"{workload.name}: recording twice")
        started = time.perf_counter()
        golden = assert_deterministic(server, subject.legacy, workload, seed=subject.seed)
        recorded = time.perf_counter()
        say(f"{workload.name}: observing")
        evidence = _observe(subject, server, workload, golden, say)
        seconds = {"recording": round(recorded - started, 2), "evidence": round(time.perf_counter() - recorded, 2)}
        replace_text(folder / f"{workload.name}.seconds.json", json.dumps(seconds) + "\n")
        replace_text(evidence_path, json.dumps(evidence, separators=(",", ":")))
        save(golden, golden_path)
        goldens[workload.name], runs[workload.name] = golden, evidence
    return goldens, Facts.merge(runs)


def recordings(subject: Subject, environment: object) -> Path:
    """Where goldens, evidence and the seconds that they took are kept."""
    return subject.state / "golden" / _key(subject, environment, behind(*RECORDING))


def subject_key(subject: Subject, environment: object) -> str:
    """A digest of everything that plans and trees depend on; it changes with whatever changes a recording."""
    return _key(subject, environment, behind(*RECORDING, "unbloat.phases"))


def _key(subject: Subject, environment: object, tool: Iterable[Path]) -> str:
    """The subject with all that its workloads read, the environment, and the part of this tool that matters."""
    digest = hashlib.sha256(json.dumps(environment, sort_keys=True, default=str).encode())
    root = Path(unbloat.__file__).parent
    files = {subject.file, *subject.outside(), *tool}
    for path in ((subject.legacy / subject.package), *subject.inputs):
        files |= {path} if path.is_file() else {inner for inner in path.rglob("*") if "__pycache__" not in inner.parts}
    files |= {subject.config_file} if subject.config_file is not None else set()
    for file in sorted(file for file in files if file.is_file()):
        name = os.path.relpath(file, root if file.is_relative_to(root) else subject.root)
        digest.update(name.encode() + b"\0" + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:24]


def _recorded_before(golden: Path, evidence: Path) -> tuple[Ledger, dict[str, object]] | None:
    """None also for what a crash of the machine left half written: it is recorded again."""
    try:
        return load(golden), json.loads(evidence.read_text(encoding="utf-8"))
    except (WorkloadError, FileNotFoundError, ValueError):
        return None


def observer_options(subject: Subject, workload: Workload) -> dict[str, object]:
    """What the observer has to know of a run."""
    return {
        "tree": str(subject.legacy),
        "package": subject.package,
        "parameters": list(subject.config_parameters),
        "watches": True,
        "workload": workload.name,
    }


def _observe(subject: Subject, server: Server, workload: Workload, golden: Ledger, say: Say) -> dict[str, object]:
    """What watches a config stands for it, and the legacy may notice that: then it is not watched."""
    options = observer_options(subject, workload)
    try:
        return _observed(subject, server, workload, golden, options)
    except VerificationError as error:
        if not subject.config_parameters:
            raise
        say(f"{workload.name}: observing again without watching configs, since {error}")
    return _observed(subject, server, workload, golden, {**options, "watches": False})


def _observed(
    subject: Subject, server: Server, workload: Workload, golden: Ledger, options: dict[str, object]
) -> dict[str, object]:
    run = server.run(subject.legacy, workload, seed=subject.seed, observer=OBSERVER, observer_options=options)
    if isinstance(run, Failed):
        raise VerificationError(f"the probed legacy fails: {run.reason}")
    if (divergence := compare(golden, run.ledger)) is not None:
        raise VerificationError(f"probing changed workload '{workload.name}': {divergence.what}")
    return run.extra
