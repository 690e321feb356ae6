"""What a report says of a tree that is what it should be, and which boxes open when something in it is changed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from unbloat.cli import main
from unbloat.integrity import Check, Outcome, Report, Section, Table, to_markdown
from unbloat.phases import Recording
from unbloat.subject import Subject

SECTIONS = [
    "Same behaviour",
    "Hyperparameters",
    "Layers and parameters",
    "Initialisation",
    "Regularisation",
    "Special details",
    "Algorithm and engineering",
    "Missing or inferred source",
    "Known limits",
    "Versions",
]
ROWS = [
    "| pkg/layers.py:10 Block.__init__ | rate | 0.25 | 0.25 | yes |",
    "| pkg/layers.py:5 (module) | EPSILON | 1e-06 | 1e-06 | yes |",
    "| pkg/layers.py:10 Block.__init__ | legacy_mode | None | drop unread parameters: `__init__` no longer reads "
    "`legacy_mode`; in all calls None |",
    "| tied | False | yes | pinned to False |",
    "| lr | 0.01 | yes | free |",
    "| nobody | 7 | no | free |",
    "| block.linear | Linear | 20 | 20 | weight 4×4, bias 4 | float32 | yes |",
    "| **in all** |  | 43 | 43 |  |  |  |",
    "| pkg/layers.py:17 Block.__init__ | nn.init.zeros_(self.linear.bias) | nn.init.zeros_(self.linear.bias) | yes |",
    "| pkg/layers.py:19 Block.__init__ | nn.init.ones_(self.linear.bias) | – | fold decisions: `legacy_mode is not None` is "
    "always false (argument legacy_mode in (None,)) |",
    "| block.norm.weight | 1, 0 | 1, 0 | yes |",
    "| fit/fresh block.norm.eps | 1e-06 | 1e-06 | yes |",
    "| fit/fresh block.dropout.p | 0.5 | 0.5 | yes |",
    "| Block | note | 'never read' |",
    "| fit clipping 0 | [clip_grad_norm_, [1.0], {}] | the same |",
    "| fit seeds 3 | [torch, 3] | the same |",
    "| pkg/__init__.py | – | 0 → 0 | kept whole, byte for byte |",
    "| pkg/layers.py | algorithm | 21 → 15 | 2 pinned, 4 unreferenced; moved to pkg/parts.py |",
    "| engineering | pkg.model.telemetry | a definition | gone | 2 |",
    "| pkg/model.py:37 | `telemetry(losses)` | `telemetry` is engineering by contract |",
    '| pkg/model.py:19 | `logger.info("built")` | `logger.info` only logs |',
    "| rename pkg.parts:Block to Layer | done: the workloads by their legacy names end in the goldens |",
    "| pkg/layers.py:1 | a norm before the linear layer; alternatives: after it | survives |",
    "| all | 3 | fit |",
]


@pytest.mark.parametrize("row", ROWS)
def test_what_is_told(row: str, integrity: str) -> None:
    assert row in integrity.splitlines()


def test_every_section_is_documented() -> None:
    documented = (Path(__file__).parents[2] / "docs" / "self-check.md").read_text().partition("| section |")[2]
    assert re.findall(r"^\| ([A-Z][a-z ]+) \|", documented.partition("\n\n")[0], re.M) == SECTIONS


def test_the_optimizer_is_told_with_its_options(integrity: str) -> None:
    [line] = [line for line in integrity.splitlines() if line.startswith("| fit optimizer 0 |")]
    assert "AdamW" in line and "weight_decay: 0.1" in line and "parameters: 43, tensors: 6" in line
    assert line.endswith("| the same |")


def test_every_box_that_compares_something_is_ticked(integrity: str) -> None:
    assert re.findall(r"^## \d+\. (.*)$", integrity, re.M) == SECTIONS
    boxes = re.findall(r"^- \[(.)\] .*\((.*)\)$", integrity, re.M)
    assert len(boxes) > 20
    assert {what for tick, what in boxes if tick == " "} == {"nothing to compare"}
    assert all(re.fullmatch(r"[\d,]+ compared, no difference", what) for tick, what in boxes if tick == "x")


def test_written_again_it_is_the_same_wherever_it_lies(check: Callable[[], Report], integrity: str) -> None:
    assert to_markdown(check()) == integrity


def test_a_plan_has_the_same_sections_and_leaves_open_what_needs_a_run(recorded: Recording) -> None:
    text = (recorded.subject.root / "plan.md").read_text()
    assert re.findall(r"^## \d+\. (.*)$", text, re.M) == SECTIONS
    boxes = re.findall(r"^- \[(.)\] (.*?) \((.*)\)$", text, re.M)
    waiting = [name for tick, name, what in boxes if what == "not run yet: `unbloat strip`, then `unbloat report --integrity`"]
    assert [name for tick, name, _ in boxes if tick == "x" and name in waiting] == []
    for name in ("each gate's workloads", "modules: ", "parameters of each layer", "values of each parameter", "optimizer: "):
        assert any(one.startswith(name) for one in waiting), name
    assert "| block.linear | Linear | 20 | – | weight 4×4, bias 4 | float32 | – |" in text
    assert "| pkg/layers.py:10 Block.__init__ | rate | 0.25 | 0.25 | yes |" in text
    assert "| pkg/layers.py | algorithm | 21 → 15 | 2 pinned, 4 unreferenced |" in text
    assert "| all | fit | 37 |" in text and "not run yet |" in text


@dataclass(frozen=True)
class Damage:
    """One change of the stripped tree, the beginnings of the boxes that open for it, and what one of them says."""

    file: str
    old: str
    new: str
    boxes: tuple[str, ...]
    told: str


BYTES = "each stripped file is, byte for byte"
ENDS = "the workloads that were watched for the sections below end in the golden"
VALUES = "values of each parameter"

NO_WORKLOAD_NOTICES = [
    Damage(
        "parts.py",
        "rate=0.25",
        "rate=0.3",
        ("defaults of parameters",),
        "pkg/layers.py:10 Block.__init__ `rate`: 0.25 in the legacy, 0.3 in the stripped tree",
    ),
    Damage(
        "parts.py",
        "SIZES = [2, 3]",
        "SIZES = [9, 3]",
        ("constants of modules",),
        "pkg/layers.py:6 (module) `SIZES`: [2, 3] in the legacy, [9, 3] in the stripped tree",
    ),
    Damage(
        "parts.py",
        "SIZES =",
        "MORE = 1\nSIZES =",
        ("constants of modules",),
        "pkg/parts.py (module) `MORE`: nothing in the legacy, 1 in the stripped tree",
    ),
    Damage(
        "parts.py",
        "a norm before",
        "no norm before",
        ("each [INFERRED]",),
        "pkg/parts.py: no norm before the linear layer; alternatives: after it",
    ),
    Damage(
        "parts.py",
        "SIZES =",
        "if not EPSILON:\n    missing\nSIZES =",
        ("names that the stripped tree reads",),
        "pkg/parts.py: missing",
    ),
    Damage(
        "parts.py",
        "SIZES =",
        'if not EPSILON:\n    raise NotImplementedError("stripped: pkg/layers.py:99")\nSIZES =',
        ("each error in the place", "in files tagged `algorithm`, no code became an error"),
        "pkg/parts.py:9: names pkg/layers.py:99",
    ),
]
RUNS_DIFFER = [
    Damage(
        "model.py",
        "torch.zeros(1)",
        "torch.zeros(2)",
        ("buffers of each layer", VALUES, ENDS),
        "fit/fresh steps: ('[1]', 'float32', 'False') in the legacy, ('[2]', 'float32', 'False') in the stripped tree",
    ),
    Damage(
        "model.py",
        "self.register_buffer(",
        "self.head.bias.requires_grad_(False)\n        self.register_buffer(",
        ("parameters of each layer", VALUES, ENDS),
        "fit/fresh head.bias: ('[3]', 'float32', 'True') in the legacy, ('[3]', 'float32', 'False') in the stripped tree",
    ),
    Damage(
        "model.py",
        "self.register_buffer(",
        "self.more = nn.Linear(1, 1)\n        self.more.bias = self.head.bias\n        self.register_buffer(",
        ("modules: ", "parameters of each layer", "parameters in all", "tied tensors", VALUES, ENDS),
        "fit/fresh more: nothing in the legacy, (6, 'Linear') in the stripped tree",
    ),
    Damage(
        "parts.py",
        "nn.init.zeros_(self.linear.bias)",
        "nn.init.ones_(self.linear.bias)",
        ("calls that fill a tensor", VALUES, ENDS),
        "pkg/layers.py:17 Block.__init__: nn.init.zeros_(self.linear.bias) in the legacy, nothing stripped",
    ),
    Damage(
        "parts.py",
        "nn.Dropout(rate)",
        "nn.Dropout(rate / 2)",
        ("calls of dropout", "plain attributes", VALUES, ENDS),
        "fit/fresh block.dropout.p: 0.5 in the legacy, 0.25 in the stripped tree",
    ),
    Damage(
        "model.py",
        "weight_decay=0.1",
        "weight_decay=0.2",
        ("calls for precision", "optimizer: ", VALUES, ENDS),
        "pkg/model.py:27 train: torch.optim.AdamW(model.parameters(), lr=cfg.lr, weight_decay=0.1) in the legacy, nothing "
        "stripped",
    ),
    Damage(
        "model.py",
        "model.parameters(), 1.0)",
        "model.parameters(), 9.0)",
        ("calls of dropout", "clipping: "),
        "fit clipping 0: [clip_grad_norm_, [1.0], {}] in the legacy, [clip_grad_norm_, [9.0], {}] in the stripped tree",
    ),
    Damage(
        "model.py",
        "torch.manual_seed(cfg.seed)",
        "torch.manual_seed(cfg.seed + 1)",
        ("calls for precision", "seeds: ", VALUES, ENDS),
        "fit seeds 3: [torch, 3] in the legacy, [torch, 4] in the stripped tree",
    ),
]
NOTHING_RUNS = [
    Damage(
        "parts.py",
        "depth=1",
        "depth",
        ("defaults of parameters", ENDS),
        "pkg/layers.py:21 Block.forward `depth`: 1 in the legacy, nothing in the stripped tree",
    ),
    Damage(
        "pinned.py",
        "'tied': (False, ",
        "'tied': (0, ",
        ("each value that the guard pins", ENDS),
        "tied: [False] in the legacy, [0] in the stripped tree",
    ),
]


@pytest.mark.parametrize("damages", [NO_WORKLOAD_NOTICES, RUNS_DIFFER, NOTHING_RUNS], ids=["none", "some", "all"])
def test_a_box_opens_for_whatever_is_changed(damages: list[Damage], check: Callable[[], Report], copy: Path) -> None:
    for one in damages:
        path = copy / "stripped" / "pkg" / one.file
        assert one.old in path.read_text(), one
        path.write_text(path.read_text().replace(one.old, one.new, 1))
    report = check()
    failed = {check.name: check.differences for check in report.failed}
    expected = {BYTES, *(box for one in damages for box in one.boxes)}
    assert {name for name in failed if not name.startswith(tuple(expected))} == set()
    for one in damages:
        opened = {name: told for name, told in failed.items() if name.startswith(one.boxes)}
        assert len(opened) == len(one.boxes), (one, list(failed))
        assert one.told in [told for differences in opened.values() for told in differences], one
    waiting = [check.name for check in report.checks if check.outcome is Outcome.NOT_RUN]
    assert bool(waiting) == (damages is NOTHING_RUNS)


@pytest.fixture
def plain(make_subject: Callable[..., Subject]) -> Subject:
    """Without torch."""
    return make_subject("def run(cfg, x=1):\n    return 2\n\n\ndef gone():\n    pass\n", calls=((3,),))


def test_without_torch_there_are_no_layers(plain: Subject, capsys: pytest.CaptureFixture[str]) -> None:
    subject = ["--subject", str(plain.file)]
    assert main(["plan", *subject, "--report", str(plain.root / "plan.md")]) == 0
    assert " not run" in capsys.readouterr().out
    assert not plain.stripped.exists() and "# Plan for `pkg`" in (plain.root / "plan.md").read_text()
    assert main(["strip", *subject]) == 0
    assert main(["report", *subject, "--integrity", str(plain.root / "integrity.md")]) == 0
    text = (plain.root / "integrity.md").read_text()
    assert "Not applicable: the workloads do not preload torch." in text
    assert "| pkg/module.py:1 run | x | 1 | 1 | yes |" in text
    assert "No file is tagged `algorithm` in strip.toml: all count alike." in text


def test_the_command_fails_for_an_open_box_even_if_no_workload_notices(
    plain: Subject, capsys: pytest.CaptureFixture[str]
) -> None:
    subject = ["--subject", str(plain.file)]
    assert main(["strip", *subject]) == 0
    path = plain.stripped / "pkg" / "module.py"
    path.write_text(path.read_text().replace("x=1", "x=5"))
    capsys.readouterr()
    assert main(["report", *subject, "--integrity", str(plain.root / "new.json")]) == 1
    said = capsys.readouterr().out
    assert (
        "workload: identical" in said and "differs: defaults of parameters: legacy and stripped are equal: pkg/module" in said
    )
    found = json.loads((plain.root / "new.json").read_text())
    assert [section["title"] for section in found["sections"]] == SECTIONS
    assert {check["outcome"] for section in found["sections"] for check in section["checks"]} >= {"passed", "failed"}


BOXES = [
    (Check("c", 3), "- [x] c (3 compared, no difference)"),
    (Check("c", 3, ("a | b", "<x>")), "- [ ] c (**2 of 3 differ**)\n  - a | b\n  - &lt;x>"),
    (Check("c", 0), "- [ ] c (nothing to compare)"),
    (Check("c", 3, (), "later"), "- [ ] c (not run yet: later)"),
    (Check("c", 30, tuple("x" * 21)), "- [ ] c (**21 of 30 differ**)\n" + "  - x\n" * 20 + "  - and 1 more"),
]


@pytest.mark.parametrize(("one", "shown"), BOXES)
def test_boxes(one: Check, shown: str) -> None:
    assert shown in to_markdown(Report("t", "i", (Section("s", (one,)),)))
    assert (one.outcome is Outcome.PASSED) == ("[x]" in shown)


def test_long_tables_are_folded_in() -> None:
    tables = [Table("rows", ("a",), tuple((f"{number} | x",) for number in range(count))) for count in (0, 24, 25)]
    page = to_markdown(Report("t", "i", (Section("s", tables=tuple(tables)),)))
    assert "rows: none." in page and "rows (24):\n\n| a |" in page and "<details><summary>rows (25)</summary>\n\n| a |" in page
    assert "| 24 \\| x |" in page
