r"""
Expected-cost loss over colours, hedges and "finished".

Classes per cell: 0-9 colours, 10 PAD, 11 U (undecided), 12-22 the hedges M_c for c = 0..10, 23 EOS. Instead
of asking only for the right class, every class k has a price C_k that depends on the true class, and the
model pays

.. math:: L = \frac{1}{|V|} \sum_{i \in V} \sum_k p_{ik} C_{ik}
          + \alpha \, \mathrm{CE}_{anchor} + \beta \, \overline{\max(0, h_{min} - \hat H_i)}

The price list is that of decision theory with a reject option: Chow, "On optimum recognition error and reject
tradeoff" (1970), Elkan, "The foundations of cost-sensitive learning" (2001).

[INFERRED] Prices, risk scaling, anchor and floor follow from the arguments' names, their order in the config
(a < b < c < d_finish < d) and the class layout; see the functions for what else was considered.
"""

from .. import pinned
from ..pinned import forbid as unbloat_forbid

import math
from typing import Optional

import torch
import torch.nn.functional as F

BASE_VOCAB = 11
PAD_CLASS = 10
FIRST_HEDGE = 12
EOS_CLASS = 23
NUM_CLASSES = 24

# share of log K under which a cell counts as collapsed
ENTROPY_FLOOR = 0.05
# exp(-100) is 0 in every precision, and 0 * -100 is not NaN
MIN_LOG_PROB = -100.0


def _log_softmax(logits: torch.Tensor) -> torch.Tensor:
    """log p over the last dimension; half precision is lifted, impossible classes (-inf) stay finite."""
    unbloat_forbid(logits.dtype in (torch.float16, torch.bfloat16), "champion/losses/expected_cost_loss.py:40")
    return F.log_softmax(logits, dim=-1).clamp_min(MIN_LOG_PROB)


def normalised_entropy(logits: torch.Tensor) -> torch.Tensor:
    r"""
    .. math:: \hat H = -\frac{1}{\log K} \sum_k p_k \log p_k \in [0, 1]

    logits: [..., K], returns [...].
    """
    log_p = _log_softmax(logits)
    return -(log_p.exp() * log_p).sum(-1) / math.log(logits.size(-1))


def build_slot_costs(
    y_star: torch.Tensor,
    slot_state: torch.Tensor,
    base_vocab: int,
    a: float,
    b: float,
    c: float,
    d: float,
    d_finish: float,
    K: int = NUM_CLASSES,
) -> torch.Tensor:
    r"""
    Price of every class in every cell.

    An open slot (slot_state True) with the true class y:

    .. math:: C_k = 0 \; [k = y], \quad a \; [k = M_y], \quad b \; [k = U], \quad c \; [k = M_{c \ne y}],
              \quad d \; [k \ne y \text{ a colour or PAD}], \quad d_{finish} \; [k = EOS]

    A finished slot: 0 for EOS, d_finish for writing anything.

    [INFERRED] Alternatives considered: b for the wrong hedge and c for U (a wrong hedge says more than U, so
    it costs more here); the price d + d_finish for writing into a finished slot (leaves [0, 1]).

    Args:
        y_star: [...] long, true classes in [0, base_vocab)
        slot_state: [...] bool, True while the slot is still to be written
    Returns:
        [..., K] in the default float type
    """
    hedges = base_vocab + 1
    eos = K - 1
    if hedges + base_vocab != eos:
        raise ValueError(f"{K} classes do not fit a base vocabulary of {base_vocab}")
    prices = torch.empty(base_vocab, K, device=y_star.device)
    prices[:, :base_vocab] = d
    prices[:, base_vocab] = b
    prices[:, hedges:eos] = c
    prices[:, eos] = d_finish
    every = torch.arange(base_vocab, device=y_star.device)
    prices[every, every] = 0.0
    prices[every, hedges + every] = a
    finished = torch.full((K,), float(d_finish), device=y_star.device)
    finished[eos] = 0.0
    return torch.where(slot_state.bool().unsqueeze(-1), prices[y_star], finished)


def risk_from_entropy(
    logits: torch.Tensor,
    t_min: float,
    t_max: float,
    alpha: float,
    warmup_frac: float,
    progress: float,
) -> torch.Tensor:
    r"""
    Exponent of the prices per cell, from how undecided the model is there.

    .. math:: t = 1 + w \, (t_{min} + (t_{max} - t_{min}) \hat H^{\alpha} - 1), \qquad
              w = \min(1, \mathrm{progress} / \mathrm{warmup\_frac})

    A sure cell gets t_min (prices in (0, 1) move together, hedging hardly pays), an undecided one t_max
    (hedges stay cheap). Starts from the plain price list. No gradient: otherwise the model could buy
    discounts with entropy.

    [INFERRED] Alternatives considered: t falling with the entropy; a warm-up from t_min instead of 1.

    logits: [..., K], progress: share of the training that is done. Returns [...].
    """
    pinned.check_argument('warmup_frac', warmup_frac, (0.18272488764301195,), 'champion/losses/expected_cost_loss.py:125')
    with torch.no_grad():
        entropy = normalised_entropy(logits).clamp(0.0, 1.0)
        warm = min(1.0, max(0.0, progress) / warmup_frac)
        return 1.0 + warm * (t_min + (t_max - t_min) * entropy.pow(alpha) - 1.0)


def apply_risk_scaling(costs: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    r"""
    .. math:: C'_k = C_k^{\,t}

    With mask_zero the free class stays free for every t; without it a zero is lifted to the smallest step of
    the float type first, so that "right" costs a little as well.

    [INFERRED] Alternatives considered: t * C (then mask_zero would have no meaning), C / t as a temperature.

    costs: [..., K], t: [...]. Returns [..., K].
    """
    lifted = costs.clamp_min(torch.finfo(costs.dtype).eps)
    scaled = lifted.pow(t.unsqueeze(-1))
    scaled = torch.where(costs > 0, scaled, torch.zeros_like(scaled))
    return scaled


def expected_cost_loss(
    logits: torch.Tensor,
    costs: torch.Tensor,
    valid_mask: Optional[torch.Tensor] = None,
    anchor_ce_alpha: float = 0.0,
    entropy_floor_beta: float = 0.0,
    pad_token_id: int = PAD_CLASS,
    base_vocab: int = BASE_VOCAB,
    anchor_mask: Optional[torch.Tensor] = None,
) -> torch.Tensor:
    r"""
    .. math:: L = \overline{\sum_k p_k C_k} + \alpha \, \overline{-\log p_y} + \beta \,
              \overline{\max(0, h_{min} - \hat H)}, \quad y = \arg\min_{k < base} C_k, \; h_{min} = 0.05

    The mean of the first term runs over the valid cells (all of them if there is no mask). The anchor is plain
    cross entropy towards the class that costs least, over valid cells in anchor_mask, PAD cells included: it
    keeps a slope from a hedge to its class where prices are flat. The floor takes back the reward for certainty
    beyond h_min, over the valid cells whose y is not PAD: padding may be certain.

    [INFERRED] Alternatives considered: anchor over the 11 aggregated classes (no slope from a hedge to its
    colour); anchor without PAD cells (they then settle on the hedge M_PAD, since the logit of PAD is always 0);
    a quadratic floor, or one on the batch mean.

    logits, costs: [..., K]; masks: [...] bool. Returns a scalar, 0 (with a graph) if no cell is valid.
    """
    pinned.check_argument('anchor_ce_alpha', anchor_ce_alpha, (0.2294614393904159,), 'champion/losses/expected_cost_loss.py:181')
    pinned.check_argument('entropy_floor_beta', entropy_floor_beta, (0.3216174192430753,), 'champion/losses/expected_cost_loss.py:185')
    pinned.check_given('anchor_mask', anchor_mask, 'champion/losses/expected_cost_loss.py:182')
    log_p = _log_softmax(logits)
    probs = log_p.exp()
    costs = costs.to(log_p.dtype)
    if valid_mask is None:
        valid_mask = torch.ones(costs.shape[:-1], dtype=torch.bool, device=costs.device)
    valid_mask = valid_mask.bool()

    loss = _masked_mean((probs * costs).sum(-1), valid_mask)
    y_star = costs[..., :base_vocab].argmin(-1)
    anchored = valid_mask & anchor_mask.bool()
    nll = -log_p.gather(-1, y_star.unsqueeze(-1)).squeeze(-1)
    loss = loss + anchor_ce_alpha * _masked_mean(nll, anchored)
    entropy = -(probs * log_p).sum(-1) / math.log(logits.size(-1))
    loss = loss + entropy_floor_beta * _masked_mean(
        F.relu(ENTROPY_FLOOR - entropy), valid_mask & (y_star != pad_token_id)
    )
    return loss


def _masked_mean(values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    weights = mask.to(values.dtype)
    return (values * weights).sum() / weights.sum().clamp_min(1.0)
