"""Hang forward hooks on every torch module; what they see goes to `frameworks.watching`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch

from portalign.frameworks.base import Replacements, Sink
from portalign.frameworks.pytorch.modules import from_numpy, known_type
from portalign.frameworks.watching import Doorkeeper, Grafter, LeafFinder
from portalign.records import Array


@contextmanager
def watch(
    model: torch.nn.Module, sink: Sink, find_leaves: LeafFinder, *, gradients: bool
) -> Iterator[None]:
    """Send inputs and outputs (and output gradients) of every module to the sink while open."""
    keeper = Doorkeeper(sink, find_leaves, _wants_gradient if gradients else None)
    with ExitStack() as hooks:
        for path, module in model.named_modules():
            door = {"keeper": keeper, "path": path, "module_type": known_type(module)}
            before = module.register_forward_pre_hook(partial(_enter, **door), with_kwargs=True)
            hooks.callback(before.remove)
            after = module.register_forward_hook(partial(_leave, **door))
            hooks.callback(after.remove)
        yield


@contextmanager
def graft(
    model: torch.nn.Module, replacements: Replacements, sink: Sink, *, gradients: bool
) -> Iterator[None]:
    """Send what arrives at every module's door to the sink and let the replacement pass, while
    open.
    """
    wants_gradient = _wants_gradient if gradients else None
    grafter = Grafter(replacements, sink, _is_tensor, _put, wants_gradient)
    with ExitStack() as hooks:
        for path, module in model.named_modules():
            door = {"grafter": grafter, "path": path, "module_type": known_type(module)}
            before = module.register_forward_pre_hook(partial(_graft_in, **door), with_kwargs=True)
            hooks.callback(before.remove)
            after = module.register_forward_hook(partial(_graft_out, **door))
            hooks.callback(after.remove)
        yield


def _is_tensor(value: object) -> bool:
    return isinstance(value, torch.Tensor)


def _put(tensor: torch.Tensor, array: Array) -> torch.Tensor:
    """The array's values at the tensor's place in the graph."""
    values = from_numpy(np.array(array)).to(dtype=tensor.dtype, device=tensor.device)
    return tensor + (values - tensor).detach() if tensor.requires_grad else values


def _wants_gradient(tensor: torch.Tensor) -> bool:
    return tensor.requires_grad


def _enter(
    _module: torch.nn.Module,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    *,
    keeper: Doorkeeper,
    path: str,
    module_type: str,
) -> None:
    keeper.enter(path, module_type, args, kwargs)


def _leave(
    _module: torch.nn.Module,
    _args: tuple[Any, ...],
    output: Any,
    *,
    keeper: Doorkeeper,
    path: str,
    module_type: str,
) -> None:
    keeper.leave(path, module_type, output)


def _graft_in(
    _module: torch.nn.Module,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    *,
    grafter: Grafter,
    path: str,
    module_type: str,
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return grafter.enter(path, module_type, args, kwargs)


def _graft_out(
    _module: torch.nn.Module,
    _args: tuple[Any, ...],
    output: Any,
    *,
    grafter: Grafter,
    path: str,
    module_type: str,
) -> Any:
    return grafter.leave(path, module_type, output)
