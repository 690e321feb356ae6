"""One file: the page, its style and script, and the data."""

from __future__ import annotations

import html
import json
import re
from importlib.resources import files

from unbloat.html.data import page_data
from unbloat.html.model import Report

_SCRIPTS = ("base.js", "source.js", "overview.js", "search.js", "main.js")
"""In the order in which they build on each other."""


def page(report: Report) -> str:
    """The whole report; it asks the network for nothing."""
    data = page_data(report)
    parts = {
        "title": html.escape(data["title"]),
        "style": _asset("style.css"),
        "script": "\n".join(map(_asset, _SCRIPTS)),
        # A source may hold `</script>` or `<!--`, which would end the data or begin something else.
        "data": json.dumps(data, separators=(",", ":")).replace("<", "\\u003c"),
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found.group(1)], _asset("page.html"))


def _asset(name: str) -> str:
    return files("unbloat.html").joinpath("assets", name).read_text(encoding="utf-8")
