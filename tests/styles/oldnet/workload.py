"""Train by a YAML file, then ask."""

from pathlib import Path
from typing import Any

import torch
import yaml

CONFIG = Path(__file__).with_name("config.yaml")


def train(golden: Any) -> None:
    from oldnet import Runner

    runner = Runner(yaml.safe_load(CONFIG.read_text()))
    golden.record("history", runner.run())
    golden.model("trained", runner.model)
    golden.optimizer("optimizer", runner.optimizer)
    golden.rng("rng")


def infer(golden: Any) -> None:
    from oldnet import MODELS, build

    torch.manual_seed(1)
    model = build(yaml.safe_load(CONFIG.read_text())["model"], MODELS).eval()
    with torch.no_grad():
        golden.record("logits", model(torch.randn(2, 3, 8, 8)))
