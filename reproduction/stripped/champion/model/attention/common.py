"""What the attention variants share: one reading of masks and a softmax that survives empty rows."""
import math
from typing import Optional, Tuple

import torch
import torch.nn as nn


def split_mask(mask: Optional[torch.Tensor]) -> Tuple[Optional[torch.Tensor], Optional[torch.Tensor]]:
    """
    Separate a torch mask into (blocked, bias).

    torch accepts booleans (True = blocked) and floats (added to the scores); its own layers turn
    booleans into floats with -inf before they call the attention, so both have to be understood.
    """
    if mask is None:
        return None, None
    if mask.dtype == torch.bool:
        return mask, None
    blocked = torch.isneginf(mask)
    return blocked, mask.masked_fill(blocked, 0.0)


def apply_masks(
    scores: torch.Tensor,
    attn_mask: Optional[torch.Tensor] = None,
    key_padding_mask: Optional[torch.Tensor] = None,
) -> Tuple[torch.Tensor, Optional[torch.Tensor]]:
    """
    Scores [B, H, Lq, Lk] with the additive parts applied, and what is blocked (broadcastable, or None).

    ``attn_mask`` is [Lq, Lk] or [B*H, Lq, Lk], ``key_padding_mask`` is [B, Lk].
    """
    batch, heads, q_len, k_len = scores.shape
    blocked = None
    if attn_mask is not None:
        if attn_mask.dim() == 3:
            attn_mask = attn_mask.view(batch, heads, q_len, k_len)
        blocked, bias = split_mask(attn_mask)
        scores = scores if bias is None else scores + bias
    if key_padding_mask is not None:
        padded, bias = split_mask(key_padding_mask)
        padded = padded[:, None, None, :]
        scores = scores if bias is None else scores + bias[:, None, None, :]
        blocked = padded if blocked is None else (blocked | padded)
    return scores, blocked


def masked_softmax(scores: torch.Tensor, blocked: Optional[torch.Tensor]) -> torch.Tensor:
    """Softmax over the last axis; a row without any open key gives zeros instead of nan."""
    if blocked is None:
        return torch.softmax(scores, dim=-1)
    blocked = blocked.expand_as(scores)
    weights = torch.softmax(scores.masked_fill(blocked, torch.finfo(scores.dtype).min), dim=-1)
    return weights.masked_fill(blocked, 0.0)


def split_heads(x: torch.Tensor, n_head: int) -> torch.Tensor:
    """[B, L, d] -> [B, H, L, d/H]."""
    batch, length, width = x.shape
    return x.view(batch, length, n_head, width // n_head).transpose(1, 2)


def merge_heads(x: torch.Tensor) -> torch.Tensor:
    """[B, H, L, e] -> [B, L, H*e]."""
    batch, heads, length, width = x.shape
    return x.transpose(1, 2).reshape(batch, length, heads * width)


class BatchFirstAttention(nn.MultiheadAttention):
    """
    Base of the drop-in replacements of ``layer.self_attn`` / ``layer.multihead_attn``.

    Parameters and names are those of nn.MultiheadAttention, so weights can be moved over. The fused
    inference kernel of torch's layers computes plain attention from these weights and would skip our
    forward; it steps aside for attentions that do not keep q, k and v in one matrix, hence the flag.
    """

    def __init__(self, d_model: int, n_head: int, dropout: float = 0.0, bias: bool = True):
        super().__init__(d_model, n_head, dropout=dropout, bias=bias, batch_first=True)
        self._qkv_same_embed_dim = False

    def copy_weights(self, other: nn.MultiheadAttention) -> "BatchFirstAttention":
        self.load_state_dict(other.state_dict(), strict=False)
        return self.to(other.in_proj_weight)

    def project(self, query, key, value) -> Tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The three inputs [B, L, d] through their slices of in_proj, split into heads."""
        weights = self.in_proj_weight.chunk(3)
        biases = (None, None, None) if self.in_proj_bias is None else self.in_proj_bias.chunk(3)
        return tuple(
            split_heads(nn.functional.linear(x, w, b), self.num_heads)
            for x, w, b in zip((query, key, value), weights, biases)
        )

    def scores(self, q: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
        return q @ k.transpose(-2, -1) / math.sqrt(self.head_dim)

    def finish(self, weights, v, need_weights: bool, average_attn_weights: bool):
        dropped = nn.functional.dropout(weights, self.dropout, self.training)
        out = self.out_proj(merge_heads(dropped @ v))
        if not need_weights:
            return out, None
        return out, weights.mean(dim=1) if average_attn_weights else weights


def keep_padding(container: nn.Module) -> None:
    """Stop nn.TransformerEncoder from packing padded batches, which only its own attention understands."""
    for module in container.modules():
        if isinstance(module, nn.TransformerEncoder):
            module.enable_nested_tensor = module.use_nested_tensor = False
