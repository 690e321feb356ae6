"""`pytest --unbloat strip.toml` in somebody's project: each test is a pytest of its own, as a user would start it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from unbloat.subject import Subject

ROOT = Path(__file__).parents[2]
MODULE = """
def run(cfg, more=0):
    return cfg.size + more


def halves(count):
    return [number / 2 for number in range(count)]
"""
WORKLOADS = """
from omegaconf import OmegaConf


def infer(golden):
    from pkg.module import run

    golden.record("answer", run(OmegaConf.create({"size": 3})))


def train(golden):
    from pkg.module import halves

    golden.record("losses", halves(3))


def train_float64(golden):
    train(golden)


def left_out(golden):
    pass
"""
PHASES = """
[phases.first]
files = ["pkg/module.py"]
gate = ["infer"]

[phases.second]
files = ["pkg/module.py"]
gate = ["infer", "train"]
"""
TESTS = ["unbloat::goldens", "unbloat::first::infer", "unbloat::second::infer", "unbloat::second::train"]

Pytest = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def project(make_subject: Callable[..., Subject]) -> Subject:
    """A stripped package with two phases, and a test of the user's own."""
    subject = make_subject(MODULE, workload=WORKLOADS, strip=lambda text: text.partition("[phases.all]")[0] + PHASES)
    shutil.copytree(subject.legacy, subject.stripped)
    (subject.root / "test_own.py").write_text("def test_own():\n    pass\n")
    return subject


@pytest.fixture
def run_pytest(project: Subject) -> Pytest:
    """In the project's folder; plugins are named, so that it does not matter how this tool was installed."""

    def run(*arguments: str, with_xdist: bool = False) -> subprocess.CompletedProcess[str]:
        plugins = ["-p", "unbloat.pytest_plugin", *(["-p", "xdist.plugin"] if with_xdist else [])]
        return subprocess.run(
            [sys.executable, "-m", "pytest", *plugins, "-p", "no:cacheprovider", "--strict-markers", *arguments],
            cwd=project.root,
            env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": ""},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shelf") / "goldens"


@pytest.fixture
def accepted(project: Subject, run_pytest: Pytest, shelf: Path) -> Path:
    """The folder of goldens after they were recorded, which happens once for all projects: they are alike."""
    goldens = project.root / "goldens"
    if not shelf.exists():
        done = run_pytest("--unbloat", "strip.toml", "--unbloat-accept", "first\nrecording")
        assert done.returncode == 0, done.stdout
        shutil.copytree(goldens, shelf)
    else:
        shutil.copytree(shelf, goldens)
    return goldens


def outcomes(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    """The verdict on each test, from the lines of `pytest -v`."""
    return dict(re.findall(r"^(\S+::\S+) (PASSED|FAILED|ERROR)", done.stdout, re.M))


def edit(file: Path, old: str, new: str) -> None:
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))


def test_an_identical_tree_passes_beside_the_users_tests(run_pytest: Pytest, accepted: Path) -> None:
    done = run_pytest("-v", "--unbloat", "strip.toml")
    assert outcomes(done) == {"test_own.py::test_own": "PASSED", **dict.fromkeys(TESTS, "PASSED")}
    assert f"collected {1 + len(TESTS)} items" in done.stdout
    assert done.returncode == 0
    only = run_pytest("-v", "--unbloat", "strip.toml", "-k", "unbloat and second and infer")
    assert outcomes(only) == {"unbloat::second::infer": "PASSED"}


def test_goldens_are_recorded_with_their_reason(project: Subject, accepted: Path) -> None:
    """Of a workload with a variant in double precision that variant is committed."""
    assert sorted(file.name for file in accepted.iterdir()) == ["LOG.md", "infer.json", "train_float64.json"]
    log = (accepted / "LOG.md").read_text()
    assert re.fullmatch(r"- `infer`: [0-9a-f]{32}: first recording\n- `train_float64`: [0-9a-f]{32}: first recording\n", log)


# (what is changed in the stripped module, what the failed tests say)
DIFFERENCES = [
    (
        "cfg.size + more",
        "cfg.size + more + 1",
        [
            "workload 'infer' of phase 'first' differs on stripped",
            "  entry    answer",
            "  what     3 != 4",
            "  golden   goldens/infer.json, recorded in the same environment: every bit is equal",
            "  more     unbloat diff --subject strip.toml legacy stripped --workload infer",
        ],
    ),
    (
        "cfg.size + more",
        "cfg.size + more + print('printed') + nothing",
        [
            "workload 'infer' of phase 'first' fails on stripped",
            "  workload 'infer' raised TypeError: unsupported operand type(s) for +: 'int' and 'NoneType' at pkg/module.py:2",
            "    printed",
        ],
    ),
    (
        "cfg.size + more",
        "open({legacy!r}).read()",
        ["  workload 'infer' raised ForbiddenAccess: this run may not read {legacy}: only the tree under test counts"],
    ),
]


@pytest.mark.parametrize(("old", "new", "said"), DIFFERENCES)
def test_a_differing_tree_fails_readably(
    old: str, new: str, said: list[str], project: Subject, run_pytest: Pytest, accepted: Path
) -> None:
    legacy = str(project.legacy / "pkg" / "module.py")
    edit(project.stripped / "pkg" / "module.py", old, new.format(legacy=legacy))
    done = run_pytest("-v", "--unbloat", "strip.toml")
    assert done.returncode == 1
    failed = {name for name, verdict in outcomes(done).items() if verdict == "FAILED"}
    assert failed == {"unbloat::first::infer", "unbloat::second::infer"}
    for line in said:
        assert any(shown.startswith(line.format(legacy=legacy)) for shown in done.stdout.splitlines()), done.stdout
    # A traceback begins with the user's own code.
    assert "_pytest/" not in done.stdout and "pytest_plugin/" not in done.stdout and "run.py" not in done.stdout


def test_goldens_that_are_missing_unused_or_damaged_fail(project: Subject, run_pytest: Pytest, accepted: Path) -> None:
    log = (accepted / "LOG.md").read_text()
    (accepted / "infer.json").rename(accepted / "left_out.json")
    (accepted / "train_float64.json").write_text("{}")
    done = run_pytest("-v", "--unbloat", "strip.toml")
    assert {name: verdict for name, verdict in outcomes(done).items() if "own" not in name} == dict.fromkeys(TESTS, "FAILED")
    assert (
        "'infer' of phase 'first': missing golden: run with --unbloat-accept REASON to record goldens/infer.json" in done.stdout
    )
    assert "unused golden: goldens/left_out.json: no phase has such a workload in its gate; delete the file" in done.stdout
    assert "train_float64.json is not a golden" in done.stdout
    # Without being asked nothing is written.
    assert sorted(file.name for file in accepted.iterdir()) == ["LOG.md", "left_out.json", "train_float64.json"]
    assert (accepted / "LOG.md").read_text() == log


def test_only_what_the_legacy_does_is_accepted(project: Subject, run_pytest: Pytest, accepted: Path) -> None:
    before = {file.name: file.read_bytes() for file in accepted.iterdir()}
    edit(project.stripped / "pkg" / "module.py", "cfg.size + more", "cfg.size + more + 1")
    done = run_pytest("-v", "--unbloat", "strip.toml", "--unbloat-accept", "let it pass")
    assert outcomes(done)["unbloat::first::infer"] == "FAILED"
    assert {file.name: file.read_bytes() for file in accepted.iterdir()} == before

    edit(project.legacy / "pkg" / "module.py", "cfg.size + more", "cfg.size + more + 1")
    done = run_pytest("-v", "--unbloat", "strip.toml", "--unbloat-accept", "one more, see issue 7")
    assert done.returncode == 0
    last = (accepted / "LOG.md").read_text().splitlines()[-1]
    assert re.fullmatch(r"- `infer`: [0-9a-f]{32} → [0-9a-f]{32}: one more, see issue 7", last)
    assert last.removeprefix("- ") in done.stdout
    assert (accepted / "train_float64.json").read_bytes() == before["train_float64.json"]


def test_another_environment_is_compared_as_far_as_that_can_be(project: Subject, run_pytest: Pytest, accepted: Path) -> None:
    for file in accepted.glob("*.json"):
        edit(file, '"processor": "', '"processor": "another ')
    module = project.stripped / "pkg" / "module.py"
    edit(module, "number / 2", "number / 2 * (1 + 1e-14)")
    assert run_pytest("--unbloat", "strip.toml").returncode == 0
    edit(module, "1e-14", "1e-8")
    done = run_pytest("--unbloat", "strip.toml")
    assert done.returncode == 1
    assert "recorded in another environment: what is discrete is equal, floating values are close" in done.stdout


def test_distributed_tests_share_a_worker(run_pytest: Pytest, accepted: Path) -> None:
    """By their node ids for `--dist loadfile`, by their mark for `--dist loadgroup`."""
    done = run_pytest("-v", "-n", "2", "--dist", "loadfile", "--unbloat", "strip.toml", with_xdist=True)
    assert done.returncode == 0, done.stdout
    found = re.findall(r"^\[(gw\d)\].*PASSED (unbloat::\S+)", done.stdout, re.M)
    assert sorted(name for _, name in found) == sorted(TESTS)
    assert len({worker for worker, _ in found}) == 1
    marked = run_pytest("-v", "-m", "xdist_group", "--unbloat", "strip.toml", with_xdist=True)
    assert outcomes(marked) == dict.fromkeys(TESTS, "PASSED")


USAGE = [
    (["--unbloat", "nowhere.toml"], "nowhere.toml: no such file"),
    (["--unbloat", "broken.toml"], "broken.toml: not valid TOML"),
    (["--unbloat", "strip.toml", "--unbloat-tree", "nowhere"], "nowhere: holds no package 'pkg'"),
    (["--unbloat", "strip.toml", "--unbloat-accept", " "], "--unbloat-accept needs a reason"),
    (["--unbloat-accept", "because"], "--unbloat-accept needs --unbloat FILE"),
    (["-p", "xdist.plugin", "-n", "2", "--unbloat", "strip.toml", "--unbloat-accept", "because"], "leave out -n"),
]


@pytest.mark.parametrize(("arguments", "error"), USAGE)
def test_bad_input_is_a_usage_error(arguments: list[str], error: str, project: Subject, run_pytest: Pytest) -> None:
    (project.root / "broken.toml").write_text("[subject\n")
    done = run_pytest(*arguments)
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert error in done.stderr and "Traceback" not in done.stderr
    assert len([line for line in done.stderr.splitlines() if line]) == 1


def test_it_costs_nothing_where_nobody_asks(project: Subject, run_pytest: Pytest) -> None:
    (project.root / "test_own.py").write_text(
        "import sys\n\n\ndef test_own():\n"
        "    ours = {name for name in sys.modules if name.partition('.')[0] == 'unbloat'}\n"
        "    assert ours == {'unbloat', 'unbloat.pytest_plugin'}\n"
    )
    assert outcomes(run_pytest("-v")) == {"test_own.py::test_own": "PASSED"}


def test_every_option_is_documented(run_pytest: Pytest) -> None:
    page = (ROOT / "docs" / "pytest-plugin.md").read_text()
    documented = re.findall(r"^\| `(--[\w-]+) ([A-Z]+)`", page, re.M)
    assert documented == re.findall(r"^  (--unbloat[\w-]*)=([A-Z]+)", run_pytest("--help").stdout, re.M)


def test_every_pytest_of_the_environment_loads_it() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["pytest11"] == {"unbloat": "unbloat.pytest_plugin"}
