"""Strip a small package under one use of it, then use legacy and stripped in other ways and tell quiet from loud."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from unbloat.errors import WorkloadError
from unbloat.evidence.facts import Facts
from unbloat.golden.compare import compare
from unbloat.golden.ledger import Ledger
from unbloat.plan.passes import STAGES, Pass
from unbloat.record import OBSERVER, observer_options
from unbloat.strip import Judge, PhaseRun
from unbloat.subject import Subject, Workload, load_subject
from unbloat.verify.outcome import Failed
from unbloat.verify.server import Server
from unbloat.verify.trees import write_tree

from tests.handing import CLASS

_STRIP = """
[subject]
package = "pkg"
legacy = "legacy"
stripped = "stripped"

[config]
parameters = ["cfg"]

[golden]
workloads = "workloads.py"
limit = 60

[phases.all]
files = [{files}]
gate = ["pinned"]
"""

# No other names of the package may stand here: whatever a workload file mentions is kept.
_WORKLOADS = '''
import importlib, json, os, sys
from pathlib import Path

USED = {used!r}
PLACES = {places!r}


def pinned(golden):
    golden.record("outcomes", json.dumps(use(json.loads(Path(PLACES["pinned"]).read_text()), False)))


def others(golden):
    """Each use with a package and an environment of its own; the outcomes go to a file."""
    compile_once()
    found = [use(one, True) for one in json.loads(Path(PLACES["others"]).read_text())]
    Path(PLACES["outcomes"]).write_text(json.dumps(found))


def compile_once():
    """The package is imported anew for each use, and compiling it would take longer than all else."""
    from unbloat.golden.imports import FreshSource

    compiled, compile_it = {{}}, FreshSource.source_to_code

    def source_to_code(self, data, path, **options):
        if (path, data) not in compiled:
            compiled[path, data] = compile_it(self, data, path, **options)
        return compiled[path, data]

    FreshSource.source_to_code = source_to_code


def use(steps, may_raise):
    import runpy

    helpers = runpy.run_path(PLACES["handing"])
    for name in [name for name in sys.modules if name.partition(".")[0] == "pkg"]:
        del sys.modules[name]
    before, arguments_before = dict(os.environ), list(sys.argv)
    cfg, made, found, shows = None, None, [], False
    try:
        for kind, *content in eval(steps):
            try:
                match kind:
                    case "set":
                        helpers["put"](cfg, *content)
                    case "share":
                        helpers["put"](cfg, content[1], helpers["part"](cfg, content[0]))
                    case "part":
                        cfg = helpers["part"](cfg, content[0])
                    case "env":
                        os.environ[content[0]] = content[1]
                    case "run" | "call" | "make" | "build" | "method":
                        module = importlib.import_module("pkg.module")
                        name, arguments, options = content
                        owner = made if kind == "method" else module
                        if "." in name:
                            place, _, name = name.partition(".")
                            owner = importlib.import_module("pkg." + place)
                        for part in name.split("."):
                            owner = getattr(owner, part)
                        first = (cfg,) if kind in ("run", "make") else ()
                        value = owner(*first, *arguments, **options)
                        if kind in ("make", "build"):
                            made, value = value, None
                        state = helpers["view"](cfg) if shows else None
                        found.append(["value", helpers["text"]((value, state, arguments))])
                    case _:
                        cfg, shows = helpers["made"](kind, content[0]), may_raise or kind == "config"
            except BaseException as error:
                if not may_raise:
                    raise
                found.append(["raised", f"{{type(error).__name__}}: {{error}}"])
                break
    finally:
        os.environ.clear()
        os.environ.update(before)
        sys.argv[:] = arguments_before
    return found
'''

Step = tuple[Any, ...]
"""A config of a kind ("config", "namespace", "arguments", "dict" or "object", content; see `tests.handing`), what becomes of it
("set", key, value; "share", key, other key; "part", key), ("env", name, value), and the calls: ("run", "call", "make", "build"
or "method", name, args, kwargs), where `other.name` is a name of another module. "run" and "make" hand the config on."""
KINDS = ("config", "namespace", "arguments", "dict", "object")


@dataclass(frozen=True)
class Program:
    """A package, the use that it is stripped under, and other uses of it; each use is a sequence of steps."""

    module: str
    pinned: tuple[Step, ...]
    others: tuple[tuple[Step, ...], ...] = ()
    modules: Mapping[str, str] = field(default_factory=dict)
    strangers: Mapping[str, str] = field(default_factory=dict)  # of the package, yet of no phase


@dataclass(frozen=True)
class Outcome:
    """What became of one other use: `identical`, `loud`, `silent`, `undefined` (the legacy raised) or `quieter`."""

    verdict: str
    use: tuple[Step, ...]
    legacy: Any
    stripped: Any


@dataclass(frozen=True)
class Comparison:
    """The stripped sources, what was removed, and the outcome of every other use."""

    sources: Mapping[str, str]
    removals: tuple[Any, ...]
    rejected: tuple[Any, ...]
    outcomes: tuple[Outcome, ...]

    @property
    def silent(self) -> list[Outcome]:
        return [one for one in self.outcomes if one.verdict == "silent"]


def stripped_under_pins(program: Program, folder: Path, server: Server, stages: Sequence[Sequence[Pass]] = STAGES) -> PhaseRun:
    """Strip `program` in `folder`.

    The workload is recorded once, and the gate is asked once, of everything that was proposed: these programs repeat, and
    it nearly always holds. Where it does not, it is asked round by round as in any other strip.
    """
    legacy = folder / "legacy"
    modules = {"module": program.module, **program.modules, **program.strangers}
    texts = {"pkg/__init__.py": "", **{f"pkg/{name}.py": _dedented(text) for name, text in modules.items()}}
    write_tree(legacy, {name: text.encode() for name, text in texts.items()})
    places = _places(folder)
    Path(places["pinned"]).write_text(json.dumps(repr(program.pinned)))
    Path(places["others"]).write_text(json.dumps([repr(steps) for steps in program.others]))
    used = sorted(set(_used(program.pinned)))
    (folder / "workloads.py").write_text(_WORKLOADS.format(used=used, places=places).replace("def others", "def _others"))
    (folder / "elsewhere").mkdir()
    (folder / "elsewhere" / "uses.py").write_text(_WORKLOADS.format(used=[], places=places))
    files = ", ".join(f'"pkg/{name}.py"' for name in modules if name not in program.strangers)
    (folder / "strip.toml").write_text(_STRIP.format(files=files))
    subject = load_subject(folder / "strip.toml")
    is_plain = any(kind in KINDS and kind != "config" for kind, *_ in program.pinned)
    golden, facts = _recorded(subject, server, is_plain=is_plain)
    run = PhaseRun(subject, subject.phases[0], facts, stages=stages)
    run.run(lambda batch: None, None, _quiet)
    if Judge(run, server, golden, _quiet)(()) is not None:
        run = PhaseRun(subject, subject.phases[0], facts, stages=stages)
        run.run(Judge(run, server, golden, _quiet), None, _quiet)
    return run


def _used(steps: Sequence[Step]) -> Iterator[str]:
    """The names of the package that a workload of these steps would mention."""
    for kind, first, *_ in steps:
        if kind in ("run", "call", "make"):
            yield first
        elif kind == "object":
            yield from _classes(first)


def _classes(content: Any) -> Iterator[str]:
    for part in content.values() if isinstance(content, dict) else content if isinstance(content, list | tuple) else ():
        yield from _classes(part)
    if isinstance(content, dict) and CLASS in content:
        yield content[CLASS].rpartition(".")[2]


def _recorded(subject: Subject, server: Server, *, is_plain: bool) -> tuple[dict[str, Ledger], Facts]:
    """As `unbloat record` has it; that observing changes nothing is asked only where a config is watched in place."""
    workload = subject.workload("pinned")
    options = observer_options(subject, workload)
    found = server.run(subject.legacy, workload, observer=OBSERVER, observer_options=options)
    if is_plain:
        golden = server.run(subject.legacy, workload)
        if isinstance(golden, Failed):
            raise WorkloadError(golden.reason)
        if isinstance(found, Failed) or compare(golden.ledger, found.ledger) is not None:
            found = server.run(subject.legacy, workload, observer=OBSERVER, observer_options={**options, "watches": False})
    if isinstance(found, Failed):
        raise WorkloadError(found.reason)
    return {workload.name: found.ledger}, Facts.merge({workload.name: found.extra})


def _places(folder: Path) -> dict[str, str]:
    places = {name: str(folder / f"{name}.txt") for name in ("pinned", "others", "outcomes")}
    return {**places, "handing": str(Path(__file__).with_name("handing.py"))}


def compare_uses(program: Program, folder: Path, server: Server) -> Comparison:
    """Strip `program` in `folder` and compare the others."""
    run = stripped_under_pins(program, folder, server)
    legacy, places = folder / "legacy", _places(folder)
    stripped, faults = run.candidate(())
    assert not faults, faults
    write_tree(folder / "candidate", stripped)
    workload = Workload("others", folder / "elsewhere" / "uses.py", "others")
    found = []
    for tree in (legacy, folder / "candidate"):
        outcome = server.run(tree, workload)
        assert not isinstance(outcome, Failed), outcome
        found.append(json.loads(Path(places["outcomes"]).read_text()))
    outcomes = tuple(
        Outcome(_verdict(before, after), steps, before, after)
        for steps, before, after in zip(program.others, *found, strict=True)
    )
    sources = {name: content.decode() for name, content in stripped.items()}
    return Comparison(sources, tuple(run.tally.accepted), tuple(run.tally.rejected), outcomes)


def _verdict(legacy: Sequence[list[str]], stripped: Sequence[list[str]]) -> str:
    for before, after in zip(legacy, stripped, strict=False):
        if before[0] == "raised":
            return "undefined" if after[0] == "raised" else "quieter"
        if after[0] == "raised":
            return "loud"
        if before != after:
            return "silent"
    return "identical"


def _dedented(text: str) -> str:
    return textwrap.dedent(text).lstrip("\n")


def _quiet(line: str) -> None:
    del line


def shown(program: Program, comparison: Comparison) -> str:
    """Everything that one needs to see why a use differs."""
    parts = [_dedented(program.module)]
    others = {**program.modules, **program.strangers}
    parts += [f"# --- {name}\n{_dedented(text)}" for name, text in others.items()]
    parts += [f"# --- stripped {name}\n{text}" for name, text in sorted(comparison.sources.items()) if "__init__" not in name]
    parts.append(f"# pinned: {program.pinned}")
    parts += [f"# {one.use}\n#   legacy   {one.legacy}\n#   stripped {one.stripped}" for one in comparison.silent]
    return "\n".join(parts)
