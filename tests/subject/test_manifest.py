"""The legacy is what was received: every byte of it, or one line that says which file is not."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from unbloat.errors import SubjectError
from unbloat.subject import Subject, check_manifest, check_sources, digests, load_subject


@pytest.fixture
def subject(make_subject: Callable[..., Subject]) -> Subject:
    plain = make_subject("def run(cfg):\n    return 1\n", others={"inner.py": "x = 1\n"})
    listed = "".join(f"{digest}  {file}\n" for file, digest in digests(plain).items())
    (plain.root / "MANIFEST").write_text(listed)
    text = (plain.root / "strip.toml").read_text()
    (plain.root / "strip.toml").write_text(text.replace('legacy = "legacy"', 'legacy = "legacy"\nmanifest = "MANIFEST"'))
    return load_subject(plain.root / "strip.toml")


def change(subject: Subject, file: str, text: str | None) -> None:
    path = subject.root / file
    path.unlink() if text is None else path.write_text(text)


def test_an_untouched_legacy_passes(subject: Subject) -> None:
    check_manifest(subject)
    check_sources(subject)


@pytest.mark.parametrize(
    ("file", "text", "complaint"),
    [
        (
            "legacy/pkg/inner.py",
            "x = 2\n",
            "legacy/pkg/inner.py: differs from MANIFEST; the legacy is never edited, restore it",
        ),
        ("legacy/pkg/inner.py", None, "legacy/pkg/inner.py: listed in MANIFEST but missing; restore it"),
        ("legacy/pkg/more.py", "", "legacy/pkg/more.py: not listed in MANIFEST; the legacy is never edited"),
        ("MANIFEST", "what\n", "MANIFEST:1: not `<sha256>  <path>`"),
        ("MANIFEST", "", "legacy/pkg/__init__.py: not listed in MANIFEST; the legacy is never edited"),
    ],
)
def test_a_difference_is_told(file: str, text: str | None, complaint: str, subject: Subject) -> None:
    change(subject, file, text)
    with pytest.raises(SubjectError, match=f"^{re.escape(f'{subject.root}/{complaint}')}$"):
        check_manifest(subject)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"def broken(:\n", ":1: not valid Python: invalid syntax"),
        (b"# coding: latin-1\nx = '\xe4'\n", ": not UTF-8 text (invalid continuation byte at byte 23); save it as UTF-8"),
        (b"x = '\0'\n", ": not valid Python: source code string cannot contain null bytes"),
    ],
)
def test_a_legacy_that_cannot_be_read(content: bytes, complaint: str, subject: Subject) -> None:
    path = subject.legacy / "pkg" / "inner.py"
    path.write_bytes(content)
    with pytest.raises(SubjectError, match=f"^{re.escape(f'{path}{complaint}')}"):
        check_sources(subject)


def test_old_escapes_are_not_our_business(subject: Subject) -> None:
    (subject.legacy / "pkg" / "inner.py").write_text("x = '\\d'\n")
    check_sources(subject)
