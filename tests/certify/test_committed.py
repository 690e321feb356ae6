"""The certificate in docs/ is of what is committed beside it."""

from __future__ import annotations

from pathlib import Path

import pytest
from unbloat.certify import load_statement, on_disk
from unbloat.subject import load_subject

ROOT = Path(__file__).parents[2]
CERTIFICATE = ROOT / "docs" / "certificate.json"


@pytest.mark.skipif(not CERTIFICATE.is_file(), reason="the champion is not certified yet")
def test_the_committed_certificate_is_fresh() -> None:
    """Without a run: `python -m nox -s report` writes it anew."""
    certificate = load_statement(CERTIFICATE)
    assert on_disk(load_subject(ROOT / "reproduction" / "strip.toml"), certificate) is None
    assert certificate["predicate"]["result"] == "PASSED"
