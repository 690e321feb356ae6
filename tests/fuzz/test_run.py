"""The long run: what was found before an interruption counts, and anything silent or broken fails it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.fuzz.run import digest, main
from tests.fuzz.trial import Trial

FINE = Trial(0, verdicts={"identical": 3, "loud": 2}, accepted={"simplify": 1})

# (what was found, the exit code, what is printed)
FOUND = [
    (FINE, 0, '"uses": 5'),
    (Trial(0, usable=False), 0, '"unusable": 1'),
    (Trial(0, verdicts={"identical": 1, "silent": 1}, silent="def run"), 1, "\nseed 0:\ndef run\n"),
    (Trial(0, crash="KeyError: 3"), 1, "\nseed 0:\nKeyError: 3\n"),
]


def run(folder: Path, programs: int) -> int:
    return main(["--programs", str(programs), "--workers", "1", "--state", str(folder), "--out", str(folder / "found.json")])


def state(folder: Path) -> Path:
    return folder / f"{digest()}.jsonl"


@pytest.mark.parametrize(("found", "code", "printed"), FOUND)
def test_what_was_found_decides(
    found: Trial, code: int, printed: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state(tmp_path).write_text(json.dumps(found.to_json()) + "\n")
    assert run(tmp_path, 1) == code
    assert printed in capsys.readouterr().out
    assert json.loads((tmp_path / "found.json").read_text())["crashes"] == bool(found.crash)


def test_an_interrupted_run_goes_on_where_it_was(tmp_path: Path) -> None:
    state(tmp_path).write_text(json.dumps(FINE.to_json()) + "\n" + '{"seed": 1, "verd')
    assert run(tmp_path, 2) == 0
    known = [json.loads(line)["seed"] for line in state(tmp_path).read_text().splitlines() if line.endswith("}")]
    assert known == [0, 1]
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["programs"] == 2 and found["verdicts"]["silent"] == 0
    assert found["uses"] > 50 and found["accepted"]["trip unseen code"] > 1
    before = state(tmp_path).read_text()
    assert run(tmp_path, 2) == 0
    assert state(tmp_path).read_text() == before
