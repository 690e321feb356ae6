"""A small decoder-only language model of x-transformers, as its README builds one, trained for three steps."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.functional import cross_entropy

TOKENS = 64
LENGTH = 16
BATCH = 2
STEPS = 3
SEED = 7


def build() -> Any:
    """Rotary positions, gated feed-forwards, RMS norms, normalised queries and keys."""
    from x_transformers import Decoder, TransformerWrapper

    torch.manual_seed(SEED)
    layers = Decoder(
        dim=32,
        depth=2,
        heads=4,
        attn_dim_head=8,
        rotary_pos_emb=True,
        ff_glu=True,
        ff_swish=True,
        use_rmsnorm=True,
        attn_qk_norm=True,
        attn_dropout=0.1,
        ff_dropout=0.1,
    )
    return TransformerWrapper(num_tokens=TOKENS, max_seq_len=LENGTH, attn_layers=layers)


def forward(golden: Any) -> None:
    """The untrained model's logits."""
    model = build().eval()
    golden.model("built", model)
    with torch.no_grad():
        golden.record("logits", model(sequences()[:, :-1]))
    golden.rng("rng")


def train(golden: Any) -> None:
    """Three steps of Adam on random sequences, then the logits."""
    model = build().train()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for step in range(STEPS):
        tokens = sequences()
        logits = model(tokens[:, :-1])
        loss = cross_entropy(logits.transpose(1, 2), tokens[:, 1:])
        loss.backward()
        golden.record(f"step{step}.loss", loss)
        golden.gradients(f"step{step}.gradients", model)
        optimizer.step()
        optimizer.zero_grad()
        golden.model(f"step{step}.model", model)
        golden.optimizer(f"step{step}.optimizer", optimizer)
        golden.rng(f"step{step}.rng")
    model.eval()
    with torch.no_grad():
        golden.record("trained.logits", model(sequences()[:, :-1]))


def sequences() -> torch.Tensor:
    return torch.randint(TOKENS, (BATCH, LENGTH + 1))
