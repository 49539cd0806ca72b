"""Losses of the torch sides, and the ways porters get them wrong or write them anew."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

Outputs = Mapping[str, Tensor]
Batch = Mapping[str, Tensor]


def cross_entropy(outputs: Outputs, batch: Batch) -> Tensor:
    return F.cross_entropy(outputs["logits"], batch["labels"])


def summed(outputs: Outputs, batch: Batch) -> Tensor:
    return F.cross_entropy(outputs["logits"], batch["labels"], reduction="sum")


def smoothed(outputs: Outputs, batch: Batch) -> Tensor:
    return F.cross_entropy(outputs["logits"], batch["labels"], label_smoothing=0.1)


def softmax_twice(outputs: Outputs, batch: Batch) -> Tensor:
    return F.cross_entropy(outputs["logits"].softmax(-1), batch["labels"])


def focal(outputs: Outputs, batch: Batch) -> Tensor:
    losses = F.cross_entropy(outputs["logits"], batch["labels"], reduction="none")
    return ((1 - torch.exp(-losses)) ** 2 * losses).mean()


def by_log_softmax(outputs: Outputs, batch: Batch) -> Tensor:
    logs = outputs["logits"].log_softmax(-1)
    return -logs.gather(-1, batch["labels"][:, None]).sum() / len(logs)


def next_token(outputs: Outputs, batch: Batch) -> Tensor:
    """Mean over the kept labels of the token after each position."""
    logits, labels = outputs["logits"][:, :-1], batch["labels"][:, 1:]
    return F.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=-100)


def shifted_twice(outputs: Outputs, batch: Batch) -> Tensor:
    """Labels that were shifted by the data already, in a loss that shifts them."""
    return next_token({"logits": outputs["logits"][:, :-1]}, {"labels": batch["labels"][:, 1:]})


def unshifted(outputs: Outputs, batch: Batch) -> Tensor:
    logits, labels = outputs["logits"], batch["labels"]
    return F.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=-100)


def ignored_counted(outputs: Outputs, batch: Batch) -> Tensor:
    logits, labels = outputs["logits"][:, :-1], batch["labels"][:, 1:]
    losses = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none")
    return losses.mean()


def mean_of_means(outputs: Outputs, batch: Batch) -> Tensor:
    logits, labels = outputs["logits"][:, :-1], batch["labels"][:, 1:]
    rows = [F.cross_entropy(a, b) for a, b in zip(logits, labels, strict=True)]
    return torch.stack(rows).mean()


def masked_sum(outputs: Outputs, batch: Batch) -> Tensor:
    logits, labels = outputs["logits"][:, :-1], batch["labels"][:, 1:]
    kept = labels != -100
    logs = torch.log(logits.softmax(-1))
    picked = logs.gather(-1, torch.where(kept, labels, 0)[..., None])[..., 0]
    return -(picked * kept).sum() / kept.sum()
