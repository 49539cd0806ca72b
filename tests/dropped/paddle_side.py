"""The candidate: the same by other functions; `settings.mistake` says what it does wrong."""

from __future__ import annotations

from collections.abc import Mapping

import paddle
import paddle.nn.functional as F
from paddle import Tensor, nn


def build(settings: Mapping[str, object]) -> nn.Layer:
    return Model(str(settings["mistake"]))


class Branch(nn.Layer):
    def __init__(self, mistake: str) -> None:
        super().__init__()
        self.mistake = mistake
        self.query, self.key, self.value = (nn.Linear(12, 12) for _ in range(3))
        self.fc = nn.Linear(12, 12)
        mode = "downscale_in_infer" if mistake == "not_scaled" else "upscale_in_train"
        self.drop = nn.Dropout(0.3 if mistake == "rate" else 0.25, mode=mode)

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = (
            fc(x).reshape([0, 0, 2, 6]).transpose([0, 2, 1, 3])
            for fc in (self.query, self.key, self.value)
        )
        weights = F.softmax(query @ key.transpose([0, 1, 3, 2]) / 6**0.5)
        if self.mistake != "attention_undropped":
            weights = F.dropout(weights, 0.1, training=self.training)
        mixed = (weights @ value).transpose([0, 2, 1, 3]).flatten(2)
        y = paddle.tanh(self.fc(mixed))
        if self.mistake == "by_function":
            y = F.dropout(y, 0.25, training=self.training)
        elif self.mistake != "undropped":
            y = self.drop(y)
        if self.mistake == "noise":
            y = y + 0.1 * paddle.randint(0, 2, y.shape).astype(y.dtype)
        if not self.training:
            return x + y
        stays = paddle.floor(0.75 + paddle.rand([x.shape[0], 1, 1]))
        return x + y * stays / 0.75


class Model(nn.Layer):
    def __init__(self, mistake: str) -> None:
        super().__init__()
        self.branches = nn.LayerList([Branch(mistake), Branch("none")])
        self.head = nn.Linear(12, 3)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        for branch in self.branches:
            x = branch(x)
        x = F.dropout(x, 0.2, axis=[0, 1], training=self.training)
        x = F.dropout(x, 0.1, training=self.training)
        return {"logits": self.head(x.mean(1))}
