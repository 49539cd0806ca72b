"""The reference: the shipped BERT, built once per process, and torch's half of the functions."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from functools import cache
from typing import Any

import torch
from torch.nn.functional import cross_entropy

from portalign.ports.bert import torch_side


def build(settings: Mapping[str, object]) -> torch.nn.Module:
    """A fresh copy: training one must not change the next."""
    return copy.deepcopy(_build(str(settings["size"])))


def adamw(model: torch.nn.Module, settings: Mapping[str, object]) -> torch.optim.Optimizer:
    return torch.optim.AdamW(model.parameters(), lr=1.0e-3)


def mean_loss(outputs: Any, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
    return cross_entropy(outputs["logits"], batch["labels"])


def warmup(
    optimizer: torch.optim.Optimizer, settings: Mapping[str, object]
) -> torch.optim.lr_scheduler.LRScheduler:
    return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, step / 100))


def never_stepped(
    optimizer: torch.optim.Optimizer, settings: Mapping[str, object]
) -> torch.optim.lr_scheduler.LRScheduler:
    return _Forgotten(optimizer, lambda step: min(1.0, (step + 1) / 100))


class _Forgotten(torch.optim.lr_scheduler.LambdaLR):
    """A training loop that forgot `scheduler.step()`: only the constructor's own step counts."""

    def step(self, epoch: int | None = None) -> None:
        if self.last_epoch < 0:
            super().step(epoch)


@cache
def _build(size: str) -> torch.nn.Module:
    return torch_side.build({"size": size})
