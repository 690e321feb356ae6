"""A small model with something for every section, stripped once; tests damage copies of it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from unbloat.integrity import Report, integrity_report, plan_report, to_markdown
from unbloat.phases import Recording, plan_phase, recording, strip_phase, stripped_phases
from unbloat.subject import load_subject

FILES = {
    "legacy/pkg/__init__.py": "",
    "legacy/pkg/layers.py": '''\
"""Layers. [INFERRED] a norm before the linear layer; alternatives: after it."""
import torch
from torch import nn

EPSILON = 1e-6
SIZES = [2, 3]


class Block(nn.Module):
    def __init__(self, size, rate=0.25, scale=0.02, legacy_mode=None):
        super().__init__()
        self.norm = nn.LayerNorm(size, eps=EPSILON)
        self.linear = nn.Linear(size, size)
        self.dropout = nn.Dropout(rate)
        self.note = "never read"
        nn.init.normal_(self.linear.weight, std=scale)
        nn.init.zeros_(self.linear.bias)
        if legacy_mode is not None:
            nn.init.ones_(self.linear.bias)

    def forward(self, x, depth=1):
        for _ in range(depth):
            x = x + self.dropout(self.linear(self.norm(x)))
        return x


def unused(alpha=0.5):
    return alpha
''',
    "legacy/pkg/model.py": """\
import logging

import torch
from torch import nn

from pkg.layers import SIZES, Block

logger = logging.getLogger(__name__)


class Model(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.block = Block(cfg.size, rate=cfg.rate)
        self.head = nn.Linear(cfg.size, SIZES[1])
        if cfg.tied:
            self.head.bias = self.block.linear.bias
        self.register_buffer("steps", torch.zeros(1))
        logger.info("built")

    def forward(self, x):
        return self.head(self.block(x))


def train(cfg, model, steps=2):
    torch.manual_seed(cfg.seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=cfg.lr, weight_decay=0.1)
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = model(torch.randn(4, cfg.size)).square().mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
    if cfg.report:
        telemetry(losses)
    return losses


def telemetry(losses):
    return sum(losses)
""",
    "config.yaml": "size: 4\nrate: 0.5\ntied: false\nlr: 0.01\nseed: 3\nreport: true\nnobody: 7\n",
    "workloads.py": """\
from pathlib import Path

from omegaconf import OmegaConf

ROOT = Path(__file__).parent


def fit(golden):
    from pkg.model import Model, train

    config = OmegaConf.load(ROOT / "config.yaml")
    model = Model(config)
    golden.model("fresh", model)
    golden.record("losses", train(config, model))
    golden.model("trained", model)
""",
    "strip.toml": """\
[subject]
package = "pkg"
legacy = "legacy"
stripped = "stripped"

[config]
file = "config.yaml"
parameters = ["cfg"]

[golden]
workloads = "workloads.py"
preload = ["torch", "omegaconf"]

[contract]
engineering = ["pkg.model.telemetry"]
algorithm = ["pkg/layers.py"]

[phases.all]
files = ["**"]
gate = ["fit"]

[[restructure]]
move = "pkg/layers.py"
to = "pkg/parts.py"

[[restructure]]
rename = "pkg.parts:Block"
to = "Layer"

[[restructure]]
local_imports = true
""",
}


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recording]:
    """One warm process for everything: what was recorded holds for every copy. `plan.md` is written before any edit."""
    root = tmp_path_factory.mktemp("integrity")
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    with recording(load_subject(root / "strip.toml"), say) as found:
        [phase] = found.subject.phases
        (root / "plan.md").write_text(to_markdown(plan_report(found, [plan_phase(found, phase, [], say)], say)))
        assert not found.subject.stripped.exists()
        strip_phase(found, phase, [], say)
        yield found


@pytest.fixture(scope="session")
def integrity(recorded: Recording) -> str:
    """The page about the tree as it was stripped."""
    return to_markdown(report_on(recorded))


@pytest.fixture
def copy(recorded: Recording, tmp_path: Path) -> Path:
    return Path(shutil.copytree(recorded.subject.root, tmp_path / "elsewhere"))


@pytest.fixture
def check(recorded: Recording, copy: Path) -> Callable[[], Report]:
    """Reports on the copy as it is now."""
    return lambda: report_on(replace(recorded, subject=load_subject(copy / "strip.toml")))


def report_on(recorded: Recording) -> Report:
    return integrity_report(recorded, stripped_phases(recorded), {"all": "identical"}, say)


def say(line: str) -> None:
    """Nobody listens."""
