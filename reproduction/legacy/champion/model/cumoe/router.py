"""Which experts see a token."""
import math
from typing import Any, Dict, NamedTuple, Optional

import torch
import torch.nn as nn
import torch.nn.functional as F

ROUTERS = ("attribute", "linear")
NOISES = ("none", "gaussian", "gumbel")


class Routing(NamedTuple):
    index: torch.Tensor  # [N, k] experts of a token
    weight: torch.Tensor  # [N, k], 0 where the expert was full
    probs: torch.Tensor  # [N, E]
    balance: torch.Tensor  # load-balance loss


def load_balance(probs: torch.Tensor, index: torch.Tensor, keep: Optional[torch.Tensor] = None) -> torch.Tensor:
    r"""
    :math:`E \sum_e f_e P_e` (Switch Transformer, Fedus et al. 2021, eq. 4): f_e the share of assignments that
    went to expert e, P_e the mean probability of e. 1 when balanced, E when one expert takes all.
    ``keep`` [N] True for the tokens that count.
    """
    experts = probs.size(-1)
    chosen = F.one_hot(index, experts).to(probs.dtype).sum(1)
    w = torch.ones_like(probs[:, 0]) if keep is None else keep.to(probs.dtype)
    n = w.sum().clamp_min(1.0)
    share = (w.unsqueeze(-1) * chosen).sum(0) / (n * index.size(-1))
    mean = (w.unsqueeze(-1) * probs).sum(0) / n
    return experts * (share * mean).sum()


class Router(nn.Module):
    r"""
    Top-k router with capacity; ``cfg`` is model.cumoe.

    type 'attribute': every expert has a vector of attributes (prototype) a_e and
    :math:`z_e = \sqrt{d}\,\cos(W x, a_e)`; 'linear': :math:`z = W x`. Probabilities are softmax(z / temperature),
    ``noise`` is added to z while training. An expert takes at most ceil(capacity_factor * N * k / E) tokens, first
    come first served; what it refuses gets weight 0. ``safe_fallback`` lets a token that everyone refused into
    its best expert nevertheless. [INFERRED] 'attribute' and safe_fallback from their names; alternatives: logits
    from colour/shape features, fallback to the unmodified layer.
    """

    def __init__(self, d_model: int, cfg: Any):
        super().__init__()
        if cfg.router.type not in ROUTERS or cfg.router.noise not in NOISES:
            raise ValueError(f"model.cumoe.router: type in {ROUTERS}, noise in {NOISES}")
        self.cfg = cfg
        self.n_experts, self.top_k = int(cfg.num_experts), int(cfg.top_k)
        self.attributes = nn.Parameter(torch.randn(self.n_experts, d_model) / math.sqrt(d_model))
        self.query = nn.Linear(d_model, d_model, bias=False) if cfg.router.type == "attribute" else None
        self.calls = 0
        self.last_diagnostics: Dict[str, torch.Tensor] = {}

    def logits(self, x: torch.Tensor) -> torch.Tensor:
        if self.query is None:
            return x @ self.attributes.t()
        q = F.normalize(self.query(x), dim=-1, eps=1e-6)
        return math.sqrt(x.size(-1)) * q @ F.normalize(self.attributes, dim=-1, eps=1e-6).t()

    def _noisy(self, z: torch.Tensor) -> torch.Tensor:
        kind = self.cfg.router.noise
        if kind == "none" or not self.training:
            return z
        if kind == "gaussian":
            return z + torch.randn_like(z) / self.n_experts
        return z - torch.log(-torch.log(torch.rand_like(z).clamp(1e-6, 1 - 1e-6)))

    def capacity(self, n_tokens: int) -> int:
        factor = self.cfg.capacity_factor_train if self.training else self.cfg.capacity_factor_eval
        return max(1, math.ceil(float(factor) * n_tokens * self.top_k / self.n_experts))

    def forward(self, x: torch.Tensor, keep: Optional[torch.Tensor] = None,
                used: Optional[torch.Tensor] = None) -> Routing:
        """x [N, d]; ``keep`` [N] leaves out PAD tokens; ``used`` [N, E] experts that are not to be chosen."""
        z = self._noisy(self.logits(x)) / float(self.cfg.router.temperature)
        if used is not None:
            exhausted = (~used).sum(-1, keepdim=True) < self.top_k
            z = z.masked_fill(used & ~exhausted, torch.finfo(z.dtype).min)
        probs = torch.softmax(z, dim=-1)
        top, index = probs.topk(self.top_k, dim=-1)
        weight = top / top.sum(-1, keepdim=True).clamp_min(1e-9)

        chosen = F.one_hot(index, self.n_experts)  # [N, k, E]
        if keep is not None:
            chosen = chosen * keep.view(-1, 1, 1)
        # first choices of all tokens queue before second choices
        queue = chosen.transpose(0, 1).reshape(-1, self.n_experts)
        place = (torch.cumsum(queue, dim=0) - queue).mul(queue).sum(-1).view(self.top_k, -1).t()
        accepted = (place < self.capacity(x.size(0))) & chosen.any(-1)
        if self.cfg.get("safe_fallback", False):
            stranded = ~accepted.any(-1)
            if keep is not None:
                stranded = stranded & keep
            accepted = torch.cat([accepted[:, :1] | stranded.unsqueeze(-1), accepted[:, 1:]], dim=-1)
        weight = weight * accepted
        balance = float(self.cfg.load_balance_alpha) * load_balance(probs, index, keep)
        self._diagnose(probs, index, accepted)
        return Routing(index, weight, probs, balance)

    @torch.no_grad()
    def _diagnose(self, probs: torch.Tensor, index: torch.Tensor, accepted: torch.Tensor) -> None:
        cfg = self.cfg.diagnostics
        if cfg.enabled and self.calls % max(1, int(cfg.log_every_n_steps)) == 0:
            some = slice(0, int(cfg.max_tokens))
            self.last_diagnostics = {
                "load": torch.bincount(index[some].flatten(), minlength=self.n_experts),
                "entropy": -torch.xlogy(probs[some], probs[some]).sum(-1).mean(),
                "dropped": 1.0 - accepted[some].to(probs.dtype).mean(),
            }
        self.calls += 1
