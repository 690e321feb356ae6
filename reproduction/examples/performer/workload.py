"""A language model of performer-pytorch, asked and trained for three steps."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.functional import cross_entropy


def build() -> Any:
    from performer_pytorch import PerformerLM

    torch.manual_seed(7)
    return PerformerLM(num_tokens=64, max_seq_len=16, dim=32, depth=2, heads=4, dim_head=8, causal=False, nb_features=16)


def forward(golden: Any) -> None:
    model = build().eval()
    golden.model("built", model)
    with torch.no_grad():
        golden.record("logits", model(torch.randint(64, (2, 16))))


def train(golden: Any) -> None:
    model = build().train()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for step in range(3):
        tokens = torch.randint(64, (2, 17))
        loss = cross_entropy(model(tokens[:, :-1]).transpose(1, 2), tokens[:, 1:])
        loss.backward()
        golden.record(f"step{step}.loss", loss)
        optimizer.step()
        optimizer.zero_grad()
    golden.model("trained", model)
