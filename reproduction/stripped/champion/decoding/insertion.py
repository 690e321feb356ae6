r"""
Filling a canvas slot by slot, in an order the model chooses.

Stern et al., "Insertion transformer" (2019), with the canvas known in advance as in Chang et al., "MaskGIT"
(2022). A slot is a cell; its classes are those of losses/expected_cost_loss.py. A slot is *complete* once the
model (or the target) says that nothing more is to be written there.
"""

from dataclasses import dataclass
from typing import Any, Callable, List, Optional

import torch

from champion.losses.expected_cost_loss import (
    BASE_VOCAB,
    EOS_CLASS,
    FIRST_HEDGE,
    PAD_CLASS,
    normalised_entropy,
)

STRATEGIES = ("inverseentropy", "confidence", "margin", "random", "raster")


def aggregate_logits(logits: torch.Tensor, base_vocab: int = BASE_VOCAB) -> torch.Tensor:
    r"""
    .. math:: a_c = \log (e^{z_c} + e^{z_{12 + c}}), \qquad c = 0..10

    A colour and its hedge speak for the same colour. [..., 24] to [..., 11]; 11 classes stay as they are.
    """
    if logits.size(-1) == base_vocab:
        return logits
    return torch.logaddexp(logits[..., :base_vocab], logits[..., FIRST_HEDGE : FIRST_HEDGE + base_vocab])


def compute_slot_state(
    targets: Optional[torch.Tensor],
    logits: torch.Tensor,
    pad_marks_complete: bool = False,
    predicted: bool = False,
    eos_conf_threshold: float = 0.0,
) -> torch.Tensor:
    r"""
    True where a slot is still open (incomplete).

    A slot is complete if its target is PAD (pad_marks_complete), or if the model is sure of EOS (predicted):

    .. math:: z_{EOS} - \log \sum_{k \ne EOS} e^{z_k} \ge \text{eos\_conf\_threshold}

    [INFERRED] The threshold 2.775 of the config cannot be a probability; read as log odds it is 94 %.
    Alternatives
    considered: the margin to the second class; the raw logit.

    targets: [...] or None, logits: [..., 24]. Returns [...] bool.
    """
    state = torch.ones(logits.shape[:-1], dtype=torch.bool, device=logits.device)
    if pad_marks_complete and targets is not None:
        state = state & (targets != PAD_CLASS)
    if predicted:
        odds = logits[..., EOS_CLASS] - torch.logsumexp(logits[..., :EOS_CLASS], dim=-1)
        state = state & (odds < eos_conf_threshold)
    return state


def apply_insertion_gating(logits: torch.Tensor, slot_state: torch.Tensor, shift: float) -> torch.Tensor:
    """Lower every class but EOS by ``shift`` where a slot is complete. [..., 24] and [...] bool."""
    lowered = torch.full((logits.size(-1),), -float(shift), dtype=logits.dtype, device=logits.device)
    lowered[EOS_CLASS] = 0.0
    return torch.where(slot_state.unsqueeze(-1), logits, logits + lowered)


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
        decode = cfg["decode"]
        self.strategy = str(decode["strategy"])
        if self.strategy not in STRATEGIES:
            raise ValueError(f"unknown strategy {self.strategy!r}, expected one of {STRATEGIES}")
        self.selection_k = int(decode["selection_k"])
        if self.selection_k < 1:
            raise ValueError(f"selection_k must be at least 1, got {self.selection_k}")
        self.max_steps: Optional[int] = decode["max_steps"]
        self.min_conf = 0.0 if decode["min_conf"] is None else float(decode["min_conf"])
        self.generator = torch.Generator()
        if decode["random_seed"] is not None:
            self.generator.manual_seed(int(decode["random_seed"]))

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
        limit = grid.size(1) if self.max_steps is None else self.max_steps
        step = 0
        while step < limit and not bool(closed.all()):
            logits = forward(grid.view_as(canvas)).flatten(1, 2)
            chosen = self._choose(logits, closed)
            if not bool(chosen.any()):
                break
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
        scores = self._scores(logits, probs).masked_fill(~eligible, float("-inf"))
        # stable: among equals the first in reading order
        ranked = scores.argsort(dim=-1, descending=True, stable=True)[:, : self.selection_k]
        chosen = torch.zeros_like(closed).scatter(1, ranked, True)
        return chosen & eligible

    def _scores(self, logits: torch.Tensor, probs: torch.Tensor) -> torch.Tensor:
        if self.strategy == "inverseentropy":
            return 1.0 / normalised_entropy(logits).clamp_min(1e-9)
        if self.strategy == "confidence":
            return probs.max(-1).values
        if self.strategy == "margin":
            top: List[torch.Tensor] = list(probs.topk(2, dim=-1).values.unbind(-1))
            return top[0] - top[1]
        if self.strategy == "random":
            return torch.rand(probs.shape[:-1], generator=self.generator).to(probs)
        places = torch.arange(probs.size(1), device=probs.device, dtype=probs.dtype)
        return -places.expand(probs.shape[:-1])
