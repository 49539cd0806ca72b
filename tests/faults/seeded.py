"""Initial weights of the references: every parameter far from the values at which a fault would not
show.

A bias of zero or a norm weight of one would hide a bias left out or a norm's affine ignored.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import nn


@torch.no_grad()
def seeded(model: nn.Module, settings: Mapping[str, object], seed: int) -> nn.Module:
    """Fill a reference with fixed random values and give it the dtype of the settings."""
    random = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        values = torch.randn(parameter.shape, generator=random)
        if parameter.ndim > 1:
            parameter.copy_(values / math.sqrt(math.prod(parameter.shape[1:])) * _gain(name))
        else:
            parameter.copy_(0.2 * values + (1.0 if "norm" in name and "weight" in name else 0.0))
    for name, buffer in model.named_buffers():
        if name.endswith("running_mean"):
            buffer.copy_(0.2 * torch.randn(buffer.shape, generator=random))
        elif name.endswith("running_var"):
            buffer.copy_(0.5 + torch.rand(buffer.shape, generator=random))
    return model.to(getattr(torch, str(settings.get("dtype", "float32")))).eval()


def _gain(name: str) -> float:
    """Sharper attention, or a wrong mask and a wrong scale would be faint."""
    return 1.5 if "query" in name or "key" in name or "q_proj" in name or "k_proj" in name else 1.0
