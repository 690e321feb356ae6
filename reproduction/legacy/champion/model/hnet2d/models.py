"""
Two hierarchical grid-to-grid models, alternatives to the transformer (model.model_name).

Both read the input grid and the context pairs and predict all cells at once; the target is accepted and
ignored, so that the trainer can call them like the transformer.
"""
from dataclasses import dataclass
from typing import Any, Dict, List, Optional

import torch
import torch.nn as nn

from champion.model.hnet2d.chunking import (
    BoundaryRouter,
    Boundaries,
    gather_chunks,
    ratio_loss,
    spread_chunks,
)
from champion.utils.perm_embedding import PermInvariantEmbedding
from champion.utils.positional_encoding import Grid2DPositionalEncoding


@dataclass(frozen=True)
class HNetConfig:
    """Values of model.hnet; the node is null in our runs, so these defaults count."""

    inner_layers: int = 3
    outer_layers: int = 1
    target_ratio: float = 4.0
    ratio_weight: float = 0.03
    n_classes: int = 24

    @classmethod
    def from_node(cls, node: Any) -> "HNetConfig":
        return cls() if node is None else cls(**{str(k): v for k, v in node.items()})


def _stack(cfg: Any, layers: int) -> nn.TransformerEncoder:
    layer = nn.TransformerEncoderLayer(
        cfg.d_model, cfg.n_head, cfg.d_ff, float(cfg.dropout_rate), batch_first=True, norm_first=True
    )
    return nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)


class _HNet(nn.Module):
    """Embedding, context vector and head; what lies between is the subclass's."""

    def __init__(self, cfg: Any):
        super().__init__()
        self.pad, self.hnet = int(cfg.pad_token_id), HNetConfig.from_node(cfg.hnet)
        d = cfg.d_model
        self.embedding = PermInvariantEmbedding(d, cfg.vocab_size, self.pad)
        self.pos_encoder = Grid2DPositionalEncoding(d, cfg.max_h, cfg.max_w)
        self.max_w, self.max_h = int(cfg.max_w), int(cfg.max_h)
        self.outer_in, self.outer_out = _stack(cfg, self.hnet.outer_layers), _stack(cfg, self.hnet.outer_layers)
        self.inner = _stack(cfg, self.hnet.inner_layers)
        self.residual = nn.Linear(d, d)
        self.context = nn.Linear(2 * d, d)
        self.norm = nn.LayerNorm(d)
        self.head = nn.Linear(d, self.hnet.n_classes)
        self._ratio: List[torch.Tensor] = []

    def _tokens(self, grids: torch.Tensor) -> torch.Tensor:
        batch, h, w = grids.shape
        if h > self.max_h or w > self.max_w:
            raise ValueError(f"grid {h}x{w} is larger than {self.max_h}x{self.max_w}")
        d = self.pos_encoder.pe.size(-1)
        table = self.pos_encoder.pe.view(self.max_h, self.max_w, d)[:h, :w].reshape(1, h * w, d)
        return self.embedding(grids.flatten(1)) * d**0.5 + table

    def _pooled(self, grids: torch.Tensor) -> torch.Tensor:
        """[B, N, h, w] -> [B, d]: mean over all cells that are not PAD."""
        x = self._tokens(grids.flatten(0, 1)).view(*grids.shape[:2], -1, self.residual.in_features)
        keep = (grids.flatten(2) != self.pad).unsqueeze(-1).to(x.dtype)
        return (x * keep).sum((1, 2)) / keep.sum((1, 2)).clamp_min(1.0)

    def forward(self, src, tgt=None, ctx_input=None, ctx_output=None) -> torch.Tensor:
        """Grids [B, H, W] (contexts [B, N, H, W]) -> logits [B, H, W, n_classes]."""
        batch, h, w = src.shape
        pad = src.flatten(1) == self.pad
        pad = pad & ~pad.all(1, keepdim=True)  # a grid of PAD only attends to all of itself
        x = self._tokens(src)
        if ctx_input is not None:
            both = torch.cat([self._pooled(ctx_input), self._pooled(ctx_output)], dim=-1)
            x = x + self.context(both).unsqueeze(1)
        x = self.outer_in(x, src_key_padding_mask=pad)
        self._ratio = []
        x = self.outer_out(self.residual(x) + self._middle(x, pad, h, w), src_key_padding_mask=pad)
        return self.head(self.norm(x)).view(batch, h, w, -1)

    def _middle(self, x, pad, h: int, w: int) -> torch.Tensor:
        raise NotImplementedError

    def _through(self, x, found: Boundaries) -> torch.Tensor:
        packed, pad, order = gather_chunks(x, found.b)
        self._ratio.append(ratio_loss(found, self.hnet.target_ratio))
        return spread_chunks(self.inner(packed, src_key_padding_mask=pad), found, order)

    def auxiliary_losses(self) -> Dict[str, torch.Tensor]:
        """Weighted ratio loss of the last forward."""
        return {"ratio": self.hnet.ratio_weight * torch.stack(self._ratio).mean()}


class HNet2D1D(_HNet):
    """2-D outside, 1-D inside: the cells in reading order, chunked by one router."""

    def __init__(self, cfg: Any):
        super().__init__(cfg)
        self.router = BoundaryRouter(cfg.d_model)

    def _middle(self, x, pad, h, w):
        return self._through(x, self.router(x, ~pad))


class HNet2D(_HNet):
    """
    2-D throughout: chunks along every row and along every column, each by its own router; the two readings
    share the inner stack and are averaged.
    """

    def __init__(self, cfg: Any):
        super().__init__(cfg)
        self.along_rows, self.along_columns = BoundaryRouter(cfg.d_model), BoundaryRouter(cfg.d_model)

    def _middle(self, x, pad, h, w):
        batch, _, d = x.shape
        keep = (~pad).view(batch, h, w)
        grid = x.view(batch, h, w, d)
        rows = self._lines(grid.flatten(0, 1), keep.flatten(0, 1), self.along_rows).view(batch, h, w, d)
        turned, keep = grid.transpose(1, 2), keep.transpose(1, 2)
        columns = self._lines(turned.flatten(0, 1), keep.flatten(0, 1), self.along_columns)
        columns = columns.view(batch, w, h, d).transpose(1, 2)
        return ((rows + columns) / 2).reshape(batch, h * w, d)

    def _lines(self, lines, keep, router):
        return self._through(lines, router(lines, keep))


# t3: three inner layers, cs: boundaries by cosine similarity
HNET_MODELS = {"hnet2d1d_t3_cs": HNet2D1D, "hnet2d_t3_cs": HNet2D}


def build_hnet(cfg: Any) -> Optional[_HNet]:
    """The model that model.model_name asks for, None if it is not one of these; takes the model node."""
    kind = HNET_MODELS.get(cfg.model_name)
    return None if kind is None else kind(cfg)
