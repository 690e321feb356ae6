"""Penalties on attention maps and on the coordinates (psi) of the diffusion attention."""

import math
from typing import Optional, Sequence

import torch


def token_cebr(
    attention: torch.Tensor,
    alpha: float,
    beta: float,
    gamma: float,
    key_padding_mask: Optional[torch.Tensor] = None,
) -> torch.Tensor:
    r"""
    Token-level CEBR: concentration, off-diagonal mass and entropy of self-attention.

    .. math:: L = \alpha \, \overline{\mathrm{Var}_j(L \bar A_j)} + \beta \, \Big(1 - \overline{A_{ii}}\Big)
              + \gamma \, \overline{\frac{-\sum_j A_{ij} \log A_{ij}}{\log L}}, \qquad
              \bar A_j = \frac1L \sum_i A_{ij}

    First term: some tokens must not draw all attention (a uniform map gives 0). Second: a token should keep a
    share of itself. Third: rows should be sharp.

    [INFERRED] Known is "attention-variance / off-diagonal / entropy penalty". Alternatives considered: the
    variance over heads; the off-diagonal part of the heads' Gram matrix; entropy rewarded instead of
    penalised.

    Args:
        attention: [B, heads, L, L], rows sum to 1
        key_padding_mask: [B, L], True for padding; such rows and columns do not count
    """
    length = attention.size(-1)
    if attention.size(-2) != length:
        raise ValueError(f"needs self-attention, got {tuple(attention.shape)}")
    if key_padding_mask is None:
        keep = attention.new_ones(attention.size(0), 1, length)
    else:
        keep = (~key_padding_mask).unsqueeze(1).to(attention.dtype)  # [B, 1, L]
    tokens = keep.sum(-1).clamp_min(1.0)  # [B, 1]
    attention = attention * keep.unsqueeze(-1) * keep.unsqueeze(-2)

    received = attention.sum(-2)  # [B, heads, L], 1 on average
    centre = (received * keep).sum(-1, keepdim=True) / tokens.unsqueeze(-1)
    variance = (((received - centre) ** 2) * keep).sum(-1) / tokens
    kept = attention.diagonal(dim1=-2, dim2=-1).sum(-1) / tokens
    has_tokens = (keep.sum(-1) > 0).to(attention.dtype)
    entropy = row_entropy(attention).sum(-1) / tokens / tokens.clamp_min(2.0).log()
    per_head = alpha * variance + beta * (1.0 - kept) * has_tokens + gamma * entropy
    return per_head.mean()


def row_entropy(attention: torch.Tensor) -> torch.Tensor:
    """Entropy in nats over the last dimension; 0 log 0 = 0, also in the gradient."""
    return -(attention * attention.clamp_min(torch.finfo(attention.dtype).tiny).log()).sum(-1)


def gauge_loss(psi_list: Sequence[torch.Tensor], alpha: float) -> torch.Tensor:
    r"""
    Keep the coordinates of every layer in one gauge: centred, unit scale, uncorrelated.

    .. math:: L = \frac{\alpha}{|\Psi|} \sum_{\psi \in \Psi} \overline{(C_\psi - I)^2} +
              \overline{\mu_\psi^2}, \qquad C_\psi = \frac1L \sum_i (\psi_i - \mu_\psi)(\psi_i -
              \mu_\psi)^\top

    Distances do not change when the coordinates are shifted or turned, so without this they drift freely.

    [INFERRED] Known is only that it reads a list of psi tensors. Alternative considered: the change of the
    Gram matrix from layer to layer.

    psi_list: tensors [B, L, r]. An empty list gives 0.
    """
    if not psi_list:
        return torch.zeros(())
    total = psi_list[0].new_zeros(())
    for psi in psi_list:
        mean = psi.mean(dim=1, keepdim=True)
        centred = psi - mean
        covariance = centred.transpose(1, 2) @ centred / psi.size(1)  # [B, r, r]
        identity = torch.eye(psi.size(-1), dtype=psi.dtype, device=psi.device)
        total = total + ((covariance - identity) ** 2).mean() + (mean**2).mean()
    return alpha * total / len(psi_list)


def confidence_penalty(logits: torch.Tensor, mask: Optional[torch.Tensor] = None) -> torch.Tensor:
    r"""
    Pereyra et al., "Regularizing neural networks by penalizing confident output distributions" (2017).

    .. math:: L = 1 - \frac{1}{\log K} \overline{H(p_i)}

    logits: [..., K], mask: [...] bool.
    """
    log_p = torch.log_softmax(logits, dim=-1)
    certainty = 1.0 + (log_p.exp() * log_p).sum(-1) / math.log(logits.size(-1))
    if mask is None:
        return certainty.mean()
    weights = mask.to(certainty.dtype)
    return (certainty * weights).sum() / weights.sum().clamp_min(1.0)
