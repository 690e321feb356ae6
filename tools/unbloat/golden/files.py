"""What a run wrote, without what differs between two runs of the same code."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

from unbloat.golden.leaf import Publish


def content(file: Path, publish: Publish) -> bytes:
    """Bytes with the working folder's own name taken out.

    A checkpoint is a zip archive, and its checksums cover that name too. So an archive is read member by member, and
    the member in which torch keeps a checksum of all others is left out.
    """
    raw = file.read_bytes()
    if not zipfile.is_zipfile(io.BytesIO(raw)):
        return _published(raw, publish)
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        members = [name for name in archive.namelist() if not name.endswith(".data/serialization_id")]
        return b"".join(name.encode() + b"\0" + _published(archive.read(name), publish) for name in members)


def _published(raw: bytes, publish: Publish) -> bytes:
    # Latin-1 maps every byte to one character and back, so nothing but the replaced names can change.
    return publish(raw.decode("latin-1")).encode("latin-1")
