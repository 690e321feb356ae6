"""Looking on changes nothing: without recording, recorded, and observed, a training run ends in the same bits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from unbloat.golden.ledger import Ledger
from unbloat.record import OBSERVER, observer_options
from unbloat.subject import Subject
from unbloat.verify.outcome import Recorded
from unbloat.verify.server import Server

from tests.unwatched_runs import final_bits, unwatched

PRELOAD = ("torch", "omegaconf")

MODULE = '''
"""A small net with everything that draws random numbers or keeps state."""

import random

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class Net(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.into = nn.Linear(6, cfg.width)
        self.norm = nn.BatchNorm1d(cfg.width) if cfg.norm else nn.Identity()
        self.attend = nn.MultiheadAttention(cfg.width, 2, dropout=0.1, batch_first=True)
        self.drop = nn.Dropout(cfg.dropout)
        self.out = nn.Linear(cfg.width, 3)
        if cfg.zero:
            nn.init.zeros_(self.out.weight)

    def forward(self, x):
        y = self.norm(self.into(x)).relu()
        if self.training:
            y = self.drop(y)
        mixed, _ = self.attend(y[None], y[None], y[None])
        return self.out(y + mixed[0])


def noise(cfg, x):
    if cfg.noise == "numpy" and random.random() < 0.5:
        return x + torch.from_numpy(np.random.normal(0, 0.1, x.shape).astype("f4"))
    return x + torch.rand_like(x)


def run(cfg, watch):
    data = TensorDataset(torch.randn(24, 6), torch.randint(0, 3, (24,)))
    net = Net(cfg)
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-2, weight_decay=0.1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.05, total_steps=12)
    for _ in range(3):
        for x, y in DataLoader(data, batch_size=6, shuffle=True):
            loss = nn.functional.cross_entropy(net(noise(cfg, x)), y, label_smoothing=0.1)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            watch(net, optimizer, loss)
    return net, optimizer
'''

WORKLOAD = """
import torch
from omegaconf import OmegaConf


def workload(golden):
    from pkg.module import run

    steps = iter(range(99))

    def watch(net, optimizer, loss):
        step = f"step{next(steps)}"
        golden.record(f"{step}.loss", loss.detach())
        golden.gradients(f"{step}.gradients", net)
        golden.optimizer(f"{step}.optimizer", optimizer)
        golden.record(f"{step}.parameters", dict(net.named_parameters()))
        golden.rng(f"{step}.rng")

    net, optimizer = run(OmegaConf.create(CONFIG), watch)
    golden.model("trained", net)
    golden.optimizer("optimizer", optimizer)
    golden.gradients("gradients", net)
    golden.rng("end")
"""
CONFIG = {"width": 8, "norm": True, "dropout": 0.2, "zero": False, "noise": "numpy"}


@pytest.fixture(scope="module")
def warm() -> Iterator[Server]:
    with Server(PRELOAD) as server:
        yield server


def recorded(server: Server, subject: Subject, *, observed: bool = False, seed: int = 0) -> Ledger:
    workload = subject.workload("workload")
    options = observer_options(subject, workload) if observed else None
    observer = OBSERVER if observed else None
    outcome = server.run(subject.legacy, workload, seed=seed, observer=observer, observer_options=options)
    assert isinstance(outcome, Recorded), outcome
    return outcome.ledger


def test_a_training_run_ends_in_the_same_bits(make_subject: Callable[..., Subject], warm: Server, tmp_path: Path) -> None:
    subject = make_subject(MODULE, workload=f"{WORKLOAD}\n\nCONFIG = {CONFIG!r}\n")
    names = ("trained.", "optimizer", "gradients")
    plain = unwatched(subject, subject.workload("workload"), tmp_path / "plain.json", PRELOAD)
    expected = final_bits(plain, names)
    assert {"rng.python", "rng.numpy", "rng.torch", "step11.loss"} <= expected.keys() and len(expected) > 40
    assert final_bits(recorded(warm, subject), names) == expected
    assert final_bits(recorded(warm, subject, observed=True), names) == expected
    another = final_bits(recorded(warm, subject, seed=1), names)
    assert another.keys() == expected.keys() and another["step0.loss"] != expected["step0.loss"]
