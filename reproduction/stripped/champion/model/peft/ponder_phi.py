"""An activation that decides per token how much function it needs."""
from typing import Any

import torch
import torch.nn as nn


class PonderPhi(nn.Module):
    r"""
    :math:`\phi_t(x) = \phi_{t-1}(x) + P_t(x) / Q_t(x)`, t = 1..``T_max``, phi_0 the base activation, with degrees
    growing to ``m_max`` over ``n_max``; the coefficients of a slice are of rank ``slice_rank`` over the groups.
    After step t the token halts with

    .. math:: \lambda_t = \sigma(w^\top \mathrm{feat}_t + c_t)

    Features: size of the last improvement, its curvature (second difference), margin (mean |phi|), saturation
    (soft share of |x| > 3); each can be switched off. Training returns :math:`\sum_t p_t \phi_t`; eval stops at
    ``eps_halt``, or averages too if ``deterministic_eval`` is off. ``last_penalty`` = beta_kl * KL to
    Geom(pi_prior) + tau_ponder * E[t] + mdl_lambda * E[coefficients used]. [INFERRED] all of it beyond the key
    names; alternative: halting decides the degree of one single rational function.
    """

    def __init__(self, channels: int, cfg: Any):
        raise NotImplementedError("stripped: champion/model/peft/ponder_phi.py:45-61")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError("stripped: champion/model/peft/ponder_phi.py:75-95")
