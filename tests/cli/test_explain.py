"""Any line of the legacy: what became of it, and on what evidence."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from unbloat.finished import finished, provenance
from unbloat.phases import Recording, recording, stripped_phases
from unbloat.report.explain import explain, locate
from unbloat.report.status import rejected
from unbloat.strip import PhaseRun
from unbloat.subject import Subject

MODULE = '''\
import inspect
import logging

logger = logging.getLogger(__name__)
LIMIT = 4

# about unused

# still about unused
def unused(x):
    """Not much.

    Not used either.
    """
    return x


def told():
    logger.debug("told")
    return len(inspect.getsource(told))


def run(cfg, values=(1, 2)):
    total = told()
    if cfg.flag:
        total += 5

        # about six
        total += 6
        # after six
    # about the try
    try:
        total += cfg.size
    except Exception:
        total = 1
    logger.info(
        "x %s",
        total,
    )
    if len(values) > 9:
        values = values[:9]
        values = sorted(values)
    if cfg.mode == "fast":
        total += 1
    else:
        total += 2
    cfg.seen = len(values)
    if cfg.seen < 100:
        total += 3
    else:
        total += 4
    extra = 1 if cfg.flag else 2
    if cfg.size:
        if total < 0:
            total = -total
    if total:
        for number in [
            1,
            2,
        ]:
            total += number
    return total + sum(values) + extra
'''


@pytest.fixture(scope="module")
def stripped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recording]:
    yield from _stripped(tmp_path_factory.mktemp("explain"))


def _stripped(root: Path) -> Iterator[Recording]:
    from unbloat.cli import main
    from unbloat.subject import load_subject

    (root / "legacy" / "pkg" / "inner").mkdir(parents=True)
    for name, text in {"__init__.py": "", "module.py": MODULE, "inner/__init__.py": "", "inner/deep.py": "x = 1\n"}.items():
        (root / "legacy" / "pkg" / name).write_text(text)
    (root / "workloads.py").write_text(
        "from omegaconf import OmegaConf\n\n\ndef workload(golden):\n    from pkg.module import run\n\n"
        "    config = {'flag': False, 'size': 3, 'mode': 'fast', 'seen': 0}\n"
        "    golden.record('first', run(OmegaConf.create(config)))\n"
        "    golden.record('second', run(OmegaConf.create(config), [1]))\n"
    )
    (root / "strip.toml").write_text(
        '[subject]\npackage = "pkg"\nlegacy = "legacy"\nstripped = "stripped"\n\n[config]\nparameters = ["cfg"]\n\n'
        '[golden]\nworkloads = "workloads.py"\npreload = ["omegaconf"]\n\n'
        '[phases.all]\nfiles = ["pkg/module.py"]\ngate = ["workload"]\n'
    )
    assert main(["strip", "--subject", str(root / "strip.toml")]) == 0
    with recording(load_subject(root / "strip.toml"), lambda line: None) as recorded:
        yield recorded


def line_of(text: str) -> int:
    [number] = [number for number, line in enumerate(MODULE.splitlines(), 1) if line.strip() == text]
    return number


def told(recorded: Recording, line: int) -> list[str]:
    subject, done = recorded.subject, stripped_phases(recorded)
    traced = provenance(subject, done, finished(recorded, done))
    view = PhaseRun(subject, subject.phases[0], recorded.facts).view()
    place = locate(subject, f"pkg/module.py:{line}")
    return list(explain(subject, view, traced, place, rejected(subject, subject.phases[0])))


# (text of the line, its fate, what else is told)
LINES = [
    ("import logging", "kept", []),
    ("LIMIT = 4", "removed", ["nothing that is kept reads `LIMIT`", "evidence: unreferenced"]),
    ("import inspect", "kept", ["executed by: workload"]),
    ("def unused(x):", "removed", ["nothing that is kept refers to function `unused`", "evidence: unreferenced"]),
    ("# about unused", "removed, with line 10", ["evidence: unreferenced"]),
    ("# still about unused", "removed, with line 10", ["evidence: unreferenced"]),
    ("Not used either.", "removed, with line 11", ["evidence: unreferenced"]),
    ("return x", "removed", ["executed by: no workload", "evidence: unreferenced"]),
    ('logger.debug("told")', "kept", ["tried by `drop logging` and kept: workload 'workload' differs at `first`: "]),
    (
        "total += 5",
        "removed",
        [
            "trip unseen code at line 26: `cfg.flag` was always false",
            "evidence: unseen",
            "`cfg.flag` is always false (flag = False, the config: mapping)",
            "evidence: pinned",
            "pin: flag = False",
        ],
    ),
    ("# about six", "removed, with line 29", ["evidence: pinned"]),
    ("# after six", "removed, with line 29", ["evidence: pinned"]),
    ("# about the try", "kept, with line 32", []),
    ("try:", "folded", ["the handler for Exception never fired", "evidence: handler"]),
    ("total += cfg.size", "kept", ["executed by: workload"]),
    ("except Exception:", "removed", ["evidence: handler"]),
    ("total = 1", "removed", ["evidence: handler"]),
    ('"x %s",', "removed", ["`logger.info` only logs", "evidence: engineering"]),
    (
        "if len(values) > 9:",
        "changed",
        [
            "compact wires at line 40: `len(values) > 9` was always false, and data decides",
            "evidence: unseen",
            "decision (if): workload 0 true / 2 false",
            "DYNAMIC: data, or something that is not known",
        ],
    ),
    (
        "values = sorted(values)",
        "removed",
        ["evidence: unseen", "trip unseen code at line 41: `len(values) > 9` was always false"],
    ),
    ('if cfg.mode == "fast":', "folded", ["pin: mode = 'fast'"]),
    ("total += 1", "kept", []),
    ("total += 2", "removed", ["evidence: unseen", "evidence: pinned", "pin: mode = 'fast'"]),
    (
        "if cfg.seen < 100:",
        "changed",
        [
            "compact wires at line 48: `cfg.seen < 100` was always true, and data decides",
            "decision (if): workload 2 true / 0 false",
            "DYNAMIC: data, or something that is not known",
        ],
    ),
    ("total += 4", "removed", ["trip unseen code at line 51: `cfg.seen < 100` was always true", "evidence: unseen"]),
    ("if cfg.size:", "folded", ["fold decisions", "pin: size = 3"]),
    ("extra = 1 if cfg.flag else 2", "changed", ["fold decisions", "pin: flag = False"]),
    ("if total:", "kept", ["decision (if): workload 2 true / 0 false"]),
    ("1,", "kept", []),
    ("]:", "kept", []),
    ("return total + sum(values) + extra", "kept", []),
]


@pytest.mark.parametrize(("text", "fate", "fragments"), LINES, ids=[line[0] for line in LINES])
def test_a_line(text: str, fate: str, fragments: list[str], stripped: Recording) -> None:
    line = line_of(text)
    said = told(stripped, line)
    assert said[0] == f"pkg/module.py:{line}: {text}"
    assert f"fate: {fate}" in said
    for fragment in fragments:
        assert any(fragment in one for one in said), (fragment, said)


def test_every_line_has_the_fate_that_the_output_shows(stripped: Recording) -> None:
    """A line with a text of its own is in the output exactly if it is told to be kept."""
    output = [line.strip() for line in (stripped.subject.stripped / "pkg" / "module.py").read_text().splitlines()]
    legacy = [line.strip() for line in MODULE.splitlines()]
    for number, text in enumerate(legacy, 1):
        said = told(stripped, number)
        [fate] = [one.removeprefix("fate: ").partition(",")[0] for one in said if one.startswith("fate: ")]
        if legacy.count(text) == 1:
            assert (text in output) == (fate == "kept"), (number, text, said)
        if fate != "kept":
            assert any("evidence: " in one for one in said), (number, text, said)


def test_an_else_goes_with_its_fold(stripped: Recording) -> None:
    first, second = (number for number, line in enumerate(MODULE.splitlines(), 1) if line.strip() == "else:")
    assert f"fate: removed, with line {first - 2}" in told(stripped, first)
    assert f"fate: removed, with line {second - 2}" in told(stripped, second)
    assert "  evidence: pinned" in told(stripped, first)
    assert "  evidence: unseen" in told(stripped, second) and "  evidence: pinned" not in told(stripped, second)


@pytest.mark.parametrize(
    ("text", "evidence"),
    [
        ("total += 6", ["unseen", "pinned"]),
        ("total += 2", ["unseen", "pinned"]),
        ("values = sorted(values)", ["unseen"]),
        ("total += 4", ["unseen"]),
        ("total = -total", ["unseen"]),
    ],
)
def test_a_wire_is_told_and_then_the_fold_that_took_it_away(text: str, evidence: list[str], stripped: Recording) -> None:
    """A fold that keeps the branch that a wire is in is no reason for it."""
    said = told(stripped, line_of(text))
    assert [one.removeprefix("  evidence: ") for one in said if one.startswith("  evidence: ")] == evidence


@pytest.mark.parametrize(
    ("standing", "name", "file"),
    [
        (".", "pkg/module.py", "pkg/module.py"),
        (".", "module.py", "pkg/module.py"),
        (".", "legacy/pkg/module.py", "pkg/module.py"),
        (".", "./legacy/../legacy/pkg/module.py", "pkg/module.py"),
        (".", "inner/deep.py", "pkg/inner/deep.py"),
        (".", "deep.py", "pkg/inner/deep.py"),
        (".", "{root}/legacy/pkg/module.py", "pkg/module.py"),
        ("legacy/pkg/inner", "deep.py", "pkg/inner/deep.py"),
        ("legacy/pkg/inner", "../module.py", "pkg/module.py"),
    ],
)
def test_a_file_may_be_given_as_seen_from_anywhere(
    standing: str, name: str, file: str, stripped: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = stripped.subject.root
    monkeypatch.chdir(root / standing)
    assert locate(stripped.subject, f"{name.format(root=root)}:1") == (file, 1) or file == "pkg/__init__.py"


def test_the_command_tells_it(stripped: Recording, unbloat: Callable[..., Any]) -> None:
    root = stripped.subject.root
    said = unbloat("explain", root, f"module.py:{line_of('total += 5')}")
    assert (said.code, said.err) == (0, "")
    assert said.out.splitlines() == told(stripped, line_of("total += 5"))
    assert "no such module" in unbloat("explain", root, "nowhere.py:1").error()


# (text of a line that is left, its origin, what else is told)
LEFT = [
    ("import inspect", "verbatim", ["legacy pkg/module.py:1: import inspect"]),
    ("pinned.check(cfg)", "generated, the guard: refuses", ["legacy pkg/module.py:23: def run(cfg, values=(1, 2)):"]),
    ("# about the try", "verbatim", ["legacy pkg/module.py:31: # about the try"]),
    (
        'unbloat_forbid(len(values) > 9, "pkg/module.py:41-42")',
        "generated, a check: the other way was never taken",
        [
            "legacy pkg/module.py:40: if len(values) > 9:",
            "legacy pkg/module.py:42: values = sorted(values)",
            "trip unseen code at line 41",
            "compact wires at line 40",
        ],
    ),
    ("extra = 2", "rewritten", ["legacy pkg/module.py:52: extra = 1 if", "fold decisions at line 52", "pin: flag = False"]),
]


@pytest.mark.parametrize(("text", "origin", "fragments"), LEFT, ids=[line[0] for line in LEFT])
def test_a_line_that_is_left(
    text: str, origin: str, fragments: list[str], stripped: Recording, unbloat: Callable[..., Any]
) -> None:
    root = stripped.subject.root
    path = stripped.subject.stripped / "pkg" / "module.py"
    number = [line.strip() for line in path.read_text().splitlines()].index(text) + 1
    said = unbloat("explain", root, f"{path}:{number}").out.splitlines()
    assert said[0] == f"pkg/module.py:{number}: {text}"
    assert said[1].startswith(f"origin: {origin}")
    for fragment in fragments:
        assert any(fragment in one for one in said), (fragment, said)


def test_a_pin_tells_what_went_on_its_account(stripped: Recording, unbloat: Callable[..., Any]) -> None:
    lines = (stripped.subject.stripped / "pkg" / "pinned.py").read_text().splitlines()
    [number] = [number for number, line in enumerate(lines, 1) if line.startswith("    'size': (3, ")]
    root = stripped.subject.root
    said = unbloat("explain", root, "--stripped", f"pinned.py:{number}").out
    assert said == unbloat("explain", root, f"{root}/stripped/pkg/pinned.py:{number}").out
    assert "legacy pkg/module.py:53: if cfg.size:" in said and "pin: size = 3" in said


def test_a_tree_that_was_edited_has_no_origins(make_subject: Callable[..., Subject], unbloat: Callable[..., Any]) -> None:
    subject = make_subject("def run(cfg):\n    return 1\n")
    assert unbloat("strip", subject.root).code == 0
    path = subject.stripped / "pkg" / "module.py"
    path.write_text(path.read_text() + "# mine\n")
    assert "is not what `unbloat strip` has left" in unbloat("explain", subject.root, f"{path}:1").error()
    assert "the stripped file has lines 1 to 3" in unbloat("explain", subject.root, "--stripped", "module.py:9").error()


def test_a_phase_that_is_open_does_not_keep_another_from_being_told(
    make_subject: Callable[..., Subject], unbloat: Callable[..., Any]
) -> None:
    second = '\n[phases.second]\nfiles = ["pkg/other.py"]\ngate = ["workload"]\n'
    subject = make_subject(
        "def run(cfg):\n    return 1\n\n\ndef unused():\n    return 2\n",
        others={"other.py": "def gone():\n    return 3\n"},
        strip=lambda text: text.replace('"pkg/module.py", "pkg/other.py"', '"pkg/module.py"') + second,
    )
    assert unbloat("strip", subject.root, "--phase", "all").code == 0
    assert "fate: removed" in unbloat("explain", subject.root, "module.py:5").out
    assert unbloat("explain", subject.root, "other.py:1").error().startswith("phase 'second' is not stripped yet")
    page = subject.root / "STATUS.md"
    assert unbloat("report", subject.root, "--status", str(page)).code == 0
    assert "| all | workload | identical | stripped |" in page.read_text()
    assert "| second | workload | not run | open |" in page.read_text()
    assert unbloat("strip", subject.root).code == 0
    assert "fate: removed" in unbloat("explain", subject.root, "other.py:1").out


def test_whether_the_subject_is_stripped_is_asked_before_it_is_recorded(tiny: Subject, unbloat: Callable[..., Any]) -> None:
    """Recording may take minutes: too long for the answer that there is nothing to tell."""
    assert unbloat("strip", tiny.root).code == 0
    (tiny.root / "workloads.py").write_text((tiny.root / "workloads.py").read_text() + "\n")
    for command in (["report"], ["explain", "module.py:1"]):
        said = unbloat(command[0], tiny.root, *command[1:])
        assert said.error().startswith("phase 'all' was stripped before something that it depends on changed")
    assert len(list((tiny.state / "golden").iterdir())) == 1
