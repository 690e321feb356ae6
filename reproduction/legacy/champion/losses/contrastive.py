"""Contrastive losses for the shape and rule embeddings (temperature: model.shape_ctr_tau)."""

import torch
import torch.nn.functional as F


def info_nce(anchors: torch.Tensor, positives: torch.Tensor, tau: float = 0.1) -> torch.Tensor:
    r"""
    van den Oord et al., "Contrastive predictive coding" (2018), in the symmetric form of CLIP.

    .. math:: L = -\frac{1}{2B} \sum_i \Big( \log \frac{e^{s_{ii}}}{\sum_j e^{s_{ij}}} +
              \log \frac{e^{s_{ii}}}{\sum_j e^{s_{ji}}} \Big), \quad s_{ij} = \cos(a_i, p_j) / \tau

    Row i of both sides belongs together, all other rows are the negatives.

    anchors, positives: [B, d]. A single row has no negatives and gives 0.
    """
    if anchors.shape != positives.shape:
        raise ValueError(f"shapes differ: {tuple(anchors.shape)} and {tuple(positives.shape)}")
    scores = F.normalize(anchors, dim=-1) @ F.normalize(positives, dim=-1).T / tau
    own = torch.arange(scores.size(0), device=scores.device)
    return 0.5 * (F.cross_entropy(scores, own) + F.cross_entropy(scores.T, own))


def supervised_contrastive(features: torch.Tensor, labels: torch.Tensor, tau: float = 0.1) -> torch.Tensor:
    r"""
    Khosla et al., "Supervised contrastive learning" (2020), L_out of eq. 2.

    .. math:: L = \frac{1}{|I|} \sum_{i \in I} \frac{-1}{|P(i)|} \sum_{p \in P(i)}
              \log \frac{e^{s_{ip}}}{\sum_{j \ne i} e^{s_{ij}}}

    P(i): the other rows with the label of i; I: the rows with at least one such partner. 0 if there is none.

    features: [B, d], labels: [B].
    """
    features = F.normalize(features, dim=-1)
    scores = features @ features.T / tau
    itself = torch.eye(scores.size(0), dtype=torch.bool, device=scores.device)
    # a finite value instead of -inf: a batch of one has nothing else in its row
    log_p = F.log_softmax(scores.masked_fill(itself, torch.finfo(scores.dtype).min), dim=-1)
    partners = ((labels.unsqueeze(0) == labels.unsqueeze(1)) & ~itself).to(log_p.dtype)
    counts = partners.sum(-1)
    per_row = -(log_p.masked_fill(itself, 0.0) * partners).sum(-1) / counts.clamp_min(1.0)
    return per_row.sum() / (counts > 0).to(log_p.dtype).sum().clamp_min(1.0)
