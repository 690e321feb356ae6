"""Every line that is left has come from somewhere, and every legacy line has gone somewhere, for a reason."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from unbloat.cli import main
from unbloat.finished import check_in_place, finished, provenance
from unbloat.phases import recording, stripped_phases
from unbloat.report.fate import Fate
from unbloat.report.provenance import Origin, Provenance
from unbloat.subject import Subject, load_subject

BLOCKS = '''
"""Blocks of all kinds."""

import logging
import os.path as paths

logger = logging.getLogger(__name__)  # for nobody
LIMIT = (
    4,
    5,
)


# about unused
@staticmethod
def unused(x):
    """Not much.

    Not used either.
    """
    return x


class Store:
    """Holds numbers."""

    def __init__(self, size, extra=None):
        self.size = size  # in bytes

        self.extra = extra
        self.unread = 3

    # about total
    def total(self, *, scale=1):
        # first
        if self.extra is not None:
            return self.extra
        elif self.size > 100:
            # large
            return 100
        else:
            # small
            return self.size * scale
        # never

    def never(self):
        return "é", """
        long
        """


def run(cfg, values=(1, 2)):
    total = 0; other = 1  # two at once
    if values is None:
        total += 4
    elif cfg.size:  # always
        total += 3
    if cfg.flag: total += 5
    elif cfg.size:
        # about six
        total += 6

    else:
        total += 7
    # about the try
    try:
        total += cfg.size
    except KeyError:
        total = 1
    except Exception:
        total = 2
    else:
        other += 1
    finally:
        other += 2
    logger.info(
        "x %s",
        total,
    )
    if len(values) > 9:
        values = values[:9]
    elif values:
        values = [*values]
    for value in values:
        # walked
        if value > 1000:
            break
    else:
        total += 1
    text = f"{total:>{other}} {paths.basename('a/b')}" if cfg.mode == "fast" else """
      slow
    """
    while cfg.flag:
        total -= 1
    with open(__file__) as file:

        text += str(bool(file.read())) \\
            + "."
    extra = [1, 2,
             3] if cfg.flag or not cfg.size else sorted(values, key=lambda one: one if cfg.size else -one)
    store = Store(cfg.size, extra=None)
    return total + other + len(text) + sum(extra) + store.total(scale=2)
'''
MODULES = """
from pkg.helper import LIMIT, helped
from pkg.sub.deep import deep


def run(cfg, values=(1, 2)):
    # about the first

    first = helped(values, 2) if cfg.flag else helped(values)
    return first + LIMIT + deep(values)
"""
HELPER = '''
"""Help."""

LIMIT = 3


def helped(values, scale=1):
    return len(values) * scale


def unused(values):
    return values
'''
DEEP = "from pkg.helper import helped\n\n\ndef deep(values):\n    # deep\n    return helped(values) + 1\n"


@dataclass(frozen=True)
class Case:
    module: str
    others: tuple[tuple[str, str], ...] = ()
    end: str = ""


CASES = {
    "blocks": Case(BLOCKS),
    "line ends": Case(BLOCKS.replace("\n", "\r\n")),
    "untouched": Case("def run(cfg):\n\n    # one\n    return cfg.size\n"),
    "nothing left": Case("def run(cfg):\n    return cfg.size\n", (("alone.py", "# alone\nALONE = 1\n"), ("empty.py", ""))),
    "local imports": Case(
        MODULES,
        (("helper.py", HELPER), ("sub/__init__.py", ""), ("sub/deep.py", DEEP)),
        "[[restructure]]\nlocal_imports = true\n",
    ),
    "moved": Case(
        MODULES,
        (("helper.py", HELPER), ("sub/__init__.py", ""), ("sub/deep.py", DEEP)),
        '[[restructure]]\nmove = "pkg/helper.py"\nto = "pkg/parts/help.py"\n[[restructure]]\nlocal_imports = true\n',
    ),
    "merged": Case(
        MODULES.replace("sub.deep", "deep"),
        (("helper.py", HELPER), ("deep.py", DEEP)),
        '[[restructure]]\nmerge = ["pkg/helper.py", "pkg/deep.py"]\nto = "pkg/both.py"\n',
    ),
}


def traced(case: str, make_subject: Callable[..., Subject]) -> tuple[Subject, Provenance]:
    made = CASES[case]
    subject = make_subject(
        made.module,
        config={"flag": False, "size": 3, "mode": "fast"},
        calls=((), ([1, 2, 3],)) if "values" in made.module else ((),),
        others=dict(made.others),
    )
    subject.file.write_text(subject.file.read_text() + "\n" + made.end)
    assert main(["strip", "--subject", str(subject.file)]) == 0
    subject = load_subject(subject.file)
    with recording(subject, lambda line: None) as recorded:
        done = stripped_phases(recorded)
        state = finished(recorded, done)
        check_in_place(subject, state)
        return subject, provenance(subject, done, state)


@pytest.mark.parametrize("case", CASES)
def test_every_line_is_accounted_for_both_ways(case: str, make_subject: Callable[..., Subject]) -> None:
    subject, found = traced(case, make_subject)
    legacy = {file: (subject.legacy / file).read_text().splitlines() for file in subject.sources()}
    stripped = {path.relative_to(subject.stripped).as_posix(): path for path in subject.stripped.rglob("*.py")}
    texts = {file: path.read_text().splitlines() for file, path in stripped.items()}
    assert {file: len(lines) for file, lines in found.legacy.items()} == {file: len(lines) for file, lines in legacy.items()}
    assert {file: len(lines) for file, lines in found.stripped.items()} == {file: len(lines) for file, lines in texts.items()}

    back = {
        ((file, number), place)
        for file, lines in found.stripped.items()
        for number, one in enumerate(lines, 1)
        for place in one.legacy
    }
    for file, lines in found.legacy.items():
        for number, one in enumerate(lines, 1):
            told = f"{file}:{number}: {legacy[file][number - 1]!r} {one}"
            assert {(place, (file, number)) for place in one.went} <= back, told
            assert bool(one.went) == (one.fate in (Fate.KEPT, Fate.MOVED, Fate.CHANGED)), told
            assert one.causes or one.fate in (Fate.KEPT, Fate.MOVED) or "restructuring" in one.why, told
            if one.fate in (Fate.KEPT, Fate.MOVED):
                assert any(_words(legacy[file][number - 1]) in _words(texts[at][line - 1]) for at, line in one.went), told
    for file, origins in found.stripped.items():
        for number, origin in enumerate(origins, 1):
            told = f"{file}:{number}: {texts[file][number - 1]!r} {origin}"
            match origin.origin:
                case Origin.GENERATED:
                    assert origin.why, told
                case Origin.REWRITTEN:
                    assert origin.legacy and (origin.causes or "restructuring" in origin.why), told
                case _:
                    words = _words("".join(legacy[at][line - 1] for at, line in origin.legacy))
                    assert _words(texts[file][number - 1]) in words, told
                    assert any((file, number) in found.legacy[at][line - 1].went for at, line in origin.legacy), told


def _words(text: str) -> str:
    return "".join(text.split())
