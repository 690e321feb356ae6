"""The command on a small subject: what the goldens notice, what they cannot, and what nobody has explained."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from unbloat.mutate import trial

from .conftest import Told

MODULE = """
    from dataclasses import dataclass

    FACTOR = 3.0


    @dataclass
    class Size:
        width: int = 40
        height: int = 50


    def area(size, extra=1000.5):
        unread = int(size.width) + 7
        return size.width * size.height + extra


    def run(cfg, x):
        step = getattr(cfg, "step", 70.5)
        total = x / FACTOR if x > 9 else 600.0
        if x > 100:
            total = total + 200.0
        return total + step + area(Size(4), 2.25) + [30.5][0]
"""
SUBJECT = {"config": {"step": 2.0}, "calls": ((12.0,),)}


@pytest.fixture
def told(mutated: Callable[..., Told]) -> Told:
    return mutated(MODULE, **SUBJECT)


def test_what_is_noticed_what_cannot_be_and_what_nobody_explains(told: Told) -> None:
    verdicts = told.verdicts()
    caught = [change for change, verdict in verdicts.items() if verdict == "caught"]
    assert {"3.0 → 6.0", "x / FACTOR → x * FACTOR", "50 → 51", "2.25 → 4.5", "x > 9 → x <= 9"} <= set(caught)
    assert verdicts["7 → 8"] == "equivalent"
    # The run knows neither a size of 9 nor one of 100.
    missed = [change for change, verdict in verdicts.items() if verdict == "missed"]
    assert missed == ["x > 9 → x >= 9", "9 → 10", "x > 100 → x >= 100", "100 → 101"]
    where = "missed: pkg/module.py:20 in run: constant: 100 → 101 [if x > 100:], run by workload"
    assert f"{where}: the value is the same in every run, so no workload has the data\n" in told.out
    assert f"score: {len(caught) / (len(caught) + 4):.1%}" in told.out
    assert told.code == 0


def test_what_no_run_evaluates_is_not_counted(told: Told) -> None:
    """A branch, the other arm of an expression, and defaults of a call, a parameter and a field that nobody uses."""
    changes = " ".join(told.verdicts())
    assert not [number for number in ("200.0", "1200.0", "141.0", "2001.0", "41") if f"→ {number}" in changes]
    assert told.found["reachable"] == len(told.found["mutants"]) < told.found["possible"]


def test_nothing_that_is_recorded_depends_on_it(mutated: Callable[..., Told]) -> None:
    told = mutated("def run(cfg, x):\n    parts = [x + 7.5]\n    return len(parts)\n", calls=((4,),))
    assert {change: told.of(change)["differs"] for change in told.verdicts()} == {"x + 7.5 → x - 7.5": True, "7.5 → 15.0": True}
    assert set(told.verdicts().values()) == {"unexplained"}
    assert "operator: x + 7.5 → x - 7.5 [parts = [x + 7.5]], run by workload, with another value\n" in told.out
    assert told.code == 1


def test_how_a_mutant_was_noticed_is_told(told: Told) -> None:
    assert told.of("3.0 → 6.0")["how"] == "differs at `call 0`"
    assert "raised IndexError: list index out of range at pkg/module.py:22" in told.of("0 → 1")["how"]
    assert told.of("7 → 8")["reason"] == "nobody reads `unread`"


NOTES = """
    [[mistake]]
    name = "the factor is forgotten"
    file = "pkg/module.py"
    old = "x / FACTOR"
    new = "x"

    [[missed]]
    file = "pkg/module.py"
    function = "run"
    line = "parts = [x + 7.5]"
    change = "7.5 → 15.0"
    reason = "nobody looks into the parts"

    [[equivalent]]
    file = "pkg/module.py"
    line = "parts = [x + 7.5]"
    change = "x + 7.5 → x - 7.5"
    reason = "only their number counts"
"""
PARTS = "def run(cfg, x):\n    FACTOR = 3\n    parts = [x + 7.5]\n    return len(parts) + x / FACTOR\n"


def test_mistakes_are_tried_and_reasons_count(mutated: Callable[..., Told]) -> None:
    told = mutated(PARTS, notes=NOTES, calls=((4,),))
    assert told.code == 0, told.out
    assert told.of("the factor is forgotten")["verdict"] == "caught"
    assert (told.of("7.5 → 15.0")["verdict"], told.of("7.5 → 15.0")["reason"]) == ("missed", "nobody looks into the parts")
    assert told.of("x + 7.5 → x - 7.5")["verdict"] == "equivalent"
    assert ", run by workload, with another value: nobody looks into the parts\n" in told.out
    counts = told.found["counts"]["all"]
    assert told.found["score"] == pytest.approx(counts["caught"] / (counts["caught"] + 1), abs=1e-4)


def test_a_second_run_asks_only_what_is_new(mutated: Callable[..., Told]) -> None:
    first = mutated(MODULE, "--limit", "4", **SUBJECT)
    second = mutated(MODULE, "--limit", "6")
    assert "4 mutants, 0 of them judged before" in first.out
    assert "6 mutants, 4 of them judged before" in second.out
    assert "resuming: the unchanged tree was run before" in second.out
    assert first.verdicts().items() <= second.verdicts().items()
    other = mutated(MODULE.replace("600.0", "601.0"), "--limit", "4")
    assert "4 mutants, 0 of them judged before" in other.out


STALE = [
    ('line = "total = x / 3"\nchange = "x / 3 → x * 3"', "is noticed"),
    ('line = "x = 2"', "there is no such change"),
]


@pytest.mark.parametrize(("place", "why"), STALE)
def test_a_reason_for_nothing_fails(place: str, why: str, mutated: Callable[..., Told]) -> None:
    notes = f'[[missed]]\nfile = "pkg/module.py"\nreason = "none"\n{place}\n'
    told = mutated("def run(cfg, x):\n    total = x / 3\n    return total\n", notes=notes, calls=((4.0,),))
    assert told.code == 1
    (line,) = [line for line in told.out.splitlines() if line.startswith("stale note: [[missed]] pkg/module.py: ")]
    assert line.endswith(why)


def test_a_run_without_end_is_noticed(mutated: Callable[..., Told], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "PATIENCE", 0.5)
    told = mutated("def run(cfg, x):\n    while x > 0:\n        x -= 1\n    return x\n", calls=((4,),))
    assert "CPU time limit exceeded" in told.of("x -= 1 → x += 1")["how"]


def test_a_mistake_that_nobody_notices_fails(mutated: Callable[..., Told]) -> None:
    notes = '[[mistake]]\nname = "nothing"\nfile = "pkg/module.py"\nold = "return x"\nnew = "return x + 0"\n'
    told = mutated("def run(cfg, x):\n    return x\n", notes=notes, calls=((4,),))
    assert told.code == 1
    assert "unexplained: pkg/module.py:2: mistake: nothing [return x], run by workload" in told.out


WRONG_NOTES = [
    ("x", "strip.mutants.toml: "),
    ("[[mistakes]]\n", "strip.mutants.toml: mistakes: unknown; known are [[mistake]], [[equivalent]], [[missed]]"),
    ("[[missed]]\nwhere = 1\n", "[[missed]]: unknown key 'where'; known: change, file, function, line, reason"),
    ('[[missed]]\nfile = "pkg/other.py"\n', "[[missed]]: 'pkg/other.py' is no module of the stripped tree"),
    ('[[missed]]\nfile = "pkg/module.py"\nreason = "none"\n', "needs a `line` or a `function` of pkg/module.py"),
    ('[[missed]]\nfile = "pkg/module.py"\nline = "return x"\n', "[[missed]]: needs `reason`, a text"),
    ('[[mistake]]\nfile = "pkg/module.py"\n', "[[mistake]]: needs `name`, a text"),
    (
        '[[mistake]]\nname = "a"\nfile = "pkg/module.py"\nold = "y"\nnew = ""\n',
        "[[mistake]] 'a': `old` occurs 0 times in pkg/module.py, not once: 'y'",
    ),
]


@pytest.mark.parametrize(("notes", "message"), WRONG_NOTES)
def test_wrong_notes_are_refused(notes: str, message: str, mutated: Callable[..., Told]) -> None:
    told = mutated("def run(cfg, x):\n    return x\n", notes=notes, calls=((4,),))
    assert told.code == 2
    assert message in told.err


def test_a_tree_that_differs_already_is_refused(mutated: Callable[..., Told]) -> None:
    mutated("def run(cfg, x):\n    return x\n", calls=((4,),))
    told = mutated("def run(cfg, x):\n    return x + 1\n")
    assert told.code == 2
    assert "differs from the legacy before anything is changed: workload 'workload': differs at `call 0`" in told.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--limit", "0"), "--limit 0: at least one mutant has to be tried"),
        (("--tree", "nowhere"), "holds no package 'pkg'; strip first, or name another --tree"),
    ],
)
def test_bad_input_is_refused(arguments: tuple[str, ...], message: str, mutated: Callable[..., Told], tmp_path: Path) -> None:
    told = mutated("def run(cfg, x):\n    return x\n", *arguments, calls=((4,),))
    assert told.code == 2
    assert message in told.err
