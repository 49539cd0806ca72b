"""Watch and graft torch models; what happens at a module's door is `frameworks.watching`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager

import numpy as np
import torch

from portalign.frameworks.base import Replacements, Sink
from portalign.frameworks.pytorch.modules import from_numpy, known_type
from portalign.frameworks.watching import Door, Doorkeeper, Grafter, Keeper, LeafFinder, hung
from portalign.records import Array


def watch(
    model: torch.nn.Module, sink: Sink, find_leaves: LeafFinder, *, gradients: bool
) -> AbstractContextManager[None]:
    """Send inputs and outputs (and output gradients) of every module to the sink while open."""
    return _hung(model, Doorkeeper(sink, find_leaves, _wants_gradient if gradients else None))


def graft(
    model: torch.nn.Module, replacements: Replacements, sink: Sink, *, gradients: bool
) -> AbstractContextManager[None]:
    """Send what arrives at every door to the sink and let the replacement pass, while open."""
    wants_gradient = _wants_gradient if gradients else None
    return _hung(model, Grafter(replacements, sink, _is_tensor, _put, _version, wants_gradient))


def _hung(model: torch.nn.Module, keeper: Keeper) -> AbstractContextManager[None]:
    before, after = "register_forward_pre_hook", "register_forward_hook"
    return hung(_doors(model), keeper, before=before, after=after)


def _doors(model: torch.nn.Module) -> Iterator[Door]:
    for path, module in model.named_modules():
        yield path, module, known_type(module)


def _wants_gradient(tensor: torch.Tensor) -> bool:
    return tensor.requires_grad


def _version(tensor: torch.Tensor) -> int:
    return tensor._version


def _is_tensor(value: object) -> bool:
    return isinstance(value, torch.Tensor)


def _put(tensor: torch.Tensor, array: Array) -> torch.Tensor:
    """The array's values at the tensor's place in the graph."""
    values = from_numpy(np.array(array)).to(dtype=tensor.dtype, device=tensor.device)
    return _Put.apply(tensor, values) if tensor.requires_grad else values


class _Put(torch.autograd.Function):
    """Other values forward, exactly (infinities too); the gradient passes as it comes."""

    @staticmethod
    def forward(_ctx: object, _tensor: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        return values.clone()

    @staticmethod
    def backward(_ctx: object, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        return gradient, None
