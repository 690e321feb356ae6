"""Differences of many kinds, planted one at a time: each is to be named with its operation, lines, module and step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unbloat.diff import Finding, Kind

WORKLOAD_FILE = "workloads.py"
REQUIRED = 19


@dataclass(frozen=True)
class Planted:
    """What is changed, and what the finding must say: a part of each tree's line, the module, the optimizer steps before."""

    edit: tuple[str, str, str]
    what: tuple[Kind, str]
    lines: str | tuple[str, str]
    module: str
    step: int = 0


M, T = "model.py", "training.py"
SCALE = "scores = scores / math.sqrt(width // self.heads)"
BLOCK, ATTENTION = "Net.blocks.0", "Net.blocks.0.attention"
RESIDUAL = "x = x + self.attention(self.norm1(x), mask)"
PLANTED = {
    "a constant": Planted(
        (M, SCALE, "scores = scores / math.sqrt(width)"),
        (Kind.ARGUMENT, "aten.div"),
        "scores = scores /",
        ATTENTION,
    ),
    "an operator": Planted(
        (M, SCALE, SCALE.replace("/ math", "* math")),
        (Kind.REPLACED, "aten.div"),
        ("scores = scores /", "scores = scores *"),
        ATTENTION,
    ),
    "the rate of dropout": Planted(
        (M, "nn.Dropout(0.1)", "nn.Dropout(0.2)"),
        (Kind.ARGUMENT, "aten.bernoulli_"),
        "self.dropout(self",
        f"{BLOCK}.dropout",
    ),
    "an activation": Planted(
        (M, "functional.gelu", "functional.relu"),
        (Kind.REPLACED, "aten.gelu"),
        ("functional.gelu", "functional.relu"),
        BLOCK,
    ),
    "the place of a norm": Planted(
        (M, RESIDUAL, "x = self.norm1(x + self.attention(x, mask))"),
        (Kind.DELETED, "aten.native_layer_norm"),
        (RESIDUAL, "q, k, v = self.qkv(x)"),
        f"{BLOCK}.norm1",
    ),
    "the epsilon of a norm": Planted(
        (M, "self.norm2 = nn.LayerNorm(cfg.width)", "self.norm2 = nn.LayerNorm(cfg.width, eps=1e-6)"),
        (Kind.ARGUMENT, "aten.native_layer_norm"),
        "self.norm2(x)",
        f"{BLOCK}.norm2",
    ),
    "a mask off by one": Planted(
        (M, "diagonal=1", "diagonal=2"),
        (Kind.ARGUMENT, "aten.triu"),
        "mask = torch.triu",
        "Net",
    ),
    "no residual": Planted(
        (M, "return x + hidden", "return hidden"),
        (Kind.DELETED, "aten.add"),
        ("return x + hidden", RESIDUAL),
        BLOCK,
    ),
    "swapped operands": Planted(
        (M, "q @ k.transpose(-2, -1)", "k @ q.transpose(-2, -1)"),
        (Kind.OPERAND, "aten.transpose"),
        ("scores = q @", "scores = k @"),
        ATTENTION,
    ),
    "an initialisation": Planted(
        (M, "std=0.02", "std=0.03"),
        (Kind.ARGUMENT, "aten.normal_"),
        "nn.init.normal_",
        "",
    ),
    "the order of layers": Planted(
        (
            M,
            "        self.up = nn.Linear(cfg.width, 2 * cfg.width)\n        self.down = nn.Linear(2 * cfg.width, cfg.width)\n",
            "        self.down = nn.Linear(2 * cfg.width, cfg.width)\n        self.up = nn.Linear(cfg.width, 2 * cfg.width)\n",
        ),
        (Kind.INSERTED, "aten.empty"),
        ("self.up = ", "self.down = "),
        "",
    ),
    "a seed": Planted(
        (T, "    model = Net(cfg)", "    torch.manual_seed(1)\n    model = Net(cfg)"),
        (Kind.OUTSIDE, "aten.normal_"),
        "self.embedding = ",
        "",
    ),
    "the weight of a loss": Planted(
        (T, "0.01 * penalty", "0.02 * penalty"),
        (Kind.ARGUMENT, "aten.mul"),
        "return loss + ",
        "",
    ),
    "a reduction": Planted(
        (T, "logits.square().mean()", "logits.square().sum()"),
        (Kind.REPLACED, "aten.mean"),
        "penalty = ",
        "",
    ),
    "a shift of the targets": Planted(
        (T, "loss_of(logits, tokens[:, 1:])", "loss_of(logits, tokens[:, :-1])"),
        (Kind.ARGUMENT, "aten.slice"),
        "loss = loss_of",
        "",
    ),
    "a detached term": Planted(
        (T, "logits.square()", "logits.detach().square()"),
        (Kind.INSERTED, "aten.detach"),
        "penalty = ",
        "",
    ),
    "a term without gradient": Planted(
        (T, "    penalty = ", "    with torch.no_grad():\n        penalty = "),
        (Kind.GRADIENT, "aten.pow"),
        "penalty = ",
        "",
    ),
    "a beta": Planted(
        (T, "(0.9, 0.99)", "(0.9, 0.95)"),
        (Kind.ARGUMENT, "aten.addcmul_"),
        "optimizer.step()",
        "(optimizer)",
    ),
    "a weight decay": Planted(
        (T, "weight_decay=0.1", "weight_decay=0.2"),
        (Kind.ARGUMENT, "aten.mul_"),
        "optimizer.step()",
        "(optimizer)",
    ),
    "a schedule": Planted(
        (T, "min(1.0, ", "min(0.5, "),
        (Kind.ARGUMENT, "aten.mul_"),
        "optimizer.step()",
        "(optimizer)",
        2,
    ),
    "no clipping": Planted(
        (T, "        nn.utils.clip_grad_norm_(model.parameters(), 1.0)\n", ""),
        (Kind.DELETED, "aten._foreach_norm"),
        ("nn.utils.clip_grad_norm_", "optimizer.step()"),
        "",
    ),
    "swapped statements": Planted(
        (
            T,
            "        optimizer.zero_grad()\n        loss.backward()\n",
            "        loss.backward()\n        optimizer.zero_grad()\n",
        ),
        (Kind.DELETED, "aten.zeros_like"),
        ("optimizer.step()", "hits = "),
        "(optimizer)",
    ),
    "a cast": Planted(
        (M, "self.norm(x)", "self.norm(x.bfloat16().float())"),
        (Kind.INSERTED, "aten._to_copy"),
        ("x = self.norm(x)", "x = self.norm(x"),
        "Net",
    ),
    "an inserted operation": Planted(
        (T, "        loss = loss_of", "        logits = logits * 1.001\n        loss = loss_of"),
        (Kind.INSERTED, "aten.mul"),
        ("loss = loss_of", "logits = logits * 1.001"),
        "",
    ),
    "in place": Planted(
        (M, "x = x + self.position[:length]", "x += self.position[:length]"),
        (Kind.REPLACED, "aten.add"),
        ("x = x + self.position", "x += self.position"),
        "Net",
    ),
    "the order of batches": Planted(
        (T, "random.Random(7)", "random.Random(8)"),
        (Kind.OUTSIDE, "aten.lift_fresh"),
        "yield torch.tensor",
        "",
    ),
    "a metric": Planted(
        (T, "hits.mean()", "hits.sum()"),
        (Kind.REPLACED, "aten.mean"),
        "accuracy = hits",
        "",
        1,
    ),
    "a rounded metric": Planted(
        (T, "accuracy.item(), 4)", "accuracy.item(), 1)"),
        (Kind.RECORDED, "golden"),
        'golden.record("history"',
        "",
        3,
    ),
    "the content of a file": Planted(
        (T, "json.dumps(history)", "json.dumps(history, indent=1)"),
        (Kind.RECORDED, "golden"),
        "golden.files(",
        "",
        3,
    ),
    "a key of the state dict": Planted(
        (
            M,
            "self.norm = nn.LayerNorm(cfg.width)\n",
            "self.last = nn.LayerNorm(cfg.width)\n        self.__dict__['norm'] = self.last\n",
        ),
        (Kind.RECORDED, "golden"),
        "golden.model(",
        "",
        3,
    ),
    "a crash": Planted(
        (M, "self.heads, -1)", "self.heads + 1, -1)"),
        (Kind.FAILED, "aten.view"),
        ("part.view", ""),
        ATTENTION,
    ),
}


def _line(root: Path, tree: str, part: str) -> str:
    """The place of the only line that holds a text, as a finding shows it."""
    files = [*sorted((root / tree).rglob("*.py")), root / WORKLOAD_FILE]
    found = [
        f"{file.relative_to(root / tree if file.is_relative_to(root / tree) else root)}:{number}"
        for file in files
        for number, line in enumerate(file.read_text().splitlines(), 1)
        if part in line
    ]
    assert len(found) == 1, (part, found)
    return found[0]


def _difference(planted: Planted, found: Finding | None, root: Path) -> str | None:
    """What is wrong with a finding, if anything."""
    if found is None:
        return "nothing found"
    asked = found.operation
    told: dict[str, Any] = {
        "kind": found.kind,
        "operation": asked and asked.shown.split("(")[0].rpartition(".")[0],
        "module": asked and asked.module,
        "step": asked and asked.step,
        "first": found.first and str(found.first.place),
        "second": found.second and str(found.second.place),
    }
    kind, operation = planted.what
    first, second = (planted.lines, planted.lines) if isinstance(planted.lines, str) else planted.lines
    wanted = {
        "kind": kind,
        "operation": operation,
        "module": planted.module,
        "step": planted.step,
        "first": _line(root, "legacy", first),
        "second": _line(root, "other", second) if second else None,
    }
    wrong = [f"{key} {told[key]!r}, not {wanted[key]!r}" for key in wanted if told[key] != wanted[key]]
    return "; ".join(wrong) or None


def test_planted(write_copies: Callable[..., Any]) -> None:
    copies = write_copies()
    root = copies.subject.root
    original = {file: file.read_text() for file in (copies.subject.stripped / "pkg").glob("*.py")}
    missed = {}
    for name, planted in PLANTED.items():
        copies.edit(*planted.edit)
        found = copies.find()
        if (wrong := _difference(planted, found, root)) is not None:
            missed[name] = wrong
        for file, text in original.items():
            file.write_text(text)
    assert len(PLANTED) - len(missed) >= REQUIRED, missed
    assert missed == {}
