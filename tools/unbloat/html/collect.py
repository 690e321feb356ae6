"""Put together what the report shows, from recordings, journals and trees; nothing is run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from unbloat.finished import Finished, provenance
from unbloat.html.model import NOT_RUN, Golden, Judged, Report
from unbloat.phases import Recording
from unbloat.plan.removal import Removal
from unbloat.report.explain import pins_of
from unbloat.report.status import rejected
from unbloat.strip import tree_digest
from unbloat.verify.journal import read_journal
from unbloat.verify.trees import read_tree


def collect(
    recorded: Recording,
    done: Mapping[str, Sequence[Removal]],
    state: Finished,
    verdicts: Mapping[str, str],
    figures: Mapping[str, Any],
) -> Report:
    """The report of the phases in `done` (accepted removals by phase); `figures` are those that `gather` found."""
    subject, facts = recorded.subject, recorded.facts
    traced = provenance(subject, done, state)
    return Report(
        title=subject.installed or subject.package,
        provenance=traced,
        legacy={file: (subject.legacy / file).read_bytes().decode("utf-8") for file in subject.sources()},
        stripped={file: state.tree.files[file].decode("utf-8") for file in traced.stripped},
        executed=facts.lines,
        pins=tuple(tuple(pins_of(removal, facts)) for removal in traced.removals),
        rejected=tuple(one for phase in subject.phases if phase.name in done for one in rejected(subject, phase)),
        goldens=tuple(_goldens(recorded, verdicts)),
        challenge=tuple(_challenge(recorded)),
        figures=figures,
    )


def _goldens(recorded: Recording, verdicts: Mapping[str, str]) -> Iterator[Golden]:
    for name, ledger in recorded.goldens.items():
        gated = tuple(phase.name for phase in recorded.subject.phases if name in phase.gate)
        found = [verdicts[phase] for phase in gated if phase in verdicts]
        differing = [verdict for verdict in found if f"workload '{name}'" in verdict]
        if differing:
            verdict = differing[0]
        elif not found:
            verdict = NOT_RUN
        else:
            verdict = "identical" if all(one == "identical" for one in found) else "see the phase"
        yield Golden(name, len(ledger.entries), ledger.digest(), gated, verdict)


def _challenge(recorded: Recording) -> Iterator[Judged]:
    """What the last challenge of this very tree has judged; nothing if there was none."""
    subject = recorded.subject
    files = read_tree(subject.stripped / subject.package)
    digest = tree_digest({f"{subject.package}/{name}": content for name, content in files.items()})
    events = read_journal(subject.state / "challenge.journal.jsonl")
    if not events or events[0].get("key") != f"{recorded.key}/challenge/{digest}":
        return
    judged: dict[str, list[tuple[str, str, str]]] = {}
    for event in events:
        if event["event"] == "judged":
            one = event["judgement"]
            why = one["why"] or one["stripped_error"] or one["legacy_error"] or ""
            judged.setdefault(event["change"], []).append((one["workload"], one["verdict"], why))
    yield from (Judged(change, tuple(judgements)) for change, judgements in judged.items())
