"""A model with a batch norm, and a training loop of its own that is recorded."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from portalign.recorder import record


def build(settings: Mapping[str, object]) -> nn.Module:
    return Model()


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.last = nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.tanh(self.norm(self.first(x))))


def trained(folder: Path, *, n_batches: int = 4) -> list[float]:
    """Train a while, then record; the losses of the recorded iterations."""
    torch.manual_seed(7)
    model = Model()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01, weight_decay=0.1)
    _train(model, optimizer, None, 3)
    with record(folder, model, optimizer, n_batches=n_batches) as recording:
        return _train(model, optimizer, recording, 6)


def _train(
    model: nn.Module, optimizer: torch.optim.Optimizer, recording: object, n: int
) -> list[float]:
    losses = []
    for _ in range(n):
        x, labels = torch.randn(8, 4), torch.randint(0, 3, (8,))
        if recording is not None:
            recording.batch(x=x, labels=labels)
        loss = nn.functional.cross_entropy(model(x), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses
