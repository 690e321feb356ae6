"""Ledgers on disk: JSON with one entry a line, so that a diff of two goldens reads well."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from unbloat.atomic import replace_text
from unbloat.errors import WorkloadError
from unbloat.golden.ledger import Ledger


def save(ledger: Ledger, file: Path, environment: Mapping[str, str] | None = None) -> None:
    """Atomic: a killed run leaves the old golden or the new one, never half of one.

    `environment` is for a golden that leaves this machine: there it decides how the golden is compared.
    """
    entries = ",\n".join(json.dumps(entry.to_json(), sort_keys=True) for entry in ledger.entries)
    recorded_in = json.dumps(dict(environment or {}), sort_keys=True)
    text = f'{{"entries": [\n{entries}\n], "environment": {recorded_in}, "workload": {json.dumps(ledger.workload)}}}\n'
    replace_text(file, text)


def load(file: Path) -> Ledger:
    """Says which file is not a golden instead of failing somewhere inside JSON."""
    return load_with_environment(file)[0]


def load_with_environment(file: Path) -> tuple[Ledger, dict[str, str]]:
    """The golden and what it was recorded in; nothing is known of one that was saved without."""
    try:
        fields = json.loads(file.read_text())
        return Ledger.from_json(fields), dict(fields.get("environment", {}))
    except FileNotFoundError as error:
        raise WorkloadError(f"there is no golden at {file}; record it first") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:  # not JSON, or not of this shape
        raise WorkloadError(f"{file} is not a golden ({error!r}); record it again") from error
