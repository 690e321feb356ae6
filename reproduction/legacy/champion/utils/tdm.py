"""
Diffusion on the graph of tokens (TDM): how far apart are two tokens for a random walk of length tau.

Diffusion maps (Coifman & Lafon 2006): tokens are nodes, near neighbours are linked, heat spreads along the
links. Two tokens are close at time tau if heat started at either of them looks the same after tau. Small tau
sees the neighbourhood, large tau the whole component.
"""
import math
from typing import Any, Optional, Sequence

import torch

EPS = 1e-12
SELECTORS = ("random", "uniform", "farthest")


def squared_distances(a: torch.Tensor, b: torch.Tensor, chunk: Optional[int] = None) -> torch.Tensor:
    """Squared Euclidean distances [B, n, m] of points [B, n, d] and [B, m, d], in chunks of rows of a."""
    parts = a.split(chunk or a.size(1), dim=1)
    b_sq = (b * b).sum(-1).unsqueeze(1)
    rows = [(p * p).sum(-1, keepdim=True) + b_sq - 2 * p @ b.transpose(1, 2) for p in parts]
    return torch.cat(rows, dim=1).clamp_min(0.0)


def _near(d2: torch.Tensor, k: int) -> torch.Tensor:
    """Distance to the k-th smallest entry of every row, detached: [..., n, 1]."""
    k = max(1, min(k, d2.size(-1)))
    return d2.detach().topk(k, dim=-1, largest=False).values[..., -1:]


def knn_affinity(x, k: int, pad: Optional[torch.Tensor] = None, chunk: Optional[int] = None) -> torch.Tensor:
    r"""
    Symmetric k-nearest-neighbour affinity [B, n, n] with self-tuning widths (Zelnik-Manor & Perona 2004)

    .. math:: w_{ij} = \exp\left(-\frac{\lVert x_i - x_j \rVert^2}{\sigma_i \sigma_j}\right)

    where sigma is the distance to the k-th neighbour; an edge stays if either end counts the other among its
    neighbours. PAD tokens (``pad`` [B, n] True) get no edge at all.
    """
    d2 = squared_distances(x, x, chunk)
    own = torch.eye(d2.size(-1), dtype=torch.bool, device=x.device)
    far = own if pad is None else own | pad[:, None, :] | pad[:, :, None]
    ranked = d2.masked_fill(far, float("inf"))
    width = _near(ranked, k)
    linked = (ranked <= width) & torch.isfinite(ranked)
    linked = linked | linked.transpose(1, 2)
    # with fewer than k partners the k-th distance is infinite; the largest finite one serves then
    largest = torch.where(torch.isfinite(ranked), ranked.detach(), torch.zeros_like(d2)).amax(-1, keepdim=True)
    sigma = torch.where(torch.isfinite(width), width, largest).clamp_min(EPS).sqrt()
    return torch.exp(-d2 / (sigma * sigma.transpose(1, 2))) * linked


def normalized_laplacian(affinity: torch.Tensor) -> torch.Tensor:
    r""":math:`L = D^{-1/2} (D - W) D^{-1/2}`, eigenvalues in [0, 2]; isolated nodes have a zero row."""
    degree = affinity.sum(-1)
    scale = torch.where(degree > EPS, degree.clamp_min(EPS).rsqrt(), torch.zeros_like(degree))
    present = torch.diag_embed((degree > EPS).to(affinity.dtype))
    return present - scale.unsqueeze(-1) * affinity * scale.unsqueeze(-2)


def chebyshev_coefficients(tau: float, order: int) -> torch.Tensor:
    r"""
    Coefficients of :math:`e^{-\tau (1 + y)} = \sum_k c_k T_k(y)` on [-1, 1], by Gauss-Chebyshev quadrature:

    .. math:: c_k = \frac{2 - \delta_{k0}}{M} \sum_{m} \cos(k \theta_m)\, e^{-\tau (1 + \cos\theta_m)}
    """
    nodes = 4 * (order + 8)
    theta = (torch.arange(nodes, dtype=torch.float64) + 0.5) * math.pi / nodes
    values = torch.exp(-float(tau) * (1 + torch.cos(theta)))
    k = torch.arange(order + 1, dtype=torch.float64)
    c = 2.0 / nodes * (torch.cos(k[:, None] * theta) * values).sum(-1)
    c[0] = c[0] / 2
    return c


def heat_kernels(laplacian: torch.Tensor, taus: Sequence[float], order: int) -> torch.Tensor:
    r"""
    :math:`K_\tau = e^{-\tau L}` for every tau, [B, T, n, n], as Chebyshev series of L - I (Hammond et al.
    2011). No eigenvectors, so gradients stay tame where eigenvalues meet. The recursion is shared by all taus.
    """
    eye = torch.eye(laplacian.size(-1), dtype=laplacian.dtype, device=laplacian.device)
    shifted = laplacian - eye
    coefficients = torch.stack([chebyshev_coefficients(t, order) for t in taus]).to(laplacian)
    before, now = eye.expand_as(laplacian), shifted
    total = [c[0] * before + (c[1] * now if order else 0.0) for c in coefficients]
    for k in range(2, order + 1):
        before, now = now, 2 * shifted @ now - before
        total = [t + c[k] * now for t, c in zip(total, coefficients)]
    return torch.stack(total, dim=1)


def diffusion_distances(kernels: torch.Tensor) -> torch.Tensor:
    r""":math:`D_\tau(i, j) = \lVert K_\tau[i] - K_\tau[j] \rVert_2` for kernels [..., n, n]."""
    gram = kernels @ kernels.transpose(-2, -1)
    norms = torch.diagonal(gram, dim1=-2, dim2=-1)
    squared = norms.unsqueeze(-1) + norms.unsqueeze(-2) - 2 * gram
    return torch.where(squared > EPS, squared.clamp_min(EPS).sqrt(), torch.zeros_like(squared))


def log_affinity_distances(kernels: torch.Tensor) -> torch.Tensor:
    r"""The other reading of a kernel: :math:`-\log(K_\tau(i, j) / \max_j K_\tau(i, j))`, 0 for the nearest."""
    positive = kernels.clamp_min(1e-6)
    return torch.log(positive.amax(-1, keepdim=True)) - torch.log(positive)


class NystromTDM:
    r"""
    Kernels from ``m`` landmarks instead of all pairs (Williams & Seeger 2001):
    :math:`W \approx C A^{-1} C^\top`, C = tokens x landmarks (each token linked to its ``k_nn`` nearest
    landmarks), A = landmarks x landmarks, inverted on its ``n_components`` largest eigenvalues. ``cache_ss``
    keeps A and its inverse of the first batch (landmarks averaged over it). ``normalize_rows`` makes the kernels
    transition probabilities. [INFERRED] the role of every key from its name; alternative: Nystrom
    eigenvectors as coordinates of the diffusion map.
    """

    def __init__(self, cfg: Any):
        if cfg.selector not in SELECTORS:
            raise ValueError(f"model.tdm_nystrom.selector must be one of {SELECTORS}, got {cfg.selector!r}")
        self.m, self.k_nn, self.n_components = int(cfg.m), int(cfg.k_nn), int(cfg.n_components)
        self.order, self.taus = int(cfg.cheby_order), [float(t) for t in cfg.tau_list]
        self.selector, self.normalize_rows, self.cache_ss = cfg.selector, cfg.normalize_rows, cfg.cache_ss
        self._cached = None

    def select(self, x: torch.Tensor) -> torch.Tensor:
        """Indices of the landmarks [B, m]; the same for all samples unless the points decide ('farthest')."""
        batch, n, m = x.size(0), x.size(1), min(self.m, x.size(1))
        if self.selector == "random":
            order = torch.randperm(n, generator=torch.Generator().manual_seed(n))
            return order[:m].sort().values.to(x.device).expand(batch, -1)
        if self.selector == "uniform":
            return torch.linspace(0, n - 1, m, device=x.device).round().long().expand(batch, -1)
        points, every = x.detach(), torch.arange(batch, device=x.device)
        chosen = [torch.zeros_like(every)]
        nearest = squared_distances(points, points[:, :1])[..., 0]
        for _ in range(m - 1):
            chosen.append(nearest.argmax(-1))
            newest = points[every, chosen[-1]].unsqueeze(1)
            nearest = torch.minimum(nearest, squared_distances(points, newest)[..., 0])
        return torch.stack(chosen, dim=1)

    def _landmarks(self, x: torch.Tensor, pad: Optional[torch.Tensor]):
        """Landmarks [B, m, d], which of them are open [B, m], the kernel width and A^(-1/2)."""
        if self._cached is not None and self._cached[0].size(-1) == x.size(-1):
            return self._cached
        index = self.select(x)
        landmarks = x.detach().gather(1, index.unsqueeze(-1).expand(-1, -1, x.size(-1)))
        usable = torch.ones_like(index, dtype=torch.bool) if pad is None else ~pad.gather(1, index)
        if self.cache_ss:  # one set for all later samples: the means over this batch
            landmarks, usable = landmarks.mean(0, keepdim=True), torch.ones_like(usable[:1])
        both = usable.unsqueeze(-1) & usable.unsqueeze(-2)
        d2 = squared_distances(landmarks, landmarks)
        width = (d2 * both).sum((1, 2), keepdim=True) / both.sum((1, 2), keepdim=True).clamp_min(1)
        width = width.clamp_min(EPS)
        values, vectors = torch.linalg.eigh(torch.exp(-d2 / width) * both)
        values, vectors = values[..., -self.n_components:], vectors[..., -self.n_components:]
        inverse_root = vectors * torch.where(values > 1e-6, values.clamp_min(1e-6).rsqrt(), 0.0).unsqueeze(-2)
        found = (landmarks, usable, width, inverse_root)
        if self.cache_ss:
            self._cached = found
        return found

    def affinity(self, x: torch.Tensor, pad: Optional[torch.Tensor] = None) -> torch.Tensor:
        landmarks, usable, width, inverse_root = self._landmarks(x, pad)
        d2 = squared_distances(x, landmarks.expand(x.size(0), -1, -1))
        ranked = d2.detach().masked_fill(~usable.unsqueeze(1), float("inf"))
        near = (ranked <= _near(ranked, self.k_nn)) & torch.isfinite(ranked)
        links = torch.exp(-d2 / width) * near
        if pad is not None:
            links = links.masked_fill(pad.unsqueeze(-1), 0.0)
        factor = links @ inverse_root
        return (factor @ factor.transpose(1, 2)).clamp_min(0.0)

    def kernels(self, x: torch.Tensor, pad: Optional[torch.Tensor] = None) -> torch.Tensor:
        kernels = heat_kernels(normalized_laplacian(self.affinity(x, pad)), self.taus, self.order)
        if self.normalize_rows:
            kernels = kernels.clamp_min(0.0)
            kernels = kernels / kernels.sum(-1, keepdim=True).clamp_min(EPS)
        return kernels
