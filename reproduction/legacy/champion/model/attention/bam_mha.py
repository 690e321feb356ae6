"""
Bayesian attention (BAM): a prior over positions next to the content of the keys.

BAM (Bianchessi et al. 2025, "Bayesian Attention Mechanism") reads attention as an expectation over
positions: the content gives a likelihood, the distance between query and key gives a prior, and in log
space the two add up. The prior is a generalised Gaussian, so one family covers Laplace (ALiBi-like,
beta = 1), Gauss (beta = 2) and long-range heads (beta < 0).
"""
import math
from typing import Any, Dict, List, Optional, Tuple

import torch
import torch.nn as nn

from champion.model.attention.common import BatchFirstAttention, apply_masks, keep_padding, masked_softmax

FIXED_SHAPES = {"laplace": 1.0, "gaussian": 2.0}
PRIORS = ("ggd", "laplace", "gaussian", "uniform")


def grid_coordinates(length: int, width: int, like: torch.Tensor) -> torch.Tensor:
    """(row, column) of every flat position, [length, 2]."""
    index = torch.arange(length, device=like.device)
    rows = torch.div(index, width, rounding_mode="floor")
    return torch.stack([rows, index % width], dim=-1).to(like.dtype)


def coordinate_distance(a: torch.Tensor, b: torch.Tensor, metric: str) -> torch.Tensor:
    """Distances [..., La, Lb] between points [..., La, 2] and [..., Lb, 2]."""
    delta = (a.unsqueeze(-2) - b.unsqueeze(-3)).abs()
    if metric == "euclidean":
        squared = (delta * delta).sum(-1)
        # sqrt has no gradient at 0, where every token meets itself
        return torch.where(squared > 0, squared.clamp_min(1e-20).sqrt(), torch.zeros_like(squared))
    if metric == "manhattan":
        return delta.sum(-1)
    if metric == "chebyshev":
        return delta.amax(-1)
    raise ValueError(f"unknown metric {metric!r}")


class GGDPrior(nn.Module):
    r"""
    Log prior of a generalised Gaussian, up to its constant (BAM, eq. for :math:`p(j \mid i)`):

    .. math:: B_h(\Delta) = -g \left( \frac{|\Delta - \mu_h| + \epsilon}{e^{\alpha_h}} \right)^{\beta_h}

    with gain g = ``bias_gain``. The constant is the same for all keys and falls out of the softmax.
    Computed in log space and capped at ``precision.max_abs_bias``, so that no alpha, beta or distance
    overflows. [INFERRED] the scale is :math:`e^\alpha` (alpha_init is negative); alternatives: a factor
    :math:`e^\alpha` in front of the power, softplus.
    """

    def __init__(self, n_head: int, cfg: Any):
        super().__init__()
        if cfg.prior not in PRIORS:
            raise ValueError(f"model.bam.prior must be one of {PRIORS}, got {cfg.prior!r}")
        self.kind = cfg.prior
        self.gain = float(cfg.bias_gain)
        self.eps = float(cfg.precision.eps)
        self.max_abs = float(cfg.precision.max_abs_bias)
        self.beta_neg_fraction_max = float(cfg.beta_neg_fraction_max)
        self.enforces_beta = bool(cfg.enforce_beta_fraction)

        n = n_head if cfg.per_head else 1
        init = cfg.initialization
        alpha = torch.full((n,), float(init.alpha_init))
        if init.scheme == "spread":  # ALiBi's idea: every head twice as far-sighted as the one before
            alpha = alpha + math.log(2.0) * torch.arange(n, dtype=alpha.dtype)
        elif init.scheme != "custom":
            raise ValueError(f"unknown model.bam.initialization.scheme {init.scheme!r}")
        beta = torch.full((n,), FIXED_SHAPES.get(self.kind, float(init.beta_init)))
        self._store("alpha", alpha, cfg.learn_alpha)
        self._store("beta", beta, cfg.learn_beta and self.kind not in FIXED_SHAPES)
        self._store("mu", torch.full((n,), float(init.mu_init)), cfg.learn_mu)

    def _store(self, name: str, value: torch.Tensor, learn: bool) -> None:
        if learn:
            self.register_parameter(name, nn.Parameter(value))
        else:
            self.register_buffer(name, value)

    def forward(self, delta: torch.Tensor) -> torch.Tensor:
        """Distances [..., Lq, Lk] (signed in 1-D) to biases [..., H or 1, Lq, Lk]."""
        if self.kind == "uniform":
            return torch.zeros_like(delta).unsqueeze(-3)
        delta = delta.unsqueeze(-3)
        alpha, beta, mu = (p.view(-1, 1, 1) for p in (self.alpha, self.beta, self.mu))
        log_ratio = torch.log((delta - mu).abs() + self.eps) - alpha
        return -self.gain * torch.exp((beta * log_ratio).clamp(max=math.log(self.max_abs)))


class SSMax(nn.Module):
    r"""
    Scalable softmax (Nakanishi 2025): :math:`\mathrm{softmax}(s \log n \cdot z)`, n = number of open keys.

    Keeps attention from fading out as the number of keys grows. s in [0, ``s_max``] per head; the product
    s log n is capped at ``scale_max``.
    """

    def __init__(self, n_head: int, cfg: Any):
        super().__init__()
        self.s_max = float(cfg.s_max)
        self.scale_max = float(cfg.scale_max)
        s = torch.full((n_head,), float(cfg.s_init))
        if cfg.learnable:
            self.s = nn.Parameter(s)
        else:
            self.register_buffer("s", s)

    def forward(self, scores: torch.Tensor, open_keys: torch.Tensor) -> torch.Tensor:
        """Scores [B, H, Lq, Lk]; ``open_keys`` [.., Lq or 1] counts the keys of a row."""
        s = self.s.clamp(0.0, self.s_max).view(-1, 1, 1)
        n = open_keys.clamp_min(2).to(scores.dtype).unsqueeze(-1)
        return scores * (s * torch.log(n)).clamp(max=self.scale_max)


class BAMMultiheadAttention(BatchFirstAttention):
    r"""
    Multi-head attention with distance priors:

    .. math:: A = \mathrm{softmax}\Big( \tfrac{Q K^\top}{\sqrt{d_h}} + w_1 B^{(1)}(j - i)
              + w_2 B^{(2)}(\lVert x_j - x_i \rVert) \Big)

    ``role`` says where it sits: 'encoder' (2-D prior of bam.use_2d_prior), 'decoder' (the *_seq keys) or
    'cross' (bam.cross). Self-attention always has the 1-D prior. [INFERRED] this split of the key sets;
    alternative: both 2-D priors at once in the encoder.
    """

    def __init__(self, d_model: int, n_head: int, cfg: Any, role: str = "encoder", grid_width: int = 30,
                 dropout: float = 0.0):
        super().__init__(d_model, n_head, dropout=dropout)
        self.role, self.grid_width = role, grid_width
        cross = cfg.cross
        # (weight of the 1-D prior, weight of the 2-D prior), None = off
        self.weight_1d, self.weight_2d = {
            "encoder": (1.0, cfg.prior_2d_weight if cfg.use_2d_prior else None),
            "decoder": (1.0, cfg.prior_2d_weight_seq if cfg.use_2d_prior_seq else None),
            "cross": (
                cross.prior_1d_weight if cross.use_1d_prior else None,
                cross.prior_2d_weight if cross.use_2d_prior else None,
            ),
        }[role]
        self.pair_mode = cross.mode if role == "cross" else "per_pair"
        if self.pair_mode not in ("per_pair", "per_key"):
            raise ValueError(f"unknown model.bam.cross.mode {self.pair_mode!r}")
        seq_2d = cross.seq_2d if role == "cross" else cfg.seq_2d
        self.metric, self.normalize, self.source = seq_2d.metric, seq_2d.normalize, seq_2d.source
        self.chunk = seq_2d.distance_chunk_size

        self.prior_1d = None if self.weight_1d is None else GGDPrior(n_head, cfg)
        self.prior_2d = None if self.weight_2d is None else GGDPrior(n_head, cfg)
        ssmax = cfg.ssmax_cross if role == "cross" else cfg.ssmax
        self.ssmax = SSMax(n_head, ssmax) if ssmax.enabled else None
        self.max_abs = float(cfg.precision.max_abs_bias)
        self.diagnostics = cfg.diagnostics
        self.last_diagnostics: Dict[str, torch.Tensor] = {}
        self._coordinates: Tuple[Optional[torch.Tensor], Optional[torch.Tensor]] = (None, None)

    def set_coordinates(self, query: Optional[torch.Tensor], key: Optional[torch.Tensor] = None) -> None:
        """Points [L, 2] or [B, L, 2] for seq_2d.source='external'; key defaults to query."""
        self._coordinates = (query, query if key is None else key)

    def _points(self, q_len: int, k_len: int, like: torch.Tensor) -> Tuple[torch.Tensor, torch.Tensor]:
        if self.source == "external":
            query, key = self._coordinates
            if query is None:
                raise RuntimeError("model.bam.seq_2d.source is 'external': call set_coordinates first")
            query, key = query.to(like), key.to(like)
        elif self.source == "grid":
            query = grid_coordinates(q_len, self.grid_width, like)
            key = grid_coordinates(k_len, self.grid_width, like)
        else:
            raise ValueError(f"unknown model.bam seq_2d.source {self.source!r}")
        if self.normalize:
            extent = torch.maximum(query.abs().amax(), key.abs().amax()).clamp_min(1.0)
            query, key = query / extent, key / extent
        return query, key

    def position_bias(self, q_len: int, k_len: int, like: torch.Tensor) -> torch.Tensor:
        """All priors of this attention, [H or 1, Lq, Lk] (with a batch axis for external coordinates)."""
        step = self.chunk or q_len
        rows = torch.arange(q_len, device=like.device, dtype=like.dtype)
        keys = torch.arange(k_len, device=like.device, dtype=like.dtype)
        points = None if self.prior_2d is None else self._points(q_len, k_len, like)
        if self.pair_mode == "per_key":  # one prior over the keys: how far from the centre of the queries
            rows = rows.mean().expand(q_len)
            if points is not None:
                points = (points[0].mean(dim=-2, keepdim=True).expand_as(points[0]), points[1])
        parts: List[torch.Tensor] = []
        for start in range(0, q_len, step):
            some = slice(start, start + step)
            bias = like.new_zeros(1, len(rows[some]), k_len)
            if self.prior_1d is not None:
                bias = bias + float(self.weight_1d) * self.prior_1d(keys[None, :] - rows[some, None])
            if self.prior_2d is not None:
                distance = coordinate_distance(points[0][..., some, :], points[1], self.metric)
                bias = bias + float(self.weight_2d) * self.prior_2d(distance)
            parts.append(bias)
        return torch.cat(parts, dim=-2).clamp(-self.max_abs, self.max_abs)

    def forward(self, query, key, value, key_padding_mask=None, need_weights=True, attn_mask=None,
                average_attn_weights=True, is_causal=False):
        q, k, v = self.project(query, key, value)
        scores = self.scores(q, k)
        scores, blocked = apply_masks(scores, attn_mask, key_padding_mask)
        if self.ssmax is not None:
            closed = 0 if blocked is None else blocked.sum(-1)
            scores = self.ssmax(scores, torch.as_tensor(scores.size(-1) - closed, device=scores.device))
        bias = self.position_bias(scores.size(-2), scores.size(-1), scores)
        weights = masked_softmax(scores + bias, blocked)
        if self.diagnostics.enabled:
            self._diagnose(weights, bias)
        return self.finish(weights, v, need_weights, average_attn_weights)

    @torch.no_grad()
    def _diagnose(self, weights: torch.Tensor, bias: torch.Tensor) -> None:
        cfg, seen = self.diagnostics, {}
        if self.prior_1d is not None and cfg.curve_L:
            line = torch.arange(cfg.curve_L, dtype=weights.dtype, device=weights.device)
            seen["curve"] = self.prior_1d(line[None, :])[: cfg.curve_sample_heads, 0]
        if cfg.log_param_stats:
            for name, prior in (("1d", self.prior_1d), ("2d", self.prior_2d)):
                if prior is not None:
                    seen[f"alpha_{name}"], seen[f"beta_{name}"] = prior.alpha.clone(), prior.beta.clone()
        if cfg.save_attention:
            seen["attention"] = weights[: cfg.max_samples].clone()
        if cfg.save_bias:
            seen["bias"] = bias.clone()
        if cfg.z_metrics:  # log of the prior's normaliser: how many keys a query may look at
            seen["log_z"] = torch.logsumexp(bias, dim=-1).mean(dim=-1)
        self.last_diagnostics = seen


@torch.no_grad()
def enforce_beta_fraction(model: nn.Module) -> int:
    """
    Lift negative shapes to 0 until at most ``beta_neg_fraction_max`` of all heads has one.

    Called at the end of an epoch. The most negative heads stay: those found a use for it. Returns how
    many heads were lifted.
    """
    priors = [m for m in model.modules() if isinstance(m, GGDPrior) and m.enforces_beta]
    if not priors:
        return 0
    betas = torch.cat([p.beta for p in priors])
    allowed = int(min(p.beta_neg_fraction_max for p in priors) * betas.numel())
    negative = torch.argsort(betas)[: int((betas < 0).sum())]
    betas[negative[allowed:]] = 0.0
    for prior, part in zip(priors, betas.split([p.beta.numel() for p in priors])):
        prior.beta.copy_(part)
    return max(0, len(negative) - allowed)


def install_bam(container: nn.Module, cfg: Any, side: str, grid_width: int = 30) -> int:
    """
    Put BAM in place of the attentions of an encoder's or decoder's layers, weights kept.

    ``side`` is 'encoder' or 'decoder'; ``bam.apply_to`` may name the other one only. Cross-attention is
    replaced when bam.cross asks for a prior or ssmax_cross is on. Returns the number of replacements.
    """
    if cfg.apply_to not in ("both", side):
        return 0
    cross = cfg.cross.use_1d_prior or cfg.cross.use_2d_prior or cfg.ssmax_cross.enabled
    count = 0
    for layer in [m for m in container.modules() if hasattr(m, "self_attn")]:
        slots = [("self_attn", side)]
        if cross and hasattr(layer, "multihead_attn"):
            slots.append(("multihead_attn", "cross"))
        for name, role in slots:
            old = getattr(layer, name)
            new = BAMMultiheadAttention(old.embed_dim, old.num_heads, cfg, role, grid_width, old.dropout)
            setattr(layer, name, new.copy_weights(old))
            count += 1
    keep_padding(container)
    return count
