"""What is changed in a line of code, and what is left alone."""

from __future__ import annotations

import ast
from textwrap import dedent, indent

import pytest
from unbloat.mutate.kinds import KINDS
from unbloat.mutate.mutants import mutants
from unbloat.mutate.sample import sample
from unbloat.mutate.source import Source, replaced

# (code, some of its changes: kind, and what stands there instead)
CHANGES = [
    ("x = 3", [("constant", "4")]),
    ("x = f()\nx = 3", [("statement", "pass")]),
    ("self.x = 3", [("statement", "pass")]),
    ("x = -1", [("constant", "0")]),
    ("x = True", [("constant", "False")]),
    ("x = 0.25", [("constant", "0.5")]),
    ("x = 1e-8", [("constant", "0.5")]),
    ("x = a + b", [("operator", "a - b")]),
    ("x = a * b", [("operator", "a / b")]),
    ("x = a & b", [("mask", "a | b")]),
    ("x = ~a", [("mask", "a")]),
    ("x = -a", [("operator", "a")]),
    ("x = a if b else c", [("operator", "c if b else a")]),
    ("x = a < b", [("operator", "a <= b"), ("operator", "a >= b")]),
    ("x = a and b", [("operator", "a or b")]),
    ("x += a", [("operator", "x -= a"), ("statement", "pass")]),
    ("if a:\n    x = 1", [("operator", "not a")]),
    ("x = x + self.attend(x)", [("residual", "self.attend(x)"), ("residual", "x")]),
    ("x = self.norm1(x)", [("norm order", "x")]),
    ("x = self.norm1(x + y)", [("norm order", "x + self.norm1(y)")]),
    ("x = self.dropout(x)", [("dropout", "x")]),
    ("x = nn.Dropout(rate)", [("dropout", "nn.Dropout(0.5)")]),
    ("x = f(a, dropout_p=p)", [("dropout", "f(a, dropout_p=0.5)")]),
    ("x = F.relu(a)", [("activation", "F.gelu(a)")]),
    ("x = torch.zeros(3)", [("initialisation", "torch.ones(3)")]),
    ("nn.init.xavier_uniform_(w)", [("initialisation", "nn.init.kaiming_uniform_(w)")]),
    ("x = a.masked_fill(m, 0.0)", [("mask", "a.masked_fill(~m, 0.0)")]),
    ("x = f(a, key_padding_mask=m)", [("mask", "f(a)")]),
    ("x = torch.triu(a)", [("mask", "torch.tril(a)")]),
    ("x = a.float()", [("dtype", "a.double()")]),
    ("x = torch.float64", [("dtype", "torch.float32")]),
    ("x = a.to(b.dtype)", [("dtype", "a")]),
    ("x = a[:, :-1]", [("shift", "a[:, 1:]")]),
    ("x = a[1:]", [("shift", "a[:-1]")]),
    ("x = a.sum()", [("reduction", "a.mean()")]),
    ("x = a.mean(keepdim=True)", [("reduction", "a.mean()")]),
    ("x = max(a, b)", [("reduction", "min(a, b)")]),
    ("for one in batches:\n    pass", [("batch order", "reversed(list(batches))")]),
    ("x = sorted(a)", [("batch order", "list(a)")]),
    ("random.shuffle(a)", [("batch order", "None")]),
    ("x = f(a, b)", [("argument", "f(b, a)")]),
    ("x = torch.cat([a, b])", [("argument", "[b, a]")]),
    ("self.log('val_loss', a)", [("metric", "self.log('val_loss_', a)")]),
    ("x = torch.optim.Adam(p, lr=rate)", [("optimizer or schedule", "torch.optim.AdamW(p, lr=rate)")]),
    ("x = F.cross_entropy(a, b)", [("loss", "F.multi_margin_loss(a, b)")]),
    ("loss = 1\nloss = loss + w * a", [("loss", "loss - w * a"), ("loss", "pass")]),
    ("accuracy = a / b", [("metric", "a * b")]),
    ("x = f()\nx = g(x)", [("statement", "x = g(x); x = f()")]),
    ("self.x = f()\ny = g(self.x)", [("statement", "y = g(self.x); self.x = f()")]),
    ("a = Linear(1)\nb = Linear(2)", [("statement", "b = Linear(2); a = Linear(1)")]),
]


def source(code: str) -> Source:
    return Source("pkg/module.py", code, "pinned")


@pytest.mark.parametrize(("code", "wanted"), CHANGES, ids=[code for code, _ in CHANGES])
def test_changes(code: str, wanted: list[tuple[str, str]]) -> None:
    found = [(mutant.kind, mutant.change.split(" → ")[1]) for mutant in mutants(source(code))]
    assert [one for one in wanted if one not in found] == []


def test_every_kind_has_an_example() -> None:
    assert {kind for _, wanted in CHANGES for kind, _ in wanted} == set(KINDS)


QUIET = [
    '"""Text."""',
    "import a",
    "from .pinned import forbid as unbloat_forbid\nunbloat_forbid(a > 1, 'pkg/a.py:1')",
    "from . import pinned\npinned.check(cfg, 2)",
    "logger.info('%d', 1 + 2)",
    "if size < 1:\n    raise ValueError(1)",
    "raise ValueError(1 + 2)",
    "assert a > 1",
    "def f(x: Tuple[1, 2]) -> List[3]: pass",
    "x: int",
    "def setup_logging():\n    x = 1",
]


@pytest.mark.parametrize("code", QUIET)
def test_what_is_no_algorithm_is_left_alone(code: str) -> None:
    assert mutants(Source("pkg/module.py", code, "pinned", frozenset({"setup_logging"}))) == []


def test_a_wire_inside_an_expression_is_left_alone() -> None:
    code = "from .pinned import unseen\nx = a if b else unseen('pkg/a.py:1', 2)"
    assert [mutant.change for mutant in mutants(source(code)) if "3" in mutant.change] == []


# (code, a change that would say nothing)
IDLE = [
    ("a = b\nc = d", "c = d; a = b"),
    ("a = b\nc = a", "c = a; a = b"),
    ("x = 3", "pass"),
    ("x = nn.LayerNorm(a)", "a"),
    ("x = a.dtype in (torch.float16, b)", "torch.float32"),
    ("x = max(a for a in b)", "reversed(list(b))"),
    ("x = {a: 1 for a in b}", "reversed(list(b))"),
    ("for x in range(3):\n    f(x)", "reversed(list(range(3)))"),
    ("x = a.masked_fill(~m, 0.0)", "a.masked_fill(~~m, 0.0)"),
]


@pytest.mark.parametrize(("code", "change"), IDLE)
def test_what_would_say_nothing_is_not_tried(code: str, change: str) -> None:
    assert not any(mutant.change.endswith(f"→ {change}") for mutant in mutants(source(code)))


def test_every_mutant_is_one_small_change_that_compiles() -> None:
    code = "\n".join(f"def function_{number}(self):\n{indent(code, '    ')}" for number, (code, _) in enumerate(CHANGES))
    before = source(code)
    found = mutants(before)
    for mutant in found:
        (edit,) = mutant.edits
        after = ast.parse(replaced(code, edit.span, edit.text))
        functions = zip(before.tree.body, after.body, strict=True)
        assert sum(ast.dump(old) != ast.dump(new) for old, new in functions) == 1, mutant
    assert len({mutant.name for mutant in found}) == len(found)


def test_parentheses_and_letters_beyond_ascii_keep_their_place() -> None:
    code = "x = (a + b) * c  # größer\ny = 'ä' * (2 + d)\n"
    texts = [replaced(code, mutant.edits[0].span, mutant.edits[0].text) for mutant in mutants(source(code))]
    values = {ast.unparse(ast.parse(text)) for text in texts}
    assert {"x = (a - b) * c\ny = 'ä' * (2 + d)", "x = (a + b) * c\ny = 'ä' * (2 - d)"} <= values


def test_a_sample_holds_every_kind_of_every_file_and_stays_the_same() -> None:
    codes = {"pkg/a.py": "a = 1\nb = 2\nc = 3\nd = e + f", "pkg/b.py": "x = y.sum()\nself.z = 4"}
    everything = [mutant for file, code in codes.items() for mutant in mutants(Source(file, code, "pinned"))]
    chosen = sample(everything, 6)
    assert {(one.kind, one.file) for one in chosen} == {(one.kind, one.file) for one in everything}
    edited = [mutant for file, code in codes.items() for mutant in mutants(Source(file, "import os\n" + code, "pinned"))]
    assert [(one.file, one.change) for one in sample(edited, 6)] == [(one.file, one.change) for one in chosen]
    assert sample(everything, 1000) == everything


def test_a_method_and_its_line_say_where_a_change_is() -> None:
    code = dedent(
        """
        class Model:
            def forward(self, x):
                return self.scale(
                    x * 2)
        """
    )
    (mutant,) = [one for one in mutants(source(code)) if one.kind == "constant"]
    assert (mutant.function, mutant.line, mutant.at) == ("Model.forward", "return self.scale(", "pkg/module.py:5")
