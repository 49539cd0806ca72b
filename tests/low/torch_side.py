"""A rewrite that `settings.mistake` makes wrong (eps, scores), coarse (half, numpy) or other."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F


class Net(nn.Module):
    def __init__(self, mistake: str) -> None:
        super().__init__()
        self.mistake = mistake
        self.first = {"half": _Half, "rewrite": _Rewritten}.get(mistake, nn.Linear)(32, 64)
        self.norm = nn.LayerNorm(64, eps=1e-3 if mistake == "eps" else 1e-5)
        self.last = nn.Linear(64, 8)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        hidden = F.gelu(self.first(x.to(self.first.weight.dtype)))
        logits = self.last(self.norm(hidden))
        return {"logits": logits, "scores": self._scores(logits)}

    def _scores(self, logits: torch.Tensor) -> torch.Tensor:
        if self.mistake not in ("numpy", "scores"):
            return F.softmax(logits.float(), dim=-1)
        power = np.exp(logits.double().numpy()) + (1e-3 if self.mistake == "scores" else 0.0)
        scores = power / power.sum(axis=-1, keepdims=True)
        return torch.from_numpy(scores.astype(np.float32))  # out of reach for a twin


class _Half(nn.Linear):
    """An inner product in float16."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weight, bias = self.weight.half(), self.bias.half()
        return F.linear(x.half(), weight, bias).to(self.weight.dtype)


class _Rewritten(nn.Linear):
    """No mistake: the sum in two halves, the bias last."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        parts = zip(x.chunk(2, dim=-1), self.weight.chunk(2, dim=-1), strict=True)
        left, right = (part @ weight.T for part, weight in parts)
        return left + right + self.bias


def build(settings: Mapping[str, object]) -> nn.Module:
    return Net(str(settings["mistake"])).eval().to(getattr(torch, str(settings["dtype"])))
