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
        raise NotImplementedError("stripped: champion/model/looped/looped_transformer.py:40-47")

    def train(self, mode: bool = True) -> "LoopedTransformer":
        raise NotImplementedError("stripped: champion/model/looped/looped_transformer.py:50-52")

    def _step(self, h: torch.Tensor, x: torch.Tensor, pad: Optional[torch.Tensor]) -> torch.Tensor:
        raise NotImplementedError("stripped: champion/model/looped/looped_transformer.py:71-75")

    def forward(self, x: torch.Tensor, src_key_padding_mask: Optional[torch.Tensor] = None) -> LoopedOutput:
        raise NotImplementedError("stripped: champion/model/looped/looped_transformer.py:78-96")
