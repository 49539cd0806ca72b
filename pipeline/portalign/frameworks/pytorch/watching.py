"""Hang forward hooks on every torch module; what they see goes to `frameworks.watching.Doorkeeper`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch

from portalign.frameworks.base import Sink
from portalign.frameworks.pytorch.modules import known_type
from portalign.frameworks.watching import Doorkeeper, LeafFinder


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
