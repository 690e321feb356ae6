r"""
Head-level CEBR (curvature-entropy balance) of attention maps.

A head is read as a random walk on the tokens. Two things are penalised, with weights that depend on how far
the head
looks: a walk that ends up on few tokens (vertex entropy, VE), and edges between tokens with different
neighbourhoods (low Ollivier-Ricci curvature, ORC; Ollivier 2009), because those are bottlenecks.

.. math:: L = \frac{1}{heads} \sum_h \alpha_{s(h)} \Big(1 - \frac{H(\pi_h)}{\log L}\Big)
          + \beta_{s(h)} \frac{1}{|E_h|} \sum_{(i,j) \in E_h} (1 - \kappa_{ij}), \qquad
          \kappa_{ij} = 1 - \tfrac12 \lVert A_i - A_j \rVert_1

[INFERRED] Known are the keys of model.cebr_head and that head-level CEBR exists. The scale of a head comes
from the mean entropy of its rows (micro below tau_eps, macro from tau_global on, meso between). Alternatives
considered: scale by layer depth or by mean attention distance; W_1 on the grid metric for the curvature
(needs optimal transport per edge, here the discrete metric, for which W_1 is the total variation); spectral
entropy instead of vertex entropy.
"""

from typing import Any, Optional

import torch
import torch.nn as nn

from champion.regularisers.regularizers import row_entropy

SCALES = ("micro", "meso", "macro")


class HeadCEBR(nn.Module):
    """
    Reads every key of model.cebr_head (``enabled`` is the caller's business).

    With ``learnable`` the six weights are parameters, moving inside their [min, max] by a sigmoid.
    """

    def __init__(self, cfg: Any):
        super().__init__()
        self.power_iters = int(cfg["power_iters"])
        self.topk_orc = int(cfg["topk_orc"])
        self.p_min = float(cfg["p_min"])
        self.tau_eps = float(cfg["tau_eps"])
        self.tau_global = float(cfg["tau_global"])
        if not 0.0 <= self.tau_eps <= self.tau_global:
            raise ValueError(f"need 0 <= tau_eps <= tau_global, got {self.tau_eps} and {self.tau_global}")
        self.bounds = {
            "alpha": (float(cfg["alpha_min"]), float(cfg["alpha_max"])),
            "beta": (float(cfg["beta_min"]), float(cfg["beta_max"])),
        }
        self.learnable = bool(cfg["learnable"])
        self._add_weights("alpha", torch.tensor([float(cfg[f"ve_alpha_{scale}"]) for scale in SCALES]))
        self._add_weights("beta", torch.tensor([float(cfg[f"orc_beta_{scale}"]) for scale in SCALES]))

    def _add_weights(self, name: str, values: torch.Tensor) -> None:
        low, high = self.bounds[name]
        if self.learnable:
            # keep clear of both ends, the sigmoid has no inverse there
            share = ((values - low) / (high - low)).clamp(1e-4, 1 - 1e-4)
            self.register_parameter(f"{name}_raw", nn.Parameter(torch.logit(share)))
        else:
            self.register_buffer(f"{name}_raw", values.clamp(low, high))

    def weights(self, name: str) -> torch.Tensor:
        """Weights 'alpha' (entropy) or 'beta' (curvature) for micro, meso and macro heads, [3]."""
        raw = getattr(self, f"{name}_raw")
        if not self.learnable:
            return raw
        low, high = self.bounds[name]
        return low + (high - low) * torch.sigmoid(raw)

    def scale_of_heads(self, attention: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        """Index into SCALES per head, from the mean row entropy as a share of log L. [B, heads] long."""
        with torch.no_grad():
            entropy = row_entropy(attention).sum(-1) / tokens / tokens.clamp_min(2.0).log()
            return (entropy >= self.tau_eps).long() + (entropy >= self.tau_global).long()

    def stationary(self, attention: torch.Tensor, start: torch.Tensor) -> torch.Tensor:
        r"""After power_iters steps from a uniform start: :math:`\pi \leftarrow \pi A`. [B, heads, L]"""
        pi = start.expand(attention.shape[:-1])
        for _ in range(self.power_iters):
            pi = (pi.unsqueeze(-2) @ attention).squeeze(-2)
        return pi

    def curvature_gap(self, attention: torch.Tensor) -> torch.Tensor:
        r"""
        Mean of :math:`1 - \kappa` over the topk_orc heaviest edges of a head that weigh at least p_min. [B,
        heads]

        Self-loops have curvature 1 and are left out; without any edge the gap is 0.
        """
        length = attention.size(-1)
        if length == 1:
            return attention.new_zeros(attention.shape[:2])
        itself = torch.eye(length, dtype=torch.bool, device=attention.device)
        edges = attention.masked_fill(itself, 0.0).flatten(-2)  # [B, heads, L*L]
        weight, place = edges.topk(min(self.topk_orc, edges.size(-1)), dim=-1)
        rows = torch.div(place, length, rounding_mode="floor")
        gap = 0.5 * (_take_rows(attention, rows) - _take_rows(attention, place % length)).abs().sum(-1)
        counts = (weight.detach() >= self.p_min).to(attention.dtype)
        return (gap * counts).sum(-1) / counts.sum(-1).clamp_min(1.0)

    def forward(
        self, attention: torch.Tensor, key_padding_mask: Optional[torch.Tensor] = None
    ) -> torch.Tensor:
        """
        Args:
            attention: [B, heads, L, L] self-attention, rows sum to 1
            key_padding_mask: [B, L] bool, True for padding
        Returns:
            scalar penalty
        """
        batch, _, rows, length = attention.shape
        if rows != length:
            raise ValueError(f"needs self-attention, got {tuple(attention.shape)}")
        keep = attention.new_ones(batch, length)
        if key_padding_mask is not None:
            keep = (~key_padding_mask).to(attention.dtype)
            attention = attention * keep[:, None, :, None] * keep[:, None, None, :]
        tokens = keep.sum(-1, keepdim=True).clamp_min(1.0)  # [B, 1]

        pi = self.stationary(attention, (keep / tokens).unsqueeze(1))
        entropy = row_entropy(pi) / tokens.clamp_min(2.0).log()
        has_tokens = (keep.sum(-1, keepdim=True) > 1).to(attention.dtype)
        scales = self.scale_of_heads(attention, tokens)
        spread = self.weights("alpha").to(attention.dtype)[scales] * (1.0 - entropy) * has_tokens
        bottleneck = self.weights("beta").to(attention.dtype)[scales] * self.curvature_gap(attention)
        return (spread + bottleneck).mean()


def _take_rows(attention: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    # attention [B, heads, L, L], rows [B, heads, E] -> [B, heads, E, L]
    return attention.gather(-2, rows.unsqueeze(-1).expand(*rows.shape, attention.size(-1)))
