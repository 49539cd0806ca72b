"""Losses of the paddle candidates. Twin of `losses_torch`."""

from __future__ import annotations

from collections.abc import Mapping

import paddle
import paddle.nn.functional as F
from paddle import Tensor

Outputs = Mapping[str, Tensor]
Batch = Mapping[str, Tensor]


def cross_entropy(outputs: Outputs, batch: Batch) -> Tensor:
    return F.cross_entropy(outputs["logits"], batch["labels"])


def summed(outputs: Outputs, batch: Batch) -> Tensor:
    return F.cross_entropy(outputs["logits"], batch["labels"], reduction="sum")


def smoothed(outputs: Outputs, batch: Batch) -> Tensor:
    return F.cross_entropy(outputs["logits"], batch["labels"], label_smoothing=0.1)


def softmax_twice(outputs: Outputs, batch: Batch) -> Tensor:
    return F.cross_entropy(F.softmax(outputs["logits"]), batch["labels"])


def by_log_softmax(outputs: Outputs, batch: Batch) -> Tensor:
    logs = F.log_softmax(outputs["logits"], axis=-1)
    return -paddle.take_along_axis(logs, batch["labels"].unsqueeze(-1), -1).sum() / len(logs)


def next_token(outputs: Outputs, batch: Batch) -> Tensor:
    """Mean over the kept labels of the token after each position; paddle's own mean counts all of
    them."""
    losses, kept = _losses(outputs, batch)
    return losses.sum() / kept.sum()


def shifted_twice(outputs: Outputs, batch: Batch) -> Tensor:
    """Labels that were shifted by the data already, in a loss that shifts them."""
    return next_token({"logits": outputs["logits"][:, :-1]}, {"labels": batch["labels"][:, 1:]})


def unshifted(outputs: Outputs, batch: Batch) -> Tensor:
    losses = F.cross_entropy(outputs["logits"], batch["labels"], reduction="none").squeeze(-1)
    return losses.sum() / (batch["labels"] != -100).astype(losses.dtype).sum()


def ignored_counted(outputs: Outputs, batch: Batch) -> Tensor:
    return F.cross_entropy(outputs["logits"][:, :-1], batch["labels"][:, 1:])


def mean_of_means(outputs: Outputs, batch: Batch) -> Tensor:
    losses, kept = _losses(outputs, batch)
    return (losses.sum(-1) / kept.sum(-1)).mean()


def masked_sum(outputs: Outputs, batch: Batch) -> Tensor:
    labels = batch["labels"][:, 1:]
    logs = paddle.log(F.softmax(outputs["logits"][:, :-1], axis=-1))
    kept = labels != -100
    safe = paddle.where(kept, labels, paddle.zeros_like(labels))
    picked = paddle.take_along_axis(logs, safe.unsqueeze(-1), -1).squeeze(-1)
    weights = kept.astype(picked.dtype)
    return -(picked * weights).sum() / weights.sum()


def _losses(outputs: Outputs, batch: Batch) -> tuple[Tensor, Tensor]:
    logits, labels = outputs["logits"][:, :-1], batch["labels"][:, 1:]
    losses = F.cross_entropy(logits, labels, reduction="none").squeeze(-1)  # [batch, time]
    return losses, (labels != -100).astype(losses.dtype)
