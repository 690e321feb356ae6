"""Run workloads on both trees, watched; what they were seen to set up, legacy and stripped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from unbloat.errors import VerificationError
from unbloat.golden.compare import compare
from unbloat.golden.ledger import Ledger
from unbloat.integrity.report import Check
from unbloat.integrity.reproduction import Reproduction
from unbloat.record import Say
from unbloat.restructure import Aliases
from unbloat.verify.outcome import Failed, Request

OBSERVER = "unbloat.integrity.watch:watch"


@dataclass(frozen=True)
class Watched:
    """By workload, what its run had set up; `stripped` is empty for a plan, and where the stripped tree fails."""

    legacy: Mapping[str, Any]
    stripped: Mapping[str, Any]
    check: Check
    """That watching changed nothing, and that both trees end in the golden."""
    waits_for: str
    """What is missing for the two to be compared."""

    def both(self) -> list[tuple[str, Any, Any]]:
        """Workload, legacy, stripped."""
        return [(name, self.legacy[name], self.stripped.get(name)) for name in self.legacy]


def run_watched(found: Reproduction, say: Say) -> Watched | None:
    """None if the subject does not use torch.

    Raises:
        VerificationError: the watched legacy fails, or ends in something else than its golden.
    """
    if "torch" not in {module.partition(".")[0] for module in found.subject.preload}:
        return None
    server, goldens = found.recorded.server, found.recorded.goldens
    legacy: dict[str, Any] = {}
    stripped: dict[str, Any] = {}
    faults: list[str] = []
    chosen, recorded = _chosen(found)
    for name in chosen:
        trees = [False] if found.planned else [False, True]
        requests = [_request(found, name, stripped=which, constructed=not recorded) for which in trees]
        say(f"{name}: watching")
        first, *others = server.run_many(requests)
        if isinstance(first, Failed):
            raise VerificationError(f"the watched legacy fails: {first.reason}")
        if (divergence := compare(goldens[name], first.ledger)) is not None:
            raise VerificationError(f"watching changed workload '{name}': `{divergence.entry}` {divergence.what}")
        legacy[name] = first.extra
        for run in others:
            if isinstance(run, Failed):
                faults.append(run.reason)
                continue
            if (divergence := compare(goldens[name], run.ledger)) is not None:
                faults.append(f"workload '{name}' differs at `{divergence.entry}`: {divergence.what}")
            stripped[name] = _by_legacy_names(run.extra, found.aliases)
    what = "the workloads that were watched for the sections below end in the golden, on both trees"
    missing = "" if stripped.keys() == legacy.keys() else "a stripped tree in which the watched workloads run"
    return Watched(legacy, stripped, Check(what, 2 * len(legacy), tuple(faults), found.waits_for), found.waits_for or missing)


def _by_legacy_names(seen: dict[str, Any], aliases: Aliases) -> dict[str, Any]:
    """With the classes of layers called as in the legacy, where [[restructure]] renamed them."""
    for layer in (layer for layers in seen["models"].values() for layer in layers):
        earlier = {now: name for name, now in aliases.names.get(layer["own"], {}).items()}
        outer, dot, inner = layer["class"].partition(".")
        layer["class"] = f"{earlier.get(outer, outer)}{dot}{inner}"
    return seen


def _chosen(found: Reproduction) -> tuple[Sequence[str], bool]:
    """All workloads of the gates, or another one if it alone records a model; whether any of them records one."""
    gates = list(dict.fromkeys(name for phase in found.phases for name in phase.gate))
    models = [name for name, golden in found.recorded.goldens.items() if _records_a_model(golden)]
    if models and not set(models) & set(gates):
        gates.append(models[0])
    return gates, bool(models)


def _records_a_model(ledger: Ledger) -> bool:
    names = {entry.name for entry in ledger.entries}
    return any(name.endswith(".modes") and f"{name.removesuffix('modes')}tied" in names for name in names)


def _request(found: Reproduction, name: str, *, stripped: bool, constructed: bool) -> Request:
    subject = found.subject
    aliases = found.aliases if stripped else Aliases()
    return Request(
        subject.stripped if stripped else subject.legacy,
        subject.workload(name),
        forbidden=(subject.legacy,) if stripped else (),
        seed=subject.seed,
        observer=OBSERVER,
        observer_options={"package": subject.package, "constructed": constructed, **aliases.to_json()},
    )
