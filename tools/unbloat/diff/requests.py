"""What is asked of the warm server: each tree is run by itself, under the names that the workload knows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from unbloat.restructure import Aliases, load_aliases, with_aliases
from unbloat.subject import Subject, Workload
from unbloat.verify.outcome import Request

OBSERVER = "unbloat.trace.observer:traced"
PATIENCE = 5
"""How much longer a run may take that is watched."""


@dataclass(frozen=True)
class Trees:
    """One workload of a subject, and the two trees that it is run on; their paths are resolved."""

    subject: Subject
    workload: Workload
    first: Path
    second: Path

    def plain(self) -> list[Request]:
        """Both run as they are."""
        return [with_aliases(self._request(tree), self._aliases(tree)) for tree in (self.first, self.second)]

    def traced(self, files: Sequence[Path], numbers: Sequence[int | None] = (None, None)) -> list[Request]:
        """Both run under the observer; with numbers it keeps the values of one step each, else the digests of all."""
        patient = replace(self.workload, limit=self.workload.limit * PATIENCE)
        return [
            replace(
                self._request(tree),
                workload=patient,
                observer=OBSERVER,
                observer_options=self._options(tree, file, number),
            )
            for tree, file, number in zip((self.first, self.second), files, numbers, strict=True)
        ]

    def _options(self, tree: Path, file: Path, number: int | None) -> dict[str, Any]:
        return {
            "tree": str(tree),
            "workload": str(self.workload.file.resolve()),
            "aliases": self._aliases(tree).to_json(),
            "file": str(file),
            "number": number,
        }

    def _request(self, tree: Path) -> Request:
        """A run reads neither the legacy nor the other tree, unless it lies in them."""
        others = {self.subject.legacy, self.first, self.second}
        forbidden = sorted(folder for folder in others if not tree.is_relative_to(folder))
        return Request(tree, self.workload, forbidden=tuple(forbidden), seed=self.subject.seed)

    def _aliases(self, tree: Path) -> Aliases:
        # A tree keeps what it calls differently beside its package.
        return load_aliases(replace(self.subject, stripped=tree))
