"""
Dynamic chunking (Hwang, Wang & Gu 2025, "Dynamic Chunking for End-to-End Hierarchical Sequence Modeling").

A router looks at neighbouring positions and starts a new chunk where they differ. Only the first position of
every chunk goes on to the inner network; afterwards the chunks are spread over their positions again.
"""
from typing import NamedTuple, Optional

import torch
import torch.nn as nn
import torch.nn.functional as F


class Boundaries(NamedTuple):
    p: torch.Tensor  # [B, L] probability that a chunk starts here
    b: torch.Tensor  # [B, L] bool, the decision


class BoundaryRouter(nn.Module):
    r"""
    :math:`p_t = \tfrac12 \big(1 - \cos(W_q x_t, W_k x_{t-1})\big)`, :math:`p_0 = 1`, :math:`b_t = [p_t \ge \tfrac12]`.

    W_q and W_k start as the identity, so that at first a chunk is a run of similar positions.
    """

    def __init__(self, d_model: int):
        super().__init__()
        self.q, self.k = nn.Linear(d_model, d_model, bias=False), nn.Linear(d_model, d_model, bias=False)
        nn.init.eye_(self.q.weight)
        nn.init.eye_(self.k.weight)

    def forward(self, x: torch.Tensor, keep: Optional[torch.Tensor] = None) -> Boundaries:
        """x [B, L, d]; positions not in ``keep`` [B, L] never start a chunk, except the first."""
        q, k = F.normalize(self.q(x[:, 1:]), dim=-1, eps=1e-6), F.normalize(self.k(x[:, :-1]), dim=-1, eps=1e-6)
        p = ((1.0 - (q * k).sum(-1)) / 2).clamp(0.0, 1.0)
        p = F.pad(p, (1, 0), value=1.0)
        b = p >= 0.5
        if keep is not None:
            b = b & keep
            b = torch.cat([torch.ones_like(b[:, :1]), b[:, 1:]], dim=1)
        return Boundaries(p, b)


def ratio_loss(found: Boundaries, target: float) -> torch.Tensor:
    r"""
    :math:`\frac{N}{N-1}\big((N-1) F G + (1-F)(1-G)\big)` with F the share of chosen positions, G the mean
    probability and N = ``target`` the wished positions per chunk; 1 at F = G = 1/N.
    """
    f, g = found.b.to(found.p.dtype).mean(), found.p.mean()
    return target / (target - 1) * ((target - 1) * f * g + (1 - f) * (1 - g))


def gather_chunks(x: torch.Tensor, b: torch.Tensor):
    """The chosen positions, packed to the left: [B, M, d] and their padding mask [B, M]."""
    count = b.sum(1)
    m = int(count.max())
    order = torch.argsort((~b).to(torch.uint8), dim=1, stable=True)[:, :m]
    pad = torch.arange(m, device=x.device).unsqueeze(0) >= count.unsqueeze(1)
    packed = x.gather(1, order.unsqueeze(-1).expand(-1, -1, x.size(-1)))
    return packed.masked_fill(pad.unsqueeze(-1), 0.0), pad, order


def spread_chunks(z: torch.Tensor, found: Boundaries, order: torch.Tensor) -> torch.Tensor:
    r"""
    Chunks [B, M, d] back to positions [B, L, d]: smoothed by
    :math:`\bar z_m = P_m z_m + (1 - P_m) \bar z_{m-1}` (so that a doubtful boundary hands over little and p gets a
    gradient), repeated over the positions of the chunk, times a straight-through confidence of value 1.
    """
    p = found.p.gather(1, order).unsqueeze(-1)
    smooth = [z[:, 0]]
    for m in range(1, z.size(1)):
        smooth.append(p[:, m] * z[:, m] + (1 - p[:, m]) * smooth[-1])
    chunk_of = (torch.cumsum(found.b.to(torch.long), dim=1) - 1).clamp_min(0)
    out = torch.stack(smooth, dim=1).gather(1, chunk_of.unsqueeze(-1).expand(-1, -1, z.size(-1)))
    confidence = torch.where(found.b, found.p, 1.0 - found.p).unsqueeze(-1)
    return out * (1.0 + confidence - confidence.detach())
