"""What the documentation says is what the project does."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from unbloat.cli import main
from unbloat.subject.load import _PHASE, _TABLES

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
STRIP_TOML = (ROOT / "docs" / "strip-toml.md").read_text()
TOP_LEVEL = {
    "CHANGELOG.md",
    "LICENSE",
    "README.md",
    "data",
    "docs",
    "noxfile.py",
    "pyproject.toml",
    "reproduction",
    "tests",
    "tools",
    "weights",
}


def test_generated_parts_are_fresh() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "docs" / "generate.py", "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("session", sorted(set(re.findall(r"nox -s ([\w-]+)", README))))
def test_sessions_of_the_readme_exist(session: str) -> None:
    noxfile = (ROOT / "noxfile.py").read_text()
    names = set(re.findall(r"^def (\w+)\(session", noxfile, re.M)) | set(re.findall(r'name="([\w-]+)"', noxfile))
    assert session in names


def test_phases_of_the_readme_are_those_of_the_champion() -> None:
    subject = tomllib.loads((ROOT / "reproduction" / "strip.toml").read_text())
    table = README.partition("| phase | strips | gate |")[2].partition("\n\n")[0]
    assert re.findall(r"^\| `(\w+)`", table, re.M) == list(subject["phases"])
    noxfile = (ROOT / "noxfile.py").read_text()
    assert re.findall(r'name="strip-(\w+)"', noxfile) == list(subject["phases"])
    for other in sorted((ROOT / "reproduction").glob("strip_*.toml")):
        assert list(tomllib.loads(other.read_text())["phases"]) == list(subject["phases"]), other.name


@pytest.mark.parametrize("command", sorted(set(re.findall(r"^\| `unbloat (\w+)", README, re.M))))
def test_commands_of_the_readme_exist(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    for option in re.findall(rf"`unbloat {command}[^|]*\|[^|]*`(--\w+)", README):
        assert option in capsys.readouterr().out


@pytest.mark.parametrize("table", sorted(_TABLES))
def test_every_key_of_strip_toml_is_documented(table: str) -> None:
    heading = {"phases": "[phases.NAME]", "veto": "[[veto]]", "restructure": "[[restructure]]"}.get(table, f"[{table}]")
    section = STRIP_TOML.partition(f"## `{heading}`")[2].partition("\n## ")[0]
    documented = set(re.findall(r"^\| `(\w+)`", section, re.M))
    assert documented == set(_PHASE if table == "phases" else _TABLES[table])


def test_strip_toml_of_the_readme_is_valid_toml() -> None:
    blocks = re.findall(r"```toml\n(.*?)```", README, re.S)
    assert [set(tomllib.loads(re.sub(r"^ {3}", "", block, flags=re.M))) for block in blocks] == [
        {"subject", "config", "golden", "phases"},
        {"veto"},
    ]


def test_top_level_is_exactly_this() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")
    found = {line.partition("/")[0] for line in listed if line}
    assert {name for name in found if not name.startswith(".")} == TOP_LEVEL


def test_python_versions_agree() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["requires-python"] == ">=3.11,<3.14"
    assert "Python 3.11, 3.12 or 3.13" in README
