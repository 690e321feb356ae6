"""A package that pip installed: copied whole, used only from the copy, refused where it is not what it says it is."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from unbloat.cli import main
from unbloat.errors import SubjectError
from unbloat.subject import Phase, Subject, load_subject

Install = Callable[..., Path]

STRIP = """\
[subject]
package = "fake"
installed = "fake-dist==1.2"
stripped = "stripped"

[golden]
workloads = "work.py"
"""
WORKLOAD = """\
def work(golden):
    import fake
    from fake.deep.inner import answer

    golden.record("answer", answer())
    golden.record("file", fake.__file__)
    {more}


def helper(golden, other):
    pass
"""
FILES = {
    "fake/__init__.py": b"from . import shared\n",
    "fake/shared.py": b"import pkgutil\n\nVALUE = pkgutil.get_data(__name__, 'value.txt').decode()\n",
    "fake/value.txt": b"42",
    "fake/fast.abi3.so": b"\x7fELF",
    "fake/deep/inner.py": b"from ..shared import VALUE\n\n\ndef answer():\n    return VALUE\n",
    "fake/__pycache__/shared.cpython-311.pyc": b"stale",
    "fake_tool.py": b"",
}


@pytest.fixture
def root(tmp_path: Path, install: Install) -> Path:
    install("fake-dist", "1.2", FILES)
    folder = tmp_path / "subject"
    folder.mkdir()
    (folder / "strip.toml").write_text(STRIP)
    (folder / "work.py").write_text(WORKLOAD.format(more=""))
    return folder


def loaded(root: Path) -> Subject:
    return load_subject(root / "strip.toml")


def test_the_package_is_copied_whole_and_nothing_else(root: Path) -> None:
    subject = loaded(root)
    copied = {path.relative_to(subject.legacy).as_posix(): path for path in subject.legacy.rglob("*") if path.is_file()}
    assert {name: path.read_bytes() for name, path in copied.items()} == {
        name: content for name, content in FILES.items() if name.startswith("fake/") and "__pycache__" not in name
    }
    assert subject.legacy.is_relative_to(root / ".unbloat")
    assert subject.sources() == ("fake/__init__.py", "fake/deep/inner.py", "fake/shared.py")


def test_without_phases_everything_is_one(root: Path) -> None:
    subject = loaded(root)
    assert subject.phases == (Phase("all", subject.sources(), ("work",)),)
    (root / "strip.toml").write_text(STRIP + '\n[phases.first]\nfiles = ["**"]\ngate = ["work"]\n')
    assert loaded(root).phases == (Phase("first", subject.sources(), ("work",)),)


def test_the_copy_is_made_once_per_content(root: Path, site: Path, install: Install) -> None:
    first = loaded(root).legacy
    assert loaded(root).legacy == first
    install("fake-dist", "1.2", FILES | {"fake/value.txt": b"43"})
    assert loaded(root).legacy != first


def test_an_edited_copy_is_refused(root: Path) -> None:
    (loaded(root).legacy / "fake" / "shared.py").write_text("VALUE = 1\n")
    with pytest.raises(SubjectError, match=r"fake/shared.py differs from fake-dist==1.2; remove "):
        loaded(root)


def test_a_single_file_becomes_a_package(root: Path, install: Install) -> None:
    install("lone", "0.1", {"lone.py": b"a = 1\n"})
    (root / "strip.toml").write_text(STRIP.replace('"fake"', '"lone"').replace("fake-dist==1.2", "lone==0.1"))
    subject = loaded(root)
    assert subject.sources() == ("lone/__init__.py",)
    assert (subject.legacy / "lone" / "__init__.py").read_bytes() == b"a = 1\n"


def test_a_package_without_init_gets_an_empty_one(root: Path, site: Path, install: Install) -> None:
    shutil.rmtree(site / "fake")
    install("fake-dist", "1.2", {"fake/deep/inner.py": b"def answer():\n    return 42\n"})
    subject = loaded(root)
    assert subject.sources() == ("fake/__init__.py", "fake/deep/inner.py")
    assert (subject.legacy / "fake" / "__init__.py").read_bytes() == b""
    assert main(["record", "--subject", str(root / "strip.toml")]) == 0


def test_runs_use_the_copy(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["record", "--subject", str(root / "strip.toml")]) == 0
    assert "work: " in capsys.readouterr().out
    assert main(["verify", "--subject", str(root / "strip.toml"), "--tree", str(loaded(root).legacy)]) == 0


@pytest.mark.parametrize("touch", ["open({path!r}).read()", "__import__('runpy').run_path({path!r})"])
def test_no_run_reads_what_is_installed(root: Path, site: Path, capsys: pytest.CaptureFixture[str], touch: str) -> None:
    (root / "work.py").write_text(WORKLOAD.format(more=touch.format(path=str(site / "fake" / "shared.py"))))
    assert main(["record", "--subject", str(root / "strip.toml")]) == 2
    assert f"this run may not read {site / 'fake' / 'shared.py'}" in capsys.readouterr().err


def edited(site: Path) -> None:
    (site / "fake" / "shared.py").write_text("VALUE = 1\n")


def removed(site: Path) -> None:
    (site / "fake" / "shared.py").unlink()


def added(site: Path) -> None:
    (site / "fake" / "plugin.py").write_text("")


# (what is written, what instead, what happened to the installed files, the complaint)
FAULTS = [
    ('"fake-dist==1.2"', '"fake-dist"', None, r"strip.toml:3: \[subject\] installed: 'fake-dist' is not NAME==VERSION"),
    ('"fake-dist==1.2"', '"fake-dist>=1.2"', None, r"'fake-dist>=1.2' is not NAME==VERSION"),
    ('"fake-dist==1.2"', '"fake-dist==1.*"', None, r"is not NAME==VERSION"),
    (
        '"fake-dist==1.2"',
        '"no-such-dist==1"',
        None,
        r"no-such-dist is not installed .*run: python -m pip install no-such-dist==1",
    ),
    ('"fake-dist==1.2"', '"fake-dist==1.3"', None, r"fake-dist 1.2 is installed, not 1.3; run: python -m pip install fake"),
    ('package = "fake"', 'package = "fake_dist"', None, r"installs no package 'fake_dist'; it installs fake, fake_tool"),
    ('stripped = "stripped"', 'stripped = "s"\nlegacy = "l"', None, r"either `installed` or in the folder `legacy`, not both"),
    ('package = "fake"', 'package = "fake/deep"', None, r"installs no package 'fake/deep'"),
    ("", "", edited, r"fake/shared.py was edited after it was installed; reinstall fake-dist"),
    ("", "", removed, r"fake/shared.py is listed in RECORD but missing; reinstall fake-dist"),
    ("", "", added, r"fake/plugin.py is in the package's folder but no part of fake-dist==1.2"),
]


@pytest.mark.parametrize(("old", "new", "change", "complaint"), FAULTS, ids=[fault[3][:40] for fault in FAULTS])
def test_what_is_wrong_is_said(
    root: Path, site: Path, old: str, new: str, change: Callable[[Path], None] | None, complaint: str
) -> None:
    (root / "strip.toml").write_text(STRIP.replace(old, new))
    if change is not None:
        change(site)
    with pytest.raises(SubjectError, match=complaint) as caught:
        loaded(root)
    assert re.search(r"strip\.toml:3: \[subject\] installed: ", str(caught.value))
    assert not (root / ".unbloat").exists()


# (the files of a distribution, the complaint)
UNUSABLE = [
    ({"fake/fast.abi3.so": b"", "fake/slow.pyc": b""}, "has no Python source to strip"),
    ({"fake.abi3.so": b""}, "has no Python source to strip"),
    ({"__editable___fake_finder.py": b""}, "as in an editable install"),
    ({}, "as in an editable install"),
]


@pytest.mark.parametrize(("files", "complaint"), UNUSABLE, ids=[" ".join(files) for files, _ in UNUSABLE])
def test_a_distribution_without_sources_is_refused(
    tmp_path: Path, install: Install, files: dict[str, bytes], complaint: str
) -> None:
    install("fake-dist", "1.2", files)
    (tmp_path / "strip.toml").write_text(STRIP)
    with pytest.raises(SubjectError, match=complaint):
        loaded(tmp_path)
