"""A small model with something for every section, stripped once; tests damage copies of it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from unbloat.cli import main

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
local_imports = true
""",
}


@pytest.fixture(scope="session")
def stripped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of strip.toml."""
    root = tmp_path_factory.mktemp("integrity")
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    subject = ["--subject", str(root / "strip.toml")]
    assert main(["plan", *subject, "--report", str(root / "plan.md")]) == 0
    assert main(["strip", *subject]) == 0
    assert main(["report", *subject, "--integrity", str(root / "integrity.md")]) == 0
    return root


@pytest.fixture
def copy(stripped: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(stripped, tmp_path / "elsewhere"))
