"""What is asked of the warm server: each tree is run by itself, under the names that the workload knows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from unbloat.restructure import load_aliases, with_aliases
from unbloat.subject import Subject, Workload
from unbloat.verify.outcome import Request

OBSERVER = "unbloat.diff.observer:traced"


def plain_requests(subject: Subject, workload: Workload, first: Path, second: Path) -> list[Request]:
    """Runs of both trees that record what the workload records."""
    pairs = ((first, second), (second, first))
    return [with_aliases(_request(subject, workload, *pair), _aliases(subject, pair[0])) for pair in pairs]


def traced_requests(
    subject: Subject, workload: Workload, first: Path, second: Path, options: tuple[Mapping[str, Any], Mapping[str, Any]]
) -> list[Request]:
    """The same runs under the observer, with its options for each."""
    pairs = ((first, second), (second, first))
    return [
        replace(
            _request(subject, workload, *pair),
            observer=OBSERVER,
            observer_options={
                "tree": str(pair[0].resolve()),
                "workload": str(workload.file.resolve()),
                "aliases": _aliases(subject, pair[0]).to_json(),
                **chosen,
            },
        )
        for pair, chosen in zip(pairs, options, strict=True)
    ]


def _request(subject: Subject, workload: Workload, tree: Path, other: Path) -> Request:
    """A run may read neither the legacy nor the other tree, unless that holds its own."""
    forbidden = {folder for folder in (subject.legacy, other) if not tree.is_relative_to(folder)}
    return Request(tree, workload, forbidden=tuple(sorted(forbidden)), seed=subject.seed)


def _aliases(subject: Subject, tree: Path) -> Any:
    # A tree keeps what it calls differently beside its package.
    return load_aliases(replace(subject, stripped=tree))
