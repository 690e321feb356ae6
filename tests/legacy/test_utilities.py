"""The small utilities of the legacy champion: formulae and shapes."""

from __future__ import annotations

import importlib

import pytest
import torch

PAD = 10


def test_positional_table() -> None:
    module = importlib.import_module("champion.utils.positional_encoding")
    table = module.Grid2DPositionalEncoding(160).pe
    assert table.shape == (1, 900, 160)
    for position, channel in [(0, 0), (31, 1), (95, 78), (95, 80), (899, 159), (450, 121)]:
        row, column = divmod(position, 30)
        place = row if channel < 80 else column
        angle = torch.tensor(place / 10000 ** (2 * ((channel % 80) // 2) / 80))
        expected = angle.cos() if channel % 2 else angle.sin()
        assert float(table[0, position, channel]) == pytest.approx(float(expected), abs=1e-5)


def test_embedding_keeps_pad_at_zero() -> None:
    module = importlib.import_module("champion.utils.perm_embedding")
    embedding = module.PermInvariantEmbedding(8)
    output = embedding(torch.arange(11))
    assert torch.equal(output[10], torch.zeros(8))
    (output * torch.arange(1.0, 9.0)).sum().backward()
    assert torch.equal(embedding.G.grad[10], torch.zeros(8))
    assert torch.equal(embedding.G.grad[3], torch.arange(1.0, 9.0))


def test_padding_and_back() -> None:
    module = importlib.import_module("champion.utils.padding_utils")
    grid = torch.arange(6).reshape(2, 3)
    padded = module.pad_to_fixed_size(grid)
    assert padded.shape == (30, 30)
    assert int((padded == PAD).sum()) == 900 - 6
    assert torch.equal(module.unpad_grid(padded), grid)
    assert module.pad_to_fixed_size(torch.zeros(31, 40, dtype=torch.long)).shape == (30, 30)


def test_cross_entropy_weighs_changes() -> None:
    module = importlib.import_module("champion.utils.loss")
    logits = torch.zeros(1, 1, 3, 11)
    logits[0, 0, 0, 4] = 2.0
    target = torch.tensor([[[4, 5, PAD]]])
    source = torch.tensor([[[4, 4, PAD]]])
    right, wrong = -torch.log_softmax(logits[0, 0, 0], 0)[4], torch.log(torch.tensor(11.0))
    plain = module.weighted_cross_entropy(logits, target)
    weighted = module.weighted_cross_entropy(logits, target, source, change_weight=3.0)
    assert float(plain) == pytest.approx(float((right + wrong) / 2))
    assert float(weighted) == pytest.approx(float((right + 3 * wrong) / 4))


def test_empty_context_is_two_float_grids() -> None:
    module = importlib.import_module("champion.data.context_data")
    pair = module.ContextPair()
    assert (pair.context_input.shape, pair.context_input.dtype) == ((2, 30, 30), torch.float32)
    assert pair.to("cpu").num_pairs == len(pair.clone()) == 2
    with pytest.raises(ValueError, match="differ"):
        module.ContextPair(torch.zeros(1, 30, 30), torch.zeros(2, 30, 30))
    with pytest.raises(TypeError):
        module.ContextPair([[1]], torch.zeros(1, 30, 30))
