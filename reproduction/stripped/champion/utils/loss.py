"""Plain cross-entropy over cells, optionally with weights for the cells that change."""
import torch
import torch.nn.functional as F


def weighted_cross_entropy(logits, targets, src=None, change_weight=1.0, class_weights=None, ignore_index=10):
    """
    Args:
        logits: [B, H, W, C]
        targets: [B, H, W]
        src: [B, H, W], the input grids; cells with targets != src count ``change_weight`` times
    """
    n_classes = logits.size(-1)
    loss = F.cross_entropy(
        logits.reshape(-1, n_classes).float(),
        targets.reshape(-1),
        weight=class_weights,
        ignore_index=ignore_index,
        reduction="none",
    )
    weights = (targets.reshape(-1) != ignore_index).to(loss.dtype)
    if src is not None and change_weight != 1.0:
        changed = (src.reshape(-1) != targets.reshape(-1)).to(loss.dtype)
        weights = weights * (1.0 + (change_weight - 1.0) * changed)
    return (loss * weights).sum() / torch.clamp(weights.sum(), min=1.0)
