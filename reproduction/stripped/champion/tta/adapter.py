"""
Test-time adaptation of the normalisation layers on unlabelled batches.

SAR (Niu et al. 2023, "Towards Stable Test-Time Adaptation in Dynamic Wild World"): minimise the entropy of
the predictions, but only on samples that are fairly sure already, only with respect to the affine parameters
of norm layers, and with a sharpness-aware step so that one noisy batch does not wreck the model. If the
entropy collapses, everything is reset.
"""
import copy
import math
from typing import Any, Callable, Dict, List, Optional

import torch
import torch.nn as nn

MODES = ("sar", "sar2")
AGGREGATORS = ("sequence_mean", "sequence_max")
NORMS = (nn.LayerNorm, nn.GroupNorm, nn.BatchNorm1d, nn.BatchNorm2d)


def cell_entropy(logits: torch.Tensor, classes: Optional[List[int]] = None) -> torch.Tensor:
    r""":math:`-\sum_c p_c \log p_c` of every cell; ``classes`` restricts the softmax to some classes."""
    if classes is not None:
        logits = logits[..., list(classes)]
    log_p = torch.log_softmax(logits, dim=-1)
    return -(log_p.exp() * log_p).sum(-1)


def sample_entropy(logits: torch.Tensor, how: str, classes: Optional[List[int]] = None) -> torch.Tensor:
    """[B]: mean or maximum over the cells of a sample."""
    cells = cell_entropy(logits, classes).flatten(1)
    return cells.mean(1) if how == "sequence_mean" else cells.amax(1)


def redundancy_loss(features: torch.Tensor) -> torch.Tensor:
    r"""Mean squared off-diagonal correlation of the features [B, D]: :math:`\sum_{i \ne j} C_{ij}^2 / D(D-1)`."""
    if features.size(0) < 2:
        return features.new_zeros(())
    z = features - features.mean(0)
    z = z / (z.pow(2).mean(0) + 1e-6).sqrt()
    c = z.t() @ z / len(z)
    d = c.size(0)
    return (c.pow(2).sum() - c.diagonal().pow(2).sum()) / max(1, d * (d - 1))


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
        if cfg.mode not in MODES or cfg.entropy_aggregator not in AGGREGATORS:
            raise ValueError(f"model.sar: mode in {MODES}, entropy_aggregator in {AGGREGATORS}")
        self.model, self.cfg, self.gate = model, cfg, gate
        self.parameters = self._select(list(cfg.trainable))
        self.optimizer = self._optimizer()
        self.initial = [p.detach().clone() for p in self.parameters]
        self.initial_optimizer = copy.deepcopy(self.optimizer.state_dict())
        self.ema: Optional[float] = None
        self.batches = 0
        self.bank: Optional[torch.Tensor] = None  # [C, C] mean prediction per predicted class
        self.seen: Optional[torch.Tensor] = None
        self.last_metrics: Dict[str, float] = {}
        self._features: Optional[torch.Tensor] = None
        self._handle = self._hook_module().register_forward_hook(self._keep_features) if cfg.mode == "sar2" else None

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
        if o.name == "sgd":
            return torch.optim.SGD(self.parameters, lr=o.lr, momentum=o.momentum, weight_decay=o.weight_decay)
        if o.name == "adam":
            betas = (o.momentum, 0.999)
            return torch.optim.Adam(self.parameters, lr=o.lr, betas=betas, weight_decay=o.weight_decay)
        raise ValueError(f"unknown model.sar.optimizer.name {o.name!r}")

    def _hook_module(self) -> nn.Module:
        """'penultimate': whatever feeds the last linear layer, by hooking that layer; else a module path."""
        if self.cfg.feature_hook != "penultimate":
            return self.model.get_submodule(self.cfg.feature_hook)
        return [m for m in self.model.modules() if isinstance(m, nn.Linear)][-1]

    def _keep_features(self, module: nn.Module, args, output) -> None:
        found = args[0] if self.cfg.feature_hook == "penultimate" else output
        self._features = found.flatten(1, -2).mean(1) if found.dim() > 2 else found

    def close(self) -> None:
        if self._handle is not None:
            self._handle.remove()

    def reset(self) -> None:
        """Back to the parameters and the optimizer state of before the first batch."""
        self._put(self.initial)
        self.optimizer.load_state_dict(copy.deepcopy(self.initial_optimizer))
        self.ema = None

    def _loss(self, logits: torch.Tensor, threshold: float):
        if self.gate is not None and not self.cfg.ignore_gating_for_entropy:
            logits = self.gate(logits)
        entropy = sample_entropy(logits, self.cfg.entropy_aggregator, self.cfg.classes)
        index = torch.nonzero(entropy.detach() < threshold).flatten()
        limit = self.cfg.max_selected_per_batch
        if limit is not None and len(index) > limit:
            index = index[torch.argsort(entropy.detach()[index], stable=True)[: int(limit)]]
        if not len(index):
            return None, 0.0, 0
        loss = entropy[index].mean()
        plain = float(loss.detach())
        if self.cfg.mode == "sar2":
            loss = loss + float(self.cfg.alpha) * redundancy_loss(self._features[index])
            loss = loss + float(self.cfg.beta) * self._inequity(logits[index])
        return loss, plain, len(index)

    def _inequity(self, logits: torch.Tensor) -> torch.Tensor:
        p = torch.softmax(logits.flatten(0, -2), dim=-1)
        n = p.size(-1)
        label = p.detach().argmax(-1)
        if self.bank is None:
            self.bank, self.seen = p.new_zeros(n, n), torch.zeros(n, dtype=torch.bool, device=p.device)
        hot = nn.functional.one_hot(label, n).to(p.dtype)
        count = hot.sum(0)
        means = hot.t() @ p / count.clamp_min(1.0).unsqueeze(-1)
        here = count > 0
        rate = torch.where(self.seen, float(self.cfg.bank_decay), 1.0).to(p.dtype).unsqueeze(-1)
        mixed = torch.where(here.unsqueeze(-1), (1 - rate) * self.bank + rate * means, self.bank)
        self.bank, self.seen = mixed.detach(), self.seen | here
        if int(self.seen.sum()) < min(int(self.cfg.bank_min_classes), n):
            return p.new_zeros(())
        mean = mixed[self.seen].mean(0)
        return torch.xlogy(mean, mean.clamp_min(1e-12)).sum() + math.log(n)

    def _step(self, inputs, kwargs) -> bool:
        logits = self.model(*inputs, **kwargs)
        n_classes = logits.size(-1) if self.cfg.classes is None else len(self.cfg.classes)
        threshold = float(self.cfg.entropy_threshold_factor) * math.log(n_classes)
        loss, first, selected = self._loss(logits, threshold)
        if loss is None:
            self.last_metrics = {"selected": 0.0, "entropy": float("nan"), "reset": 0.0}
            return False
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
            if reset:
                self.reset()
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
                    if not self._step(inputs, kwargs):
                        break
            for p, was in zip(self.parameters, asked):
                p.requires_grad_(was)
        if not self.cfg.log_metrics:
            self.last_metrics = {}
        with torch.no_grad():
            return self.model(*inputs, **kwargs)
