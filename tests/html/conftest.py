"""One report for all tests of the page."""

from __future__ import annotations

import pytest
from unbloat.html import Report

from tests.reported import make_report


@pytest.fixture(scope="session")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    return make_report(tmp_path_factory.mktemp("report"))
