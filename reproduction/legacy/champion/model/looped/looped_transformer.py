"""
Looped encoder: the same block again and again.

Yang, Lee, Nowak & Papailiopoulos (2024), "Looped Transformers are Better at Learning Learning Algorithms":
:math:`h_{t+1} = f_\\theta(h_t + x)`, b loops, and a loss on the last T of them only; the loops before run
without gradient.
"""
from typing import Any, Callable, List, NamedTuple, Optional, Sequence

import torch
import torch.nn as nn
from torch.utils.checkpoint import checkpoint

from champion.model.attention.common import split_mask
from champion.model.looped.ponder import HaltingHead, halting_distribution, stop_step

INJECTION_MODES = ("pre", "post")


class LoopedOutput(NamedTuple):
    memory: torch.Tensor  # [B, L, d]
    history: List[torch.Tensor]  # the loops that the loss looks at, oldest first
    halting: Optional[torch.Tensor]  # [B, len(history)], None without ponder
    loops: int


class LoopedTransformer(nn.Module):
    """
    Weight-shared encoder around ``block`` (an nn.TransformerEncoder or anything called like it).

    ``cfg`` is model.looped. ``b`` loops (``b_cap`` limits it, ``set_loops`` moves it: see the loop schedule),
    window ``T``. ``input_injection`` adds the input in every loop, in front of the block ('pre') or behind it
    ('post'); without it the block just iterates on its own output. ``eval_disable_dropout`` off keeps the
    block's dropout on in eval mode, which samples loops instead of repeating one.
    With ponder every loop up to ``tmax_loop`` is kept: training returns the expected state, eval stops each
    sample at its own step. [INFERRED] b = loops and T = window as in the paper; alternative: the reverse.
    """

    def __init__(self, block: nn.Module, d_model: int, cfg: Any):
        super().__init__()
        if cfg.injection_mode not in INJECTION_MODES:
            raise ValueError(f"model.looped.injection_mode must be one of {INJECTION_MODES}")
        self.cfg = cfg
        self.block = block
        self.loops = int(cfg.b)
        self.halt = HaltingHead(d_model, cfg.ponder.halting_feature) if cfg.ponder.enabled else None
        self.last_deltas: List[float] = []

    def train(self, mode: bool = True) -> "LoopedTransformer":
        super().train(mode)
        self.block.train(mode or not self.cfg.eval_disable_dropout)
        return self

    def set_loops(self, loops: int) -> None:
        self.loops = max(1, int(loops))

    def planned_loops(self) -> int:
        if self.halt is not None:
            return int(self.cfg.ponder.tmax_loop)
        return self.loops if self.cfg.b_cap is None else min(self.loops, int(self.cfg.b_cap))

    def _apply_block(self, h: torch.Tensor, pad: Optional[torch.Tensor]) -> torch.Tensor:
        ck = self.cfg.checkpointing
        if ck.enabled and torch.is_grad_enabled():
            return checkpoint(
                lambda state: self.block(state, src_key_padding_mask=pad), h, use_reentrant=bool(ck.use_reentrant)
            )
        return self.block(h, src_key_padding_mask=pad)

    def _step(self, h: torch.Tensor, x: torch.Tensor, pad: Optional[torch.Tensor]) -> torch.Tensor:
        if not self.cfg.input_injection:
            return self._apply_block(h, pad)
        if self.cfg.injection_mode == "pre":
            return self._apply_block(h + x, pad)
        return self._apply_block(h, pad) + x

    def forward(self, x: torch.Tensor, src_key_padding_mask: Optional[torch.Tensor] = None) -> LoopedOutput:
        loops = self.planned_loops()
        first_kept = 0 if self.halt is not None else max(0, loops - int(self.cfg.T))
        starts_at_zero = self.cfg.input_injection and self.cfg.injection_mode == "pre"
        h = torch.zeros_like(x) if starts_at_zero else x
        history, deltas = [], []
        for t in range(loops):
            before = h
            with torch.set_grad_enabled(torch.is_grad_enabled() and t >= first_kept):
                h = self._step(h, x, src_key_padding_mask)
            if t >= first_kept:
                history.append(h)
            if self.cfg.diagnostics.log_deltas:
                deltas.append(float((h - before).detach().norm() / before.detach().norm().clamp_min(1e-12)))
        self.last_deltas = deltas
        if self.halt is None:
            return LoopedOutput(h, history, None, loops)
        pad, _ = split_mask(src_key_padding_mask)
        p = halting_distribution(torch.stack([self.halt(state, pad) for state in history], dim=-1))
        return LoopedOutput(self._settle(history, p), history, p, loops)

    def _settle(self, history: List[torch.Tensor], p: torch.Tensor) -> torch.Tensor:
        states = torch.stack(history, dim=1)
        if self.training:
            return (p[:, :, None, None] * states).sum(1)
        stop = stop_step(p, float(self.cfg.ponder.eps_halt))
        return states[torch.arange(len(stop), device=stop.device), stop]

    def iteration_losses(
        self, per_loop_logits: Sequence[torch.Tensor], targets: torch.Tensor, loss_fn: Callable[..., torch.Tensor]
    ) -> List[float]:
        """Loss of every kept loop, for the log; empty unless diagnostics.log_per_iter_loss."""
        if not self.cfg.diagnostics.log_per_iter_loss:
            return []
        with torch.no_grad():
            return [float(loss_fn(logits, targets)) for logits in per_loop_logits]
