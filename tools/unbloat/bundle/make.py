"""The driver: record what the bundle has to serve, put it together, and run it with its own config before it is written."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

from unbloat.bundle.write import Bundled, bundle_files, config_name, wanted
from unbloat.errors import VerificationError
from unbloat.golden.compare import compare
from unbloat.golden.ledger import Entry, Ledger
from unbloat.phases import Recording, recording
from unbloat.record import Say
from unbloat.restructure import load_aliases
from unbloat.subject import Subject
from unbloat.verify.outcome import Failed, Request
from unbloat.verify.trees import write_tree

OBSERVER = "unbloat.verify.instead:swapped"


def make_bundle(subject: Subject, say: Say) -> Bundled:
    """The files of a subject's bundle, proven by the workloads in its gate.

    Raises:
        SubjectError: there is no [bundle], or nothing stripped.
        VerificationError: a workload notices that the package is stripped, or its config smaller.
    """
    gates = {name for phase in subject.phases for name in phase.gate} | set(wanted(subject).gate)
    chosen = [workload for workload in subject.workloads if workload.name in gates]
    with recording(subject, say, chosen) as recorded:
        made = bundle_files(subject, recorded.facts)
        with tempfile.TemporaryDirectory(prefix="tree-", dir=recorded.server.candidates) as folder:
            _verify(recorded, made, Path(folder), say)
    return made


def _verify(recorded: Recording, made: Bundled, folder: Path, say: Say) -> None:
    """Each workload with the bundle's package alone; where it opens the subject's config it gets the bundle's.

    The scripts stay away: a workload has its own modules, of which the bundle may have others by the same names.
    """
    subject = recorded.subject
    tree, options = folder / "tree", load_aliases(subject).to_json()
    write_tree(tree, {name: content for name, content in made.files.items() if name.startswith(f"{subject.package}/")})
    if subject.config_file is not None:
        options |= {"file": str(subject.config_file), "instead": str(folder / "config")}
        write_tree(folder, {"config": made.files[config_name(subject)]})
    requests = [
        Request(
            tree,
            subject.workload(name),
            forbidden=(subject.legacy,),
            seed=subject.seed,
            observer=OBSERVER,
            observer_options=options,
        )
        for name in wanted(subject).gate
    ]
    for request, run in zip(requests, recorded.server.run_many(requests), strict=True):
        name = request.workload.name
        if isinstance(run, Failed):
            raise VerificationError(f"the bundle fails: {run.reason.replace(f'{tree}/', '')}")
        golden = recorded.goldens[name]
        ledger, copies = without_copies(golden, run.ledger)
        if (divergence := compare(golden, ledger)) is not None:
            raise VerificationError(f"in the bundle, workload '{name}' differs at `{divergence.entry}`: {divergence.what}")
        told = f"; texts that hold the config differ: {', '.join(copies)}" if copies else ""
        say(f"{name}: identical{told}")


def without_copies(golden: Ledger, ledger: Ledger) -> tuple[Ledger, list[str]]:
    """Texts may tell that the config is smaller, as the hyper-parameters in a checkpoint do; nothing else may."""
    expected = {entry.name: entry for entry in golden.entries if entry.kind == "text"}
    entries: list[Entry] = []
    copies: list[str] = []
    for entry in ledger.entries:
        known = expected.get(entry.name)
        if entry.kind == "text" and known is not None and known.digest != entry.digest:
            copies.append(entry.name)
            entry = known
        entries.append(entry)
    return replace(ledger, entries=tuple(entries)), copies
