"""A Mamba of mambapy, made by its data class of settings, trained for three steps and asked token by token."""

from __future__ import annotations

from typing import Any

import torch


def build() -> Any:
    from mambapy.mamba import Mamba, MambaConfig

    torch.manual_seed(7)
    return Mamba(MambaConfig(d_model=16, n_layers=2))


def train(golden: Any) -> None:
    model = build().train()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for step in range(3):
        loss = model(torch.randn(2, 8, 16)).square().mean()
        loss.backward()
        golden.record(f"step{step}.loss", loss)
        optimizer.step()
        optimizer.zero_grad()
    golden.model("trained", model)


def generate(golden: Any) -> None:
    """Each answer is the next token; a layer remembers its state and its last inputs."""
    model = build().eval()
    caches = [(None, torch.zeros(1, layer.mixer.config.d_inner, layer.mixer.config.d_conv - 1)) for layer in model.layers]
    token = torch.randn(1, 16)
    with torch.no_grad():
        for step in range(4):
            token, caches = model.step(token, caches)
            golden.record(f"token{step}", token)
