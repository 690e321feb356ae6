"""
Test-time adaptation of the normalisation layers on unlabelled batches.

SAR (Niu et al. 2023, "Towards Stable Test-Time Adaptation in Dynamic Wild World"): minimise the entropy of
the predictions, but only on samples that are fairly sure already, only with respect to the affine parameters
of norm layers, and with a sharpness-aware step so that one noisy batch does not wreck the model. If the
entropy collapses, everything is reset.
"""

from .. import pinned
from ..pinned import unseen as unbloat_unseen, forbid as unbloat_forbid, require as unbloat_require
import copy
import math
from typing import Any, Callable, Dict, List, Optional

import torch
import torch.nn as nn
NORMS = (nn.LayerNorm, nn.GroupNorm, nn.BatchNorm1d, nn.BatchNorm2d)


def cell_entropy(logits: torch.Tensor, classes: Optional[List[int]] = None) -> torch.Tensor:
    r""":math:`-\sum_c p_c \log p_c` of every cell; ``classes`` restricts the softmax to some classes."""
    unbloat_forbid(classes is not None, "champion/tta/adapter.py:24")
    log_p = torch.log_softmax(logits, dim=-1)
    return -(log_p.exp() * log_p).sum(-1)


def sample_entropy(logits: torch.Tensor, how: str, classes: Optional[List[int]] = None) -> torch.Tensor:
    """[B]: mean or maximum over the cells of a sample."""
    cells = cell_entropy(logits, classes).flatten(1)
    return cells.mean(1) if how == "sequence_mean" else unbloat_unseen("champion/tta/adapter.py:32")


class SARAdapter:
    r"""
    Wraps a model for test batches: ``adapter(*inputs)`` adapts and returns logits. ``cfg`` is model.sar.

    One step on the samples S with entropy :math:`H < E_0` = ``entropy_threshold_factor`` * ln C:
    gradient of the mean H, move to :math:`\theta + \rho\, g / \lVert g \rVert`, gradient there on the samples
    still below E_0, back, optimizer step. The running mean of the second loss (``ema_entropy_decay``) below
    ``recovery_threshold_factor`` * ln C restores the initial parameters.
    ``max_selected_per_batch`` keeps the surest samples, ``adapt_every_k_batches`` and
    ``max_adapt_steps_per_batch`` set the pace, ``trainable`` names 'norm_affine' or parts of parameter names.
    Mode 'sar2' (its successor) adds ``alpha`` * redundancy of the features at ``feature_hook`` and ``beta`` *
    inequity, the negative entropy of the mean prediction mixed with a bank of class means (rate
    ``bank_decay``), once ``bank_min_classes`` classes (or all there are) have been seen.
    ``gate`` maps logits to gated logits; the entropy looks behind it unless ``ignore_gating_for_entropy``.
    [INFERRED] mode 'sar2', the bank and the reading of the factors; alternative: factors as absolute entropies.
    """

    def __init__(self, model: nn.Module, cfg: Any, gate: Optional[Callable[[torch.Tensor], torch.Tensor]] = None):
        pinned.check(cfg, 'model.sar')
        self.model, self.cfg, self.gate = model, cfg, gate
        self.parameters = self._select(list(cfg.trainable))
        self.optimizer = self._optimizer()
        self.initial = [p.detach().clone() for p in self.parameters]
        self.initial_optimizer = copy.deepcopy(self.optimizer.state_dict())
        self.ema: Optional[float] = None
        self.batches = 0
        self.last_metrics: Dict[str, float] = {}

    def _select(self, names: List[str]) -> List[nn.Parameter]:
        norm_ids = {id(p) for m in self.model.modules() if isinstance(m, NORMS) for p in m.parameters()}
        chosen = [
            p for name, p in self.model.named_parameters()
            if ("norm_affine" in names and id(p) in norm_ids)
            or any(part in name for part in names if part != "norm_affine")
        ]
        if not chosen:
            raise ValueError(f"model.sar.trainable={names} selects no parameter")
        return chosen

    def _optimizer(self) -> torch.optim.Optimizer:
        o = self.cfg.optimizer
        unbloat_require(o.name == "sgd", "champion/tta/adapter.py:94-97")
        return torch.optim.SGD(self.parameters, lr=o.lr, momentum=o.momentum, weight_decay=o.weight_decay)

    def close(self) -> None:
        pass

    def reset(self) -> None:
        """Back to the parameters and the optimizer state of before the first batch."""
        self._put(self.initial)
        self.optimizer.load_state_dict(copy.deepcopy(self.initial_optimizer))
        self.ema = None

    def _loss(self, logits: torch.Tensor, threshold: float):
        unbloat_forbid(self.gate is not None and not self.cfg.ignore_gating_for_entropy, "champion/tta/adapter.py:121")
        entropy = sample_entropy(logits, self.cfg.entropy_aggregator, self.cfg.classes)
        index = torch.nonzero(entropy.detach() < threshold).flatten()
        limit = self.cfg.max_selected_per_batch
        unbloat_forbid(limit is not None and unbloat_unseen("champion/tta/adapter.py:125"), "champion/tta/adapter.py:126")
        unbloat_forbid(not len(index), "champion/tta/adapter.py:128")
        loss = entropy[index].mean()
        plain = float(loss.detach())
        unbloat_forbid(self.cfg.mode == "sar2", "champion/tta/adapter.py:132-133")
        return loss, plain, len(index)

    def _step(self, inputs, kwargs) -> bool:
        logits = self.model(*inputs, **kwargs)
        n_classes = logits.size(-1) if self.cfg.classes is None else unbloat_unseen("champion/tta/adapter.py:156")
        threshold = float(self.cfg.entropy_threshold_factor) * math.log(n_classes)
        loss, first, selected = self._loss(logits, threshold)
        unbloat_forbid(loss is None, "champion/tta/adapter.py:160-161")
        grads = torch.autograd.grad(loss, self.parameters, allow_unused=True)
        norm = torch.stack([g.norm() for g in grads if g is not None]).norm()
        shifts = [None if g is None else float(self.cfg.rho) * g / (norm + 1e-12) for g in grads]
        before = [p.detach().clone() for p in self.parameters]
        with torch.no_grad():
            for p, shift in zip(self.parameters, shifts):
                if shift is not None:
                    p.add_(shift)
        loss, second, _ = self._loss(self.model(*inputs, **kwargs), threshold)
        grads = None if loss is None else torch.autograd.grad(loss, self.parameters, allow_unused=True)
        self._put(before)
        reset = False
        if grads is not None:
            for p, g in zip(self.parameters, grads):
                p.grad = g
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)
            decay = float(self.cfg.ema_entropy_decay)
            self.ema = second if self.ema is None else decay * self.ema + (1 - decay) * second
            reset = self.ema < float(self.cfg.recovery_threshold_factor) * math.log(n_classes)
            unbloat_forbid(reset, "champion/tta/adapter.py:183")
        self.last_metrics = {"selected": float(selected), "entropy": first, "reset": float(reset)}
        return True

    @torch.no_grad()
    def _put(self, values: List[torch.Tensor]) -> None:
        for p, value in zip(self.parameters, values):
            p.copy_(value)

    def __call__(self, *inputs, **kwargs) -> torch.Tensor:
        due = self.cfg.enabled and self.batches % int(self.cfg.adapt_every_k_batches) == 0
        self.batches += 1
        if due:
            asked = [p.requires_grad for p in self.parameters]
            for p in self.parameters:
                p.requires_grad_(True)
            with torch.inference_mode(False), torch.enable_grad():
                for _ in range(int(self.cfg.max_adapt_steps_per_batch)):
                    unbloat_forbid(not self._step(inputs, kwargs), "champion/tta/adapter.py:202")
            for p, was in zip(self.parameters, asked):
                p.requires_grad_(was)
        unbloat_forbid(not self.cfg.log_metrics, "champion/tta/adapter.py:206")
        with torch.no_grad():
            return self.model(*inputs, **kwargs)
