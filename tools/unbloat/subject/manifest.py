"""The legacy is received, never edited: its files are pinned by their hashes."""

from __future__ import annotations

import hashlib
from pathlib import Path

from unbloat.errors import SubjectError
from unbloat.subject.model import Subject


def check_manifest(subject: Subject) -> None:
    """Compare the legacy's files with the manifest, if the subject has one.

    Raises:
        SubjectError: a file was changed, added or removed.
    """
    if subject.manifest is None:
        return
    pinned = read_manifest(subject.manifest)
    present = digests(subject)
    for file in sorted(pinned.keys() | present.keys()):
        if file not in present:
            raise SubjectError(f"{subject.legacy / file}: listed in {subject.manifest.name} but missing; restore it")
        if file not in pinned:
            raise SubjectError(f"{subject.legacy / file}: not listed in {subject.manifest.name}; the legacy is never edited")
        if pinned[file] != present[file]:
            raise SubjectError(
                f"{subject.legacy / file}: differs from {subject.manifest.name}; the legacy is never edited, restore it"
            )


def read_manifest(path: Path) -> dict[str, str]:
    """Lines `<sha256>  <path>`, as sha256sum writes them."""
    entries = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        digest, gap, file = line.partition("  ")
        if len(digest) != 64 or not gap or not file:
            raise SubjectError(f"{path}:{number}: not `<sha256>  <path>`")
        entries[file] = digest
    return entries


def digests(subject: Subject) -> dict[str, str]:
    """The sha256 of every module of the legacy package."""
    return {file: hashlib.sha256((subject.legacy / file).read_bytes()).hexdigest() for file in subject.sources()}
