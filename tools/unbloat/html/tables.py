"""The tables and figures of the report's first view, as text."""

from __future__ import annotations

from collections import Counter
from typing import Any

from unbloat.challenge.verdict import Verdict
from unbloat.html.model import NOT_RUN, Judged, Report
from unbloat.report.fate import Fate
from unbloat.report.tables import gone

_ORDER = [str(verdict) for verdict in Verdict]
NO_CHALLENGE = "This tree was not challenged; `unbloat challenge` changes one pin at a time and compares it with the legacy."
CHALLENGED = "One pin changed at a time: the stripped tree follows the legacy, or says that it cannot. Silence is a defect."


def badges(report: Report) -> list[tuple[str, bool | None]]:
    """In short: verdicts, good or bad, and where there is none, that there is none."""
    verdicts: dict[str, str] = report.figures["verdicts"]
    same = sum(verdict == "identical" for verdict in verdicts.values())
    found: list[tuple[str, bool | None]] = [(f"{same} of {len(verdicts)} phases identical", same == len(verdicts))]
    ran = [golden.verdict for golden in report.goldens if golden.verdict != NOT_RUN]
    same = ran.count("identical")
    found.append((f"{same} of {len(ran)} workloads identical", same == len(ran)))
    if len(ran) < len(report.goldens):
        found.append((f"{len(report.goldens) - len(ran)} workloads not run: their phases are open", None))
    undefined = sum(one["undefined"] for one in report.figures["files"])
    found.append((f"{undefined} new undefined names", undefined == 0))
    silent = sum(_worst(one) == Verdict.SILENT for one in report.challenge)
    challenged = (f"{silent} silent of {len(report.challenge)} challenges", silent == 0)
    return [*found, challenged if report.challenge else ("not challenged", None)]


def totals(report: Report) -> list[tuple[str, str, str]]:
    """Name, figure, and what it was or is made of."""
    before, after = (_sum(report, which) for which in ("before", "after"))
    guard: dict[str, int] = report.figures["generated"]
    found = [
        (
            name.capitalize(),
            f"{before[name]:,} → {after[name]:,}",
            f"{gone(before[name], after[name])} gone" + (f"; the guard adds {added:,}" if (added := guard[name]) else ""),
        )
        for name in ("statements", "decisions", "bytes")
    ]
    fates = Counter(line.fate for lines in report.provenance.legacy.values() for line in lines)
    rest = ", ".join(f"{fates[fate]:,} {fate.value}" for fate in Fate if fates[fate])
    left = report.figures["statements"]
    share = f"{100 * left['verbatim'] / left['surviving']:.1f} %" if left["surviving"] else "–"
    inserted = f"{left['wires']} wires, {left['checks']} checks, {left['guard']} of the guard"
    return [
        *found,
        ("Legacy lines", f"{sum(fates.values()):,}", rest),
        ("Verbatim statements", share, f"{left['verbatim']:,} of {left['surviving']:,} that are left"),
        ("Inserted statements", f"{left['wires'] + left['checks'] + left['guard']:,}", inserted),
    ]


def phases(report: Report) -> dict[str, Any]:
    """What each phase was about, and what it took."""
    figures = report.figures
    accepted = Counter(report.provenance.phases)
    rows = []
    for phase in figures["phases"]:
        name = phase["name"]
        took = figures["took"].get(name, {})
        seconds = f"{took['seconds']['all']:,.0f} s" if "all" in took.get("seconds", {}) else "–"
        rows.append(
            [
                name,
                f"{len(phase['files'])}",
                ", ".join(phase["gate"]),
                f"{accepted[name]:,}" if name in figures["verdicts"] else "–",
                f"{took.get('rejected', '–')}",
                f"{took.get('verifications', '–')}",
                seconds,
                figures["verdicts"].get(name, "open"),
            ]
        )
    head = ["Phase", "Files", "Gate", "Removals", "Kept after all", "Verifications", "Took", "Verdict"]
    return {"head": head, "rows": rows, "numbers": [1, 3, 4, 5, 6]}


def goldens(report: Report) -> dict[str, Any]:
    """What the stripped tree was held against."""
    rows = [[one.workload, f"{one.entries:,}", one.digest, ", ".join(one.phases), one.verdict] for one in report.goldens]
    return {"head": ["Workload", "Entries", "Digest", "Gates", "Verdict"], "rows": rows, "numbers": [1]}


def challenge(report: Report) -> dict[str, Any]:
    """Every change with its verdict, the worst first."""
    counts = Counter(map(_worst, report.challenge))
    verdicts = [(f"{counts[name]} {name}", counts[name] == 0 if name == Verdict.SILENT else None) for name in _ORDER]
    rows = [[one.change, _worst(one), "; ".join(_said(one))] for one in report.challenge]
    rows.sort(key=lambda row: (-_ORDER.index(row[1]), row[0]))
    note = CHALLENGED if report.challenge else NO_CHALLENGE
    return {"note": note, "badges": verdicts if rows else [], "head": ["Change", "Verdict", "Workloads"], "rows": rows}


def _worst(one: Judged) -> str:
    return max((verdict for _, verdict, _ in one.judgements), key=_ORDER.index)


def _said(one: Judged) -> list[str]:
    return [f"{workload}: {verdict}{f' ({why})' if why else ''}" for workload, verdict, why in one.judgements]


def _sum(report: Report, which: str) -> Counter[str]:
    found: Counter[str] = Counter()
    for one in report.figures["files"]:
        found.update(one[which])
    return found
