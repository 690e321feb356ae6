"""Precision, optimizers, schedules, clipping and seeds: as runs set them up, as code calls them, as the config has them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from unbloat.golden.determinism import SERVER_ENVIRONMENT
from unbloat.integrity.report import Check, Section, Table, compared
from unbloat.integrity.reproduction import Reproduction
from unbloat.integrity.sections.calls import call_check, call_table, calls
from unbloat.integrity.sections.settings import config_leaves, pins
from unbloat.integrity.watched import Watched

KINDS = ("default dtype", "autocast", "optimizer", "scheduler", "clipping", "seeds")
CALL = re.compile(
    r"autocast|gradscaler|set_default_dtype|^\.(half|bfloat16|double|float)$|seed|optim|adam|sgd|scheduler|lr_lambda",
    re.IGNORECASE,
)
LEAF = re.compile(
    r"(^|[._])(precision|dtype|amp|lr|learning_rate|schedul\w*|warmup\w*|clip\w*|gradient_clip\w*|seed|betas?|optimi[sz]er|weight_decay|"
    r"ema\w*|swa\w*|accumulat\w*|batch_size|max_epochs|deterministic|benchmark)([._]|$)"
)


def details(found: Reproduction, watched: Watched | None) -> Section:
    """What a reimplementation gets wrong first."""
    rows = calls(found, lambda name: bool(CALL.search(name)))
    checks = [call_check("calls for precision, optimizers, schedules and seeds in surviving functions: the same", rows)]
    tables = [call_table("Calls for precision, optimizers, schedules and seeds", rows)]
    if watched is not None:
        for kind in KINDS:
            name = f"{kind}: what runs set up is the same, in the same order"
            pairs = list(_events(watched, kind))
            checks.append(Check(name, 0, (), watched.waits_for) if watched.waits_for else compared(name, pairs))
        tables.append(_set_up(watched))
    everything, pinned = config_leaves(found), pins(found)
    leaves = [
        (key, repr(value), "pinned" if key in pinned.values else "free")
        for key, value in everything.items()
        if LEAF.search(key)
    ]
    tables.append(Table("Leaves of the config with such names", ("key", "value", "in the stripped package"), tuple(leaves)))
    settled = ", ".join(f"{name}={value!r}" for name, value in SERVER_ENVIRONMENT.items())
    note = f"Every run starts with seed {found.subject.seed}, one thread, deterministic kernels, and {settled}."
    return Section("Special details", tuple(checks), tuple(tables), (note,))


def _events(watched: Watched, kind: str) -> Iterator[tuple[str, object, object]]:
    for workload, legacy, stripped in watched.both():
        old = legacy["events"].get(kind, [])
        new = [] if stripped is None else stripped["events"].get(kind, [])
        for number in range(max(len(old), len(new))):
            first, second = (shown(one[number]) if number < len(one) else None for one in (old, new))
            yield f"{workload} {kind} {number}", first, second


def _set_up(watched: Watched) -> Table:
    rows = []
    for kind in KINDS:
        for place, old, new in _events(watched, kind):
            rows.append((place, str(old), "–" if new is None else "the same" if old == new else str(new)))
    return Table("What runs set up, each once", ("workload and what", "legacy", "stripped"), tuple(rows))


def shown(event: object) -> str:
    """An event on one line."""
    return event if isinstance(event, str) else json.dumps(event, sort_keys=True).replace('"', "")
