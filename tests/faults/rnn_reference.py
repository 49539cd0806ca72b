"""The reference classifier: a bidirectional LSTM hands its last state to a GRU; mean and last step
are classified."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from seeded import seeded
from torch import Tensor, nn

VOCABULARY, EMBEDDED, HIDDEN, CLASSES = 40, 24, 16, 4


def build(settings: Mapping[str, object]) -> nn.Module:
    return seeded(Classifier(), settings, seed=4)


class Classifier(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, EMBEDDED)
        self.lstm = nn.LSTM(EMBEDDED, HIDDEN, batch_first=True, bidirectional=True)
        self.gru = nn.GRU(2 * HIDDEN, HIDDEN, batch_first=True)
        self.fc1 = nn.Linear(2 * HIDDEN, HIDDEN)
        self.act = nn.ReLU()
        self.fc2 = nn.Linear(HIDDEN, CLASSES)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> dict[str, Tensor]:
        states, (last, _) = self.lstm(self.embedding(input_ids))  # [batch, time, 2 hidden]
        states, _ = self.gru(states, last.sum(0, keepdim=True))  # [batch, time, hidden]
        mask = attention_mask[..., None].to(states.dtype)
        mean = (states * mask).sum(1) / mask.sum(1)
        at = attention_mask.sum(1) - 1
        final = states[torch.arange(len(at)), at]
        return {"logits": self.fc2(self.act(self.fc1(torch.cat([mean, final], dim=-1))))}
