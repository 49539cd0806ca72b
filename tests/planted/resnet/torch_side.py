"""The reference: the shipped ResNet, built once per process."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from functools import cache

import torch

from portalign.ports.resnet import torch_side


def build(settings: Mapping[str, object]) -> torch.nn.Module:
    """A fresh copy: training one must not change the next."""
    return copy.deepcopy(_build(int(str(settings["training_iterations"]))))


@cache
def _build(n_iterations: int) -> torch.nn.Module:
    return torch_side.build({"training_iterations": n_iterations, "seed": 0})
