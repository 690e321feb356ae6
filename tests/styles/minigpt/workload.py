"""Train by command-line flags, then build from a config object and write some text."""

from typing import Any

import torch


def train(golden: Any) -> None:
    from minigpt.train import main

    data = torch.arange(400) * 7 % 64

    def watch(step: int, loss: Any, model: Any, optimizer: Any) -> None:
        golden.record(f"step{step}.loss", loss)
        golden.record(f"step{step}.lr", [group["lr"] for group in optimizer.param_groups])

    model = main(["--n_layer", "2", "--n_embd", "32", "--steps", "3", "--dropout", "0.1"], data=data, callback=watch)
    golden.model("trained", model)
    golden.rng("rng")


def generate(golden: Any) -> None:
    from minigpt.config import GPTConfig
    from minigpt.model import GPT

    torch.manual_seed(3)
    model = GPT(GPTConfig(n_layer=2, n_embd=32)).eval()
    golden.record("count", model.get_num_params())
    golden.record("text", model.generate(torch.zeros((1, 1), dtype=torch.long), 8))
