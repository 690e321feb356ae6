"""In what all of it was recorded, and from what."""

from __future__ import annotations

from importlib.metadata import version

from unbloat.certify.digests import ROLE, materials
from unbloat.certify.statement import digest_of
from unbloat.integrity.report import Section, Table
from unbloat.integrity.reproduction import Reproduction


def versions(found: Reproduction) -> Section:
    """Versions and digests; the certificate has every file by itself."""
    environment = found.recorded.server.environment
    rows = [("unbloat", version("unbloat")), *sorted(environment.items())]
    tables = [Table("Environment of the recording, in which every check above ran", ("what", "version"), tuple(rows))]
    by_role: dict[str, dict[str, str]] = {}
    for one in materials(found.subject):
        by_role.setdefault(str(one.annotations[ROLE]), {})[one.name] = one.sha256
    by_role["stripped"] = {file: digest_of(text) for file, text in found.stripped.items()}
    shown = [
        (role, str(len(files)), next(iter(files.values())) if len(files) == 1 else digest_of(files))
        for role, files in by_role.items()
    ]
    text = "Digests: the sha256 of a single file, or of all names and digests of several"
    tables.append(Table(text, ("role", "files", "sha256"), tuple(shown)))
    return Section("Versions", tables=tuple(tables))
