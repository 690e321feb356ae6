"""A neural ODE of torchdiffeq, solved and trained through the adjoint."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn


class Field(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 2))

    def forward(self, t: Any, y: Any) -> Any:
        return self.net(y**3)


def train(golden: Any) -> None:
    from torchdiffeq import odeint_adjoint as odeint

    torch.manual_seed(7)
    field = Field()
    times = torch.linspace(0.0, 1.0, 5)
    optimizer = torch.optim.Adam(field.parameters(), lr=1e-2)
    for step in range(2):
        path = odeint(field, torch.tensor([[2.0, 0.0]]), times, method="dopri5", rtol=1e-4, atol=1e-5)
        loss = path.abs().mean()
        loss.backward()
        golden.record(f"step{step}.loss", loss)
        golden.record(f"step{step}.path", path)
        optimizer.step()
        optimizer.zero_grad()
    golden.model("trained", field)


def solve(golden: Any) -> None:
    from torchdiffeq import odeint

    torch.manual_seed(7)
    field = Field()
    with torch.no_grad():
        golden.record("path", odeint(field, torch.tensor([[2.0, 0.0]]), torch.linspace(0.0, 1.0, 5), method="dopri5"))
