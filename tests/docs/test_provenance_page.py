"""The page about provenance knows every fate and origin that there is."""

from __future__ import annotations

import re
from pathlib import Path

from unbloat.report.fate import Fate
from unbloat.report.provenance import Origin

PAGE = (Path(__file__).parents[2] / "docs" / "provenance.md").read_text(encoding="utf-8")


def test_every_fate_and_origin_is_described() -> None:
    fates, origins = PAGE.split("## Origins")
    assert re.findall(r"^\| `(\w+)` \|", fates, re.M) == [fate.value for fate in Fate]
    assert re.findall(r"^\| `(\w+)` \|", origins, re.M) == [origin.value for origin in Origin]
