"""CUMoE feed-forward, and the pair of attention and feed-forward on one bank."""
from typing import Any, Optional, Tuple

import torch
import torch.nn as nn

from champion.model.cumoe.attention import CUMoEAttention
from champion.model.cumoe.experts import ExpertBank, RoutedExperts, flatten_keep

PLACES = ("encoder", "decoder", "both")


class CUMoEFFN(nn.Module):
    """Mixture of experts in place of linear1/activation/linear2; [B, L, d] -> [B, L, d]."""

    def __init__(self, d_model: int, cfg: Any, bank: Optional[ExpertBank] = None):
        super().__init__()
        self.experts = RoutedExperts(d_model, cfg, cfg.ponder.tmax_ffn, bank)

    def forward(self, x: torch.Tensor, key_padding_mask: Optional[torch.Tensor] = None) -> torch.Tensor:
        flat = x.reshape(-1, x.size(-1))
        return self.experts(flat, flatten_keep(key_padding_mask)).view_as(x)


def build_cumoe(d_model: int, n_head: int, cfg: Any) -> Tuple[CUMoEAttention, CUMoEFFN]:
    """Attention and feed-forward of one layer, on one bank if ``share_across_attention_and_ffn``."""
    bank = ExpertBank(d_model, cfg) if cfg.share_across_attention_and_ffn else None
    return CUMoEAttention(d_model, n_head, cfg, bank), CUMoEFFN(d_model, cfg, bank)


def applies_to(cfg: Any, place: str) -> bool:
    """Whether ``cumoe.apply_to`` names this container ('encoder' or 'decoder')."""
    unknown = [name for name in cfg.apply_to if name not in PLACES]
    if unknown:
        raise ValueError(f"model.cumoe.apply_to knows {PLACES}, not {unknown}")
    return "both" in cfg.apply_to or place in cfg.apply_to


class _FeedForward(nn.Module):
    """Stands where linear2 was; torch's layers call linear2(dropout(activation(linear1(x))))."""

    def __init__(self, ffn: CUMoEFFN):
        super().__init__()
        self.ffn = ffn

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.ffn(x)


def install_cumoe(container: nn.Module, cfg: Any, place: str) -> int:
    """
    Replace self-attention and feed-forward of every torch layer in ``container``, and (in a decoder) the
    cross-attention. Returns the number of layers.
    """
    if not applies_to(cfg, place):
        return 0
    kinds = (nn.TransformerEncoderLayer, nn.TransformerDecoderLayer)
    layers = [m for m in container.modules() if isinstance(m, kinds)]
    for layer in layers:
        d_model, n_head = layer.self_attn.embed_dim, layer.self_attn.num_heads
        layer.self_attn, ffn = build_cumoe(d_model, n_head, cfg)
        if isinstance(layer, nn.TransformerDecoderLayer):
            bank = ffn.experts.bank if cfg.share_across_attention_and_ffn else None
            layer.multihead_attn = CUMoEAttention(d_model, n_head, cfg, bank)
        layer.linear1, layer.activation, layer.linear2 = nn.Identity(), nn.Identity(), _FeedForward(ffn)
        layer.activation_relu_or_gelu = 0
    for module in container.modules():
        if isinstance(module, nn.TransformerEncoder):
            module.enable_nested_tensor = module.use_nested_tensor = False
    return len(layers)
