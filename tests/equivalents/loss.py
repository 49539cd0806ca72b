"""Loss rows: both losses get the same outputs and labels; values and gradients are compared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import paddle
import torch

from equivalents.measured import Measured, measured
from portalign.config.entries import Entry
from portalign.equivalents.rows import Row
from portalign.frameworks.paddlepaddle import lifting as paddle_lifting
from portalign.frameworks.paddlepaddle import losses as paddle_losses
from portalign.frameworks.pytorch import lifting as torch_lifting
from portalign.frameworks.pytorch import losses as torch_losses
from portalign.records import Role

N_ITERATIONS, BATCH, CLASSES, TIME = 40, 12, 5, 8
Arrays = tuple[npt.NDArray[Any], ...]
Data = tuple[Arrays, Mapping[str, npt.NDArray[Any]]]  # the model's outputs, the batch


def measure(row: Row) -> Measured:
    """Values and gradients of both sides' float64 twins, under every reduction the row leaves
    open.
    """
    entry = Entry.model_validate(row.entry)
    spec = entry.spec(Role.REFERENCE, "torch")
    assert spec is not None
    reductions = [spec.args["reduction"]] if "reduction" in spec.args else ["mean", "sum", "none"]
    found = []
    for reduction in reductions:
        one = replace(spec, args={**spec.args, "reduction": reduction})
        runs = [list(_run(name, one, row)) for name in ("torch", "paddle")]
        found += [measured(*each) for each in zip(*map(_apart, runs), strict=True)]
    return max(found, key=lambda one: one.difference)


def _apart(run: list[Arrays]) -> list[list[npt.NDArray[Any]]]:
    """Values, then gradients: a large value would hide the gradients' difference."""
    return [[value for value, _ in run], [gradient for _, gradient in run]]


def _run(framework: str, spec: Any, row: Row) -> Iterator[Arrays]:
    is_torch = framework == "torch"
    losses = torch_losses if is_torch else paddle_losses
    tensor: Any = torch.tensor if is_torch else paddle.to_tensor
    with (torch_lifting if is_torch else paddle_lifting).lifted():
        compute = losses.loss(spec, {}, round_scalars=True)
        random = np.random.default_rng(0)
        for _ in range(N_ITERATIONS):
            arrays, batch = _data(row, random)
            outputs = [_leaf(tensor(array), is_torch) for array in arrays]
            shown = outputs[0] if len(outputs) == 1 else tuple(outputs)
            loss = compute(shown, {name: tensor(array) for name, array in batch.items()})
            loss.backward()
            gradients = [leaf.grad.numpy().ravel() for leaf in outputs]
            yield loss.detach().numpy(), np.concatenate(gradients)


def _leaf(tensor: Any, is_torch: bool) -> Any:
    if is_torch:
        return tensor.requires_grad_()
    tensor.stop_gradient = False
    return tensor


def _data(row: Row, random: np.random.Generator) -> Data:
    """One batch for a row: what its loss is usually given."""
    name, entry = row.entry["name"], row.entry
    wide = random.normal(size=(BATCH, CLASSES))
    if name in ("cross_entropy", "nll"):
        return _classified(row, random)
    if name == "ctc":
        lengths = {
            "input_lengths": random.integers(6, TIME + 1, BATCH),
            "label_lengths": random.integers(1, 4, BATCH),
        }
        labels = random.integers(1, CLASSES, (BATCH, 3))
        return (random.normal(size=(TIME, BATCH, CLASSES)),), {"labels": labels, **lengths}
    if name == "triplet":
        return (wide, *(random.normal(size=wide.shape) for _ in range(2))), {}
    if name == "cosine_embedding":
        signs = {"labels": random.choice([-1.0, 1.0], BATCH)}
        return (wide, random.normal(size=wide.shape)), signs
    if name == "kl":
        shares = random.dirichlet(np.ones(CLASSES), BATCH)
        target = np.log(shares) if entry.get("log_target") else shares
        return (_log_softmax(wide),), {"labels": target}
    if name == "bce_with_logits":
        return (wide,), {"labels": random.integers(0, 2, wide.shape)}
    return (wide,), {"labels": random.normal(size=wide.shape)}


def _classified(row: Row, random: np.random.Generator) -> Data:
    entry, scores = row.entry, random.normal(size=(BATCH, CLASSES))
    labels: npt.NDArray[Any] = random.integers(0, CLASSES, BATCH)
    if entry.get("axis") == 1:
        scores = random.normal(size=(BATCH, CLASSES, TIME))
        labels = random.integers(0, CLASSES, (BATCH, TIME))
    if entry.get("soft_labels"):
        labels = random.dirichlet(np.ones(CLASSES), BATCH).astype(np.float32).astype(np.float64)
    if "ignore_index" in entry:
        labels[:4] = entry["ignore_index"]
    if entry["name"] == "nll":
        scores = _log_softmax(scores)
    if "far from" in row.title:
        scores = 100.0 * scores
    return (scores,), {"labels": labels}


def _log_softmax(scores: npt.NDArray[Any]) -> npt.NDArray[Any]:
    shifted = scores - scores.max(-1, keepdims=True)
    result: npt.NDArray[Any] = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    return result
