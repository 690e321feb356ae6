"""What strip.toml calls algorithm or engineering, and what happened to each; then every engineering change, with its reason."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator

from unbloat.integrity.definitions import Pair
from unbloat.integrity.report import Check, Section, Table
from unbloat.integrity.reproduction import Reproduction
from unbloat.measure import measure_source
from unbloat.plan.removal import Evidence, Removal
from unbloat.report.verbatim import is_wire


def tags(found: Reproduction) -> Section:
    """The contract of strip.toml, tag by tag."""
    own = [one for one in found.removals if one.evidence is Evidence.ENGINEERING]
    notes = () if found.subject.contract.algorithm else ("No file is tagged `algorithm` in strip.toml: all count alike.",)
    return Section("Algorithm and engineering", tuple(_checks(found, own)), (*_tables(found, own),), notes)


def _checks(found: Reproduction, own: list[Removal]) -> Iterator[Check]:
    contract = found.subject.contract
    inside = [one for one in found.removals if one.file in contract.algorithm]
    lost = [f"{one.file}:{one.line}: {one.reason}" for one in inside if one.evidence is Evidence.UNSEEN]
    yield Check("in files tagged `algorithm`, no removal rests on code not having run", len(inside), tuple(lost))
    wires = [
        f"{found.now[file]}:{node.lineno}: {ast.unparse(node)}"
        for file in contract.algorithm
        if file in found.now
        for node in ast.walk(ast.parse(found.stripped[found.now[file]]))
        if isinstance(node, ast.Raise | ast.Call) and is_wire(node)
    ]
    yield Check("in files tagged `algorithm`, no code became an error", len(contract.algorithm), tuple(wires))
    without = [f"{one.file}:{one.line}" for one in own if not one.reason or not one.gone]
    yield Check("each engineering change has a reason and the legacy lines that went", len(own), tuple(without))


def _tables(found: Reproduction, own: list[Removal]) -> Iterator[Table]:
    yield Table("Files, their tag and what happened", ("file", "tag", "statements", "what happened"), tuple(_files(found)))
    header = ("in strip.toml", "name", "in the legacy", "in the stripped tree", "removals that name it")
    yield Table("Functions and loggers tagged as engineering", header, tuple(_functions(found)))
    rows = [(f"{one.file}:{one.line}", _legacy_text(found, one), one.reason) for one in own]
    yield Table("Engineering changes", ("legacy", "what went", "reason"), tuple(rows))
    steps = [(step, "done: the workloads by their legacy names end in the goldens") for step in found.steps]
    steps += [(step, f"left out: {reason}") for step, reason in found.left_out]
    yield Table("Steps of restructuring", ("step", "what came of it"), tuple(steps))


def _files(found: Reproduction) -> Iterator[tuple[str, ...]]:
    for file, text in found.legacy.items():
        now = found.now.get(file)
        kinds = Counter(one.evidence for one in found.removals if one.file == file)
        before = measure_source(text, file).statements
        after = 0 if now is None else measure_source(found.stripped[now], now).statements
        mix = ", ".join(f"{kinds[kind]} {kind.value}" for kind in Evidence if kinds[kind])
        if now is None:
            fate = f"gone: {mix}"
        elif found.stripped[now] == text:
            fate = "kept whole, byte for byte"
        else:
            fate = f"{mix or 'imports and checks alone'}{'' if now == file else f'; moved to {now}'}"
        tag = "algorithm" if file in found.subject.contract.algorithm else "–"
        yield file, tag, f"{before} → {after}", fate


def _functions(found: Reproduction) -> Iterator[tuple[str, ...]]:
    contract = found.subject.contract
    pairs = {_dotted(pair): pair for pair in found.definitions.pairs() if pair.name}
    tables = (("engineering", contract.engineering), ("logging_setup", contract.logging_setup), ("loggers", contract.loggers))
    for key, names in tables:
        for name in names:
            last = name.rpartition(".")[2] if key != "loggers" else name
            mentions = str(sum(re.search(rf"(?<!\w){re.escape(last)}\b", one.reason) is not None for one in found.removals))
            pair = pairs.get(name)
            there = "an expression" if key == "loggers" else "a definition"
            left = (
                f"{pair.now}:{pair.stripped.lineno}"
                if pair is not None and not isinstance(pair.stripped, ast.Module)
                else "gone"
            )
            yield key, name, there, "–" if key == "loggers" else left, mentions


def _dotted(pair: Pair) -> str:
    module = pair.file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    return f"{module}.{pair.name}"


def _legacy_text(found: Reproduction, one: Removal) -> str:
    lines = found.legacy[one.file].splitlines()
    first, last = one.place.line, one.place.end_line
    text = " ".join(" ".join(lines[first - 1 : last]).split())
    return f"`{text[:117]}…`" if len(text) > 118 else f"`{text}`"
