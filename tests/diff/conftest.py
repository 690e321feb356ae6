"""A small package that trains, a copy of it in which to plant differences, and a warm server for all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

import pytest
from unbloat.diff import Finding, first_divergence
from unbloat.subject import Subject, load_subject
from unbloat.verify.server import Server

# torch imports dynamo when the first optimizer is made; here once, and not in every run.
STRIP = """
[subject]
package = "pkg"
legacy = "legacy"
stripped = "other"

[golden]
workloads = "workloads.py"
preload = ["torch", "torch._dynamo"]
limit = 60
"""

MODEL = """
import math

import torch
from torch import nn


class Attention(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.heads = cfg.heads
        self.qkv = nn.Linear(cfg.width, 3 * cfg.width)
        self.out = nn.Linear(cfg.width, cfg.width)

    def forward(self, x, mask):
        batch, length, width = x.shape
        q, k, v = self.qkv(x).chunk(3, dim=-1)
        q, k, v = (part.view(batch, length, self.heads, -1).transpose(1, 2) for part in (q, k, v))
        scores = q @ k.transpose(-2, -1)
        scores = scores / math.sqrt(width // self.heads)
        scores = scores.masked_fill(mask, -1e9)
        weights = scores.softmax(dim=-1)
        mixed = (weights @ v).transpose(1, 2).reshape(batch, length, width)
        return self.out(mixed)


class Block(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.norm1 = nn.LayerNorm(cfg.width)
        self.attention = Attention(cfg)
        self.norm2 = nn.LayerNorm(cfg.width)
        self.up = nn.Linear(cfg.width, 2 * cfg.width)
        self.down = nn.Linear(2 * cfg.width, cfg.width)
        self.dropout = nn.Dropout(0.1)

    def forward(self, x, mask):
        x = x + self.attention(self.norm1(x), mask)
        hidden = nn.functional.gelu(self.up(self.norm2(x)))
        hidden = self.dropout(self.down(hidden))
        return x + hidden


class Net(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.embedding = nn.Embedding(cfg.vocabulary, cfg.width)
        self.position = nn.Parameter(torch.zeros(cfg.length, cfg.width))
        nn.init.normal_(self.position, std=0.02)
        self.blocks = nn.ModuleList(Block(cfg) for _ in range(cfg.depth))
        self.norm = nn.LayerNorm(cfg.width)
        self.head = nn.Linear(cfg.width, cfg.vocabulary)

    def forward(self, tokens):
        length = tokens.shape[1]
        mask = torch.triu(torch.ones(length, length, dtype=torch.bool), diagonal=1)
        x = self.embedding(tokens)
        x = x + self.position[:length]
        for block in self.blocks:
            x = block(x, mask)
        x = self.norm(x)
        return self.head(x)
"""

TRAINING = """
import json
import random

import torch
from torch import nn

from pkg.model import Net


def batches(cfg):
    order = list(range(cfg.samples))
    random.Random(7).shuffle(order)
    table = [[(number * 3 + at * at) % cfg.vocabulary for at in range(cfg.length + 1)] for number in order]
    for start in range(0, cfg.samples, cfg.batch):
        yield torch.tensor(table[start : start + cfg.batch])


def loss_of(logits, targets):
    loss = nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())
    penalty = logits.square().mean()
    return loss + 0.01 * penalty


def schedule(step):
    return min(1.0, (step + 1) / 4)


def train(cfg, folder):
    model = Net(cfg)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01, betas=(0.9, 0.99), weight_decay=0.1)
    history = []
    for step, tokens in enumerate(batches(cfg)):
        for group in optimizer.param_groups:
            group["lr"] = 0.01 * schedule(step)
        logits = model(tokens[:, :-1])
        loss = loss_of(logits, tokens[:, 1:])
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        with torch.no_grad():
            hits = (logits.argmax(-1) == tokens[:, 1:]).float()
            accuracy = hits.mean()
        history.append({"loss": loss.item(), "accuracy": round(accuracy.item(), 4)})
    (folder / "history.json").write_text(json.dumps(history))
    return model, history
"""

WORKLOAD = """
import random
from types import SimpleNamespace

import torch

CFG = SimpleNamespace(width=8, heads=2, depth=2, length=6, vocabulary=11, samples=12, batch=4)


def workload(golden):
    from pkg.training import train

    model, history = train(CFG, golden.workdir)
    golden.record("history", history)
    golden.model("model", model)
    golden.rng("end")
    golden.files("files", golden.workdir)
"""


@dataclass(frozen=True)
class Copies:
    """Two trees of one package, and a server to run them on."""

    subject: Subject
    server: Server

    def edit(self, file: str, old: str, new: str) -> None:
        """Change one place of the second tree."""
        path = self.subject.stripped / "pkg" / file
        text = path.read_text()
        assert text.count(old) == 1, old
        path.write_text(text.replace(old, new))

    def find(self) -> Finding | None:
        subject = self.subject
        return first_divergence(self.server, subject, subject.workloads[0], subject.legacy, subject.stripped)


@pytest.fixture(scope="session")
def torch_server() -> Iterator[Server]:
    with Server(["torch", "torch._dynamo"]) as running:
        yield running


@pytest.fixture
def write_copies(tmp_path: Path, torch_server: Server) -> Callable[..., Copies]:
    """Writes the package twice, with the modules given or those above."""

    def write(workload: str = WORKLOAD, **modules: str) -> Copies:
        for tree in ("legacy", "other"):
            (tmp_path / tree / "pkg").mkdir(parents=True)
            for name, text in {"__init__": "", **(modules or {"model": MODEL, "training": TRAINING})}.items():
                (tmp_path / tree / "pkg" / f"{name}.py").write_text(dedent(text).lstrip("\n"))
        (tmp_path / "workloads.py").write_text(dedent(workload))
        (tmp_path / "strip.toml").write_text(STRIP)
        return Copies(load_subject(tmp_path / "strip.toml"), torch_server)

    return write
