"""The files that hold the data: one per task, the manifest over them, and the table in the README.

Everything is written to a folder that the caller names, so that a check can write elsewhere and compare.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from data.generate.grids import Pair
from data.generate.measure import Statistics, measure
from data.generate.pairs import SEED, generate_pairs
from data.generate.reference import REFERENCES, TASK_IDS, Range, Reference

GENERATOR_VERSION = 1
TABLE_START = "<!-- figures: start, written by `python -m data.generate` -->"
TABLE_END = "<!-- figures: end -->"
TABLE_HEAD = (
    "| task | category | pairs | input h, w | output h, w | mean output cells | same shape | changed | identity |",
    "|---|---|---|---|---|---|---|---|---|",
)


@dataclass(frozen=True)
class Entry:
    """What the manifest says about one task's file."""

    sha256: str
    bytes: int
    category: str
    pairs: int
    statistics: Statistics


def task_path(folder: Path, task_id: str) -> Path:
    """Where a task's file lies below the data folder."""
    return folder / "tasks" / f"{task_id}.json"


def encode_task(pairs: Sequence[Pair]) -> bytes:
    """The task file; there are no test pairs because the splits are made by whoever trains."""
    content = {"train": [pair._asdict() for pair in pairs], "test": []}
    return (json.dumps(content, separators=(",", ":")) + "\n").encode()


def write_atomically(path: Path, content: bytes) -> None:
    """Replace the file in one step, so that an interrupted run leaves the old one whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.unfinished")
    unfinished.write_bytes(content)
    unfinished.replace(path)


def write_task(folder: Path, task_id: str) -> Entry:
    """Generate and write one task's file."""
    pairs = list(generate_pairs(task_id))
    content = encode_task(pairs)
    write_atomically(task_path(folder, task_id), content)
    return Entry(
        sha256=hashlib.sha256(content).hexdigest(),
        bytes=len(content),
        category=REFERENCES[task_id].category,
        pairs=len(pairs),
        statistics=measure(pairs),
    )


def encode_manifest(tasks: Mapping[str, Any]) -> bytes:
    """The manifest, tasks in reference order."""
    content = {
        "seed": SEED,
        "generator_version": GENERATOR_VERSION,
        "tasks": {task_id: tasks[task_id] for task_id in TASK_IDS if task_id in tasks},
    }
    return (json.dumps(content, indent=1) + "\n").encode()


def read_manifest_tasks(folder: Path) -> dict[str, Any]:
    """The manifest's entries as they stand in the file."""
    tasks: dict[str, Any] = json.loads((folder / "manifest.json").read_bytes())["tasks"]
    return tasks


def write_summaries(folder: Path, entries: Mapping[str, Entry], kept: Mapping[str, Any]) -> None:
    """Write the manifest from the new entries and the kept old ones, and renew the README's table from it."""
    fresh = {task_id: json.loads(json.dumps(asdict(entry))) for task_id, entry in entries.items()}
    write_atomically(folder / "manifest.json", encode_manifest({**kept, **fresh}))
    readme = folder / "README.md"
    before, rest = readme.read_text(encoding="utf-8").split(TABLE_START)
    after = rest.split(TABLE_END)[1]
    table = "\n".join([TABLE_START, *TABLE_HEAD, *table_rows(read_manifest_tasks(folder)), TABLE_END])
    write_atomically(readme, (before + table + after).encode())


def table_rows(tasks: Mapping[str, Any]) -> Iterable[str]:
    """One row a task, each cell the generated figure and, where it differs, the reference in brackets."""
    for task_id, entry in tasks.items():
        statistics, reference = entry["statistics"], REFERENCES[task_id]
        cells = (
            task_id,
            entry["category"],
            str(entry["pairs"]),
            sides(statistics, reference, "input"),
            sides(statistics, reference, "output"),
            beside_reference(statistics["mean_output_cells"], reference.mean_output_cells),
            beside_reference(yes_or_no(statistics["same_shape_pairs"] == entry["pairs"]), yes_or_no(reference.same_shape)),
            beside_reference(statistics["mean_changed"], reference.mean_changed),
            beside_reference(statistics["identity_pairs"], reference.identity_pairs),
        )
        yield f"| {' | '.join(cells)} |"


def sides(statistics: Mapping[str, Any], reference: Reference, part: str) -> str:
    """Ranges of height and width of the inputs or the outputs."""
    names = (f"{part}_height", f"{part}_width")
    measured = ", ".join(range_text(statistics[name]) for name in names)
    return beside_reference(measured, ", ".join(range_text(getattr(reference, name)) for name in names))


def range_text(extent: Range) -> str:
    """A range as the table shows it."""
    low, high = extent
    return f"{low}-{high}"


def yes_or_no(value: bool) -> str:
    """A property of all pairs as the table shows it."""
    return "yes" if value else "no"


def beside_reference(measured: object, reference: object) -> str:
    """The figure alone if it equals the reference, both if not, a dash where neither is defined."""
    if measured is None:
        return "-"
    return str(measured) if measured == reference else f"{measured} ({reference})"
