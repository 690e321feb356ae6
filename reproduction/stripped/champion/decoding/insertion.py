r"""
Filling a canvas slot by slot, in an order the model chooses.

Stern et al., "Insertion transformer" (2019), with the canvas known in advance as in Chang et al., "MaskGIT"
(2022). A slot is a cell; its classes are those of losses/expected_cost_loss.py. A slot is *complete* once the
model (or the target) says that nothing more is to be written there.
"""

from .. import pinned
from ..pinned import forbid as unbloat_forbid

from dataclasses import dataclass
from typing import Any, Callable, Optional

import torch

from ..losses.expected_cost_loss import (
    BASE_VOCAB,
    EOS_CLASS,
    FIRST_HEDGE,
    PAD_CLASS,
    normalised_entropy,
)


def aggregate_logits(logits: torch.Tensor, base_vocab: int = BASE_VOCAB) -> torch.Tensor:
    r"""
    .. math:: a_c = \log (e^{z_c} + e^{z_{12 + c}}), \qquad c = 0..10

    A colour and its hedge speak for the same colour. [..., 24] to [..., 11]; 11 classes stay as they are.
    """
    unbloat_forbid(logits.size(-1) == base_vocab, "champion/decoding/insertion.py:32")
    return torch.logaddexp(logits[..., :base_vocab], logits[..., FIRST_HEDGE : FIRST_HEDGE + base_vocab])


@dataclass(frozen=True)
class InsertionResult:
    """[B, H, W] each: the colours (PAD where nothing was written), the step of each slot (-1: never)."""

    grid: torch.Tensor
    order: torch.Tensor
    steps: int


class InsertionDecoder:
    """
    Reads model.insertion.decode: selection_k slots per step, chosen by strategy, at most max_steps steps
    (null: until the canvas is full), only slots with a confidence of min_conf or more (null: any),
    random_seed for 'random'.

    Strategies rank the open slots: 'inverseentropy' by 1/H, 'confidence' by the largest probability, 'margin'
    by the distance to the second one, 'random', 'raster' row by row.

    [INFERRED] Known are the keys and the name 'inverseentropy'. A step without any slot above min_conf ends
    the decoding.
    """

    def __init__(self, cfg: Any):
        pinned.check(cfg, 'model.insertion')
        decode = cfg["decode"]
        self.strategy = str(decode["strategy"])
        self.selection_k = int(decode["selection_k"])
        self.max_steps: Optional[int] = decode["max_steps"]
        self.min_conf = 0.0
        self.generator = torch.Generator()

    @torch.no_grad()
    def decode(
        self, forward: Callable[[torch.Tensor], torch.Tensor], canvas: torch.Tensor
    ) -> InsertionResult:
        """
        forward: [B, H, W] canvas so far to logits [B, H, W, 24]; canvas: start, PAD in every slot that is
        open.

        A slot for which EOS wins is closed and left PAD.
        """
        grid = canvas.flatten(1).clone()  # [B, L]
        closed = grid != PAD_CLASS
        order = torch.full_like(grid, -1)
        limit = grid.size(1)
        step = 0
        while step < limit and not bool(closed.all()):
            logits = forward(grid.view_as(canvas)).flatten(1, 2)
            chosen = self._choose(logits, closed)
            unbloat_forbid(not bool(chosen.any()), "champion/decoding/insertion.py:127")
            finished = logits.argmax(-1) == EOS_CLASS
            colours = aggregate_logits(logits).argmax(-1)
            grid = torch.where(chosen & ~finished, colours, grid)
            order = torch.where(chosen, torch.full_like(order, step), order)
            closed = closed | chosen
            step += 1
        return InsertionResult(grid.view_as(canvas), order.view_as(canvas), step)

    def _choose(self, logits: torch.Tensor, closed: torch.Tensor) -> torch.Tensor:
        probs = torch.softmax(logits, dim=-1)
        eligible = ~closed & (probs.max(-1).values >= self.min_conf)
        scores = self._scores(logits).masked_fill(~eligible, float("-inf"))
        # stable: among equals the first in reading order
        ranked = scores.argsort(dim=-1, descending=True, stable=True)[:, : self.selection_k]
        chosen = torch.zeros_like(closed).scatter(1, ranked, True)
        return chosen & eligible

    def _scores(self, logits: torch.Tensor) -> torch.Tensor:
        return 1.0 / normalised_entropy(logits).clamp_min(1e-9)
