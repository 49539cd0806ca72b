"""Watch and graft torch models; what happens at a module's door is `frameworks.watching`."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from portalign.frameworks.hooks import Door, Hooks
from portalign.frameworks.pytorch.modules import from_numpy, known_type
from portalign.records import Array


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


_HOOKS = Hooks(
    doors=_doors,
    before="register_forward_pre_hook",
    after="register_forward_hook",
    is_tensor=_is_tensor,
    put=_put,
    version=_version,
    wants_gradient=_wants_gradient,
)
watch, graft, follow = _HOOKS.watch, _HOOKS.graft, _HOOKS.follow
