"""The steps of the champion's context encoder that hold no tensors: rotation, set refinement, latent."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest
import torch


def pqa() -> Any:
    return importlib.import_module("champion.model.context_encoder_pqa")


def array(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().numpy()


def softmax(row: np.ndarray) -> np.ndarray:
    powers = np.exp(row - row.max())
    return powers / powers.sum()


def test_rotation_depends_on_distance_only() -> None:
    module = pqa()
    cos, sin = module.rotary_table(6, 5, 8)
    query, key = torch.randn(8, generator=torch.Generator().manual_seed(0)), torch.arange(8.0)

    def score(at: tuple[int, int], other: tuple[int, int]) -> float:
        a, b = (row * 5 + column for row, column in (at, other))
        return float(module.rotate(query, cos[a], sin[a]) @ module.rotate(key, cos[b], sin[b]))

    assert score((0, 0), (2, 1)) == pytest.approx(score((3, 3), (5, 4)), abs=1e-4)
    assert abs(score((0, 0), (2, 1)) - score((0, 0), (1, 2))) > 1e-3


@pytest.mark.parametrize(("best", "layers", "heads"), [(4, 1, 2), (2, 1, 2), (1, 1, 1), (2, 3, 4)])
def test_set_refinement_against_loops(best: int, layers: int, heads: int) -> None:
    module = pqa()
    generator = torch.Generator().manual_seed(5)
    features = torch.randn(2, 5, 8, dtype=torch.float64, generator=generator)
    is_open = torch.tensor([[True] * 5, [True, False, True, True, False]])
    cfg = module.SetRefineConfig(enabled=True, K=best, layers=layers, heads=heads)
    refined = array(module.refine_set(features, is_open, cfg, training=False))
    width = 8 // heads
    for sample in range(2):
        f = array(features[sample]).copy()
        for _ in range(layers):
            moved = f.copy()
            for head in range(heads):
                cut = slice(head * width, (head + 1) * width)
                for i in range(5):
                    scores = np.array([f[i, cut] @ f[j, cut] / np.sqrt(width) for j in range(5)])
                    partners = [j for j in np.argsort(-scores) if is_open[sample, j]][:best]
                    moved[i, cut] = softmax(scores[partners]) @ f[partners][:, cut]
            f = (f + moved) / 2
        np.testing.assert_allclose(refined[sample], f, atol=1e-12)


def test_a_single_pair_is_not_moved_by_the_refinement() -> None:
    features = torch.randn(3, 1, 8, generator=torch.Generator().manual_seed(1))
    cfg = pqa().SetRefineConfig(enabled=True)
    torch.testing.assert_close(pqa().refine_set(features, torch.ones(3, 1, dtype=torch.bool), cfg, False), features)


def test_latent_against_torch_distributions() -> None:
    generator = torch.Generator().manual_seed(5)
    features = torch.randn(2, 3, 4, dtype=torch.float64, generator=generator)
    weights = torch.tensor([[0.5, 0.3, 0.2], [0.9, 0.1, 0.0]], dtype=torch.float64)
    context = (weights.unsqueeze(-1) * features).sum(dim=1)
    mean, variance, divergence = pqa().latent_posterior(features, weights, context, 2)
    for sample, count in ((0, 3), (1, 2)):
        for channel in range(2):
            scatter = sum(
                float(weights[sample, n] * (features[sample, n, channel] - context[sample, channel]) ** 2) for n in range(3)
            )
            assert float(variance[sample, channel]) == pytest.approx((1 + count * scatter) / (1 + count))
    posterior = torch.distributions.Normal(mean, variance.sqrt())
    prior = torch.distributions.Normal(torch.zeros_like(mean), torch.ones_like(mean))
    torch.testing.assert_close(divergence, torch.distributions.kl_divergence(posterior, prior).sum(dim=-1))
