"""The bank of experts that attention and feed-forward share, and pondering over it."""
import math
import zlib
from typing import Any, Dict, Optional, Tuple

import torch
import torch.nn as nn

from champion.model.cumoe.router import Router
from champion.model.looped.ponder import halting_distribution, ponder_regulariser, stop_step

ADAPTERS = ("none", "film", "lora")


class ExpertBank(nn.Module):
    r"""
    E small feed-forward nets, :math:`f_e(x) = W^{(e)}_2\,\mathrm{gelu}(W^{(e)}_1 x + b^{(e)}_1) + b^{(e)}_2`,
    of width ``expert_hidden``; stored as [E, ., .] tensors.
    """

    def __init__(self, d_model: int, cfg: Any):
        super().__init__()
        n, hidden = int(cfg.num_experts), int(cfg.expert_hidden)
        self.w1 = nn.Parameter(torch.randn(n, d_model, hidden) / math.sqrt(d_model))
        self.b1 = nn.Parameter(torch.zeros(n, hidden))
        self.w2 = nn.Parameter(torch.randn(n, hidden, d_model) / math.sqrt(hidden))
        self.b2 = nn.Parameter(torch.zeros(n, d_model))

    def expert(self, e: int, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.gelu(x @ self.w1[e] + self.b1[e]) @ self.w2[e] + self.b2[e]

    def forward(self, x: torch.Tensor, index: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        r"""
        :math:`y_n = \sum_s g_{ns} f_{e_{ns}}(x_{ns})`; x [N, d] or one input per choice [N, k, d],
        index and weight [N, k] -> [N, d]. Choices of weight 0 cost nothing.
        """
        inputs = x.unsqueeze(1).expand(-1, index.size(1), -1) if x.dim() == 2 else x
        y = torch.zeros_like(inputs[:, 0])
        for e in torch.unique(index[weight > 0]).tolist():
            token, slot = torch.nonzero((index == e) & (weight > 0), as_tuple=True)
            part = weight[token, slot].unsqueeze(-1) * self.expert(e, inputs[token, slot])
            y = y.index_add(0, token, part)
        return y


class StepAdapter(nn.Module):
    r"""
    What changes from one ponder step to the next: nothing, FiLM :math:`(1 + \gamma_t) y + \beta_t`, or a
    low-rank :math:`y + B_t A_t y` of rank ``lora_rank``. With ``use_condition_embed`` the FiLM vectors also get a
    part from embedded conditions (say the task), picked from a dict by ``cond_static_keys``.
    """

    def __init__(self, d_model: int, steps: int, cfg: Any):
        super().__init__()
        if cfg.adapter_kind not in ADAPTERS:
            raise ValueError(f"model.cumoe.ponder.adapter_kind must be one of {ADAPTERS}")
        self.kind, self.keys, self.vocab = cfg.adapter_kind, list(cfg.cond_static_keys), int(cfg.cond_vocab)
        self.embed = self.from_condition = None
        if self.kind == "film":
            width = 2 * d_model if cfg.film_use_bias else d_model
            self.film = nn.Parameter(torch.zeros(steps, width))
            if cfg.use_condition_embed:
                self.embed = nn.Embedding(self.vocab, int(cfg.cond_embed_dim))
                self.from_condition = nn.Linear(int(cfg.cond_embed_dim), width)
        elif self.kind == "lora":
            rank = int(cfg.lora_rank)
            self.a = nn.Parameter(torch.randn(steps, d_model, rank) / math.sqrt(d_model))
            self.b = nn.Parameter(torch.zeros(steps, rank, d_model))
        self.condition: Optional[Dict[str, Any]] = None

    def _bucket(self, value: Any) -> int:
        return value % self.vocab if isinstance(value, int) else zlib.crc32(str(value).encode()) % self.vocab

    def forward(self, y: torch.Tensor, step: int) -> torch.Tensor:
        if self.kind == "none":
            return y
        if self.kind == "lora":
            return y + (y @ self.a[step]) @ self.b[step]
        film = self.film[step]
        if self.embed is not None and self.condition is not None:
            ids = [self._bucket(self.condition[key]) for key in self.keys or sorted(self.condition)]
            film = film + self.from_condition(self.embed(torch.tensor(ids, device=y.device)).sum(0))
        gain, bias = film[: y.size(-1)], film[y.size(-1):]
        y = (1.0 + gain) * y
        return y + bias if bias.numel() else y


class RoutedExperts(nn.Module):
    """
    Router + bank; with ``cumoe.ponder`` the tokens go through up to ``steps`` rounds of experts.

    Round t routes the current state anew (``use_no_repeat``: not to experts it has been to), adds the adapted
    expert output to the state and halts with a learned probability per token. Training returns the expected
    output (``loss.use_expected_task``; else that of the last round), eval stops at ``eps_halt``. ``aux_loss`` is
    the balance loss plus the ponder terms of the last forward. [INFERRED] the recursion on the residual;
    alternative: every round starts from the input.
    """

    def __init__(self, d_model: int, cfg: Any, steps: int, bank: Optional[ExpertBank] = None):
        super().__init__()
        self.ponder = cfg.ponder if cfg.ponder.enabled else None
        self.steps = int(steps) if self.ponder is not None else 1
        self.router = Router(d_model, cfg)
        self.bank = ExpertBank(d_model, cfg) if bank is None else bank
        if self.ponder is not None:
            self.adapter = StepAdapter(d_model, self.steps, self.ponder)
            self.halt = nn.Linear(d_model, 1)
        self.aux_loss: Optional[torch.Tensor] = None
        self.last_halting: Optional[torch.Tensor] = None

    def set_condition(self, condition: Optional[Dict[str, Any]]) -> None:
        if self.ponder is not None:
            self.adapter.condition = condition

    def forward(self, x: torch.Tensor, keep: Optional[torch.Tensor] = None, routing=None) -> torch.Tensor:
        """x [N, d] -> [N, d]. The caller may pass the first routing together with inputs [N, k, d]."""
        first = routing if routing is not None else self.router(x, keep)
        y = self.bank(x, first.index, first.weight)
        self.aux_loss = first.balance
        if self.ponder is None:
            return y
        state = x if x.dim() == 2 else x.mean(1)
        return self._ponder(state, y, first, keep)

    def _ponder(self, x, y, route, keep) -> torch.Tensor:
        outputs, lambdas, balance = [], [], route.balance
        used = torch.zeros_like(route.probs, dtype=torch.bool)
        total = torch.zeros_like(y)
        for t in range(self.steps):
            if t:
                route = self.router(x + total, keep, used if self.ponder.use_no_repeat else None)
                y = self.bank(x + total, route.index, route.weight)
                balance = balance + route.balance
            used = used.scatter(1, route.index, True)
            total = total + self.adapter(y, t)
            outputs.append(total)
            lambdas.append(torch.sigmoid(self.halt(x + total)).squeeze(-1))
        p = halting_distribution(torch.stack(lambdas, dim=-1))
        self.last_halting = p
        counted = p if keep is None else p[keep]
        self.aux_loss = balance / self.steps
        if len(counted):
            self.aux_loss = self.aux_loss + ponder_regulariser(counted, self.ponder)
        stacked = torch.stack(outputs, dim=1)  # [N, T, d]
        if not self.training:
            stop = stop_step(p, float(self.ponder.eps_halt))
            return stacked[torch.arange(len(stop), device=stop.device), stop]
        if not self.ponder.loss.use_expected_task:
            return outputs[-1]
        return (p.unsqueeze(-1) * stacked).sum(1)


def flatten_keep(key_padding_mask: Optional[torch.Tensor]) -> Optional[torch.Tensor]:
    """[B, L] padding mask (bool or float) to the kept tokens [B*L]."""
    if key_padding_mask is None:
        return None
    pad = key_padding_mask if key_padding_mask.dtype == torch.bool else torch.isneginf(key_padding_mask)
    return ~pad.reshape(-1)


def collect_aux_loss(model: nn.Module) -> Tuple[Optional[torch.Tensor], int]:
    """Sum of the auxiliary losses of the last forward, and how many modules gave one."""
    found = [m.aux_loss for m in model.modules() if isinstance(m, RoutedExperts) and m.aux_loss is not None]
    return (torch.stack(found).sum() if found else None), len(found)
