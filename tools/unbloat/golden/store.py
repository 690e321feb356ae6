"""Ledgers on disk: JSON with one entry a line, so that a diff of two goldens reads well."""

from __future__ import annotations

import json
from pathlib import Path

from unbloat.errors import WorkloadError
from unbloat.golden.ledger import Ledger


def save(ledger: Ledger, file: Path) -> None:
    """Atomic: a killed run leaves the old golden or the new one, never half of one."""
    entries = ",\n".join(json.dumps(entry.to_json(), sort_keys=True) for entry in ledger.entries)
    text = f'{{"entries": [\n{entries}\n], "workload": {json.dumps(ledger.workload)}}}\n'
    file.parent.mkdir(parents=True, exist_ok=True)
    # Of a fixed name, so that what a killed run left behind is overwritten by the next.
    draft = file.with_name(f".{file.name}.part")
    draft.write_text(text)
    draft.replace(file)


def load(file: Path) -> Ledger:
    """Says which file is not a golden instead of failing somewhere inside JSON."""
    try:
        return Ledger.from_json(json.loads(file.read_text()))
    except FileNotFoundError as error:
        raise WorkloadError(f"there is no golden at {file}; record it first") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:  # not JSON, or not of this shape
        raise WorkloadError(f"{file} is not a golden ({error!r}); record it again") from error
