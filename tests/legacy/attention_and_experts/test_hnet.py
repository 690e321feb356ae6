"""Dynamic chunking and the two hierarchical models."""

from __future__ import annotations

import importlib
from typing import Any

import pytest
import torch

CHUNKING, MODELS = "champion.model.hnet2d.chunking", "champion.model.hnet2d.models"
NAMES = ["hnet2d1d_t3_cs", "hnet2d_t3_cs"]


def test_boundaries_are_where_neighbours_differ() -> None:
    module = importlib.import_module(CHUNKING)
    a, b = torch.tensor([1.0, 0.0]), torch.tensor([-1.0, 0.1])
    found = module.BoundaryRouter(2)(torch.stack([a, a, b, b, a])[None])
    assert found.b.tolist() == [[True, False, True, False, True]]
    cosine = float(torch.cosine_similarity(a, b, dim=0))
    expected = [1.0, 0.0, (1 - cosine) / 2, 0.0, (1 - cosine) / 2]
    assert found.p[0].tolist() == pytest.approx(expected, abs=1e-6)
    keep = torch.tensor([[False, True, False, True, True]])
    assert module.BoundaryRouter(2)(torch.stack([a, a, b, b, a])[None], keep).b.tolist() == [[True, False, False, False, True]]


def test_ratio_loss() -> None:
    module = importlib.import_module(CHUNKING)
    b = torch.tensor([[True, False, False, False]])
    found = module.Boundaries(torch.tensor([[1.0, 0.2, 0.2, 0.2]]), b)
    f, g = 0.25, 0.4
    assert module.ratio_loss(found, 4.0).item() == pytest.approx(4 / 3 * (3 * f * g + (1 - f) * (1 - g)))
    assert module.ratio_loss(module.Boundaries(torch.full((1, 4), 0.25), b), 4.0).item() == pytest.approx(1.0)


def test_gather_and_spread() -> None:
    module = importlib.import_module(CHUNKING)
    x = torch.randn(2, 5, 3).double()
    b = torch.tensor([[True, False, True, False, True], [True, False, False, False, False]])
    p = torch.rand(2, 5).double().requires_grad_()
    packed, pad, order = module.gather_chunks(x, b)
    torch.testing.assert_close(packed[0], x[0, [0, 2, 4]])
    assert pad.tolist() == [[False] * 3, [False, True, True]]
    got = module.spread_chunks(packed, module.Boundaries(p, b), order)
    for n in range(2):
        state, rows = packed[n, 0], []
        chunk = -1
        for t in range(5):
            if b[n, t]:
                chunk += 1
                state = packed[n, 0] if chunk == 0 else p[n, t] * packed[n, chunk] + (1 - p[n, t]) * state
            rows.append(state)
        torch.testing.assert_close(got[n], torch.stack(rows))
    got.sum().backward()
    assert p.grad.abs().min() > 0


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("context", [True, False])
def test_models(node: Any, name: str, dtype: torch.dtype, context: bool) -> None:
    module = importlib.import_module(MODELS)
    model = module.build_hnet(node("model", {"model_name": name, "n_head": 2})).to(dtype)
    src = torch.randint(0, 10, (3, 4, 5))
    src[1, 2:] = 10
    src[2] = 10
    pairs = (torch.randint(0, 11, (3, 2, 6, 6)), torch.full((3, 2, 6, 6), 10)) if context else (None, None)
    logits = model(src, src, *pairs)
    assert logits.shape == (3, 4, 5, 24) and logits.dtype == dtype
    loss = logits.square().mean() + model.auxiliary_losses()["ratio"]
    loss.backward()
    assert torch.isfinite(logits).all()
    missing = {n.partition(".")[0] for n, p in model.named_parameters() if p.grad is None}
    assert missing == (set() if context else {"context"})
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


@pytest.mark.parametrize("name", NAMES)
def test_samples_do_not_disturb_each_other(node: Any, name: str) -> None:
    model = importlib.import_module(MODELS).build_hnet(node("model", {"model_name": name})).double().eval()
    src = torch.randint(0, 10, (3, 4, 4))
    with torch.no_grad():
        torch.testing.assert_close(model(src)[:1], model(src[:1]))


def test_settings_of_the_node(node: Any) -> None:
    module = importlib.import_module(MODELS)
    hnet = {"inner_layers": 2, "outer_layers": 2, "target_ratio": 2.0, "ratio_weight": 1.0, "n_classes": 12}
    model = module.build_hnet(node("model", {"model_name": NAMES[0], "hnet": hnet}))
    assert (len(model.inner.layers), len(model.outer_in.layers), model.head.out_features) == (2, 2, 12)
    assert module.build_hnet(node("model")) is None
    with pytest.raises(ValueError, match="larger"):
        model(torch.zeros(1, 7, 3, dtype=torch.long))
