"""The page is one file that holds everything, and nothing of a source can break out of it."""

from __future__ import annotations

import dataclasses
import json
import re
from collections import Counter
from typing import Any

import pytest
from unbloat.html import Judged, Report, page
from unbloat.html.model import NOT_RUN


def data_of(text: str) -> dict[str, Any]:
    [found] = re.findall(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    data: dict[str, Any] = json.loads(found)
    return data


def test_the_page_is_the_same_again(report: Report) -> None:
    assert page(report) == page(report)


def test_the_page_asks_for_nothing(report: Report) -> None:
    text = page(report)
    markup = text.replace(re.search(r'id="data">(.*?)</script>', text, re.DOTALL)[1], "")  # type: ignore[index]
    assert not re.search(r"https?:|//\w+\.|@import|url\(|\bsrc=|fetch\(|XMLHttpRequest|import\(", markup)
    assert "default-src 'none'" in markup
    assert re.findall(r'href="([^"#][^"]*)"', markup) == ["data:,"]


def test_a_source_cannot_end_the_data(report: Report) -> None:
    text = page(report)
    assert text.count("<script") == text.count("</script>") == 2
    assert "</script><script>alert(1)</script><!--" in data_of(text)["legacy"]["pkg/module.py"]["text"]
    titled = dataclasses.replace(report, title="<b>&")
    assert "<title>unbloat: &lt;b&gt;&amp;</title>" in page(titled)


def test_every_line_is_on_the_page(report: Report) -> None:
    data = data_of(page(report))
    for side in ("legacy", "stripped"):
        for file, one in data[side].items():
            lines = one["text"].removesuffix("\n").split("\n") if one["text"] else []
            for name in ("kinds", "links", "causes", "whys", *(["ran"] if side == "legacy" else [])):
                assert len(one[name]) == len(lines), (file, name)
            assert len(one["runs"]) >= len(lines)
            assert all(0 <= group < len(data["groups"]) for group in one["causes"])


def test_links_lead_to_the_line_and_back(report: Report) -> None:
    data = data_of(page(report))

    def links(side: str, file: str, line: int) -> list[tuple[str, int]]:
        found = data[side][file]["links"][line - 1]
        return (
            [] if found == 0 else [(file, found)] if isinstance(found, int) else [(data["names"][at], to) for at, to in found]
        )

    checked: Counter[str] = Counter()
    for file, one in data["legacy"].items():
        for line in range(1, len(one["links"]) + 1):
            for to, there in links("legacy", file, line):
                assert (file, line) in links("stripped", to, there)
                checked[to] += 1
    assert checked["pkg/parts/helper.py"] == 3 and checked["pkg/module.py"] > 5


def test_a_removal_brings_its_evidence(report: Report) -> None:
    data = data_of(page(report))
    module = data["legacy"]["pkg/module.py"]
    line = module["text"].split("\n").index("    extra = 1 if cfg.flag else 2")
    [cause] = [data["removals"][number] for number in data["groups"][module["causes"][line]]]
    name, at, what, evidence, reason, phase, pins = cause
    assert (data["names"][name], at, what, evidence, phase) == ("pkg/module.py", line + 1, "fold decisions", "pinned", "all")
    assert "`cfg.flag` is always false" in reason
    assert data["pins"][pins[0]] == "flag = False"
    assert data["kinds"]["legacy"][int(module["kinds"][line])] == "changed"


def test_tables(report: Report) -> None:
    data = data_of(page(report))
    assert data["phases"]["rows"][0][0] == "all" and data["phases"]["rows"][0][-1] == "identical"
    [golden] = data["goldens"]["rows"]
    assert golden[0] == "workload" and len(golden[2]) == 32 and golden[3:] == ["all", "identical"]
    assert ["1 of 1 phases identical", True] in data["badges"] and ["not challenged", None] in data["badges"]
    assert data["challenge"]["rows"] == [] and "unbloat challenge" in data["challenge"]["note"]


SILENT = Judged("config size: 1 -> 2", (("load", "identical", ""), ("train", "silent", "differs at `loss`")))
LOUD = Judged("config flag: False -> True", (("load", "loud", "workload 'load' raised NotImplementedError"),))


@pytest.mark.parametrize(
    ("challenge", "badge", "verdicts"),
    [
        ((LOUD,), ["0 silent of 1 challenges", True], ["loud"]),
        ((LOUD, SILENT), ["1 silent of 2 challenges", False], ["silent", "loud"]),
    ],
)
def test_a_challenge_shows_the_worst_first(
    challenge: tuple[Judged, ...], badge: list[Any], verdicts: list[str], report: Report
) -> None:
    data = data_of(page(dataclasses.replace(report, challenge=challenge)))
    assert badge in data["badges"]
    assert [row[1] for row in data["challenge"]["rows"]] == verdicts


def test_a_difference_is_a_bad_badge(report: Report) -> None:
    verdict = "workload 'workload' differs at `run`: 1 is 2"
    golden = dataclasses.replace(report.goldens[0], verdict=verdict)
    figures = {**report.figures, "verdicts": {"all": verdict}}
    data = data_of(page(dataclasses.replace(report, goldens=(golden,), figures=figures)))
    assert ["0 of 1 phases identical", False] in data["badges"] and ["0 of 1 workloads identical", False] in data["badges"]
    assert data["goldens"]["rows"][0][-1] == data["phases"]["rows"][0][-1] == verdict


def test_what_was_not_run_is_neither_good_nor_bad(report: Report) -> None:
    later = dataclasses.replace(report.goldens[0], workload="later", phases=("second",), verdict=NOT_RUN)
    badges = data_of(page(dataclasses.replace(report, goldens=(*report.goldens, later))))["badges"]
    assert ["1 of 1 workloads identical", True] in badges
    assert ["1 workloads not run: their phases are open", None] in badges
