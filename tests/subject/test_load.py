"""strip.toml: what is understood, and one line with the place for everything that is not."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from unbloat.errors import SubjectError
from unbloat.subject import Bundle, Step, Subject, Veto, load_subject

REPRODUCTION = Path(__file__).parents[2] / "reproduction"
STRIP = """\
[subject]
package = "pkg"
legacy = "legacy"
stripped = "stripped"

[config]
parameters = ["cfg"]

[golden]
workloads = "workloads.py"
seed = 7

[contract]
loggers = ["log"]

[phases.one]
files = ["pkg/module.py"]
gate = ["workload"]

[[veto]]
at = "pkg/module.py:2"
reason = "ours"

[[veto]]
at = "pkg/other.py"
reason = "theirs"
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "legacy" / "pkg").mkdir(parents=True)
    for name in ("__init__", "module", "other"):
        (tmp_path / "legacy" / "pkg" / f"{name}.py").write_text("a = 1\nb = 2\n")
    (tmp_path / "workloads.py").write_text("def workload(golden):\n    pass\n\ndef helper(x):\n    pass\n")
    (tmp_path / "strip.toml").write_text(STRIP)
    return tmp_path


def test_everything_is_read(root: Path) -> None:
    subject = load_subject(root / "strip.toml")
    assert (subject.root, subject.package, subject.seed) == (root, "pkg", 7)
    assert (subject.legacy, subject.stripped) == (root / "legacy", root / "stripped")
    assert [(one.name, one.file, one.limit) for one in subject.workloads] == [("workload", root / "workloads.py", 300.0)]
    assert [(phase.name, phase.files, phase.gate) for phase in subject.phases] == [("one", ("pkg/module.py",), ("workload",))]
    assert subject.vetoes == (Veto("pkg/module.py", 2, "ours"), Veto("pkg/other.py", None, "theirs"))
    assert subject.config_parameters == ("cfg",)
    assert subject.contract.loggers == ("log",)
    assert subject.sources() == ("pkg/__init__.py", "pkg/module.py", "pkg/other.py")


# (what is written, what instead, the line, the complaint)
FAULTS = [
    ('package = "pkg"', 'package = "pkg', 2, "not valid TOML: .*line 2"),
    ('package = "pkg"', 'package = "pkg"\npackage = "pkg"', 3, "not valid TOML: .*line 3"),
    (
        'package = "pkg"',
        'packages = "pkg"',
        2,
        r"\[subject\] packages: unknown key; known: installed, legacy, manifest, package, stripped",
    ),
    ('package = "pkg"', "", 1, r"\[subject\] package: is missing"),
    ('package = "pkg"', 'package = ""', 2, r"\[subject\] package: must be a non-empty string"),
    ('package = "pkg"', "package = 3", 2, r"\[subject\] package: must be a non-empty string"),
    ('package = "pkg"', 'package = "other"', 2, r"\[subject\] package: .*legacy/other holds no __init__.py"),
    ('package = "pkg"', 'package = "../legacy/pkg"', 2, r"\[subject\] package: .* holds no __init__.py"),
    ('legacy = "legacy"', 'legacy = "gone"', 3, r"\[subject\] legacy: .*/gone is not a folder"),
    ('legacy = "legacy"', 'legacy = "workloads.py"', 3, r"\[subject\] legacy: .*/workloads.py is not a folder"),
    ('stripped = "stripped"', 'stripped = "workloads.py"', 4, r"\[subject\] stripped: .*/workloads.py is not a folder"),
    ('stripped = "stripped"', 'stripped = "legacy"', 4, r"\[subject\] stripped: .*/legacy/pkg lies in the legacy"),
    ('stripped = "stripped"', 'stripped = "legacy/pkg/x"', 4, r"\[subject\] stripped: .* lies in the legacy"),
    ('stripped = "stripped"', 'stripped = "s"\nmanifest = "m"', 5, r"\[subject\] manifest: .*/m is not a file"),
    ('parameters = ["cfg"]', 'parameters = "cfg"', 7, r"\[config\] parameters: must be a list of strings"),
    ('parameters = ["cfg"]', "parameters = [1]", 7, r"\[config\] parameters: must be a list of strings"),
    ('parameters = ["cfg"]', 'file = "no.yaml"', 7, r"\[config\] file: .*/no.yaml is not a file"),
    ('workloads = "workloads.py"', "", 9, r"\[golden\]: needs `workloads`"),
    ('workloads = "workloads.py"', 'workloads = "no.py"', 10, r"\[golden\] workloads: .*/no.py is not a file"),
    ("seed = 7", "seed = -1", 11, r"\[golden\] seed: must be a whole number, 0 or more"),
    ("seed = 7", "seed = true", 11, r"\[golden\] seed: must be a whole number, 0 or more"),
    ("seed = 7", 'limit = "1"', 11, r"\[golden\] limit: must be a whole number, 0 or more"),
    ("seed = 7", 'inputs = ["no"]', 11, r"\[golden\] inputs: .*/no does not exist"),
    ("[contract]", "[contracts]", 13, r"\[contracts\]: unknown table; known: subject, config, golden, contract, phases, veto"),
    (
        'loggers = ["log"]',
        'log = ["log"]',
        14,
        r"\[contract\] log: unknown key; known: algorithm, engineering, loggers, logging_setup",
    ),
    ('loggers = ["log"]', 'algorithm = ["pkg/no.py"]', 14, r"\[contract\] algorithm: 'pkg/no.py' is no module of the package"),
    ("[phases.one]", "[phases.'a/b']", 16, r"\[phases.a/b\]: a phase's name is made of letters, digits, `-` and `_`"),
    ('files = ["pkg/module.py"]', "", 16, r"\[phases.one\] files: is missing"),
    ('files = ["pkg/module.py"]', "files = []", 17, r"\[phases.one\] files: must not be empty"),
    ('files = ["pkg/module.py"]', 'files = ["pkg/no.py"]', 17, r"\[phases.one\] files: 'pkg/no.py' is not a file under"),
    ('files = ["pkg/module.py"]', 'files = ["module.py"]', 17, r"\[phases.one\] files: 'module.py' is not a file under"),
    (
        'files = ["pkg/module.py"]',
        'files = ["pkg/./module.py"]',
        17,
        r"\[phases.one\] files: 'pkg/./module.py' is no module of",
    ),
    ('gate = ["workload"]', 'gate = ["no"]', 18, r"\[phases.one\] gate: unknown workload 'no'; known: workload"),
    ('gate = ["workload"]', 'gate = ["workload"]\nfile = 1', 19, r"\[phases.one\] file: unknown key; known: files, gate"),
    ('gate = ["workload"]', 'gate = ["workload"]\n[phases.one.x]', 19, r"\[phases.one\] x: unknown key; known: files, gate"),
    ('reason = "theirs"', "", 24, r"\[veto\] reason: is missing"),
    ('reason = "theirs"', 'reasons = "theirs"', 26, r"\[veto\] reasons: unknown key; known: at, reason"),
    ('at = "pkg/other.py"', 'at = "pkg/no.py"', 25, r"\[veto\] at: 'pkg/no.py' is not a file under"),
    ('at = "pkg/other.py"', 'at = "./pkg/other.py"', 25, r"\[veto\] at: './pkg/other.py' is no module of the package"),
    ('at = "pkg/other.py"', 'at = "pkg/other.py:x"', 25, r"\[veto\] at: 'pkg/other.py:x' is not FILE or FILE:LINE"),
    ('at = "pkg/other.py"', 'at = "pkg/other.py:9"', 25, r"\[veto\] at: 'pkg/other.py:9': the legacy file has 2 lines"),
    ('at = "pkg/other.py"', 'at = "pkg/other.py:0"', 25, r"\[veto\] at: 'pkg/other.py:0': the legacy file has 2 lines"),
]


@pytest.mark.parametrize(
    ("written", "instead", "line", "complaint"), FAULTS, ids=[fault[1].strip() or fault[0] for fault in FAULTS]
)
def test_a_fault_is_told_with_its_line(written: str, instead: str, line: int, complaint: str, root: Path) -> None:
    assert written in STRIP
    before, _, after = STRIP.rpartition(written)
    (root / "strip.toml").write_text(f"{before}{instead}{after}")
    place = "" if "TOML" in complaint else f":{line}"
    with pytest.raises(SubjectError, match=f"^{re.escape(str(root))}/strip.toml{place}: {complaint}"):
        load_subject(root / "strip.toml")


STEPS_AND_BUNDLES = [
    ('[[restructure]]\nmove = "pkg/module.py"', 1, r"\[restructure\] to: is missing"),
    ('[[restructure]]\nmove = "../x.py"\nto = "pkg/y.py"', 2, r"\[restructure\] move: must be a module, written pkg/….py"),
    ('[[restructure]]\nmove = "pkg/module.py"\nto = "y.py"', 3, r"\[restructure\] to: must be a module, written pkg/….py"),
    ('[[restructure]]\nmerge = "pkg/a.py"\nto = "pkg/y.py"', 2, r"\[restructure\] merge: must be a list of modules"),
    ('[[restructure]]\nrename = "module:X"\nto = "Y"', 2, r"\[restructure\] rename: must be pkg.MODULE:NAME"),
    ('[[restructure]]\nrename = "pkg.module:X"\nto = "class"', 3, r"\[restructure\] to: 'class' is no name"),
    ("[[restructure]]\nlocal_imports = false", 2, r"\[restructure\] local_imports: is written `local_imports = true`"),
    ('[[restructure]]\nto = "x"', 1, r"\[restructure\]: a step has exactly one of move, merge, rename, local_imports"),
    (
        "[[restructure]]\nlocal_imports = true\n[[restructure]]\ncopy = 1",
        4,
        r"\[restructure\] copy: unknown key; known: local_",
    ),
    ("restructure = 1", 1, r"\[restructure\]: must be written \[\[restructure\]\]"),
    ("[bundle]\nscripts = []", 1, r"\[bundle\] gate: is missing"),
    ('[bundle]\nscripts = ["no.py"]\ngate = []', 2, r"\[bundle\] scripts: .*/no.py is no Python file"),
    ('[bundle]\nscripts = []\ngate = ["no"]', 3, r"\[bundle\] gate: unknown workload 'no'; known: workload"),
    ('[bundle]\nscripts = []\ngate = ["workload"]\nfiles = 1', 4, r"\[bundle\] files: must be a table"),
    (
        '[bundle]\nscripts = []\ngate = ["workload"]\nfiles = {"/x" = "workloads.py"}',
        4,
        r"\[bundle\] files: '/x' is no path in",
    ),
    ('[bundle]\nscripts = []\ngate = ["workload"]\nmore = 1', 4, r"\[bundle\] more: unknown key; known: files, gate, requires"),
]


@pytest.mark.parametrize(("text", "line", "complaint"), STEPS_AND_BUNDLES)
def test_faults_of_steps_and_bundles(text: str, line: int, complaint: str, root: Path) -> None:
    (root / "strip.toml").write_text(f"{text}\n{STRIP}")
    with pytest.raises(SubjectError, match=f"^{re.escape(str(root))}/strip.toml:{line}: {complaint}"):
        load_subject(root / "strip.toml")


def test_steps_and_bundle_are_read(root: Path) -> None:
    (root / "use.py").write_text("")
    more = """
[[restructure]]
move = "pkg/module.py"
to = "pkg/sub/new.py"
[[restructure]]
merge = ["pkg/a.py", "pkg/b.py"]
to = "pkg/ab.py"
[[restructure]]
rename = "pkg.module:Old"
to = "New"
[[restructure]]
local_imports = true
[bundle]
scripts = ["use.py"]
gate = ["workload"]
requires = ["x"]
[bundle.files]
"data/w.py" = "workloads.py"
"""
    (root / "strip.toml").write_text(STRIP + more)
    subject = load_subject(root / "strip.toml")
    assert subject.restructure == (
        Step("move", ("pkg/module.py",), "pkg/sub/new.py"),
        Step("merge", ("pkg/a.py", "pkg/b.py"), "pkg/ab.py"),
        Step("rename", ("pkg.module:Old",), "New"),
        Step("local_imports"),
    )
    assert subject.bundle == Bundle((root / "use.py",), ("workload",), {"data/w.py": root / "workloads.py"}, ("x",))


# Other ways to write the same.
FORMS = [
    ('subject = {package = "pkg", legacy = "no", stripped = "stripped"}\n', 1, r"\[subject\] legacy: .* is not a folder"),
    ('subject.package = "pkg"\nsubject.legacy = "no"\nsubject.stripped = "s"\n', 2, r"\[subject\] legacy: .* is not a folder"),
    ('[ "subject" ] # this\n"package" = "pkg"\n legacy = "no"\nstripped = "s"\n', 3, r"\[subject\] legacy: .* is not a folder"),
    ("subject = 3\n", 1, r"\[subject\]: must be a table"),
    ("veto = [1]\n", 1, r"\[veto\]: must be written \[\[veto\]\]"),
    ('[veto]\nat = "x"\n', 1, r"\[veto\]: must be written \[\[veto\]\]"),
    ("phases = {one = 3}\n", 1, r"\[phases\] one: must be a table: \[phases.NAME\]"),
    ("[phases]\n", 1, r"\[phases\]: needs at least one phase"),
    ("phases = []\n", 1, r"\[phases\]: must be a table"),
]


@pytest.mark.parametrize(("text", "line", "complaint"), FORMS)
def test_other_forms_of_toml_have_lines_too(text: str, line: int, complaint: str, root: Path) -> None:
    tables = {
        name: f"[{name}]{rest}" for name, _, rest in (part.partition("]") for part in re.split(r"(?m)^\[(?!\[)", STRIP)[1:])
    }
    own = re.match(r"\W*(\w+)", text)
    assert own is not None
    rest = [table for name, table in tables.items() if name.partition(".")[0] != own.group(1)]
    without_vetoes = "".join(rest).partition("[[veto]]")[0]
    (root / "strip.toml").write_text(text + without_vetoes)
    with pytest.raises(SubjectError, match=f"^{re.escape(str(root))}/strip.toml:{line}: {complaint}"):
        load_subject(root / "strip.toml")


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "no such file; name the subject's strip.toml with --subject"),
        (b"\xff\xfe", r"not UTF-8 text \(invalid start byte at byte 0\)"),
        (b"", r"\[subject\] package: is missing"),
    ],
)
def test_a_file_that_is_none(content: bytes | None, complaint: str, root: Path) -> None:
    file = root / "strip.toml"
    file.unlink() if content is None else file.write_bytes(content)
    with pytest.raises(SubjectError, match=f"^{re.escape(str(file))}: {complaint}"):
        load_subject(file)
    with pytest.raises(SubjectError, match=f"^{re.escape(str(root))}: is a folder; name the strip.toml in it"):
        load_subject(root)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"def workload(golden):\n    return (\n", r":2: not valid Python: '\(' was never closed"),
        (b"# \xff\n", r": not UTF-8 text \(invalid start byte at byte 2\); save it as UTF-8"),
        (b"x = '\0'\n", ": not valid Python: .*null bytes"),
        (b"def helper(x):\n    pass\n", ": no workload; write at least one function whose only parameter is `golden`"),
    ],
)
def test_a_workload_file_that_is_none(content: bytes, complaint: str, root: Path) -> None:
    (root / "workloads.py").write_bytes(content)
    with pytest.raises(SubjectError, match=f"^{re.escape(str(root))}/workloads.py{complaint}"):
        load_subject(root / "strip.toml")


@pytest.mark.parametrize("place", ["stripped", "stripped/pkg"])
def test_an_output_that_is_a_file(place: str, root: Path) -> None:
    (root / place).parent.mkdir(exist_ok=True)
    (root / place).write_text("mine")
    with pytest.raises(SubjectError, match=rf"strip.toml:4: \[subject\] stripped: {root / place} is not a folder"):
        load_subject(root / "strip.toml")
    assert (root / place).read_text() == "mine"


def test_an_output_that_holds_something_else(root: Path) -> None:
    """It is replaced as a whole, so nothing else may be in it."""
    own = root / "pkg"
    own.mkdir()
    for name in ("strip.toml", "workloads.py", "legacy"):
        (root / name).rename(own / name)
    (own / "strip.toml").write_text(STRIP.replace('"stripped"', '".."'))
    with pytest.raises(SubjectError, match=rf"\[subject\] stripped: {own} would be replaced, but {own}/strip.toml lies in it"):
        load_subject(own / "strip.toml")


def test_two_subjects_in_one_folder_keep_their_records_apart(root: Path) -> None:
    (root / "other.toml").write_text(STRIP)
    states = [load_subject(root / name).state for name in ("strip.toml", "other.toml")]
    assert states == [root / ".unbloat", root / ".unbloat-other"]


@pytest.mark.parametrize("name", ["bam_looped", "moe_rdrop_swa"])
def test_the_legacy_is_a_subject_for_other_configs_too(name: str) -> None:
    subject = load_subject(REPRODUCTION / f"strip_{name}.toml")
    assert subject.config_file == REPRODUCTION / "configs" / f"{name}.yaml"
    assert [workload.name for workload in subject.workloads] == ["prepare", "forward", "train"]
    own, champion = subject, load_subject(REPRODUCTION / "strip.toml")
    assert own.state != champion.state and own.stripped != champion.stripped


def test_what_a_user_has_written_counts_wherever_the_workloads_lie(root: Path) -> None:
    (root / "flows").mkdir()
    (root / "workloads.py").rename(root / "flows" / "workloads.py")
    (root / "flows" / "helper.py").write_text("")
    (root / "train.py").write_text("")
    (root / "strip.toml").write_text(STRIP.replace('"workloads.py"', '"flows/workloads.py"'))
    subject = load_subject(root / "strip.toml")
    assert [path.relative_to(root).as_posix() for path in subject.outside()] == [
        "flows/helper.py",
        "flows/workloads.py",
        "train.py",
    ]


def test_the_fixture_of_all_tests_is_understood(make_subject: Callable[..., Subject]) -> None:
    assert make_subject("def run(cfg):\n    return 1\n").phases[0].files == ("pkg/module.py",)
