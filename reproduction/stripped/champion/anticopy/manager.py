"""
Anti-copy gating: weaken the part of a layer's output that merely repeats its input.

Models on grid tasks like to copy the input. The manager hangs forward hooks on the encoder layers and takes
a little of the copied part out, more where the batch looks like copying.
"""
import json
from pathlib import Path
from typing import Any, Dict, List, Optional

import torch
import torch.nn as nn

MODES = ("reparam", "gate")


class AntiCopyManager:
    r"""
    Hooks on layers; ``cfg`` is model.anticopy. For layer l with input x, output h and strength s

    .. math:: \text{reparam: } h - s\,\frac{h \cdot x}{\lVert x \rVert^2}\, x, \qquad
              \text{gate: } (1 - s\,\max(0, \cos(h, x)))\,h

    The copied direction is the input itself, or a fixed vector per layer from the JSON file ``registry_path``
    ({"0": [..d numbers..], ...}). The strength is routed per batch:
    :math:`s = \mathrm{clip}(s_0 + b + w_o\,\text{overlap} + w_r\,\text{risk},\ s_{min},\ s_{max})`, s_0 =
    ``s_default``, overlap = mean positive cosine, risk = what ``set_risk`` was told (say the copy rate);
    calibration weights from the node or from ``calibration_path``. ``force_strength`` overrides the routing.
    The strength grows over ``warmup_steps`` training steps, is at most ``cap_per_layer`` in one layer and
    ``s_cap_global`` over all layers together. ``dry_run`` measures only. [INFERRED] all formulae from the key names;
    alternatives: a learned direction, a logistic router.
    """

    def __init__(self, cfg: Any):
        if cfg.mode not in MODES:
            raise ValueError(f"model.anticopy.mode must be one of {MODES}, got {cfg.mode!r}")
        self.cfg, self.routing = cfg, cfg.routing
        self.weights = {k: float(self.routing.calibration[k]) for k in ("bias", "w_overlap", "w_risk")}
        if self.routing.calibration_path is not None:
            read = json.loads(Path(self.routing.calibration_path).read_text())
            self.weights.update({k: float(read[k]) for k in self.weights if k in read})
        self.registry: Dict[str, List[float]] = {}
        if cfg.registry_path is not None:
            self.registry = json.loads(Path(cfg.registry_path).read_text())
        self.steps = 0
        self.risk = 0.0
        self.spent = 0.0
        self.last_metrics: Dict[str, float] = {}
        self._handles: List[Any] = []

    def attach(self, layers) -> int:
        """Hook every layer of a ModuleList / iterable; does nothing unless ``enabled``."""
        if not self.cfg.enabled:
            return 0
        for index, layer in enumerate(layers):
            self._handles.append(layer.register_forward_hook(self._hook(index)))
        return len(self._handles)

    def detach(self) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles = []

    def set_risk(self, risk: float) -> None:
        self.risk = float(risk)

    def strength(self, overlap: float) -> float:
        """Routed strength before the caps."""
        r = self.routing
        if r.force_strength is not None:
            return float(r.force_strength)
        w = self.weights
        raw = float(r.s_default) + w["bias"] + w["w_overlap"] * overlap + w["w_risk"] * self.risk
        return min(max(raw, float(r.s_min)), float(r.s_max))

    def _allowed(self, wanted: float) -> float:
        warm = min(1.0, self.steps / float(self.routing.warmup_steps)) if self.routing.warmup_steps else 1.0
        room = max(0.0, float(self.routing.s_cap_global) - self.spent)
        return min(wanted * warm, float(self.cfg.cap_per_layer), room)

    def _direction(self, index: int, x: torch.Tensor) -> torch.Tensor:
        fixed: Optional[List[float]] = self.registry.get(str(index))
        return x if fixed is None else x.new_tensor(fixed).expand_as(x)

    def _hook(self, index: int):
        def hook(module: nn.Module, args, output):
            if index == 0:  # a new pass through the stack
                self.spent = 0.0
                self.steps += int(module.training)
            h, x = output, args[0]
            direction = nn.functional.normalize(self._direction(index, x), dim=-1, eps=1e-6)
            along = (h * direction).sum(-1, keepdim=True)
            cosine = (along / h.norm(dim=-1, keepdim=True).clamp_min(1e-6)).clamp_min(0.0)
            overlap = float(cosine.detach().mean())
            s = self._allowed(self.strength(overlap))
            self.spent += s
            if self.routing.log_metrics:
                self.last_metrics[f"overlap_{index}"] = overlap
                self.last_metrics[f"strength_{index}"] = s
            if self.routing.dry_run or s == 0.0:
                return None
            if self.cfg.mode == "reparam":
                return h - s * along * direction
            return (1.0 - s * cosine) * h

        return hook
