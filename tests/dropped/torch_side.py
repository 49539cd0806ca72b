"""The reference: nothing in it says how the candidate must write it."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def build(settings: Mapping[str, object]) -> nn.Module:
    torch.manual_seed(0)
    return Model(str(settings["mistake"]))


class Branch(nn.Module):
    """Attention with dropped weights, then a dropped layer; the whole is left out now and then."""

    def __init__(self, mistake: str) -> None:
        super().__init__()
        self.mistake = mistake
        self.query, self.key, self.value = (nn.Linear(12, 12) for _ in range(3))
        self.fc = nn.Linear(12, 12)
        self.drop = nn.Dropout(0.25)

    def forward(self, x: Tensor) -> Tensor:
        heads = [fc(x).unflatten(2, (2, 6)).transpose(1, 2) for fc in self.inner()]
        mixed = F.scaled_dot_product_attention(*heads, dropout_p=0.1 if self.training else 0.0)
        y = self.drop(torch.tanh(self.fc(mixed.transpose(1, 2).flatten(2))))
        if self.mistake == "noise":
            y = y + 0.1 * torch.randint(0, 2, y.shape)
        if not self.training:
            return x + y
        stays = x.new_empty((x.shape[0], 1, 1)).bernoulli_(0.75)
        return x + y * stays / 0.75

    def inner(self) -> tuple[nn.Module, ...]:
        return self.query, self.key, self.value


class Model(nn.Module):
    def __init__(self, mistake: str) -> None:
        super().__init__()
        self.branches = nn.ModuleList([Branch(mistake), Branch("none")])
        self.channels = nn.Dropout1d(0.2)
        self.head = nn.Linear(12, 3)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        for branch in self.branches:
            x = branch(x)
        x = F.dropout(self.channels(x), 0.1, training=self.training)
        return {"logits": self.head(x.mean(1))}
