"""The tests of a certificate: each gate's workloads on the legacy and on the stripped tree, now and here."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from unbloat.certify.digests import ROLE
from unbloat.certify.statement import Resource, Tests
from unbloat.errors import VerificationError
from unbloat.golden.compare import compare
from unbloat.golden.ledger import Ledger
from unbloat.phases import journal_path
from unbloat.record import Say
from unbloat.restructure import load_aliases, with_aliases
from unbloat.strip import tree_digest
from unbloat.subject import Phase, Subject
from unbloat.verify.journal import read_journal
from unbloat.verify.outcome import Failed, Request
from unbloat.verify.server import Server
from unbloat.verify.trees import read_tree


@dataclass(frozen=True)
class Comparison:
    """A workload on both trees: the legacy's ledger, and the first difference, if any."""

    golden: Ledger
    difference: str | None


def compare_gates(subject: Subject, phases: tuple[Phase, ...], server: Server, say: Say) -> dict[str, Comparison]:
    """Nothing that was recorded before is used: both trees run here, in processes where only the one can be imported.

    Raises:
        VerificationError: a workload fails on the legacy.
    """
    aliases = load_aliases(subject)
    found: dict[str, Comparison] = {}
    for name in dict.fromkeys(name for phase in phases for name in phase.gate):
        legacy = Request(subject.legacy, subject.workload(name), seed=subject.seed)
        plain = Request(subject.stripped, subject.workload(name), forbidden=(subject.legacy,), seed=subject.seed)
        golden, run = server.run_many([legacy, with_aliases(plain, aliases)])
        if isinstance(golden, Failed):
            raise VerificationError(f"the legacy fails: {golden.reason}")
        if isinstance(run, Failed):
            difference: str | None = run.reason
        else:
            divergence = compare(golden.ledger, run.ledger)
            difference = None if divergence is None else f"differs at `{divergence.entry}`: {divergence.what}"
        say(f"{name}: {difference or 'identical'}")
        found[name] = Comparison(golden.ledger, difference)
    return found


def goldens(found: Mapping[str, Comparison]) -> list[Resource]:
    """The ledgers of the legacy; the sha256 is of what the ledger's own digest is of."""
    return [
        Resource(
            f"golden/{name}",
            hashlib.sha256("\n".join(_identities(one.golden)).encode()).hexdigest(),
            {ROLE: "golden", "entries": len(one.golden.entries), "ledger": f"xxh3-128:{one.golden.digest()}"},
        )
        for name, one in found.items()
    ]


def _identities(ledger: Ledger) -> list[str]:
    return [f"{one.name}|{one.kind}|{one.dtype}|{one.shape}|{one.digest}" for one in ledger.entries]


def ended(subject: Subject, phases: tuple[Phase, ...], found: Mapping[str, Comparison], *, planned: bool) -> Tests:
    """Each phase's workloads; those of open phases did not run. `tree`: the tree is what the plan leaves, if that is here."""
    outcomes = {"tree": _is_planned(subject, phases[-1])} if planned else {}
    outcomes |= {f"{phase.name}/{name}": found[name].difference is None for phase in phases for name in phase.gate}
    waiting = [f"{phase.name}/{name}" for phase in subject.phases[len(phases) :] for name in phase.gate]
    return Tests(
        passed=tuple(name for name, holds in outcomes.items() if holds),
        warned=tuple(waiting),
        failed=tuple(name for name, holds in outcomes.items() if not holds),
    )


def _is_planned(subject: Subject, last: Phase) -> bool:
    """Whether the stripped tree is, to the last byte, what the last phase has put in place."""
    files = read_tree(subject.stripped / subject.package)
    digest = tree_digest({f"{subject.package}/{name}": content for name, content in files.items()})
    return bool(read_journal(journal_path(subject, last))[-1]["digest"] == digest)
