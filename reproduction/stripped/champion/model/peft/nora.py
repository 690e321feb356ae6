"""
NoRA: adapt the activation function instead of the weights.

NoRA (Yin et al. 2025, "Don't Forget the Nonlinearity: Unlocking Activation Functions in Efficient
Fine-Tuning") turns the fixed activation into a rational function per group of channels and trains a
low-rank change of its coefficients. NoRA++ adds LoRA on the weights.
"""
from functools import lru_cache
from typing import Any, Dict, List

import torch
import torch.nn as nn
import torch.nn.functional as F

from champion.model.peft.lora_linear import LoRALinear, adapt_attention

ACTIVATIONS = {"gelu": F.gelu, "relu": F.relu, "silu": F.silu, "tanh": torch.tanh}
FIT_RANGE = 4.0
LORA_RANK, LORA_ALPHA, LORA_DROPOUT = 8, 16.0, 0.0


def activation(name: str):
    if name not in ACTIVATIONS:
        raise ValueError(f"unknown activation {name!r}, known: {sorted(ACTIVATIONS)}")
    return ACTIVATIONS[name]


def powers(x: torch.Tensor, degree: int) -> torch.Tensor:
    """[..., degree + 1]: 1, x, x^2, ..."""
    ones = torch.ones_like(x).unsqueeze(-1)
    if degree == 0:
        return ones
    return torch.cat([ones, torch.cumprod(x.unsqueeze(-1).expand(*x.shape, degree), dim=-1)], dim=-1)


@lru_cache(maxsize=None)
def fit_rational(name: str, deg_p: int, deg_q: int, rounds: int = 8):
    """
    Coefficients (p [deg_p + 1], q [deg_q]) of P / (1 + Q) close to an activation on [-4, 4].

    Iterated linear least squares (Sanathanan & Koerner 1963), even powers only in Q so that it has no pole near
    the data.
    """
    x = torch.linspace(-FIT_RANGE, FIT_RANGE, 401, dtype=torch.float64)
    target = activation(name)(x)
    top, bottom = powers(x, deg_p), powers(x, deg_q)[:, 1:][:, 1::2]
    weight = torch.ones_like(x)
    for _ in range(rounds):
        system = torch.cat([top, -target[:, None] * bottom], dim=1) * weight[:, None]
        solution = torch.linalg.lstsq(system, (target * weight)[:, None]).solution[:, 0]
        p, q_even = solution[: deg_p + 1], solution[deg_p + 1:].clamp_min(0.0)
        weight = 1.0 / (1.0 + bottom @ q_even)
    # the clamp may have moved Q, so P is fitted once more for the final Q
    p = torch.linalg.lstsq(top * weight[:, None], target[:, None]).solution[:, 0]
    q = torch.zeros(deg_q, dtype=torch.float64)
    q[1::2] = q_even
    return p, q


class RationalActivation(nn.Module):
    r"""
    Rational functions, one per group of channels (Molina et al. 2019, Pade activation units):

    .. math:: R_g(x) = \frac{\sum_{j=0}^{p} a_{gj} x^j}{1 + |\sum_{j=1}^{q} b_{gj} x^j|_\epsilon}, \qquad
              |s|_\epsilon = \sqrt{s^2 + \epsilon^2} - \epsilon

    in the ``stable_form``; otherwise the denominator is :math:`1 + \sum b x^j`, kept ``denom_eps`` away from 0.
    Inputs are clamped to [-20, 20] inside, beyond which a degree-5 polynomial overflows half precision.
    """

    LIMIT = 20.0

    def __init__(self, cfg: Any, a: torch.Tensor, b: torch.Tensor):
        super().__init__()
        self.eps, self.stable = float(cfg.denom_eps), bool(cfg.stable_form)
        self.register_buffer("a", a)
        self.register_buffer("b", b)

    def forward(self, x: torch.Tensor, delta_a=0.0, delta_b=0.0) -> torch.Tensor:
        """x [..., G, C/G]; the deltas are [G, p + 1] and [G, q]."""
        x = x.clamp(-self.LIMIT, self.LIMIT)
        a, b = self.a + delta_a, self.b + delta_b
        ladder = powers(x, max(a.size(-1) - 1, b.size(-1)))
        top = torch.einsum("...gcj,gj->...gc", ladder[..., : a.size(-1)], a)
        s = torch.einsum("...gcj,gj->...gc", ladder[..., 1: b.size(-1) + 1], b)
        if self.stable:
            return top / (1.0 + torch.sqrt(s * s + self.eps**2) - self.eps)
        bottom = 1.0 + s
        away = torch.where(bottom < 0, bottom.clamp(max=-self.eps), bottom.clamp(min=self.eps))
        return top / away


class NoRAActivation(nn.Module):
    r"""
    :math:`\phi(x) = \phi_0(x) + R(x; a + \Delta a, b + \Delta b) - R(x; a, b)` with low-rank
    :math:`\Delta = U V`, U [groups, rank] zero at first, so training starts exactly at ``base_activation``.

    (a, b) are fitted to the activation that ``init`` names ('gelu_rational') with degrees ``deg_p``, ``deg_q``.
    ``log_stats`` keeps the size of the change in ``last_stats``. [INFERRED] the difference form;
    alternative: the rational function alone (it differs from gelu by the error of the fit).
    """

    def __init__(self, channels: int, cfg: Any):
        super().__init__()
        if channels % cfg.groups:
            raise ValueError(f"model.nora.groups={cfg.groups} does not divide {channels} channels")
        if not cfg.init.endswith("_rational"):
            raise ValueError(f"model.nora.init must be '<activation>_rational', got {cfg.init!r}")
        self.groups, self.log_stats = int(cfg.groups), bool(cfg.log_stats)
        self.base = activation(cfg.base_activation)
        p, q = fit_rational(cfg.init[: -len("_rational")], int(cfg.deg_p), int(cfg.deg_q))
        a, b = (c.to(torch.get_default_dtype()).repeat(self.groups, 1) for c in (p, q))
        self.rational = RationalActivation(cfg, a, b)
        rank = int(cfg.rank)
        self.u_a, self.u_b = nn.Parameter(torch.zeros(self.groups, rank)), nn.Parameter(torch.zeros(self.groups, rank))
        self.v_a = nn.Parameter(torch.randn(rank, a.size(-1)) * 0.1)
        self.v_b = nn.Parameter(torch.randn(rank, b.size(-1)) * 0.1)
        self.last_stats: Dict[str, float] = {}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        grouped = x.unflatten(-1, (self.groups, -1))
        change = self.rational(grouped, self.u_a @ self.v_a, self.u_b @ self.v_b) - self.rational(grouped)
        if self.log_stats:
            self.last_stats = {
                "change": float(change.detach().abs().mean()),
                "delta_a": float((self.u_a @ self.v_a).detach().norm()),
                "delta_b": float((self.u_b @ self.v_b).detach().norm()),
            }
        return self.base(x) + change.flatten(-2)


def torch_layers(model: nn.Module, places) -> List[nn.Module]:
    """Torch's transformer layers in the containers that ``apply_to`` names."""
    kinds = {"encoder": nn.TransformerEncoderLayer, "decoder": nn.TransformerDecoderLayer}
    unknown = [place for place in places if place not in kinds]
    if unknown:
        raise ValueError(f"model.nora.apply_to knows {sorted(kinds)}, not {unknown}")
    return [m for m in model.modules() if isinstance(m, tuple(kinds[place] for place in places))]


def install_nora(model: nn.Module, cfg: Any) -> List[nn.Module]:
    """
    Put adaptive activations into the feed-forward of the layers; returns the new modules.

    Ponder-phi if ``ponder_phi.enabled``, NoRA otherwise; one module for all layers of a width if
    ``share_across_layers``. ``nora_plus_lora`` also wraps linear1/linear2 and the q/v projections, with rank,
    alpha and dropout from ``lora`` (8, 16 and 0 where it is silent).
    """
    from champion.model.peft.ponder_phi import PonderPhi

    shared: Dict[int, nn.Module] = {}
    installed = []
    for layer in torch_layers(model, list(cfg.apply_to)):
        width = layer.linear1.out_features
        phi = shared.get(width) if cfg.share_across_layers else None
        if phi is None:
            kind = PonderPhi if cfg.ponder_phi.enabled else NoRAActivation
            phi = kind(width, cfg).to(layer.linear1.weight)
            shared[width] = phi
            installed.append(phi)
        layer.activation = phi
        layer.activation_relu_or_gelu = 0  # the fused kernel knows relu and gelu only
        if cfg.nora_plus_lora:
            rank, alpha = cfg.lora.get("rank", LORA_RANK), cfg.lora.get("alpha", LORA_ALPHA)
            dropout = cfg.lora.get("dropout", LORA_DROPOUT)
            layer.linear1 = LoRALinear(layer.linear1, rank, alpha, dropout)
            layer.linear2 = LoRALinear(layer.linear2, rank, alpha, dropout)
            for name in ("self_attn", "multihead_attn"):
                if hasattr(layer, name):
                    adapt_attention(getattr(layer, name), rank, alpha)
    return installed


def nora_parameter_groups(model: nn.Module, cfg: Any, lr: float) -> List[Dict[str, Any]]:
    """
    Optimizer groups of the adapters: ``weight_decay`` of the node, and ``per_layer_lr`` (one rate, or a list
    with one per module in order) instead of the trainer's ``lr`` if it is set. LoRA parameters form the last group.
    """
    from champion.model.peft.ponder_phi import PonderPhi

    activations = [m for m in model.modules() if isinstance(m, (NoRAActivation, PonderPhi))]
    rates = cfg.per_layer_lr
    groups, seen = [], set()
    for i, module in enumerate(activations):
        rate = lr if rates is None else float(rates) if isinstance(rates, (int, float)) else float(rates[i])
        params = [p for p in module.parameters() if p.requires_grad and id(p) not in seen]
        seen.update(map(id, params))
        groups.append({"params": params, "lr": rate, "weight_decay": float(cfg.weight_decay)})
    lora = [p for n, p in model.named_parameters() if n.endswith(("lora_a", "lora_b")) and id(p) not in seen]
    if lora:
        groups.append({"params": lora, "lr": lr, "weight_decay": float(cfg.weight_decay)})
    return groups
