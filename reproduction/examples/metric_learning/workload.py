"""Metric learning: a triplet loss with a miner, trained for three steps."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn


def train(golden: Any) -> None:
    from pytorch_metric_learning.distances import CosineSimilarity
    from pytorch_metric_learning.losses import TripletMarginLoss
    from pytorch_metric_learning.miners import TripletMarginMiner
    from pytorch_metric_learning.reducers import ThresholdReducer

    torch.manual_seed(7)
    model = nn.Linear(8, 4)
    distance = CosineSimilarity()
    loss_of = TripletMarginLoss(margin=0.2, distance=distance, reducer=ThresholdReducer(low=0))
    mine = TripletMarginMiner(margin=0.2, distance=distance, type_of_triplets="semihard")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for step in range(3):
        labels = torch.randint(3, (16,))
        embeddings = model(torch.randn(16, 8))
        loss = loss_of(embeddings, labels, mine(embeddings, labels))
        loss.backward()
        golden.record(f"step{step}.loss", loss)
        optimizer.step()
        optimizer.zero_grad()
    golden.model("trained", model)
