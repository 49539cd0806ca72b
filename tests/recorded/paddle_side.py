"""The same in paddle."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import paddle
from paddle import Tensor, nn

from portalign.recorder import record


def build(settings: Mapping[str, object]) -> nn.Layer:
    return Model()


class Model(nn.Layer):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.last = nn.Linear(4, 6), nn.BatchNorm1D(6), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(paddle.tanh(self.norm(self.first(x))))


def trained(folder: Path, *, n_batches: int = 4) -> list[float]:
    """Train a while, then record; the losses of the recorded iterations."""
    paddle.seed(7)
    model = Model()
    optimizer = paddle.optimizer.AdamW(0.01, parameters=model.parameters(), weight_decay=0.1)
    _train(model, optimizer, None, 3)
    with record(folder, model, optimizer, n_batches=n_batches) as recording:
        return _train(model, optimizer, recording, 6)


def _train(model: nn.Layer, optimizer: object, recording: object, n: int) -> list[float]:
    losses = []
    for _ in range(n):
        batch = {"x": paddle.randn([8, 4]), "labels": paddle.randint(0, 3, [8])}
        if recording is not None:
            recording.batch(batch)
        loss = nn.functional.cross_entropy(model(batch["x"]), batch["labels"])
        loss.backward()
        optimizer.step()
        optimizer.clear_grad()
        losses.append(float(loss))
    return losses
