"""A plan is printed and written, and nothing else happens; what a user vetoes stays, now and in `strip`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from unbloat.plan.removal import Removal
from unbloat.subject import Subject


def lines(out: str) -> list[str]:
    return [re.sub(r"^ *[\d.]+ s  ", "", line) for line in out.splitlines()]


def plan(unbloat: Callable[..., Any], subject: Subject, *arguments: str) -> list[dict[str, Any]]:
    file = subject.root / "out" / "plan.json"
    assert unbloat("plan", subject.root, "--json", str(file), *arguments).code == 0
    found: list[dict[str, Any]] = json.loads(file.read_text())
    return found


def test_every_entry_is_told_with_its_place_pass_evidence_and_reason(tiny: Subject, unbloat: Callable[..., Any]) -> None:
    said = lines(unbloat("plan", tiny.root).out)
    for line in (
        "pkg/module.py:15  fold decisions [pinned] `cfg.flag` is always false (flag = False, the config: mapping)",
        "pkg/module.py:22  flatten try [handler] the handler for Exception never fired; its `try` ran in workload",
        "pkg/module.py:24  drop logging [engineering] `logger.info` only logs",
        "pkg/module.py:8  drop unused definitions [unreferenced] nothing that is kept refers to function `unused`",
        "pkg/module.py:1  drop unused imports [unreferenced] nothing that is kept reads `logging`",
        "pkg/module.py:16  trip unseen code [unseen] `cfg.flag` was always false",
        "pkg/module.py:27  trip unseen code [unseen] `len(values) > 9` was always false",
        "pkg/module.py:26  compact wires [unseen] `len(values) > 9` was always false, and data decides",
    ):
        assert line in said


def test_nothing_is_written_but_the_plan_and_the_state(
    tiny: Subject, unbloat: Callable[..., Any], contents: Callable[[Path], Any]
) -> None:
    before = contents(tiny.root)
    plan(unbloat, tiny)
    after = contents(tiny.root)
    assert {file: after.get(file) for file in before} == before
    new = {Path(file).relative_to(tiny.root).parts[0] for file in after.keys() - before.keys()}
    assert new == {".unbloat", "out"}
    assert not list(tiny.state.glob("*.journal.jsonl"))


def test_the_json_is_the_plan(tiny: Subject, unbloat: Callable[..., Any]) -> None:
    entries = plan(unbloat, tiny)
    assert {entry["fate"] for entry in entries} == {"remove"} and {entry["phase"] for entry in entries} == {"all"}
    for entry in entries:
        removal = Removal.from_json(entry)
        assert removal.to_json().items() <= entry.items()
        assert Removal.from_json(removal.to_json()) == removal
    assert plan(unbloat, tiny, "--phase", "all") == entries


def test_strip_does_what_the_plan_says(tiny: Subject, unbloat: Callable[..., Any]) -> None:
    planned = [Removal.from_json(entry) for entry in plan(unbloat, tiny)]
    assert unbloat("strip", tiny.root).code == 0
    journal = (tiny.state / "all.journal.jsonl").read_text().splitlines()
    events = [json.loads(line) for line in journal]
    stripped = [Removal.from_json(one) for event in events if event["event"] == "accepted" for one in event["removals"]]
    assert stripped == planned


def veto(subject: Subject, *places: str) -> None:
    tables = "".join(f'\n[[veto]]\nat = "{place}"\nreason = "wanted at {place}"\n' for place in places)
    with (subject.root / "strip.toml").open("a") as file:
        file.write(tables)


# (vetoed line, what must be left); a vetoed `if` stays, though what it never ran is wired
VETOES = [
    (15, ["if cfg.flag:", 'raise NotImplementedError("stripped: pkg/module.py:16-19")']),
    (16, ["if cfg.flag:", "total += 5", "total += 6"]),
    (19, ["if cfg.flag:", "total += 5", "total += 6"]),
    (22, ["try:", "except Exception:", "total = 1"]),
    (23, ["try:", "except Exception:", "total = 1"]),
    (24, ["logger.info("]),
    (27, ["values = values[:9]", "values = sorted(values)"]),
    (28, ["values = values[:9]", "values = sorted(values)"]),
    (29, ['if cfg.mode == "fast":', "else:", 'raise NotImplementedError("stripped: pkg/module.py:32")']),
    (32, ['if cfg.mode == "fast":', "else:", "total += 2"]),
    (5, ["LIMIT = 4"]),
    (9, ["def unused(x):", "return x"]),
    (1, ["import logging"]),
    (3, ["import logging", "logger = logging.getLogger(__name__)"]),
]


@pytest.mark.parametrize(("line", "left"), VETOES)
def test_a_vetoed_line_stays(line: int, left: list[str], tiny: Subject, unbloat: Callable[..., Any]) -> None:
    veto(tiny, f"pkg/module.py:{line}")
    said = unbloat("strip", tiny.root)
    assert said.code == 0
    assert any(one.startswith("vetoed pkg/") and one.endswith(f": wanted at pkg/module.py:{line}") for one in lines(said.out))
    stripped = [text.strip() for text in (tiny.stripped / "pkg" / "module.py").read_text().splitlines()]
    for text in left:
        assert any(one.startswith(text) for one in stripped), text
    assert len(stripped) < len((tiny.legacy / "pkg" / "module.py").read_text().splitlines()), "the rest still goes"


def test_a_veto_is_in_the_plan(tiny: Subject, unbloat: Callable[..., Any]) -> None:
    veto(tiny, "pkg/module.py:16")
    entries = plan(unbloat, tiny)
    vetoed = [entry for entry in entries if entry["fate"] == "veto"]
    assert [(entry["pass"], entry["place"][0]) for entry in vetoed] == [("trip unseen code", 16), ("fold decisions", 15)]
    assert {entry["because"] for entry in vetoed} == {"wanted at pkg/module.py:16"}
    said = lines(unbloat("plan", tiny.root).out)
    for line in (15, 16):
        assert f"pkg/module.py:{line}  veto: wanted at pkg/module.py:16" in said
    assert len([entry for entry in entries if entry["fate"] == "remove"]) >= 7


def test_a_vetoed_file_stays_as_it_is(make_subject: Callable[..., Subject], unbloat: Callable[..., Any]) -> None:
    other = "def used():\n    return 1\n\n\ndef unused():\n    return 2\n"
    module = "from pkg.other import used\n\n\ndef unused():\n    return 2\n\n\ndef run(cfg):\n    return used()\n"
    subject = make_subject(module, others={"other.py": other})
    veto(subject, "pkg/other.py")
    assert unbloat("strip", subject.root).code == 0
    assert (subject.stripped / "pkg" / "other.py").read_text() == other
    assert "unused" not in (subject.stripped / "pkg" / "module.py").read_text()
    said = unbloat("explain", subject.root, "other.py:5").out.splitlines()
    assert "fate: kept" in said and "veto: wanted at pkg/other.py" in said
