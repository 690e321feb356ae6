"""The golden workloads of configs/moe_rdrop_swa.yaml."""

from __future__ import annotations

from champion_runs import Recorder
from places import REPRODUCTION
from workloads_other import forward_for, prepare_for, train_for

CONFIG = REPRODUCTION / "configs" / "moe_rdrop_swa.yaml"


def prepare(golden: Recorder) -> None:
    """Tasks as training data."""
    prepare_for(golden, CONFIG)


def forward(golden: Recorder) -> None:
    """A fresh model's answers."""
    forward_for(golden, CONFIG)


def train(golden: Recorder) -> None:
    """Training from scratch."""
    train_for(golden, CONFIG)
