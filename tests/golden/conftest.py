"""The champion, its warm server, and the trees that one suite is run against."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from unbloat.phases import Recording, recording
from unbloat.subject import Subject, load_subject

REPRODUCTION = Path(__file__).parents[2] / "reproduction"


@pytest.fixture(scope="session")
def champion() -> Subject:
    return load_subject(REPRODUCTION / "strip.toml")


@pytest.fixture(scope="session")
def recorded(champion: Subject) -> Iterator[Recording]:
    """The legacy's goldens and evidence, recorded on this machine."""
    with recording(champion, lambda line: None) as found:
        yield found
