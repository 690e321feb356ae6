"""That both trees are what they are said to be, and that nothing told them apart."""

from __future__ import annotations

from collections.abc import Iterator

from unbloat.errors import SubjectError
from unbloat.integrity.report import Check, Section, Table
from unbloat.integrity.reproduction import Reproduction
from unbloat.subject import check_manifest
from unbloat.subject.manifest import read_manifest
from unbloat.verify.checks import undefined_names


def behaviour(found: Reproduction) -> Section:
    """The gates, and the files that they were about."""
    return Section("Same behaviour", tuple(_checks(found)), (_gates(found),))


def _checks(found: Reproduction) -> Iterator[Check]:
    gates = [f"{phase.name}/{name}" for phase in found.phases for name in phase.gate]
    name = "each gate's workloads end in the legacy's golden, bit for bit, where only the stripped tree can be imported"
    faults = [f"phase {phase}: {verdict}" for phase, verdict in found.verdicts.items() if verdict != "identical"]
    yield Check(name, len(gates), tuple(faults), found.waits_for)
    if (manifest := found.subject.manifest) is not None:
        yield Check(
            f"each legacy file has the sha256 of {manifest.name}", len(read_manifest(manifest)), tuple(_manifest(found))
        )
    name = "each stripped file is, byte for byte, what the accepted removals make of the legacy"
    if found.planned:
        yield Check(name, 0, (), found.waits_for)
    else:
        texts = {file: content.decode() for file, content in found.expected.items() if file.endswith(".py")}
        apart = [file for file in sorted(texts.keys() | found.stripped.keys()) if texts.get(file) != found.stripped.get(file)]
        yield Check(name, len(texts), tuple(f"{file}: is another" for file in apart))
    names = "names that the stripped tree reads and nobody defines: none that the legacy has not"
    before = {name for tree in found.definitions.legacy.values() for name in undefined_names(tree)}
    fresh = [
        f"{file}: {name}"
        for file, tree in found.definitions.stripped.items()
        for name in undefined_names(tree)
        if name not in before
    ]
    yield Check(names, len(found.stripped), tuple(fresh))


def _manifest(found: Reproduction) -> Iterator[str]:
    try:
        check_manifest(found.subject)
    except SubjectError as error:
        yield str(error)


def _gates(found: Reproduction) -> Table:
    goldens = found.recorded.goldens
    rows = [
        (
            phase.name,
            name,
            f"{len(goldens[name].entries):,}",
            goldens[name].digest(),
            found.verdicts.get(phase.name, "not run yet"),
        )
        for phase in found.phases
        for name in phase.gate
    ]
    return Table(
        "Workloads that gate a phase",
        ("phase", "workload", "entries", "digest of the golden", "verdict of the phase"),
        tuple(rows),
    )
